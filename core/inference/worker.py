"""The front of the inference process, the only place beside the trainer where torch lives.

The server asks through `InferenceWorker`. When the process dies (a hostile picture, no memory left) or hangs, the caller
gets a sentence and the next request a fresh process. What runs inside is `core.inference.process`.

Not a `ProcessPoolExecutor`: a spawned process runs its parent's main script again, and Streamlit's is a page.
"""

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.anatomy import Anatomy
from core.config import ModelConfig
from core.errors import LabError
from core.places import PROJECT
from core.runs import Which, checkpoint_path

PREDICT_SECONDS = 120.0
"""How long a prediction may take, the first start of the process included."""
DECODE_SECONDS = 30.0

SightKind = Literal["features", "attention", "field"]
"""What can be looked at inside a network: feature maps, attention, and the effective receptive field."""

Layers = dict[SightKind, tuple[str, ...]]
"""What a network lets one look at, and the layers of each in the order in which they are computed; the field has none."""


@dataclass(frozen=True)
class PredictRequest:
    """Predict an image, uint8 (H, W, 3), with a run's checkpoint. `stamp` tells checkpoints of one run apart."""

    run: Path
    which: Which
    stamp: str
    image: np.ndarray


@dataclass(frozen=True)
class DecodeRequest:
    """Decode an uploaded file's bytes."""

    data: bytes


@dataclass(frozen=True)
class DescribeRequest:
    """Describe the network of a config at a picture size (height, width)."""

    model: ModelConfig
    size: tuple[int, int]


@dataclass(frozen=True)
class LayersRequest:
    """Tell what can be looked at inside a run's network."""

    run: Path
    which: Which
    stamp: str


@dataclass(frozen=True)
class SightRequest:
    """Look inside a run's network while it sees an image, uint8 (H, W, 3).

    Attributes:
        point: (u, v), 0..1 from the left and from the top: the pixel that is asked about.
        kind: what to look at.
        layer: one of its `Layers`; "" where there are none.
    """

    run: Path
    which: Which
    stamp: str
    image: np.ndarray
    point: tuple[float, float]
    kind: SightKind
    layer: str = ""


@dataclass(frozen=True)
class SightMap:
    """One heat map over the whole picture.

    Attributes:
        title: what it shows, "Channel 37".
        note: a short figure beside it.
        values: uint8 (h, w) at the size that the network saw. A value stands for low + (high - low) * (value / 255) ** power.
        low: what 0 stands for.
        high: what 255 stands for.
        power: 1 for an even scale, 2 where the root is shown.
    """

    title: str
    note: str
    values: np.ndarray
    low: float
    high: float
    power: float = 1.0


@dataclass(frozen=True)
class Sight:
    """The maps of one look, sentences about them, and the milliseconds it took."""

    maps: tuple[SightMap, ...]
    facts: str
    milliseconds: float = 0.0


@dataclass(frozen=True)
class Answer:
    """Labels and confidence as in `Prediction`, the classes and colours they mean, and the milliseconds it took."""

    labels: np.ndarray
    confidence: np.ndarray
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    milliseconds: float


Request = PredictRequest | DecodeRequest | DescribeRequest | LayersRequest | SightRequest


class InferenceWorker:
    """Front of the inference process. May be used from many threads; the process does one thing after the other."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="inference")

    @property
    def pid(self) -> int | None:
        """The process's id while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def predict(self, run: Path, image: np.ndarray, which: Which = "best") -> Answer:
        """Raises LabError when the checkpoint can't be used, or the process died or took too long."""
        return self._ask(PredictRequest(run, which, checkpoint_stamp(run, which), image), PREDICT_SECONDS)

    def decode(self, data: bytes) -> np.ndarray:
        """Decodes an upload in the process, see `decode_upload`. Raises LabError when it is no picture."""
        return self._ask(DecodeRequest(data), DECODE_SECONDS)

    def describe(self, model: ModelConfig, size: tuple[int, int]) -> Anatomy:
        """Describes a network in the process, see `core.models.describe`. Raises LabError when there is no such network."""
        return self._ask(DescribeRequest(model, size), PREDICT_SECONDS)

    def layers(self, run: Path, which: Which = "best") -> Layers:
        """What can be looked at inside a run's network. Raises LabError as `predict` does."""
        return self._ask(LayersRequest(run, which, checkpoint_stamp(run, which)), PREDICT_SECONDS)

    def look(
        self,
        run: Path,
        image: np.ndarray,
        point: tuple[float, float],
        kind: SightKind,
        layer: str = "",
        which: Which = "best",
    ) -> Sight:
        """What a run's network sees at a point of an image, see `SightRequest`.

        Raises:
            LabError: as `predict` does, and where the network has no such layer.
        """
        stamp = checkpoint_stamp(run, which)
        return self._ask(SightRequest(run, which, stamp, image, point, kind, layer), PREDICT_SECONDS)

    def close(self) -> None:
        """Ends the process."""
        with self._turn:
            self._end()

    def _ask(self, request: Request, seconds: float) -> Any:
        with self._turn:
            if self.pid is None:
                self._start()
            try:
                pickle.dump(request, self._process.stdin)
                self._process.stdin.flush()
                answer = self._reader.submit(pickle.load, self._process.stdout).result(timeout=seconds)
            except TooLate:
                self._end()
                raise LabError(
                    f"This took longer than {seconds:.0f} s and was given up. The machine may be busy with a training; try again later."
                ) from None
            except (OSError, EOFError, pickle.UnpicklingError):
                self._end()
                raise LabError(
                    "The process that looks at pictures ended unexpectedly, most likely for lack of memory. Try again, or use a smaller picture."
                ) from None
        if isinstance(answer, LabError):
            raise answer
        return answer

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "core.inference.process"], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None


def checkpoint_stamp(run: Path, which: Which) -> str:
    """A text that changes when a checkpoint does; empty where there is none."""
    path = checkpoint_path(run, which)
    try:
        return str((path / "state.json").stat().st_mtime_ns) if path else ""
    except OSError:
        return ""
