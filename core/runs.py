"""The run folder: the only channel between the trainer, the runner and whoever looks.

    checkpoints/<YYYYMMDD-HHMMSS-family-xxxx>/
        config.json     what was asked for; written once
        status.json     how it stands; replaced atomically, one writer at a time: while the run is queued whoever holds the queue's
                        lock, then the supervisor, then the trainer
        owner.txt       whose it is; not there for the lab's own
        plan.json       what was decided on this machine before the first step (steps, threads, precision, weights)
        request.json    what is wanted of it: the user's wish to stop or to pause, or the cluster's, to make room and queue again;
                        written and removed by the runner, read by the trainer
        notes.json      what people call it: name, tags, a note, the run that it was cloned from; not there before any is given
        metrics.jsonl   one JSON object a line, appended by the trainer
        train.log       what the trainer printed, tracebacks included
        slurm/          what submitit hands to the job of a run on a cluster
        samples/        label maps of fixed validation frames, one folder per evaluation
        scores/         scorecards (core.scorecards)
        last/ best/     checkpoints (core.training.checkpoint)
        origin.json     of a run that came from the Hub: the repository and the commit (core.hub.origin)

Reading is tolerant: a torn last line is not a row, a half-written folder is a run with a `problem`, never an exception.
"""

import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import TypeAdapter

from core.cluster import job_state
from core.config import RunConfig, read_config
from core.errors import LabError
from core.labels import CITYSCAPES_19, Color
from core.people import check_may_change, read_owner, write_owner

State = Literal["queued", "running", "paused", "stopped", "finished", "failed", "lost"]
Which = Literal["last", "best"]
Request = Literal["stop", "pause", "requeue"]
"""What is wanted of a run: its user wants it to stop or to pause; its cluster wants the nodes, and the run queues again."""
Failure = Literal["memory", "gpu-memory", "diverged", "data", "disk", "killed", "user", "fault", ""]
"""What ended a failed run, in a word; `user` is anything else that the user can mend, `fault` the lab's own."""
WRITTEN_STATES = frozenset({"queued", "running", "paused", "stopped", "finished", "failed"})
ACTIVE_STATES = frozenset({"queued", "running"})
RUN_ID = re.compile(r"\d{8}-\d{6}-[a-z0-9]+-[0-9a-f]{4}")
NAME_LENGTH, TAG_LENGTH, TAG_COUNT, NOTE_LENGTH = 80, 30, 20, 5000
"""What fits into a run's notes: characters, but tags for the third."""
QUIET_SECONDS = 15.0
"""A run whose job is gone from the cluster and whose status says nothing new for so long is lost: until then its last word may still
be on its way through the shared disk."""
NOTES_BYTES = 65_536
"""A larger notes.json was not written by the lab, and isn't read."""


@dataclass(frozen=True)
class ProcessId:
    """A process that can't be mistaken for a later one with the same number, by `started`, see `_start_time`."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        """The identity of a living process. Raises psutil.NoSuchProcess."""
        return cls(pid, _start_time(psutil.Process(pid)))

    def process(self) -> psutil.Process | None:
        """The process itself; None when it is gone, a zombie, or when another process has its number now."""
        try:
            process = psutil.Process(self.pid)
            is_same = abs(_start_time(process) - self.started) < 0.1
            return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, ValueError):  # ValueError: a number that no process can have
            return None

    def is_alive(self) -> bool:
        """False when it is gone, a zombie, or when another process has its number now."""
        return self.process() is not None


@dataclass(frozen=True)
class Status:
    """How a run stands. Times are seconds since 1970; `ticket` orders the queue; `exit` is a code, or minus a signal.

    `job` is the number of its job on a cluster; processes that are named beside it lived on one of the cluster's machines. `remedy` holds changes of the config, part by part, with which a failed run may well succeed.
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
    remedy: dict[str, dict[str, Any]] = field(default_factory=dict)


_STATUS = TypeAdapter(Status)


@dataclass(frozen=True)
class Notes:
    """What people say of a run: a name of one line, tags, a note of any number of lines, the id of the run it was cloned from."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    parent: str = ""


_NOTES = TypeAdapter(Notes)


@dataclass(frozen=True)
class Run:
    """A run folder as it was read. `problem` is a sentence when something in it can't be read; `config` is then None."""

    path: Path
    status: Status
    config: RunConfig | None = None
    problem: str | None = None
    plan: dict[str, Any] = field(default_factory=dict)
    notes: Notes = Notes()
    owner: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that it tells apart; before its plan is made, those of the benchmark."""
        return tuple(self.plan.get("classes") or CITYSCAPES_19.classes)

    @property
    def colors(self) -> tuple[Color, ...]:
        """The colours that go with `classes`."""
        return tuple(tuple(color) for color in self.plan.get("colors") or CITYSCAPES_19.colors)

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def state(self) -> State:
        """The written state, or `lost` when it says queued or running but nobody is there to go on."""
        status = self.status
        if status.state not in ACTIVE_STATES:
            return status.state
        if status.job:
            return self._state_on_cluster()
        hands = (status.supervisor, status.trainer)
        if any(hand is not None and hand.is_alive() for hand in hands):
            return status.state
        # Between the writing of a queued run and the start of its supervisor nobody is named yet.
        if status.state == "queued" and status.supervisor is None and time.time() - status.updated < 30:
            return "queued"
        return "lost"

    def _state_on_cluster(self) -> State:
        """The state of a run with a job: its processes live elsewhere, so the cluster is asked, and believed when it answers."""
        status = self.status
        said = job_state(status.job, _account(self.path), since=status.updated)
        if said == "waiting":
            return "queued"  # also where it was torn from its node without a word
        return "lost" if said == "gone" and time.time() - status.updated > QUIET_SECONDS else status.state

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES

    @property
    def title(self) -> str:
        return self.config.model.title if self.config else self.id

    @property
    def name(self) -> str:
        """What people call it, or else its network."""
        return self.notes.name or self.title

    def matches(self, text: str) -> bool:
        """True when every word of a text stands somewhere in its name, #tags, note, network, state or id."""
        tags = " ".join(f"#{tag}" for tag in self.notes.tags)
        known = f"{self.name} {self.title} {tags} {self.notes.note} {self.state} {self.id}".lower()
        return all(word in known for word in text.lower().split())

    def has_checkpoint(self, which: Which = "last") -> bool:
        return checkpoint_path(self.path, which) is not None


def create_run(config: RunConfig, folder: Path, notes: Notes | None = None) -> Path:
    """Makes a new run folder with its config, a queued status, its owner and notes where there are any, and returns its path."""
    now = time.time()
    with new_run(config, folder, Status(state="queued", created=now, ticket=now, updated=now), notes) as hidden:
        path = folder / hidden.name.removeprefix(".")
    return path


@contextmanager
def new_run(config: RunConfig, folder: Path, status: Status, notes: Notes | None = None) -> Iterator[Path]:
    """A run folder with config, status and notes, under a hidden name while the block adds to it; then under its own.

    The folder appears complete or not at all: where the block fails, nothing stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run_id = (
        f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(status.created))}-{config.model.family}-{secrets.token_hex(2)}"
    )
    hidden = folder / f".{run_id}"
    hidden.mkdir()
    try:
        write_atomically(hidden / "config.json", config.model_dump_json(indent=2))
        write_status(hidden, status)
        write_owner(hidden)
        if notes:
            write_notes(hidden, notes)
        yield hidden
        hidden.rename(folder / run_id)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def find_run(run_id: str, folder: Path) -> Run:
    """The run of that id, or the only one whose id contains it.

    Raises:
        LabError: no such run, or several.
    """
    # A path is refused here: what arrives from an address or a shell must name a run and nothing else.
    if re.fullmatch(r"[A-Za-z0-9-]{1,80}", run_id):
        if RUN_ID.fullmatch(run_id) and (folder / run_id).is_dir():
            return read_run(folder / run_id)
        close = [path for path in _run_folders(folder) if run_id in path.name]
        if len(close) == 1:
            return read_run(close[0])
        if close:
            raise LabError(
                f"'{run_id}' could be any of {len(close)} runs: {', '.join(path.name for path in close[:5])}. Type more of it."
            )
    raise LabError(f"There is no run '{run_id[:80]}' in {folder}. It may have been deleted; look at the list of runs.")


def list_runs(folder: Path) -> list[Run]:
    """Every run of a folder, newest first."""
    return [read_run(path) for path in sorted(_run_folders(folder), key=lambda path: path.name, reverse=True)]


def list_active(folder: Path) -> list[Run]:
    """The queued and running runs of a folder, newest first. Of all others no more than the status is read."""
    paths = sorted(_run_folders(folder), key=lambda path: path.name, reverse=True)
    active = [path for path in paths if (status := read_status(path)) and status.state in ACTIVE_STATES]
    return [run for run in map(read_run, active) if run.is_active]


def read_run(path: Path) -> Run:
    """Reads a run folder, whatever state it is in."""
    problem = None
    config = None
    try:
        config = read_config(json.loads((path / "config.json").read_bytes()))
    except (OSError, ValueError):
        problem = "Its config.json is missing or half written, so it can't be shown or resumed. Delete the folder, or copy it again."
    except LabError as error:
        problem = f"Its config.json was written by another version of the lab: {error}"
    status = read_status(path)
    if status is None:
        status = Status(state="failed", created=_folder_time(path))
        problem = (
            problem
            or "Its status.json is missing or half written. The other files are untouched; resume the run, or delete the folder."
        )
    return Run(path, status, config, problem, read_plan(path), read_notes(path), read_owner(path))


def read_status(path: Path) -> Status | None:
    """The status of a run folder, or None where there is none that can be read."""
    try:
        status = _STATUS.validate_json((path / "status.json").read_bytes())
    except (OSError, ValueError):
        return None
    return status if status.state in WRITTEN_STATES else None


def write_status(path: Path, status: Status) -> None:
    """Replaces status.json."""
    write_atomically(path / "status.json", json.dumps(asdict(status), indent=1))


def update_status(path: Path, **changes: Any) -> Status:
    """Replaces the named fields of status.json and returns the new one. Only for the run's present writer."""
    now = time.time()
    old = read_status(path) or Status(state="failed", created=_folder_time(path))
    new = replace(old, updated=now, **changes)
    write_status(path, new)
    return new


def read_plan(path: Path) -> dict[str, Any]:
    """What the trainer decided before its first step; empty where it hasn't yet."""
    try:
        plan = json.loads((path / "plan.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


def write_plan(path: Path, plan: dict[str, Any]) -> None:
    """Writes plan.json, durably: a resumed run must find the same plan."""
    write_atomically(path / "plan.json", json.dumps(plan, indent=1), durable=True)


def checkpoint_path(path: Path, which: Which) -> Path | None:
    """The folder of a run's complete checkpoint, or None. While one is being replaced, the new one may still have its first name."""
    for folder in (path / which, path / f".{which}.new"):
        if (folder / "state.json").is_file():
            return folder
    return None


def request_stop(path: Path) -> None:
    """Asks the trainer to write a checkpoint after its present step and end."""
    _request(path, "stop")


def request_pause(path: Path) -> None:
    """The same, but the run is then paused: set aside, to be gone on with."""
    _request(path, "pause")


def request_requeue(path: Path) -> None:
    """The same, but the run then queues again by itself: the cluster takes its nodes back."""
    _request(path, "requeue")


def requested(path: Path) -> Request | None:
    """What the run was asked for. Costs one look at the folder (a few microseconds)."""
    try:
        asked = json.loads((path / "request.json").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "stop"  # something was asked for, and either way the run ends with a checkpoint
    action = asked.get("action") if isinstance(asked, dict) else None
    return action if action in ("pause", "requeue") else "stop"


def clear_request(path: Path) -> None:
    """Takes back what was asked of a run."""
    (path / "request.json").unlink(missing_ok=True)


def read_notes(path: Path) -> Notes:
    """The notes of a run folder; empty where there are none, or none that the lab would have written."""
    try:
        with open(path / "notes.json", "rb") as file:
            notes = _NOTES.validate_json(file.read(NOTES_BYTES))
        return notes if checked_notes(notes) == notes else Notes()
    except (OSError, ValueError, LabError):
        return Notes()


def write_notes(path: Path, notes: Notes) -> None:
    """Replaces notes.json.

    Raises:
        LabError: a name, a tag or the note is too long, there are too many tags, or the run is another's.
    """
    check_may_change(read_owner(path), "This run")
    write_atomically(path / "notes.json", json.dumps(asdict(checked_notes(notes)), indent=1))


def checked_notes(notes: Notes) -> Notes:
    """Notes as they are kept: no space around anything, name and tags on one line, no tag twice.

    Raises:
        LabError: a name, a tag or the note is too long, or there are too many tags.
    """
    name = _one_line(notes.name)
    tags = tuple(dict.fromkeys(tag for tag in map(_one_line, notes.tags) if tag))
    note = notes.note.strip()
    for what, text, most in (
        ("name", name, NAME_LENGTH),
        *(("tag", tag, TAG_LENGTH) for tag in tags),
        ("note", note, NOTE_LENGTH),
    ):
        if len(text) > most:
            raise LabError(f"The {what} has {len(text)} characters, but at most {most} fit. Shorten it.")
    if len(tags) > TAG_COUNT:
        raise LabError(f"These are {len(tags)} tags, but a run has room for {TAG_COUNT}. Leave some out.")
    return Notes(name, tags, note, notes.parent if RUN_ID.fullmatch(notes.parent) else "")


class MetricsLog:
    """Appends rows to metrics.jsonl. A torn last line, left by a crash, is cut off first, else the next row would be lost too."""

    def __init__(self, path: Path) -> None:
        self._file = open(path / "metrics.jsonl", "ab")  # noqa: SIM115 - stays open as long as the log
        _cut_torn_tail(path / "metrics.jsonl")

    def append(self, row: dict[str, Any]) -> None:
        """Writes one row and hands it to the operating system. Values that are not numbers (NaN, infinity) become null."""
        clean = {
            name: None if isinstance(value, float) and value - value != 0 else value for name, value in row.items()
        }
        self._file.write(json.dumps(clean, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Makes the rows durable and closes the file."""
        os.fsync(self._file.fileno())
        self._file.close()


def read_metrics(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The rows after a byte offset and the offset to ask for next. Only lines that end in a newline count."""
    try:
        with open(path / "metrics.jsonl", "rb") as file:
            file.seek(max(0, offset))
            data = file.read()
    except OSError:
        return [], 0
    complete = data[: data.rfind(b"\n") + 1]
    rows = []
    for line in complete.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows, max(0, offset) + len(complete)


def valid_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without those that a resume made void: it went back to a checkpoint, and steps after that were done again."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        if row.get("kind") == "resume":
            kept = [old for old in kept if old["step"] <= row["step"]]
        else:
            kept.append(row)
    return kept


def rows_since(path: Path, offset: int) -> tuple[list[dict[str, Any]], int, bool]:
    """Return the valid rows after a byte offset, the offset to ask for next, and whether to forget all earlier rows.

    A resume among the new rows may void rows before the offset: then all valid rows of the run come again.
    """
    rows, end = read_metrics(path, offset)
    must_forget = offset > 0 and any(row.get("kind") == "resume" for row in rows)
    if must_forget:
        rows, end = read_metrics(path)
    return valid_rows(rows), end, must_forget


def best_miou(path: Path) -> float | None:
    """The highest validation mIoU of a run, 0..1, as its best checkpoint says; None where it was never scored. One small read."""
    folder = checkpoint_path(path, "best")
    try:
        miou = float(json.loads((folder / "state.json").read_bytes())["best_miou"]) if folder else -1.0
        return miou if miou >= 0 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def minutes_trained(path: Path) -> float:
    """Minutes that a run had trained when it wrote the last row that still counts, breaks left out; 0 where it wrote none."""
    rows = valid_rows(read_metrics(path)[0])
    return next((row["minutes"] for row in reversed(rows) if isinstance(row.get("minutes"), int | float)), 0.0)


def evaluations(path: Path) -> list[dict[str, Any]]:
    """The evaluation rows of a run, oldest first."""
    return [row for row in valid_rows(read_metrics(path)[0]) if row.get("kind") == "eval"]


def write_atomically(path: Path, text: str, durable: bool = False) -> None:
    """Replaces a text file so that a reader sees the old one or the new one. `durable` also survives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)  # on a full disk half a file only makes it fuller
        raise


def _request(path: Path, action: Request) -> None:
    write_atomically(path / "request.json", json.dumps({"action": action}))


def _one_line(text: str) -> str:
    """Without control characters, and with single spaces."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _start_time(process: psutil.Process) -> float:
    """When a process began. On Linux in clock ticks since the machine started: psutil's own time moves when the clock is set."""
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        return process.create_time()
    try:
        return float(stat.read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        raise psutil.NoSuchProcess(process.pid) from None


def _run_folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in folder.iterdir():
            if RUN_ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield path


def _cut_torn_tail(path: Path) -> None:
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        position = size
        while position > 0:
            start = max(0, position - 4096)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
        if position < size:
            file.truncate(position)


def _account(path: Path) -> int:
    """The number of the account that a folder belongs to, and so do the jobs of its run."""
    try:
        return path.stat().st_uid
    except OSError:
        return -1


def _folder_time(path: Path) -> float:
    try:
        return time.mktime(time.strptime(path.name[:15], "%Y%m%d-%H%M%S"))
    except ValueError:
        return 0.0
