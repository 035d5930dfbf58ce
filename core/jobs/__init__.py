"""Background work that is no training."""
