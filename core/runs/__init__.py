"""Run folders, the only channel between the trainer, the runner and the pages."""
