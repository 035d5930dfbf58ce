"""`python -m core.hub JOB`: the process that pushes or pulls; see `core.hub.jobs`."""

import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

from core.jobs.engine import Facts, JobStoppedError, Progress, run_job
from core.paths import runs_folder
from core.runs.store import find_run

LOOK_SECONDS = 0.3
PATIENCE = 5.0
"""Seconds that a cancelled process has to tidy up."""


def carry_out(asked: Facts, progress: Progress) -> Facts:
    """Does what was asked for. Raises LabError."""
    if asked["action"] == "pull":
        from core.hub.pull import pull

        return {"run": pull(asked["repo"], asked["revision"], progress=progress).name}
    from core.hub.push import push

    run = find_run(asked["run"], runs_folder())
    return asdict(push(run, asked["repo"], asked["public"], asked["own_pictures"], progress))


def heed_stop(path: Path) -> None:
    """Ends the work also where it waits for the Hub and says nothing, which may be for long."""

    def stop(*_: object) -> None:
        raise JobStoppedError

    def watch() -> None:
        while not path.with_suffix(".stop").exists():
            time.sleep(LOOK_SECONDS)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        time.sleep(PATIENCE)
        os._exit(1)  # a thread of the client hangs in the middle of a request

    if hasattr(signal, "pthread_kill"):
        signal.signal(signal.SIGTERM, stop)
        threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    heed_stop(Path(sys.argv[1]))
    sys.exit(run_job(Path(sys.argv[1]), carry_out))
