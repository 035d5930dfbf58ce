"""The Streamlit shell: what more than one page uses."""
