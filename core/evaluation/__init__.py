"""Evaluation results: everything that was counted when a run's checkpoint was scored, kept in the run's folder."""
