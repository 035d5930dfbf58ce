"""Launching, queueing, stopping and resuming of runs, on this machine or on a cluster: the same calls serve both."""

from core.runner.control import STOP_SECONDS, clone, launch, move, pause, queue_position, resume, stop, stop_now
from core.runner.trash import Binned, delete, empty_bin, list_bin, restore

__all__ = [
    "STOP_SECONDS",
    "Binned",
    "clone",
    "delete",
    "empty_bin",
    "launch",
    "list_bin",
    "move",
    "pause",
    "queue_position",
    "restore",
    "resume",
    "stop",
    "stop_now",
]
