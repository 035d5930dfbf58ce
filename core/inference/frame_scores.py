"""How well runs do on each single frame: counted in the background, kept on disk, to sort frames by.

Frames are scored at the run's own size, as in training. A run that is no longer asked about stops, and goes on from
there when asked again.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from core.data.dataset import Dataset
from core.data.frames import Frame, fingerprint
from core.errors import LabError
from core.evaluation.metrics.confusion import ConfusionMatrix
from core.evaluation.metrics.label_quality import label_quality
from core.files import parse_json, write_atomically
from core.inference.prediction_cache import CachedPrediction
from core.paths import cache_folder
from core.runs.checkpoint_digest import checkpoint_digest

VERSION = 5
"""Raised when the same weights would answer otherwise, or more is kept of an answer."""
PATIENCE = 30.0
"""Seconds after which a count that isn't asked about stops."""
SAVE_EVERY = 25
CELLS = 32

Predict = Callable[[Path, np.ndarray], CachedPrediction]


@dataclass(frozen=True)
class FrameScore:
    """One frame as one run sees it.

    Attributes:
        miou: mean IoU over the classes that are there or predicted, 0..1; None for a frame without labels.
        iou: by class, None for one that is neither there nor predicted.
        confidence: mean probability of the predicted class, 0..1.
        shares: of the frame's pixels by class of the truth, or of the prediction where there is no truth, 0..1.
        quality: how probable the run finds the frame's labels, 0..1, see `core.evaluation.metrics.label_quality`; None
            for a frame without labels.
        cells: the predicted classes of `CELLS` x `CELLS` pixels, evenly spread, in hexadecimal.
    """

    miou: float | None
    iou: tuple[float | None, ...]
    confidence: float
    shares: tuple[float, ...]
    quality: float | None
    cells: str

    def disagreement(self, other: "FrameScore") -> float:
        """Return the share of the frame, 0..1, of which another run with the same classes says another class."""
        ours, theirs = bytes.fromhex(self.cells), bytes.fromhex(other.cells)
        return sum(one != another for one, another in zip(ours, theirs, strict=True)) / len(ours)


@dataclass(frozen=True)
class Count:
    """How far a count is: scores by frame, of how many frames, and the sentence when it can't go on."""

    rows: dict[str, FrameScore]
    frames: int
    problem: str = ""

    @property
    def is_done(self) -> bool:
        return len(self.rows) == self.frames


@dataclass
class _Job:
    path: Path
    rows: dict[str, FrameScore] = field(default_factory=dict)
    problem: str = ""
    requested_at: float = 0.0
    is_running: bool = False


class FrameScorer:
    """Counts one run after the other in a thread of its own. May be asked from many threads."""

    def __init__(self, predict: Predict) -> None:
        """`predict` answers for a run and an image; it may raise LabError."""
        self._predict = predict
        self._jobs: dict[Path, _Job] = {}
        self._guard = threading.Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="frame-scores")

    def count(self, run: Path, dataset: Dataset, frames: Sequence[Frame]) -> Count:
        """Return what is known by now of a run's frames; the rest is being counted.

        Raises LabError when a frame has vanished.
        """
        path = scores_path(run, dataset, frames)
        with self._guard:
            job = self._jobs.get(path)
            if job is None:
                job = self._jobs[path] = _Job(path, read_scores(path))
            job.requested_at = time.monotonic()
            if len(job.rows) < len(frames) and not job.is_running and not job.problem:
                job.is_running = True
                self._executor.submit(self._work, job, run, dataset, tuple(frames))
            known, problem = dict(job.rows), job.problem
            if problem:
                del self._jobs[path]  # told once, tried again when asked again
        return Count(known, len(frames), problem)

    def _work(self, job: _Job, run: Path, dataset: Dataset, frames: tuple[Frame, ...]) -> None:
        try:
            for frame in frames:
                if frame.id in job.rows:
                    continue
                if time.monotonic() - job.requested_at > PATIENCE:
                    break
                prediction = self._predict(run, dataset.image(frame))
                score = score_frame(prediction, dataset.target(frame))
                with self._guard:
                    job.rows[frame.id] = score
                if len(job.rows) % SAVE_EVERY == 0:
                    write_scores(job.path, job.rows)
            write_scores(job.path, job.rows)
        except LabError as error:
            job.problem = str(error)
        except (OSError, ValueError) as error:
            job.problem = f"The frames can't be scored ({type(error).__name__}). Was the data or the run moved?"
        finally:
            job.is_running = False


def score_frame(prediction: CachedPrediction, target: np.ndarray) -> FrameScore:
    """Score an answer against a target, both uint8 (H, W)."""
    num_classes = len(prediction.class_names)
    confusion = ConfusionMatrix(num_classes)
    confusion.update(target, prediction.labels)
    is_labelled = bool((target < num_classes).any())
    counted = np.bincount((target if is_labelled else prediction.labels).ravel(), minlength=256)[:num_classes]
    return FrameScore(
        miou=confusion.miou() if is_labelled else None,
        iou=tuple(None if value != value else float(value) for value in confusion.iou()),
        confidence=float(prediction.confidence.mean()) / 255,
        shares=tuple((counted / prediction.labels.size).tolist()),
        quality=label_quality(target, prediction.labels, prediction.confidence, num_classes),
        cells=cv2.resize(prediction.labels, (CELLS, CELLS), interpolation=cv2.INTER_NEAREST).tobytes().hex(),
    )


def scores_path(run: Path, dataset: Dataset, frames: Sequence[Frame]) -> Path:
    """Return the file of a run's scores.

    Another one as soon as its weights, a frame, the size or the classes change.
    """
    parts = (VERSION, checkpoint_digest(run, "best"), fingerprint(frames), dataset.size, dataset.space.digest)
    return cache_folder() / "frames" / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}.json"


def read_scores(path: Path) -> dict[str, FrameScore]:
    """Return scores by frame; none where the file isn't there or is broken."""
    try:
        rows = parse_json(path.read_text(encoding="utf-8"))
        return {
            name: FrameScore(**row | {"iou": tuple(row["iou"]), "shares": tuple(row["shares"])})
            for name, row in rows.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_scores(path: Path, rows: dict[str, FrameScore]) -> None:
    """Write scores by frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({name: asdict(score) for name, score in rows.items()}))
