"""One training run, from its folder to its folder: `python -m core.training RUN_DIR`."""
