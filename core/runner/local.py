"""Runs on this machine: every run gets a supervisor, a small process of its own that waits for its turn and starts the trainer."""

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from core.config import RunConfig, read_config
from core.errors import LabError, writing
from core.families import REFERENCE
from core.people import acting, check_may_change, check_may_work, most_queued
from core.runner.detached import start_detached
from core.runner.endings import KILLED, end_of
from core.runner.slots import deciding, devices_for
from core.runs import (
    Notes,
    Request,
    Run,
    Status,
    clear_request,
    create_run,
    list_active,
    read_run,
    request_pause,
    request_stop,
    update_status,
)

SUPERVISOR = (sys.executable, "-m", "core.runner.supervisor")
"""The command that supervises; the run's folder follows."""
STOP_SECONDS = 10.0
"""How long a trainer that shall stop now has for its checkpoint."""
TERMINATE_SECONDS = 3.0
"""How long it then has between a polite signal and the last one."""


def launch(config: RunConfig, folder: Path, notes: Notes | None = None) -> Path:
    """Makes a run folder and queues the run on its device. Returns at once; the run outlives this process.

    Raises:
        LabError: the folder can't be written to, the one who is asking may only look, or has as many runs queued as one may have; or it
            is a network that isn't trained here.
    """
    check_may_work()
    _check_allowance(folder)
    if config.model.family == REFERENCE:
        raise LabError(
            f"{config.model.title} was trained by others and can be looked at, not trained. Take FCN, U-Net or ViT."
        )
    with writing(folder):
        path = create_run(config, folder, notes)
        _start_supervisor(path)
    return path


def clone(path: Path, changes: dict[str, dict[str, Any]]) -> Path:
    """Launches a run like another but for some fields of its config; returns its path. Its notes name the run it comes from.

    Args:
        path: of the run to begin with, in whatever state that is.
        changes: new values, by part of the config and field.

    Raises:
        LabError: the config can't be read, or a change doesn't do.
    """
    run = read_run(path)
    if run.config is None:
        raise LabError(f"Run {run.id} can't be trained again. {run.problem}")
    values = run.config.model_dump()
    for part, fields in changes.items():
        values[part] = values.get(part, {}) | fields
    return launch(read_config(values), path.parent, Notes(parent=run.id))


def resume(path: Path) -> None:
    """Queues a run again, to go on from its last checkpoint, or from the beginning where it has none.

    Raises:
        LabError: it is queued or running, finished, its config can't be read, or it is another's.
    """
    # One look and one write at a time: two tabs may ask at once.
    with writing(path), deciding(path.parent):
        run = read_run(path)
        check_may_change(run.owner, f"Run {run.id}")
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
            failure="",
            remedy={},
        )
        _start_supervisor(path)


def stop(path: Path) -> None:
    """Asks a run to write a checkpoint and end; one that only waits is taken out of the queue. Returns at once.

    Raises:
        LabError: it isn't queued or running, or is another's.
    """
    _ask(path, "stop")


def pause(path: Path) -> None:
    """The same, but the run is then paused: its device is free for the next one, and it is marked to be gone on with.

    Raises:
        LabError: it isn't queued or running, or is another's.
    """
    _ask(path, "pause")


def stop_now(path: Path, patience: float = STOP_SECONDS) -> None:
    """Asks a run to stop, and ends its trainer when it has not done so in time. Returns when the run has ended.

    Args:
        path: of the run.
        patience: seconds that the trainer has for its checkpoint.

    Raises:
        LabError: it isn't queued or running, or is another's.
    """
    stop(path)
    deadline = time.monotonic() + patience
    while (run := read_run(path)).is_active and time.monotonic() < deadline:
        time.sleep(0.05)
    if not run.is_active:
        return
    end_trees(_trainers_of(run.status))
    # A living supervisor says how its trainer ended.
    deadline = time.monotonic() + STOP_SECONDS
    while read_run(path).is_active and time.monotonic() < deadline:
        time.sleep(0.05)
    with writing(path), deciding(path.parent):
        if read_run(path).state == "lost":
            update_status(path, **end_of(path, KILLED))


def move(path: Path, by: int) -> None:
    """Moves a queued run along the queue of its device: by -1 one place nearer to its turn, by 1 one place back.

    Raises:
        LabError: it isn't queued, has no such place to go to, or it or a run that it would pass is another's.
    """
    with writing(path), deciding(path.parent):
        run = read_run(path)
        check_may_change(run.owner, f"Run {run.id}")
        if run.state != "queued":
            raise LabError(f"Run {run.id} is {run.state}: only a run that waits can be moved.")
        queue = [
            other
            for other in list_active(path.parent)
            if other.status.state == "queued" and devices_of(other) & devices_of(run)
        ]
        queue.sort(key=_turn)
        tickets = [other.status.ticket for other in queue]
        place = [other.id for other in queue].index(run.id)
        new_place = min(max(place + by, 0), len(queue) - 1)
        if new_place == place:
            raise LabError(f"Run {run.id} is {'first' if by < 0 else 'last'} in the queue already.")
        if by < 0:
            for other in queue[new_place:place]:
                check_may_change(other.owner, f"Run {other.id}, which would have to wait,")
        queue.insert(new_place, queue.pop(place))
        for other, ticket in zip(queue, tickets, strict=True):
            if other.status.ticket != ticket:
                update_status(other.path, ticket=ticket)


def queue_position(run: Run) -> int:
    """How many runs stand before a queued one on its device: those that run, and those that were queued earlier."""
    return len(runs_before(run))


def runs_before(run: Run) -> list[Run]:
    """The active runs of the same device that go before this one."""
    return [
        other
        for other in list_active(run.path.parent)
        if other.id != run.id
        and devices_of(other) & devices_of(run)
        and (other.status.state == "running" or _turn(other) < _turn(run))
    ]


def devices_of(run: Run) -> frozenset[str]:
    """The devices whose slots a run needs."""
    if run.config is None:
        return frozenset(devices_for("auto", 1))
    return frozenset(devices_for(run.config.training.device, run.config.training.processes))


def end_trees(processes: list[psutil.Process]) -> None:
    """Ends processes and their children: a polite signal, and three seconds later one that can't be refused.

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


def _check_allowance(folder: Path) -> None:
    """Raises LabError where the one who is asking has as many runs waiting or training as one may have."""
    person, most = acting(), most_queued()
    if not most or person.is_admin:
        return
    own = sum(run.owner == person.id for run in list_active(folder))
    if own >= most:
        raise LabError(
            f"You have {own} of the {most} runs waiting or training that one person may have. Wait for one to end, or stop one."
        )


def _ask(path: Path, what: Request) -> None:
    with writing(path), deciding(path.parent):
        run = read_run(path)
        check_may_change(run.owner, f"Run {run.id}")
        if not run.is_active:
            raise LabError(f"Run {run.id} is {run.state}, so there is nothing to {what}.")
        if run.state == "queued":
            update_status(path, state="stopped" if what == "stop" else "paused", ended=time.time(), exit=0)
        elif what == "stop":
            request_stop(path)
        else:
            request_pause(path)


def _turn(run: Run) -> tuple[float, str]:
    """What orders a queue: the ticket, and the id where two have the same."""
    return run.status.ticket, run.id


def _trainers_of(status: Status) -> list[psutil.Process]:
    """The living processes that train a run: the one that is named, and its supervisor's child, which may have started it."""
    found = {}
    if status.trainer and (trainer := status.trainer.process()):
        found[trainer.pid] = trainer
    if status.supervisor and (supervisor := status.supervisor.process()):
        with suppress(psutil.Error):
            found |= {child.pid: child for child in supervisor.children()}
    return list(found.values())


def _start_supervisor(path: Path) -> None:
    start_detached([*SUPERVISOR, str(path)], path / "train.log")
