"""The run folder: the only channel between the trainer, the runner and the pages.

    checkpoints/<YYYYMMDD-HHMMSS-family-xxxx>/
        config.json     what was asked for; written once
        status.json     how it stands; replaced atomically, one writer at a time: while the run is queued the process
        that holds the queue's
                        lock, then the supervisor, then the trainer
        owner.txt       whose it is; not there for the lab's own
        plan.json       what was decided on this machine before the first step (steps, threads, precision, weights)
        request.json    what is wanted of it: the user's wish to stop or to pause, or the cluster's, to make room and
        queue again;
                        written and removed by the runner, read by the trainer
        notes.json      what people call it: name, tags, a note, the run that it was cloned from; not there before any
        is given metrics.jsonl   one JSON object a line, appended by the trainer
        train.log       what the trainer printed, tracebacks included
        slurm/          what submitit hands to the job of a run on a cluster
        samples/        label maps of fixed validation frames, one folder per evaluation
        scores/         evaluation results (core.evaluation)
        last/ best/     checkpoints (core.training.checkpoint)
        origin.json     of a run that came from the Hub: the repository and the commit (core.hub.origin)

Reading is tolerant: a torn last line is not a row, a half-written folder is a run with a `problem`, never an exception.
"""

import json
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from core.auth import read_owner, write_owner
from core.config import RGB, PixelFormat, RunConfig, read_stored_config
from core.errors import LabError
from core.files import parse_json, write_atomically
from core.labels import CITYSCAPES_19, Color, LabelSpace
from core.paths import find_folder, named_folders
from core.runs.notes import RUN_ID, Notes, read_notes, write_notes
from core.runs.status import ACTIVE_STATES, State, Status, folder_time, read_status, write_status
from core.squeue import job_state

Which = Literal["last", "best"]
EMA_FILES = ("ema.safetensors", "average.safetensors")
QUIET_SECONDS = 15.0
"""A run whose job is gone from the cluster and whose status says nothing new for so long is lost: until then its last
status may still be on its way through the shared disk."""


@dataclass(frozen=True)
class Run:
    """A run folder as it was read. `problem` is a sentence when something in it can't be read.

    `config` is then None.
    """

    path: Path
    status: Status
    config: RunConfig | None = None
    problem: str | None = None
    plan: dict[str, Any] = field(default_factory=dict)
    notes: Notes = Notes()
    owner: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes that it tells apart; before its plan is made, those of the benchmark."""
        return tuple(self.plan.get("classes") or CITYSCAPES_19.class_names)

    @property
    def colors(self) -> tuple[Color, ...]:
        """The colours that go with `class_names`."""
        return tuple(tuple(color) for color in self.plan.get("colors") or CITYSCAPES_19.colors)

    @property
    def pixels(self) -> PixelFormat:
        """How photographs are shown to it: the bands of its config, and what was white when its plan was made."""
        if self.config is None:
            return RGB
        pixels = self.config.dataset.pixels
        return pixels if pixels.white else replace(pixels, white=tuple(self.plan.get("white", ())))

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def state(self) -> State:
        """The written state, or `lost` when it says queued or running but no process is there to go on."""
        status = self.status
        if status.state not in ACTIVE_STATES:
            return status.state
        if status.job:
            return self._state_on_cluster()
        processes = (status.supervisor, status.trainer)
        if any(process is not None and process.is_alive() for process in processes):
            return status.state
        # Between the writing of a queued run and the start of its supervisor no process is named yet.
        if status.state == "queued" and status.supervisor is None and time.time() - status.updated < 30:
            return "queued"
        return "lost"

    def _state_on_cluster(self) -> State:
        """Return the state of a run with a job: its processes live elsewhere, so the cluster is asked, and believed
        when it answers.
        """
        status = self.status
        text = job_state(status.job, _account(self.path), since=status.updated)
        if text == "waiting":
            return "queued"  # also where it was torn from its node without a word
        return "lost" if text == "gone" and time.time() - status.updated > QUIET_SECONDS else status.state

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
        """Return whether every word of a text stands somewhere in its name, #tags, note, network, state or id."""
        tags = " ".join(f"#{tag}" for tag in self.notes.tags)
        known = f"{self.name} {self.title} {tags} {self.notes.note} {self.state} {self.id}".lower()
        return all(term in known for term in text.lower().split())

    def has_checkpoint(self, which: Which = "last") -> bool:
        return checkpoint_path(self.path, which) is not None


def create_run(config: RunConfig, folder: Path, notes: Notes | None = None) -> Path:
    """Make a new run folder with its config, a queued status, its owner and notes where there are any, and return its
    path.
    """
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
    begin = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(status.created))}-{config.model.family}"
    run_id = f"{begin}-{secrets.token_hex(2)}"
    while (folder / run_id).exists():  # of many in one second two may draw the same
        run_id = f"{begin}-{secrets.token_hex(2)}"
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
    """Return the run of that id, or the only one whose id contains it.

    Raises:
        LabError: no such run, or several.
    """
    return read_run(find_folder(run_id, folder, RUN_ID, "run"))


def list_runs(folder: Path) -> list[Run]:
    """Return every run of a folder, newest first."""
    return [read_run(path) for path in named_folders(folder, RUN_ID)]


def list_active(folder: Path) -> list[Run]:
    """Return the queued and running runs of a folder, newest first. Of all others no more than the status is read."""
    paths = named_folders(folder, RUN_ID)
    active = [path for path in paths if (status := read_status(path)) and status.state in ACTIVE_STATES]
    return [run for run in map(read_run, active) if run.is_active]


def read_run(path: Path) -> Run:
    """Read a run folder, whatever state it is in."""
    problem = None
    config = None
    try:
        config = read_stored_config(parse_json((path / "config.json").read_bytes()))
    except (OSError, ValueError):
        problem = (
            "Its config.json is missing or half written, so it can't be shown or resumed. Delete the folder, or copy it"
            " again."
        )
    except LabError as error:
        problem = f"Its config.json was written by another version of the lab: {error}"
    status = read_status(path)
    if status is None:
        status = Status(state="failed", created=folder_time(path))
        problem = (
            problem
            or "Its status.json is missing or half written. The other files are untouched; resume the run, or delete"
            " the folder."
        )
    return Run(path, status, config, problem, read_plan(path), read_notes(path), read_owner(path))


def read_plan(path: Path) -> dict[str, Any]:
    """Return what the trainer decided before its first step; empty where it hasn't yet."""
    try:
        plan = parse_json((path / "plan.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


def write_plan(path: Path, plan: dict[str, Any]) -> None:
    """Write plan.json, durably: a resumed run must find the same plan."""
    write_atomically(path / "plan.json", json.dumps(plan, indent=1), durable=True)


def checkpoint_path(path: Path, which: Which) -> Path | None:
    """Return the folder of a run's complete checkpoint, or None.

    While one is being replaced, the new one may still have its first name.
    """
    for folder in (path / which, path / f".{which}.new"):
        if (folder / "state.json").is_file():
            return folder
    return None


def checkpoint_state(config: RunConfig, space: LabelSpace, step: int, best_miou: float) -> dict[str, Any]:
    """Return what the state.json of every checkpoint says, whatever wrote it."""
    return {
        "step": step,
        "best_miou": best_miou,
        "config": config.model_dump(),
        "space": space.name,
        "classes": space.class_names,
        "colors": space.colors,
    }


def ema_path(checkpoint: Path) -> Path | None:
    """Return the file of the mean weights in a checkpoint's folder, which version 0.1 called otherwise, or None."""
    return next((path for name in EMA_FILES if (path := checkpoint / name).is_file()), None)


def best_miou(path: Path) -> float | None:
    """Return the highest validation mIoU of a run, 0..1, as its best checkpoint says; None where it was never scored.

    One small read.
    """
    folder = checkpoint_path(path, "best")
    try:
        miou = float(parse_json((folder / "state.json").read_bytes())["best_miou"]) if folder else -1.0
        return miou if miou >= 0 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _account(path: Path) -> int:
    """Return the number of the account that a folder belongs to, and so do the jobs of its run."""
    try:
        return path.stat().st_uid
    except OSError:
        return -1
