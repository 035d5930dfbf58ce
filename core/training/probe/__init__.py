"""Short trials before a run: dry run, learning-rate finder, and the process they run in."""
