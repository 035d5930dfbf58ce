"""The lab without a browser: what `python -m core` can do, a file for each room of it."""
