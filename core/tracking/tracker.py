"""The one interface of all trackers, and which there are."""

import importlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from core.config import TrackingConfig
from core.errors import LabError
from core.extras import check_packages
from core.files import write_atomically
from core.runs.store import Run
from core.tracking.points import Point
from core.tracking.table import TRACKERS

NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false"}
"""Nothing leaves this machine but what the lab sends, unless the environment says otherwise."""
FOLDER = "tracking"
"""The trackers' folder, in a run's."""


class TrackerError(Exception):
    """A tracker could not be told something; it may be told later.

    The text names no address, for that may hold a password.
    """


@dataclass
class Progress:
    """What a tracker has been told of a run: the highest step of each kind of row, and the tracker's own name for the
    run.
    """

    sent: dict[str, int] = field(default_factory=dict)
    id: str = ""

    def lacks(self, point: Point) -> bool:
        """Return True for a point that was not sent yet. Those that a resumed run repeats can't be taken back."""
        return point.step > self.sent.get(point.kind, 0)

    def add(self, points: Sequence[Point]) -> None:
        """Count points as sent."""
        for point in points:
            self.sent[point.kind] = max(point.step, self.sent.get(point.kind, 0))


_PROGRESS = TypeAdapter(Progress)


class Tracker(Protocol):
    """Somewhere else that the numbers of a run go to. Made when its process begins.

    May take long, and may raise TrackerError.
    """

    batch: int
    """Points that are handed over at once, at most."""

    def send(self, points: Sequence[Point]) -> None:
        """Hand points over. Raises TrackerError where they have not arrived, or only may have."""

    def close(self, finished: bool) -> None:
        """End, after everything was sent. `finished` says whether the run did. Raises TrackerError."""


def chosen(config: TrackingConfig) -> tuple[str, ...]:
    """Return the trackers that a config asks for."""
    return tuple(name for name in TRACKERS if getattr(config, name))


def check_trackers(config: TrackingConfig) -> None:
    """Raise LabError where a package or a server's address is missing that a chosen tracker needs."""
    for name in chosen(config):
        tracker = TRACKERS[name]
        check_packages(tracker.title, tracker.packages)
        if tracker.needs and not os.environ.get(tracker.needs):
            raise LabError(
                f"{tracker.title} is asked for, but the environment names no server. Set {tracker.needs} where the lab"
                f" is started, or leave tracking.{name} off."
            )


def load_tracker(name: str) -> Callable[[Run, Progress], Tracker]:
    """Import what a tracker needs, which takes seconds.

    Returns what begins to tell it of a run, and may raise TrackerError.

    Raises:
        LabError: something that it needs is missing.
    """
    check_trackers(TrackingConfig(**{name: True}))
    for variable, value in NO_TELEMETRY.items():
        os.environ.setdefault(variable, value)  # read when they are imported
    return importlib.import_module(TRACKERS[name].module).open_tracker


def read_progress(run: Path, name: str) -> Progress:
    """Return what a tracker has been told of a run so far."""
    try:
        return _PROGRESS.validate_json((run / FOLDER / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        return Progress()


def write_progress(run: Path, name: str, progress: Progress) -> None:
    """Keep what a tracker has been told. Written by its own process alone."""
    write_atomically(run / FOLDER / f"{name}.json", json.dumps(asdict(progress)))
