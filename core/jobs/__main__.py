"""`python -m core.jobs KIND FILE`: the process of a job; see `core.jobs.kinds`."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from core.jobs.engine import JobStoppedError, run_job
from core.jobs.kinds import JOBS, load_work

POLL_SECONDS = 0.3
GRACE_SECONDS = 5.0
"""What a stopped process has to tidy up."""


def end_while_silent(path: Path) -> None:
    """End the work also where it waits for another computer, soon after the job of that file was asked to stop."""

    def stop(*_: object) -> None:
        raise JobStoppedError

    def watch() -> None:
        while not path.with_suffix(".stop").exists():
            time.sleep(POLL_SECONDS)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(1)  # a thread of the client hangs in the middle of a request

    if hasattr(signal, "pthread_kill"):
        signal.signal(signal.SIGTERM, stop)
        threading.Thread(target=watch, daemon=True).start()


def main(kind: str, file: str) -> int:
    """Do the work of a job's file; returns the exit code."""
    path = Path(file)
    if JOBS[kind].ends_while_silent:
        end_while_silent(path)
    return run_job(path, lambda request, progress: load_work(kind)(request, progress), JOBS[kind].niceness)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
