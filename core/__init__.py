"""The lab without its screen: data, networks, training, running, predicting and scoring.

Nothing in this package knows Streamlit or Plotly; everything works from a notebook or a shell.
"""
