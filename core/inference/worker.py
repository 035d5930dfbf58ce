"""The front of the inference processes: one where torch lives, and a small one in which uploads are decoded.

The server asks through `InferenceWorker`. When a process dies (a hostile picture, no memory left) or hangs, the caller
gets a sentence and the next request a fresh process. What runs inside is `core.inference.process`.

Not a `ProcessPoolExecutor`: a spawned process runs its parent's main script again, and Streamlit's is a page.
"""

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from core.config import RGB, ModelConfig, PixelFormat
from core.errors import LabError
from core.inference.batches import Upload, UploadBudget
from core.inference.fair_queue import FairQueue, Ticket, outcome
from core.inference.prediction_cache import CachedPrediction, PredictionCache, UncertaintyMaps, prediction_key
from core.inference.tta import WHOLE, PredictOptions
from core.models.prompts import Prompts
from core.models.summary_cache import recall_summary
from core.models.summary_types import ModelSummary
from core.paths import PROJECT
from core.runs.store import Which, checkpoint_path

PREDICT_SECONDS = 120.0
"""How long a prediction may take, the first start of the process included, the wait for its turn not."""
DECODE_SECONDS = 30.0
BATCH_SECONDS = 60.0

Part = Literal["networks", "decoder"]

_ENVIRONMENT: dict[Part, dict[str, str]] = {
    # Pages of 2 MB, where glibc and Linux have them: a large picture's maps fill hundreds of thousands of small ones.
    "networks": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
    # A process that decodes strangers' files needs no pool of threads, each with memory of its own.
    "decoder": {"OPENBLAS_NUM_THREADS": "1"},
}

DECODER_VARIABLES = ("PATH", "PYTHON", "LANG", "LC_", "LD_LIBRARY_PATH", "TMP", "TEMP", "SYSTEMROOT")
"""Beginnings of the names of variables that the decoder inherits: the lab's logins and tokens are none of them."""
DECODER_TYPES = {
    ("core.errors", "LabError"),
    ("core.inference.batches", "Upload"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
}
"""What its answers may be made of."""

ExplanationKind = Literal["features", "attention", "field"]
"""What can be looked at inside a network: feature maps, attention, and the effective receptive field."""

Layers = dict[ExplanationKind, tuple[str, ...]]
"""What a network lets one look at, and the layers of each in the order in which they are computed.

The field has none.
"""


@dataclass(frozen=True)
class PredictRequest:
    """Predict an image, uint8 (H, W, 3), with a run's checkpoint. `stamp` tells checkpoints of one run apart.

    Its answer is kept under `key`, where there is one.
    """

    run: Path
    which: Which
    stamp: str
    image: np.ndarray
    options: PredictOptions = WHOLE
    key: str | None = None


@dataclass(frozen=True)
class UncertaintyRequest:
    """Tell what a run's network is unsure of in an image, shown to it as in a `PredictRequest`.

    Kept under that one's `key`.
    """

    run: Path
    which: Which
    stamp: str
    image: np.ndarray
    options: PredictOptions = WHOLE
    key: str | None = None


@dataclass(frozen=True)
class Painted:
    """The files of a photograph and of the mask that is painted on it, and what tells that mask from its others."""

    image: Path
    mask: Path
    revision: int


@dataclass(frozen=True)
class StrokesRequest:
    """Label all of an image, uint8 (H, W, 3), by strokes on it, uint8 (H, W), 255 where there is none, and by those on
    others; and by what a run's network sees, where one is named, and MobileSAM, where its weights are.
    """

    run: Path | None
    which: Which
    stamp: str
    image: np.ndarray
    strokes: np.ndarray
    others: tuple[Painted, ...] = ()
    weights: Path | None = None


@dataclass(frozen=True)
class ObjectRequest:
    """Tell which pixels of a photograph's file belong to the object that prompts mean, with the weights of MobileSAM;
    without prompts only look at it.
    """

    image: Path
    weights: Path
    prompts: Prompts | None


@dataclass(frozen=True)
class DecodeRequest:
    """Decode an uploaded picture's bytes."""

    data: bytes
    pixels: PixelFormat = RGB


@dataclass(frozen=True)
class BatchRequest:
    """Decode an uploaded file that may hold several pictures. `name` is shown, and used for nothing else."""

    name: str
    data: bytes
    pixels: PixelFormat = RGB
    budget: UploadBudget | None = None


@dataclass(frozen=True)
class WarmUpRequest:
    """Import what networks need, and load one that will probably be asked for."""

    run: Path
    which: Which
    stamp: str


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
class ExplainRequest:
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
    kind: ExplanationKind
    layer: str = ""


@dataclass(frozen=True)
class ExplanationMap:
    """One heat map over the whole picture.

    Attributes:
        title: what it shows, "Channel 37".
        note: a short figure beside it.
        values: uint8 (h, w) at the size that the network saw. A value stands for low + (high - low) * (value / 255) **
            power.
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
class Explanation:
    """The maps of one look, sentences about them, and the milliseconds it took."""

    maps: tuple[ExplanationMap, ...]
    metadata: str
    milliseconds: float = 0.0


Request = (
    PredictRequest
    | UncertaintyRequest
    | StrokesRequest
    | ObjectRequest
    | DecodeRequest
    | BatchRequest
    | DescribeRequest
    | WarmUpRequest
    | LayersRequest
    | ExplainRequest
)


class InferenceWorker:
    """Front of the inference processes. May be used from many threads; each process does one thing after the other.

    Each request names a `user`, and users take turns. One that also names a `slot` of the page takes back what was
    asked for it before and is still waiting.
    """

    def __init__(self, store: PredictionCache | None = None) -> None:
        """Answer are kept in `store`, where there is one."""
        self._store = store
        self._networks = _Lane("networks", self._keep)
        self._decoder = _Lane("decoder", lambda request, response: None)

    @property
    def pid(self) -> int | None:
        """The id of the process with the networks, while it lives."""
        return self._networks.pid

    @property
    def decoder_pid(self) -> int | None:
        """The id of the process that decodes uploads, while it lives."""
        return self._decoder.pid

    def warm_up(self, run: Path) -> None:
        """Start the process with the networks and load a run's, so that its first mask doesn't wait for that."""
        self._networks.queue("", WarmUpRequest(run, "best", checkpoint_stamp(run, "best")))

    def predict(
        self, run: Path, image: np.ndarray, which: Which = "best", options: PredictOptions = WHOLE, user: str = ""
    ) -> CachedPrediction:
        """Raise LabError when the checkpoint can't be used, or the process died or took too long."""
        return outcome(self.ask(run, image, which, options, user))

    def ask(
        self,
        run: Path,
        image: np.ndarray,
        which: Which = "best",
        options: PredictOptions = WHOLE,
        user: str = "",
        slot: Hashable = None,
    ) -> "Future[CachedPrediction]":
        """As `predict`, without waiting; what is kept on disk is there at once.

        See `core.inference.fair_queue.outcome`.
        """
        key = prediction_key(run, which, image, options) if self._store else None
        cached = self._store.get(key) if self._store and key else None
        if cached is not None:
            return _answered(cached)
        request = PredictRequest(run, which, checkpoint_stamp(run, which), image, options, key)
        return self._networks.queue(user, request, slot)

    def ask_uncertainty(
        self, run: Path, image: np.ndarray, options: PredictOptions = WHOLE, user: str = "", slot: Hashable = None
    ) -> "Future[UncertaintyMaps]":
        """As `ask`, for what the best checkpoint's network is unsure of."""
        key = prediction_key(run, "best", image, options) if self._store else None
        cached = self._store.get_uncertainty(key) if self._store and key else None
        if cached is not None:
            return _answered(cached)
        request = UncertaintyRequest(run, "best", checkpoint_stamp(run, "best"), image, options, key)
        return self._networks.queue(user, request, slot)

    def ask_strokes(
        self,
        run: Path | None,
        image: np.ndarray,
        strokes: np.ndarray,
        others: Sequence[Painted] = (),
        weights: Path | None = None,
        user: str = "",
        slot: Hashable = None,
    ) -> "Future[CachedPrediction]":
        """Label all of an image by strokes on it and on others, without waiting; see `core.inference.strokes`."""
        stamp = checkpoint_stamp(run, "best") if run else ""
        request = StrokesRequest(run, "best", stamp, image, strokes, tuple(others), weights)
        return self._networks.queue(user, request, slot)

    def ask_object(
        self, image: Path, weights: Path, prompts: Prompts | None, user: str = "", slot: Hashable = None
    ) -> "Future[np.ndarray | None]":
        """Tell which object of a photograph prompts mean, without waiting: bool (H, W), None without prompts."""
        return self._networks.queue(user, ObjectRequest(image, weights, prompts), slot)

    def decode(self, data: bytes, user: str = "", pixels: PixelFormat = RGB) -> np.ndarray:
        """Decode an upload in the process, see `decode_upload`. Raises LabError when it is no picture."""
        return outcome(self._decoder.queue(user, DecodeRequest(data, pixels)))

    def decode_batch(
        self, name: str, data: bytes, user: str = "", pixels: PixelFormat = RGB, budget: UploadBudget | None = None
    ) -> tuple[Upload, ...]:
        """Return the pictures of an uploaded file, see `core.inference.batches.decode_batch`.

        Raises LabError where it has none.
        """
        return outcome(self._decoder.queue(user, BatchRequest(name, data, pixels, budget)))

    def describe(self, model: ModelConfig, size: tuple[int, int], user: str = "") -> ModelSummary:
        """Describe a network in the process, see `core.models.model_summary`.

        Raises LabError when there is no such network.
        """
        return recall_summary(model, size) or outcome(self.ask_description(model, size, user))

    def ask_description(self, model: ModelConfig, size: tuple[int, int], user: str = "") -> "Future[ModelSummary]":
        """As `describe`, without waiting."""
        return self._networks.queue(user, DescribeRequest(model, size))

    def layers(self, run: Path, which: Which = "best", user: str = "") -> Layers:
        """Return what can be looked at inside a run's network. Raises LabError as `predict` does."""
        return outcome(self._networks.queue(user, LayersRequest(run, which, checkpoint_stamp(run, which))))

    def explain(
        self,
        run: Path,
        image: np.ndarray,
        point: tuple[float, float],
        kind: ExplanationKind,
        layer: str = "",
        which: Which = "best",
        user: str = "",
    ) -> Explanation:
        """Return what a run's network sees at a point of an image, see `SightRequest`.

        Raises:
            LabError: as `predict` does, and where the network has no such layer.
        """
        stamp = checkpoint_stamp(run, which)
        return outcome(self._networks.queue(user, ExplainRequest(run, which, stamp, image, point, kind, layer)))

    def close(self) -> None:
        """End the processes; what waits is cancelled."""
        self._networks.close()
        self._decoder.close()

    def _keep(self, request: Request, response: Any) -> None:
        if self._store is None:
            return
        match request:
            case PredictRequest(key=str(key)):
                self._store.put(key, response)
            case UncertaintyRequest(key=str(key)):
                self._store.put_uncertainty(key, response)


class _Lane:
    """One process, the queue before it, and the thread that carries questions in and answers out."""

    def __init__(self, part: Part, keep: Any) -> None:
        self._part: Part = part
        self._keep = keep
        self._queue = FairQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process and process.poll() is None else None

    def queue(self, user: str, request: Request, slot: Hashable = None) -> "Future[Any]":
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._carry, name=f"inference-{self._part}", daemon=True)
                self._thread.start()
        return self._queue.put(user, request, slot)

    def close(self) -> None:
        self._queue.clear()
        self._end()

    def _carry(self) -> None:
        while True:
            ticket = self._queue.take()
            try:
                result = self._ask(ticket)
            except Exception as error:
                ticket.future.set_exception(error)
                continue
            ticket.future.set_result(result)
            with contextlib.suppress(Exception):  # it was answered; that it isn't kept costs only time
                self._keep(ticket.request, result)

    def _ask(self, ticket: Ticket) -> Any:
        process = self._process if self.pid is not None else self._start()
        seconds = _seconds_for(ticket.request)
        has_expired = threading.Event()

        def give_up() -> None:
            has_expired.set()
            self._end()

        watch = threading.Timer(seconds, give_up)
        watch.start()
        try:
            pickle.dump(ticket.request, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            result = self._load(process.stdout)
            if isinstance(ticket.request, BatchRequest):
                result = self._gathered(process, result)
        except (OSError, ValueError, EOFError, pickle.UnpicklingError):
            self._end()
            if has_expired.is_set():
                raise LabError(
                    f"This took longer than {seconds:.0f} s and was given up. The machine may be busy with a training;"
                    " try again later."
                ) from None
            raise LabError(
                "The process that looks at pictures ended unexpectedly, most likely for lack of memory. Try again, or"
                " use a smaller picture."
            ) from None
        finally:
            watch.cancel()
        if isinstance(result, LabError):
            raise result
        return result

    def _gathered(self, process: subprocess.Popen[bytes], first: Any) -> tuple[Upload, ...] | LabError:
        """Return the pictures of a batch, which come one by one until None, or until the sentence that says why no more
        do.
        """
        parts = []
        while first is not None:
            if isinstance(first, LabError):
                return first
            parts.append(first)
            first = self._load(process.stdout)
        return tuple(parts)

    def _load(self, pipe: IO[bytes]) -> Any:
        return _DecoderUnpickler(pipe).load() if self._part == "decoder" else pickle.load(pipe)  # noqa: S301 - our own child, which opens no uploads

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "core.inference.process", self._part]
        own = {name: value for name, value in os.environ.items() if name.startswith(DECODER_VARIABLES)}
        environment = (own if self._part == "decoder" else os.environ) | _ENVIRONMENT[self._part]
        with self._guard:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            return self._process

    def _end(self) -> None:
        with self._guard:
            process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()


class _DecoderUnpickler(pickle.Unpickler):  # noqa: S301 - it loads nothing but what it lists
    """Reads an answer of the decoder, in which a hostile picture may have taken over: arrays and sentences alone."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in DECODER_TYPES:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


def _answered(result: Any) -> "Future[Any]":
    there: Future[Any] = Future()
    there.set_result(result)
    return there


def _seconds_for(request: Request) -> float:
    match request:
        case DecodeRequest():
            return DECODE_SECONDS
        case BatchRequest():
            return BATCH_SECONDS
        case _:
            return PREDICT_SECONDS


def checkpoint_stamp(run: Path, which: Which) -> str:
    """Return a text that changes when a checkpoint does; empty where there is none."""
    path = checkpoint_path(run, which)
    try:
        return str((path / "state.json").stat().st_mtime_ns) if path else ""
    except OSError:
        return ""
