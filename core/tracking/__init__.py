"""Other trackers: a run's metrics in TensorBoard's event files, on an MLflow server, at Weights & Biases.

Each is a process of its own beside the trainer, which reads metrics.jsonl as it grows, like the page does. The trainer
only starts it, once, and never waits for it, talks to it or looks at it again: hence no tracker can slow, break or lose
a run, whatever it does.
"""
