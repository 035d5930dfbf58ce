"""Launching, queueing, stopping and resuming of runs. The same calls will serve other engines than this machine."""

from core.runner.local import launch, queue_position, resume, stop

__all__ = ["launch", "queue_position", "resume", "stop"]
