"""What can be asked of a run, whichever engine trains it: decides, writes it down, and leaves the doing to the engine.

An engine has `start`, `withdraw`, `end`, `move` and `queue_position`; which one trains a run stands in its config.
"""

import itertools
import shutil
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from core.auth import max_queued, require_owner, require_quota, require_write
from core.config import EngineName, RunConfig, read_config
from core.errors import LabError, writing
from core.models.families import NOT_TRAINED
from core.runner import local
from core.runner.device_lock import queue_lock
from core.runner.exit_reasons import KILLED, end_of
from core.runner.local import STOP_SECONDS
from core.runner.quotas import check_may_ask
from core.runner.slurm import engine as slurm
from core.runs.notes import Notes
from core.runs.repeats import folds_of, number_of, repeats_of
from core.runs.status import (
    ACTIVE_STATES,
    Request,
    clear_request,
    read_status,
    request_pause,
    request_stop,
    update_status,
)
from core.runs.store import Run, create_run, list_active, list_runs, read_run
from core.squeue import ask_anew

ENGINES: dict[EngineName, ModuleType] = {"local": local, "slurm": slurm}


def launch(config: RunConfig, folder: Path, notes: Notes | None = None) -> Path:
    """Make a run folder and queues the run. Returns at once; the run outlives this process.

    Raises:
        QuotaError: the one who is asking has as many runs queued as one may have, or as much on the disk.
        LabError: the folder can't be written to, the one who is asking may only look, or not ask for that much; it is a
            network that isn't trained here; or the cluster doesn't take the job, and then no folder is left.
    """
    require_write()
    if config.model.family in NOT_TRAINED:
        raise LabError(f"{config.model.title} can be looked at and scored, not trained. Take FCN, U-Net or ViT.")
    check_may_ask(config)
    with writing(folder):
        with queue_lock(folder):
            _check_allowance(folder)
            path = create_run(config, folder, notes)
        try:
            ENGINES[config.runner.engine].start(path)
        except LabError:
            shutil.rmtree(path, ignore_errors=True)
            raise
    return path


def clone(path: Path, changes: dict[str, dict[str, Any]]) -> Path:
    """Launch a run like another but for some fields of its config; returns its path.

    Its notes name the run it comes from.

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


def repeat(path: Path, count: int) -> list[Path]:
    """Launch a run's recipe with other seeds, the smallest that no run of it has; returns the new runs' paths.

    Raises LabError as `clone` does; those that were launched before stay.
    """
    run = read_run(path)
    taken = {other.config.training.seed for other in repeats_of(run, list_runs(path.parent)) if other.config}
    seeds = itertools.islice((seed for seed in itertools.count() if seed not in taken), count)
    return [clone(path, {"training": {"seed": seed}}) for seed in seeds]


def cross_validate(path: Path, folds: int) -> list[Path]:
    """Launch a run's recipe once for each fold that no run of it has, see `core.data.folds`; returns the new runs'
    paths.

    Raises LabError as `clone` does; those that were launched before stay.
    """
    there = folds_of(read_run(path), list_runs(path.parent)).get(folds, [])
    taken = {number_of(other, "fold") for other in there}
    return [
        clone(path, {"dataset": {"folds": folds, "fold": fold}}) for fold in range(1, folds + 1) if fold not in taken
    ]


def resume(path: Path) -> None:
    """Queue a run again, to go on from its last checkpoint, or from the beginning where it has none.

    Raises:
        QuotaError: the one who is asking has as many runs queued as one may have, or as much on the disk.
        LabError: it is queued or running, finished, its config can't be read, it is another's, or the cluster doesn't
            take the job.
    """
    ask_anew()
    # One look and one write at a time: two tabs may ask at once.
    with writing(path), queue_lock(path.parent):
        run = read_run(path)
        require_owner(run.owner, f"Run {run.id}")
        if run.config is None:
            raise LabError(f"Run {run.id} can't be resumed. {run.problem}")
        if run.is_active:
            raise LabError(f"Run {run.id} is {run.state} already.")
        if run.state == "finished":
            raise LabError(
                f"Run {run.id} is finished: there is nothing left to do. Start a new run with more minutes or epochs."
            )
        check_may_ask(run.config, path)
        _check_allowance(path.parent)
        clear_request(path)
        update_status(
            path,
            state="queued",
            ticket=time.time(),
            supervisor=None,
            trainer=None,
            job="",
            phase="",
            error=None,
            exit=None,
            ended=None,
            failure="",
            suggested_change={},
        )
    try:
        _engine_of(run).start(path)
    except LabError as error:
        with queue_lock(path.parent):
            status = read_status(path)
            if status and status.state == "queued" and not status.job:
                update_status(path, state="failed", failure="user", error=str(error), ended=time.time())
        raise


def stop(path: Path) -> None:
    """Ask a run to write a checkpoint and end; one that only waits is taken out of the queue. Returns at once.

    Raises:
        LabError: it isn't queued or running, or is another's.
    """
    _ask(path, "stop")


def pause(path: Path) -> None:
    """Ask for the same, but the run is then paused, to be gone on with. Raises LabError as `stop`."""
    _ask(path, "pause")


def stop_now(path: Path, patience: float = STOP_SECONDS) -> None:
    """Ask a run to stop, and end its trainer when it has not done so in time. Returns when the run has ended.

    Args:
        path: of the run.
        patience: seconds that the trainer has for its checkpoint.

    Raises:
        LabError: it isn't queued or running, is another's, or its cluster doesn't end it.
    """
    stop(path)
    deadline = time.monotonic() + patience
    while (run := read_run(path)).is_active and time.monotonic() < deadline:
        time.sleep(0.05)
    if run.is_active and _engine_of(run).end(run):
        with writing(path), queue_lock(path.parent):
            if read_run(path).status.state in ACTIVE_STATES:
                update_status(path, **end_of(path, KILLED))


def move(path: Path, by: int) -> None:
    """Move a queued run along the queue of its device: by -1 one place nearer to its turn, by 1 one place back.

    Raises:
        LabError: it isn't queued, has no such place to go to, stands in a cluster's queue, or it or a run that it would
            pass is another's.
    """
    _engine_of(read_run(path)).move(path, by)


def queue_position(run: Run) -> int:
    """Return how many stand before a queued run: runs on its device, or the jobs that its cluster would rather
    start.
    """
    return _engine_of(run).queue_position(run)


def _engine_of(run: Run) -> ModuleType:
    return ENGINES[run.config.runner.engine] if run.config else local


def _check_allowance(folder: Path) -> None:
    """Raise QuotaError where the one who is asking has as many runs waiting or training as one may have."""
    if max_queued():
        require_quota((run.owner for run in list_active(folder)), "runs waiting or training")


def _ask(path: Path, what: Request) -> None:
    ask_anew()
    with writing(path), queue_lock(path.parent):
        run = read_run(path)
        require_owner(run.owner, f"Run {run.id}")
        waits = run.state == "queued"
        if not run.is_active:
            raise LabError(f"Run {run.id} is {run.state}, so there is nothing to {what}.")
        if waits:
            update_status(path, state="stopped" if what == "stop" else "paused", ended=time.time(), exit=0)
        elif what == "stop":
            request_stop(path)
        else:
            request_pause(path)
    if waits:
        _engine_of(run).withdraw(run)
