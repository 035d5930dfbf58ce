"""status.json and request.json of a run folder: how the run stands, and what is asked of it."""

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from core.files import parse_json, write_atomically
from core.processes import ProcessId

State = Literal["queued", "running", "paused", "stopped", "finished", "failed", "lost"]
Request = Literal["stop", "pause", "requeue"]
"""What is wanted of a run: its user wants it to stop or to pause.

Its cluster wants the nodes, and the run queues again.
"""
Failure = Literal["memory", "gpu-memory", "diverged", "data", "disk", "killed", "user", "fault", ""]
"""What ended a failed run, in a word; `user` is anything else that the user can mend, `fault` the lab's own."""
WRITTEN_STATES = frozenset({"queued", "running", "paused", "stopped", "finished", "failed"})
ACTIVE_STATES = frozenset({"queued", "running"})


@dataclass(frozen=True)
class Status:
    """How a run stands. Times are seconds since 1970; `ticket` orders the queue; `exit` is a code, or minus a signal.

    `job` is the number of its job on a cluster; processes that are named beside it lived on one of the cluster's
    machines. `remedy` holds changes of the config, part by part, with which a failed run may well succeed.
    """

    state: State
    created: float
    ticket: float = 0.0
    updated: float = 0.0
    started: float | None = None
    ended: float | None = None
    supervisor: ProcessId | None = None
    trainer: ProcessId | None = None
    job: str = ""
    phase: str = ""
    step: int = 0
    steps_total: int | None = None
    seconds_left: float | None = None
    error: str | None = None
    exit: int | None = None
    failure: Failure = ""
    suggested_change: dict[str, dict[str, Any]] = field(default_factory=dict)


_STATUS = TypeAdapter(Status)


def read_status(path: Path) -> Status | None:
    """Return the status of a run folder, or None where there is none that can be read."""
    try:
        values = parse_json((path / "status.json").read_bytes())
        if "remedy" in values:
            values["suggested_change"] = values.pop("remedy")  # its name until version 0.1
        status = _STATUS.validate_python(values)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return status if status.state in WRITTEN_STATES else None


def write_status(path: Path, status: Status) -> None:
    """Replace status.json."""
    write_atomically(path / "status.json", json.dumps(asdict(status), indent=1))


def update_status(path: Path, **changes: Any) -> Status:
    """Replace the named fields of status.json and return the new one. Only for the run's present writer."""
    now = time.time()
    old = read_status(path) or Status(state="failed", created=folder_time(path))
    new = replace(old, updated=now, **changes)
    write_status(path, new)
    return new


def request_stop(path: Path) -> None:
    """Ask the trainer to write a checkpoint after its present step and end."""
    _request(path, "stop")


def request_pause(path: Path) -> None:
    """The same, but the run is then paused: set aside, to be gone on with."""
    _request(path, "pause")


def request_requeue(path: Path) -> None:
    """The same, but the run then queues again by itself: the cluster takes its nodes back."""
    _request(path, "requeue")


def requested(path: Path) -> Request | None:
    """Return what the run was asked for. Costs one look at the folder (a few microseconds)."""
    try:
        request = parse_json((path / "request.json").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "stop"  # something was asked for, and either way the run ends with a checkpoint
    action = request.get("action") if isinstance(request, dict) else None
    return action if action in ("pause", "requeue") else "stop"


def clear_request(path: Path) -> None:
    """Take back what was asked of a run."""
    (path / "request.json").unlink(missing_ok=True)


def _request(path: Path, action: Request) -> None:
    write_atomically(path / "request.json", json.dumps({"action": action}))


def folder_time(path: Path) -> float:
    """Return when a run was created by its folder's name, in seconds since 1970; 0 where the name says nothing."""
    try:
        return time.mktime(time.strptime(path.name[:15], "%Y%m%d-%H%M%S"))
    except ValueError:
        return 0.0
