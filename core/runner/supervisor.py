"""`python -m core.runner.supervisor RUN_DIR`: waits for the device, starts the trainer, and records how it ended.

Small on purpose: no torch, no threads. It lives in a session of its own, so that neither a closed tab nor a killed server
reaches it, and when it is killed itself the trainer goes on and keeps the device's lock.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from core.places import PROJECT
from core.runner.local import device_of, runs_before
from core.runner.slots import Slot
from core.runs import ACTIVE_STATES, ProcessId, read_run, read_status, stop_is_requested, update_status

PATIENCE = 0.2
"""Seconds between two looks at the queue."""


def main(run: Path) -> int:
    """Supervises a run from the queue to its end; returns the trainer's exit code, minus a signal's number."""
    found = read_run(run)
    myself = ProcessId.of(os.getpid())
    update_status(run, supervisor=myself)
    with Slot(run.parent / ".slots", device_of(found)) as slot:
        while True:
            status = read_status(run)
            if status is None or status.state != "queued" or status.supervisor != myself:
                return 0  # the run was taken over by a later supervisor, or its folder is gone
            if stop_is_requested(run):
                update_status(run, state="stopped", ended=time.time(), exit=0)
                return 0
            if slot.acquire():
                # The lock alone is not first come, first served: whoever was queued earlier goes first.
                if not any(other.status.state == "queued" for other in runs_before(found)):
                    break
                slot.release()
            time.sleep(PATIENCE)
        trainer = subprocess.Popen(
            [sys.executable, "-u", "-m", "core.training", str(run), "--supervised"],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            **slot.inheritance,
        )
        code = trainer.wait()
    status = read_status(run)
    # A run that was stopped may be queued again already, under another supervisor: then its status is no longer ours.
    if status is None or (status.state in ACTIVE_STATES and status.supervisor == myself):
        update_status(
            run,
            state="failed",
            error=sentence_of_death(code),
            phase="",
            seconds_left=None,
            ended=time.time(),
            exit=code,
        )
    return code


def sentence_of_death(code: int) -> str:
    """What to tell a student of a trainer that ended without a word."""
    if code == -signal.SIGTERM:
        return "The training was ended from outside (SIGTERM) before it could save. Resume it to go on from its last checkpoint."
    if code == -getattr(signal, "SIGKILL", 9):
        return (
            "The training was killed from outside, most likely because the machine ran out of memory. "
            "Resume it to go on from its last checkpoint; if it happens again, halve the batch size."
        )
    if code < 0:
        return (
            f"The training crashed (signal {-code}). Resume it to go on from its last checkpoint; the log may say more."
        )
    return f"The training ended with exit code {code} and left no word. The log may say more."


if __name__ == "__main__":
    sys.exit(0 if main(Path(sys.argv[1])) == 0 else 1)
