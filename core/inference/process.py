"""`python -m core.inference.process PART`: answers the requests that `InferenceWorker` sends, one after the other.

Requests and answers are pickles on standard input and output. When the server is gone, input ends and so does this.
PART is `networks`, where torch lives, or `decoder`, which gives itself little memory before it opens what strangers
sent.
"""

import hashlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from core.data.decoding import read_image, read_labels
from core.errors import LabError
from core.inference.batches import Upload, decode_batch
from core.inference.prediction_cache import CachedPrediction, UncertaintyMaps
from core.inference.uploads import decode_upload
from core.inference.worker import (
    BatchRequest,
    DecodeRequest,
    DescribeRequest,
    ExplainRequest,
    Explanation,
    Layers,
    LayersRequest,
    ObjectRequest,
    Painted,
    Part,
    PredictRequest,
    Request,
    StrokesRequest,
    UncertaintyRequest,
    WarmUpRequest,
)
from core.models.summary_cache import recall_summary, save_summary
from core.models.summary_types import ModelSummary
from core.paths import runs_folder
from core.runs.store import list_active
from core.text import format_bytes
from core.training.malloc import keep_freed_memory, return_freed_memory

try:
    import resource
except ImportError:  # Windows has no such limits; there the time alone is bounded
    resource = None

if TYPE_CHECKING:
    from core.inference.explain import Explainer
    from core.inference.strokes import Samples, Seen
    from core.models.mobile_sam import Embedding, MobileSam

T = TypeVar("T")

MODEL_BYTES = 2 * 2**30
"""What the weights of the kept networks may take together; the one in use stays in any case."""
IMAGES = 4
"""That strokes were painted on last: what a network sees in them is kept."""
SAMPLE_SECONDS = 10.0
"""For looks at other photographs, at one question."""
PAINTED = 64
"""Masks of other photographs, of which some pixels are kept."""
EMBEDDINGS = 16
"""Photographs whose objects were clicked last, 4 MB each."""
DESCRIBED_BYTES = 12
"""Of each parameter while a network is described: itself, a copy, and what is made of it on the way, in fp32."""
MEMORY_SHARE = 0.5
"""Of the free memory, for one network that is described: this process answers everybody."""
DECODER_BYTES = 2 * 2**30
"""Address space of the decoder."""
REST_SECONDS = 20.0
"""After so long without a question, memory that answers have freed goes back to the system."""


def _recall(known: "OrderedDict[Hashable, T]", key: Hashable, size: int, make: Callable[[], T]) -> T:
    """Return what is known by a key, made where it isn't; of all only so many that were asked for last are kept."""
    if key not in known:
        known[key] = make()
        while len(known) > size:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()


class Models:
    """The networks that were used last."""

    def __init__(self) -> None:
        self._loaded: OrderedDict = OrderedDict()
        self._probabilities: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._samples: OrderedDict[Hashable, Samples | None] = OrderedDict()
        self._clicked: OrderedDict[Hashable, MobileSam] = OrderedDict()
        self._embeddings: OrderedDict[Hashable, Embedding] = OrderedDict()

    def predict(self, request: PredictRequest) -> CachedPrediction:
        """Predict, loading the network first where it isn't there. Raises LabError when it can't be loaded."""
        began = time.perf_counter()
        predictor = self._load(request)
        predictor_threads()
        prediction = predictor.predict(request.image, request.options)
        milliseconds = (time.perf_counter() - began) * 1000
        return CachedPrediction(
            prediction.labels,
            prediction.confidence,
            predictor.checkpoint.class_names,
            predictor.checkpoint.colors,
            milliseconds,
        )

    def warm_up(self, request: WarmUpRequest) -> None:
        """Load a run's best network and show it a gray picture: the first of a size is slow."""
        predictor = self._load(request)
        predictor_threads()
        predictor.predict(np.full((*predictor.shown_size, predictor.num_bands), 128, np.uint8))

    def uncertainty(self, request: UncertaintyRequest) -> UncertaintyMaps:
        """Look once more, for what the network is unsure of. Raises LabError when it can't be loaded."""
        from core.inference.uncertainty import estimate_uncertainty

        predictor = self._load(request)
        predictor_threads()
        return estimate_uncertainty(predictor, request.image, request.options)

    def strokes(self, request: StrokesRequest) -> CachedPrediction:
        """Label all of an image by strokes on it. Raises LabError where there are too few, or a network can't be
        loaded.
        """
        from core.inference.strokes import grow_strokes

        began = time.perf_counter()
        predictor_threads()
        others = []
        seen = self._see(request, request.image)
        for other in request.others:
            painted = (request.run, request.stamp, request.weights, other)
            # One more look at each: those there is no time for are looked at when strokes are grown again.
            if painted in self._samples or time.perf_counter() - began < SAMPLE_SECONDS:
                others.append(_recall(self._samples, painted, PAINTED, partial(self._sample, request, other)))
        labels, confidence = grow_strokes(request.image, request.strokes, seen, [each for each in others if each])
        return CachedPrediction(labels, confidence, (), (), (time.perf_counter() - began) * 1000)

    def find_object(self, request: ObjectRequest) -> np.ndarray | None:
        """Return which pixels are the object that is meant, bool (H, W). Raises LabError where a file can't be read."""
        predictor_threads()
        embedding = self._embed(request.weights, read_image(request.image))
        return self._mobile_sam(request.weights).segment(embedding, request.prompts) if request.prompts else None

    def _mobile_sam(self, weights: Path) -> "MobileSam":
        from core.models.mobile_sam import load_mobile_sam

        return _recall(self._clicked, weights, 1, lambda: load_mobile_sam(weights))

    def _embed(self, weights: Path, image: np.ndarray) -> "Embedding":
        """Return what MobileSAM makes of an image, kept by its pixels."""
        key = (weights, _digest(image))
        return _recall(self._embeddings, key, EMBEDDINGS, lambda: self._mobile_sam(weights).embed(image))

    def _sample(self, request: StrokesRequest, other: Painted) -> "Samples | None":
        """Return pixels under the strokes on another photograph; None where a file is gone, or they don't fit."""
        from core.inference.strokes import sample_strokes

        try:
            image, strokes = read_image(other.image), read_labels(other.mask)
        except LabError:
            return None
        if image.shape[:2] != strokes.shape:
            return None
        return sample_strokes(image, strokes, self._see(request, image))

    def _see(self, request: StrokesRequest, image: np.ndarray) -> "Seen":
        """Return what the networks of a question about strokes see in an image."""
        from core.inference.strokes import Seen, working_size

        size = working_size(image.shape[:2])
        probabilities = embedding = None
        if request.run:
            probabilities = _recall(
                self._probabilities,
                (request.run, request.stamp, _digest(image)),
                IMAGES,
                lambda: self._load(request).probabilities(image, size)[0].cpu().numpy(),
            )
        if request.weights:
            embedding = self._embed(request.weights, image).resized(size)
        return Seen(probabilities, embedding)

    def layers(self, request: LayersRequest) -> Layers:
        """Return what can be looked at inside a network. Raises LabError when it can't be loaded."""
        return self._load(request).layers

    def explain(self, request: ExplainRequest) -> Explanation:
        """Look inside a network. Raises LabError when it can't be loaded or has no such layer."""
        began = time.perf_counter()
        explanation = self._load(request).explain(request.image, request.point, request.kind, request.layer)
        return replace(explanation, milliseconds=(time.perf_counter() - began) * 1000)

    def _load(
        self,
        request: PredictRequest | UncertaintyRequest | StrokesRequest | LayersRequest | ExplainRequest | WarmUpRequest,
    ) -> "Explainer":
        # Torch takes seconds to import; nothing else here needs it.
        from core.inference.explain import Explainer

        key = (request.run, request.which, request.stamp)
        if key not in self._loaded:
            self._loaded[key] = Explainer(request.run, which=request.which)
            while len(self._loaded) > 1 and sum(model.nbytes for model in self._loaded.values()) > MODEL_BYTES:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def predictor_threads() -> None:
    """One thread beside a training, which needs the rest: two busy pools of threads slow each other down.

    Else all cores.
    """
    import torch

    from core.processes import available_cores

    threads = 1 if list_active(runs_folder()) else available_cores()
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def describe_network(request: DescribeRequest) -> ModelSummary:
    """Describe the network of a config, unless that was done meanwhile.

    Raises LabError when there is none, or it is too large to be built.
    """
    known = recall_summary(request.model, request.size)
    if known is not None:
        return known
    from core.config import TrainingConfig
    from core.hardware import choose_hardware
    from core.models.model_summary import count_parameters, describe
    from core.training.usage import free_memory

    needed, free = count_parameters(request.model) * DESCRIBED_BYTES, free_memory()
    if needed > free * MEMORY_SHARE:
        raise LabError(
            f"This network takes about {format_bytes(needed)} of memory to be described, and everybody's networks share"
            f" the {format_bytes(free)} that are free. Choose a smaller encoder."
        )
    summary = describe(request.model, request.size, hardware=choose_hardware(TrainingConfig(threads=1)))
    if not list_active(runs_folder()):  # beside a training the time that was measured is too long
        save_summary(request.model, summary)
    return summary


def respond(request: Request, models: Models) -> Any:
    """Return the answer to a request; what went wrong is an answer too."""
    try:
        match request:
            case DecodeRequest():
                return decode_upload(request.data, request.pixels)
            case BatchRequest():
                return decode_batch(request.name, request.data, request.pixels, request.budget)
            case WarmUpRequest():
                return models.warm_up(request)
            case DescribeRequest():
                return describe_network(request)
            case UncertaintyRequest():
                return models.uncertainty(request)
            case StrokesRequest():
                return models.strokes(request)
            case ObjectRequest():
                return models.find_object(request)
            case LayersRequest():
                return models.layers(request)
            case ExplainRequest():
                return models.explain(request)
            case _:
                return models.predict(request)
    except LabError as error:
        return error
    except Exception as error:
        traceback.print_exc()
        return LabError(
            f"The network could not look at this picture ({type(error).__name__}). The lab's terminal has the details."
        )


def parts(batch: Iterator[Upload]) -> Iterator[Upload | LabError | None]:
    """Yield the pictures of a batch as they come, and at the end None, or what went wrong."""
    try:
        yield from batch
        yield None
    except LabError as error:
        yield error
    except Exception:
        traceback.print_exc()
        yield LabError("This file could not be read. Drop its pictures one by one.")


def limit_memory() -> None:
    """Let this process have `DECODER_BYTES` of address space, where the system knows such a limit."""
    if resource is not None and sys.platform != "darwin":
        resource.setrlimit(resource.RLIMIT_AS, (DECODER_BYTES, DECODER_BYTES))


@contextmanager
def resting() -> Iterator[None]:
    """Gives freed memory back where what is waited for within takes long."""
    rest = threading.Timer(REST_SECONDS, return_freed_memory)
    rest.daemon = True
    rest.start()
    try:
        yield
    finally:
        rest.cancel()


def main(part: Part) -> None:
    """Answer until input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the server's business
    if part == "decoder":
        limit_memory()
    else:
        keep_freed_memory()
    requests: BinaryIO = sys.stdin.buffer
    response_pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that a library prints may get between the answers
    models = Models()
    while True:
        try:
            with resting() if part == "networks" else nullcontext():
                request = pickle.load(requests)  # noqa: S301 - of the server that started this process
        except EOFError:
            return
        result = respond(request, models)
        for each in parts(result) if isinstance(request, BatchRequest) else [result]:
            pickle.dump(each, response_pipe, protocol=pickle.HIGHEST_PROTOCOL)
            response_pipe.flush()


if __name__ == "__main__":
    main(sys.argv[1])
