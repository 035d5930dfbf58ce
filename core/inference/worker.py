"""The inference process: the only place beside the trainer where torch lives.

The server asks through `InferenceWorker`; the process keeps the networks it used last. When it dies (a hostile picture, no
memory left) the caller gets a sentence and the next request a fresh process.
"""

import multiprocessing
import os
import threading
from collections import OrderedDict
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import LabError
from core.inference.uploads import decode_upload
from core.runs import Which, checkpoint_path

KEPT_MODELS = 4
SECONDS = 120.0
"""How long a prediction may take, the first start of the process included."""
DECODE_SECONDS = 30.0


@dataclass(frozen=True)
class Request:
    """Predict an image, uint8 (H, W, 3), with a run's checkpoint. `stamp` tells checkpoints of one run apart."""

    run: Path
    which: Which
    stamp: str
    image: np.ndarray


@dataclass(frozen=True)
class Answer:
    """Labels and confidence as in `Prediction`, the classes and colours they mean, and the milliseconds it took."""

    labels: np.ndarray
    confidence: np.ndarray
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    milliseconds: float


class InferenceWorker:
    """Front of the inference process. May be used from many threads; the process does one thing after the other."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def predict(self, run: Path, image: np.ndarray, which: Which = "best") -> Answer:
        """Raises LabError when the checkpoint can't be used, or the process died or took too long."""
        return self._ask(_predict, Request(run, which, checkpoint_stamp(run, which), image), seconds=SECONDS)

    def decode(self, data: bytes) -> np.ndarray:
        """Decodes an upload in the process, see `decode_upload`. Raises LabError when it is no picture."""
        return self._ask(decode_upload, data, seconds=DECODE_SECONDS)

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            if self._pool:
                _end(self._pool)
                self._pool = None

    def _ask(self, function, argument, seconds: float):  # noqa: ANN001, ANN202 - typed by the two callers above
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    1, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare
                )
            pool = self._pool
        try:
            return pool.submit(function, argument).result(timeout=seconds)
        except BrokenExecutor:
            self._drop(pool)
            raise LabError(
                "The process that looks at pictures ended unexpectedly, most likely for lack of memory. Try again, or use a smaller picture."
            ) from None
        except TooLate:
            self._drop(pool)
            raise LabError(
                f"This took longer than {seconds:.0f} s and was given up. The machine may be busy with a training; try again later."
            ) from None

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        _end(pool)


def checkpoint_stamp(run: Path, which: Which) -> str:
    """A text that changes when a checkpoint does; empty where there is none."""
    path = checkpoint_path(run, which)
    try:
        return str((path / "state.json").stat().st_mtime_ns) if path else ""
    except OSError:
        return ""


def _end(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())  # the executor has no public way to end a hanging process
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


# ---- what runs inside the process

_models: OrderedDict = OrderedDict()


def _prepare() -> None:
    import signal

    import torch

    # Ctrl-C in the terminal is the server's business. One thread: the trainer needs the rest.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    # A server that is killed can't say goodbye; without this its process would wait for questions for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(0)


def _predict(request: Request) -> Answer:
    import time

    from core.config import TrainingConfig
    from core.inference.predictor import Predictor
    from core.training.hardware import choose_hardware

    began = time.perf_counter()
    key = (request.run, request.which, request.stamp)
    if key not in _models:
        _models[key] = Predictor(request.run, choose_hardware(TrainingConfig(), threads=1), request.which)
        while len(_models) > KEPT_MODELS:
            _models.popitem(last=False)
    _models.move_to_end(key)
    predictor = _models[key]
    found = predictor.predict(request.image)
    milliseconds = (time.perf_counter() - began) * 1000
    return Answer(
        found.labels, found.confidence, predictor.checkpoint.classes, predictor.checkpoint.colors, milliseconds
    )
