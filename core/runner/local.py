"""Runs on this machine: every run gets a supervisor, a small process of its own that waits for its turn and starts the
trainer.

One of the engines of core.runner.control, which decides and writes what is asked for.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from core.auth import require_owner
from core.errors import LabError, writing
from core.processes import start_detached
from core.runner.device_lock import devices_for, queue_lock
from core.runs.status import ACTIVE_STATES, Status, update_status
from core.runs.store import Run, list_active, read_run

SUPERVISOR = (sys.executable, "-m", "core.runner.supervisor")
"""The command that supervises; the run's folder follows."""
STOP_SECONDS = 10.0
"""How long a trainer that shall stop now has for its checkpoint."""
TERMINATE_SECONDS = 3.0
"""How long it then has between a polite signal and the last one."""


def start(path: Path) -> None:
    """Start the supervisor of a queued run. Returns at once; the run outlives this process."""
    start_detached([*SUPERVISOR, str(path)], path / "train.log")


def withdraw(run: Run) -> None:
    """A run that only waits is out of the queue once its status says so: its supervisor then goes."""


def end(run: Run) -> bool:
    """End a run's trainer, and wait for its supervisor to say how; True when no supervisor is there to say it."""
    end_trees(_trainers_of(run.status))
    deadline = time.monotonic() + STOP_SECONDS
    while (state := read_run(run.path).state) in ACTIVE_STATES and time.monotonic() < deadline:
        time.sleep(0.05)
    return state == "lost"


def move(path: Path, by: int) -> None:
    """Move a queued run along the queue of its device, see `core.runner.control.move`."""
    with writing(path), queue_lock(path.parent):
        run = read_run(path)
        require_owner(run.owner, f"Run {run.id}")
        if run.state != "queued":
            raise LabError(f"Run {run.id} is {run.state}: only a run that waits can be moved.")
        queue = [
            other
            for other in _active_here(path.parent)
            if other.status.state == "queued" and devices_of(other) & devices_of(run)
        ]
        queue.sort(key=_queue_order)
        tickets = [other.status.ticket for other in queue]
        index = [other.id for other in queue].index(run.id)
        new_index = min(max(index + by, 0), len(queue) - 1)
        if new_index == index:
            raise LabError(f"Run {run.id} is {'first' if by < 0 else 'last'} in the queue already.")
        if by < 0:
            for other in queue[new_index:index]:
                require_owner(other.owner, f"Run {other.id}, which would have to wait,")
        queue.insert(new_index, queue.pop(index))
        for other, ticket in zip(queue, tickets, strict=True):
            if other.status.ticket != ticket:
                update_status(other.path, ticket=ticket)


def queue_position(run: Run) -> int:
    """Return how many runs stand before a queued one on its device: those that run, and those that were queued
    earlier.
    """
    return len(runs_before(run))


def runs_before(run: Run) -> list[Run]:
    """Return the active runs of the same device that go before this one."""
    return [
        other
        for other in _active_here(run.path.parent)
        if other.id != run.id
        and devices_of(other) & devices_of(run)
        and (other.status.state == "running" or _queue_order(other) < _queue_order(run))
    ]


def devices_of(run: Run) -> frozenset[str]:
    """Return the devices whose slots a run needs."""
    if run.config is None:
        return frozenset(devices_for("auto", 1))
    return frozenset(devices_for(run.config.training.device, run.config.training.num_processes))


def end_trees(processes: list[psutil.Process]) -> None:
    """End processes and their children: a polite signal, and three seconds later one that can't be refused.

    Each is known by its number and its start time, so that a later process with the same number is never meant.
    """
    doomed = list(processes)
    for process in processes:
        with suppress(psutil.Error):
            doomed += process.children(recursive=True)
    for process in doomed:
        with suppress(psutil.Error):
            process.terminate()
    _, left = psutil.wait_procs(doomed, timeout=TERMINATE_SECONDS)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=TERMINATE_SECONDS)


def _active_here(folder: Path) -> list[Run]:
    """Return the active runs of a folder but those that a cluster trains."""
    return [run for run in list_active(folder) if run.config is None or run.config.runner.engine == "local"]


def _queue_order(run: Run) -> tuple[float, str]:
    """Return what orders a queue: the ticket, and the id where two have the same."""
    return run.status.ticket, run.id


def _trainers_of(status: Status) -> list[psutil.Process]:
    """Return the living processes that train a run: the one that is named, and its supervisor's child, which may have
    started it.
    """
    results = {}
    if status.trainer and (trainer := status.trainer.process()):
        results[trainer.pid] = trainer
    if status.supervisor and (supervisor := status.supervisor.process()):
        with suppress(psutil.Error):
            results |= {child.pid: child for child in supervisor.children()}
    return list(results.values())
