"""The sweep folder: what is studied, how it stands, and the process that goes through it.

    <runs folder>/.sweeps/<YYYYMMDD-HHMMSS-sweep-xxxx>/
        sweep.json      what was asked for, and how many frames there were to learn from; written once
        status.json     how it stands; replaced atomically by the process that starts it, then by the driver
        request.json    the wish to stop
        trials.jsonl    Optuna's own storage: the trials, their choices, scores and runs
        driver.log      what the driver printed
        .slots/         the lock that one driver at a time holds

The driver is a process of its own, so that a sweep goes on without the page, the terminal or the server. Killed at any
moment and started again it goes on, see `core.sweeps.driver`.
"""

import json
import re
import secrets
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from core.auth import max_queued, read_owner, require_owner, require_quota, require_write, write_owner
from core.config import with_stored_fields
from core.data.dataset import open_dataset
from core.errors import LabError, writing
from core.files import parse_json, replacing, write_atomically
from core.paths import SWEEPS, find_folder, named_folders
from core.processes import ProcessId, start_detached
from core.runner.device_lock import queue_lock
from core.runner.quotas import check_may_ask
from core.runs.status import clear_request, request_stop, requested
from core.sweeps.space import Round, SweepConfig, parse_spec
from core.training.start import find_start

SWEEP_ID = re.compile(r"\d{8}-\d{6}-sweep-[0-9a-f]{4}")
DRIVER = (sys.executable, "-m", "core.sweeps.driver")
"""The command that goes through a sweep; its folder follows."""
SPEC_BYTES = 1_000_000
"""A larger description was not written by a person, and isn't read."""
STARTING_SECONDS = 30.0
"""How long a driver may take to say that it is there."""

State = Literal["running", "stopped", "finished", "failed", "lost"]


@dataclass(frozen=True)
class SweepStatus:
    """How a sweep stands. Times are seconds since 1970; `error` is a sentence."""

    state: State
    created: float
    updated: float = 0.0
    ended: float | None = None
    driver: ProcessId | None = None
    error: str | None = None


_STATUS = TypeAdapter(SweepStatus)


@dataclass(frozen=True)
class Sweep:
    """A sweep folder as it was read. `problem` is a sentence when it can't be; `spec` is then None.

    `frames` counts what there is to learn from.
    """

    path: Path
    status: SweepStatus
    spec: SweepConfig | None = None
    frames: int = 0
    problem: str | None = None

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def runs_folder(self) -> Path:
        return self.path.parent.parent

    @property
    def state(self) -> State:
        """The written state, or `lost` when it says running but no driver is there."""
        status = self.status
        if status.state != "running" or (status.driver is not None and status.driver.is_alive()):
            return status.state
        starting = status.driver is None and time.time() - status.updated < STARTING_SECONDS
        return "running" if starting else "lost"

    @property
    def is_active(self) -> bool:
        return self.state == "running"

    @property
    def is_stopping(self) -> bool:
        """True between the wish to stop and the end."""
        return self.is_active and requested(self.path) is not None

    @property
    def rounds(self) -> list[Round]:
        """The rounds as planned; a sweep without halving has one."""
        return self.spec.rounds(self.frames) if self.spec else []


def start_sweep(spec: SweepConfig, runs: Path) -> Path:
    """Make a sweep folder beside the runs and start its driver; returns the folder.

    Raises:
        QuotaError: the one who is asking has as many sweeps under way as one may have, or as much on the disk.
        LabError: the data can't be opened, first weights that were asked for can't be had, the folder can't be written
            to, or the one who is asking may only look, or not ask for that much.
    """
    require_write()
    check_may_ask(spec.base)
    frames = len(open_dataset(spec.base.dataset).train)
    for model in _networks(spec):
        find_start(model)
    now = time.time()
    path = runs / SWEEPS / f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-sweep-{secrets.token_hex(2)}"
    with writing(path.parent), queue_lock(runs):
        _check_allowance(runs)
        with replacing(path) as draft:
            draft.mkdir(parents=True)
            described = {"frames": frames} | spec.model_dump(mode="json")
            write_atomically(draft / "sweep.json", json.dumps(described, indent=1), durable=True)
            write_owner(draft)
            _write_status(draft, SweepStatus("running", created=now, updated=now))
        _start_driver(path)
    return path


def resume_sweep(path: Path) -> None:
    """Start a sweep's driver again; it goes on where the last one was.

    Raises:
        QuotaError: the one who is asking has as many sweeps under way as one may have, or as much on the disk.
        LabError: it is running or finished, can't be read, is another's, or asks for more than the one who is asking
            may.
    """
    require_owner(read_owner(path), "This sweep")
    sweep = read_sweep(path)
    if sweep.spec is None:
        raise LabError(f"Sweep {sweep.id} can't go on. {sweep.problem}")
    if sweep.is_active:
        raise LabError(f"Sweep {sweep.id} is running already.")
    if sweep.state == "finished":
        raise LabError(f"Sweep {sweep.id} is finished: there is nothing left to try. Start a new one.")
    check_may_ask(sweep.spec.base)
    with writing(path), queue_lock(sweep.runs_folder):
        _check_allowance(sweep.runs_folder)
        clear_request(path)
        update_status(path, state="running", driver=None, ended=None, error=None)
        _start_driver(path)


def stop_sweep(path: Path) -> None:
    """Ask a sweep to end, its run with a checkpoint. Raises LabError where it isn't running, or is another's."""
    require_owner(read_owner(path), "This sweep")
    sweep = read_sweep(path)
    if not sweep.is_active:
        raise LabError(f"Sweep {sweep.id} is {sweep.state}, so there is nothing to stop.")
    with writing(path):
        request_stop(path)


def delete_sweep(path: Path) -> None:
    """Remove a sweep for good; the runs that it trained stay.

    Raises:
        LabError: it is running, can't be removed, or is another's.
    """
    require_owner(read_owner(path), "This sweep")
    hidden = path.with_name(f".{path.name}")
    with writing(path.parent):
        with queue_lock(path.parent.parent):
            if _standing(path).is_active:
                raise LabError(f"Sweep {path.name} is running. Stop it first, then delete it.")
            path.rename(hidden)  # gone at once, however long the removal takes
        shutil.rmtree(hidden)


def find_sweep(sweep_id: str, runs: Path) -> Sweep:
    """Return the sweep of that id, or the only one whose id contains it. Raises LabError for none or several."""
    return read_sweep(find_folder(sweep_id, runs / SWEEPS, SWEEP_ID, "sweep"))


def list_sweeps(runs: Path) -> list[Sweep]:
    """Return every sweep beside a folder's runs, newest first."""
    return [read_sweep(path) for path in named_folders(runs / SWEEPS, SWEEP_ID)]


def count_active_sweeps(user_id: str, runs: Path) -> int:
    """Return how many sweeps of a user are under way beside a folder's runs."""
    return sum(read_owner(path) == user_id for path in _active_sweeps(runs))


def _active_sweeps(runs: Path) -> list[Path]:
    return [path for path in named_folders(runs / SWEEPS, SWEEP_ID) if _standing(path).is_active]


def read_sweep(path: Path) -> Sweep:
    """Read a sweep folder, whatever state it is in."""
    spec, frames, problem = None, 0, None
    try:
        values = read_spec_file(path / "sweep.json")
        frames = values.pop("frames", 0)
        values["base"] = with_stored_fields(values.get("base", {}))
        spec = parse_spec(values)
        if not isinstance(frames, int) or frames < 1:
            raise LabError("The number of its frames is missing.")
    except LabError as error:
        spec, problem = None, f"Its sweep.json can't be used: {error}"
    sweep = _standing(path)
    return replace(sweep, spec=spec, frames=frames if spec else 0, problem=problem or sweep.problem)


def _standing(path: Path) -> Sweep:
    """Read how a sweep stands, and not what it studies: quick enough for the queue's lock."""
    status = _read_status(path)
    if status is None:
        problem = "Its status.json is missing or half written. Resume it, or delete it."
        return Sweep(path, SweepStatus("failed", created=0.0), problem=problem)
    return Sweep(path, status)


def read_spec_file(path: Path) -> dict[str, Any]:
    """Return the plain values of a file that describes a sweep; `read_spec` checks them.

    Raises:
        LabError: it can't be read, is too large, or holds no JSON object.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(SPEC_BYTES + 1)
        values = parse_json(data) if len(data) <= SPEC_BYTES else None
    except OSError as error:
        raise LabError(f"'{path}' can't be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise LabError(f"'{path}' describes no sweep. See docs/study.json for one.")
    return values


def update_status(path: Path, **changes: Any) -> None:
    """Replace the named fields of a sweep's status.json. Only for its driver, and for the process that starts that."""
    old = _read_status(path) or SweepStatus("failed", created=0.0)
    _write_status(path, replace(old, updated=time.time(), **changes))


def _write_status(path: Path, status: SweepStatus) -> None:
    write_atomically(path / "status.json", json.dumps(asdict(status), indent=1))


def _read_status(path: Path) -> SweepStatus | None:
    try:
        return _STATUS.validate_json((path / "status.json").read_bytes())
    except (OSError, ValueError):
        return None


def _networks(spec: SweepConfig) -> list[Any]:
    """Return the model part of the base, and of each listed choice of where its encoder starts."""
    results = [spec.base.model]
    for name in ("model.encoder", "model.weights"):
        for value in spec.vary.get(name, ()):
            results.append(spec.base.model.model_copy(update={name.split(".")[1]: value}))
    return results


def _check_allowance(runs: Path) -> None:
    """Raise QuotaError where the one who is asking has as many sweeps under way as one may have."""
    if max_queued():
        require_quota(map(read_owner, _active_sweeps(runs)), "sweeps under way")


def _start_driver(path: Path) -> None:
    start_detached([*DRIVER, str(path)], path / "driver.log")
