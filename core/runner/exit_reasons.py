"""What is said of a trainer that stopped unexpectedly: whether it was asked to, what killed it, and what to do."""

import signal
import time
from pathlib import Path
from typing import Any

from core.runs.status import Failure, requested

KILLED = -getattr(signal, "SIGKILL", 9)
"""The exit code of a process that was ended by a signal that can't be refused."""


def end_of(run: Path, code: int) -> dict[str, Any]:
    """Return the fields of the status of a run whose trainer stopped unexpectedly.

    Args:
        run: its folder.
        code: the trainer's exit code, or minus the signal that ended it.
    """
    how = {"phase": "", "seconds_left": None, "ended": time.time(), "exit": code}
    request = requested(run)
    if request and code in (-signal.SIGTERM, KILLED):
        sentence = "It was ended before it could save. Resume it to go on from its last checkpoint."
        return how | {"state": "stopped" if request == "stop" else "paused", "error": sentence}
    failure, sentence = sentence_of_death(code)
    return how | {"state": "failed", "failure": failure, "error": sentence}


def sentence_of_death(code: int) -> tuple[Failure, str]:
    """Return what to tell a student of a trainer that stopped unexpectedly, and the word for it."""
    if code == -signal.SIGTERM:
        return (
            "killed",
            (
                "The training was ended from outside (SIGTERM) before it could save. Resume it to go on from its last"
                " checkpoint."
            ),
        )
    if code == KILLED:
        return (
            "killed",
            (
                "The training was killed from outside, most likely because the machine ran out of memory. "
                "Resume it to go on from its last checkpoint; if it happens again, halve the batch size."
            ),
        )
    if code < 0:
        return (
            "fault",
            (
                f"The training crashed (signal {-code}). Resume it to go on from its last checkpoint; the log may say"
                " more."
            ),
        )
    return "fault", f"The training ended with exit code {code} and left no word. The log may say more."
