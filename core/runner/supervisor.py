"""`python -m core.runner.supervisor RUN_DIR`: waits for the device, starts the trainer, and records how it ended.

Small on purpose: no torch, no threads. It lives in a session of its own, so that neither a closed tab nor a killed
server reaches it, and when it is killed itself the trainer goes on and keeps the device's lock.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from core.paths import PROJECT
from core.processes import ProcessId
from core.runner.device_lock import LOCKS, DeviceLock, queue_lock
from core.runner.exit_reasons import end_of
from core.runner.local import devices_of, runs_before
from core.runner.trainer import trainer_command
from core.runs.status import ACTIVE_STATES, read_status, update_status
from core.runs.store import read_run

PATIENCE = 0.2
"""Seconds between two looks of the first in the queue; everyone waits as much longer for each run that goes first."""
MAX_PATIENCE = 5.0


def main(run: Path) -> int:
    """Supervise a run from the queue to its end; returns the trainer's exit code, minus a signal's number."""
    record = read_run(run)
    myself = ProcessId.of(os.getpid())
    with queue_lock(run.parent):
        status = read_status(run)
        if status is None or status.state != "queued":
            return 0  # taken out of the queue before this process was there
        update_status(run, supervisor=myself)
    with DeviceLock(run.parent / LOCKS, *sorted(devices_of(record))) as lock:
        ahead = 0
        while _waits(run, myself):
            if lock.acquire():
                # The lock alone is not first come, first served: the run that stands before in the queue goes first.
                ahead = _claim(run, myself)
                if not ahead:
                    break
                lock.release()
            time.sleep(min(PATIENCE * (1 + ahead), MAX_PATIENCE))
        else:
            return 0
        trainer = subprocess.Popen(trainer_command(record), cwd=PROJECT, stdin=subprocess.PIPE, **lock.inheritance)
        # From here on the status is the trainer's: it waits for this pipe to close before it writes.
        update_status(run, trainer=ProcessId.of(trainer.pid))
        trainer.stdin.close()
        code = trainer.wait()
    status = read_status(run)
    # A run that was stopped may be queued again already, under another supervisor: then its status is no longer ours.
    if status is None or (status.state in ACTIVE_STATES and status.supervisor == myself):
        update_status(run, **end_of(run, code))
    return code


def _waits(run: Path, myself: ProcessId) -> bool:
    """Return False when the run was taken out of the queue or over by a later supervisor, or when its folder is
    gone.
    """
    status = read_status(run)
    return status is not None and status.state == "queued" and status.supervisor == myself


def _claim(run: Path, myself: ProcessId) -> int:
    """Return how many runs go before this one.

    When none does it is written down as running, and can't be moved or stopped in the queue.
    """
    with queue_lock(run.parent):
        if not _waits(run, myself):
            return 1
        ahead = sum(other.status.state == "queued" for other in runs_before(read_run(run)))
        if not ahead:
            update_status(run, state="running", phase="starting")
        return ahead


if __name__ == "__main__":
    sys.exit(0 if main(Path(sys.argv[1])) == 0 else 1)
