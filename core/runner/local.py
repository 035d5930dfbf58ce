"""Runs on this machine: every run gets a supervisor, a small process of its own that waits for its turn and starts the trainer."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.config import RunConfig
from core.errors import LabError
from core.places import PROJECT
from core.runner.slots import device_name
from core.runs import (
    Run,
    clear_request,
    create_run,
    list_runs,
    read_run,
    request_stop,
    update_status,
)

_resuming = threading.Lock()
_supervisors: list[subprocess.Popen[bytes]] = []
"""Supervisors that this process started: asked now and then how they are, else their dead bodies would stay as zombies."""


def launch(config: RunConfig, folder: Path) -> Path:
    """Makes a run folder and queues the run on its device. Returns at once; the run outlives this process.

    Raises:
        LabError: the folder can't be written to.
    """
    with _writing(folder):
        path = create_run(config, folder)
        _start_supervisor(path)
    return path


def resume(path: Path) -> None:
    """Queues a run again, to go on from its last checkpoint, or from the beginning where it has none.

    Raises:
        LabError: it is queued or running, finished, or its config can't be read.
    """
    # One look and one write at a time: two tabs may ask at once.
    with _resuming, _writing(path):
        run = read_run(path)
        if run.config is None:
            raise LabError(f"Run {run.id} can't be resumed. {run.problem}")
        if run.is_active:
            raise LabError(f"Run {run.id} is {run.state} already.")
        if run.state == "finished":
            raise LabError(
                f"Run {run.id} is finished: there is nothing left to do. Start a new run with more minutes or epochs."
            )
        clear_request(path)
        update_status(
            path,
            state="queued",
            ticket=time.time(),
            supervisor=None,
            trainer=None,
            phase="",
            error=None,
            exit=None,
            ended=None,
        )
        _start_supervisor(path)


def stop(path: Path) -> None:
    """Asks a run to write a checkpoint and end; one that only waits is taken out of the queue. Returns at once.

    Raises:
        LabError: it isn't queued or running.
    """
    run = read_run(path)
    if not run.is_active:
        raise LabError(f"Run {run.id} is {run.state}, so there is nothing to stop.")
    with _writing(path):
        request_stop(path)


def queue_position(run: Run) -> int:
    """How many runs stand before a queued one on its device: those that run, and those that were queued earlier."""
    return len(runs_before(run))


def runs_before(run: Run) -> list[Run]:
    """The active runs of the same device that go before this one."""
    return [
        other
        for other in list_runs(run.path.parent)
        if other.id != run.id
        and device_of(other) == device_of(run)
        and other.is_active
        and (other.state == "running" or (other.status.ticket, other.id) < (run.status.ticket, run.id))
    ]


def device_of(run: Run) -> str:
    """The device whose slot a run needs."""
    return device_name(run.config.training.device if run.config else "auto")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns a folder that can't be written to into a sentence."""
    try:
        yield
    except OSError as error:
        raise LabError(
            f"'{path}' can't be written to: {error.strerror}. Free some space, or allow writing there."
        ) from None


def _start_supervisor(path: Path) -> None:
    _supervisors[:] = [supervisor for supervisor in _supervisors if supervisor.poll() is None]
    with open(path / "train.log", "ab") as log:
        options = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
            if os.name == "nt"
            else {"start_new_session": True}
        )
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "core.runner.supervisor", str(path)],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **options,
        )
    _supervisors.append(supervisor)
