"""Launching, queueing, stopping and resuming of runs, on this machine or on a cluster: the same calls serve both."""

from core.runner.control import (
    STOP_SECONDS,
    clone,
    cross_validate,
    launch,
    move,
    pause,
    queue_position,
    repeat,
    resume,
    stop,
    stop_now,
)
from core.runner.move_data import move_data
from core.runner.trash import TrashedRun, delete, empty_trash, list_trash, restore

__all__ = [
    "STOP_SECONDS",
    "TrashedRun",
    "clone",
    "delete",
    "empty_trash",
    "launch",
    "list_trash",
    "move",
    "move_data",
    "pause",
    "queue_position",
    "cross_validate",
    "repeat",
    "restore",
    "resume",
    "stop",
    "stop_now",
]
