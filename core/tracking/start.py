"""The trainer's part in tracking: it starts a process for each tracker, and that is all."""

import sys
from pathlib import Path

from core.config import TrackingConfig
from core.processes import start_detached
from core.tracking.table import TRACKERS
from core.tracking.tracker import chosen

PATIENCE = 60.0
"""Seconds that a tracker has, after its run has ended, to be told what it wasn't told yet."""


def start_trackers(run: Path, config: TrackingConfig) -> None:
    """Start the processes that tell the chosen trackers of a run; what they have to say is appended to train.log.

    They are in sessions of their own, so that they can go on for a while when the trainer has ended or was killed.
    """
    for name in chosen(config):
        command = [sys.executable, "-X", "utf8", "-m", "core.tracking", str(run), name, f"--patience={PATIENCE:g}"]
        try:
            start_detached(command, run / "train.log")
        except OSError as error:
            print(f"{TRACKERS[name].title} is not told of this run: its process can't be started ({error.strerror}).")
