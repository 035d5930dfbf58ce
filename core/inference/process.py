"""`python -m core.inference.process`: answers the requests that `InferenceWorker` sends, one after the other.

Requests and answers are pickles on standard input and output. When the server is gone, input ends and so does this.
"""

import os
import pickle
import signal
import sys
import time
import traceback
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from core.anatomy import Anatomy
from core.errors import LabError
from core.inference.uploads import decode_upload
from core.inference.worker import (
    Answer,
    DecodeRequest,
    DescribeRequest,
    Layers,
    LayersRequest,
    PredictRequest,
    Request,
    Sight,
    SightRequest,
)

if TYPE_CHECKING:
    from core.inference.sight import Onlooker

KEPT_MODELS = 4


class Models:
    """The networks that were used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict = OrderedDict()

    def answer(self, request: PredictRequest) -> Answer:
        """Predicts, loading the network first where it isn't there. Raises LabError when it can't be loaded."""
        began = time.perf_counter()
        predictor = self._load(request)
        found = predictor.predict(request.image)
        milliseconds = (time.perf_counter() - began) * 1000
        return Answer(
            found.labels, found.confidence, predictor.checkpoint.classes, predictor.checkpoint.colors, milliseconds
        )

    def layers(self, request: LayersRequest) -> Layers:
        """What can be looked at inside a network. Raises LabError when it can't be loaded."""
        return self._load(request).layers

    def look(self, request: SightRequest) -> Sight:
        """Looks inside a network. Raises LabError when it can't be loaded or has no such layer."""
        began = time.perf_counter()
        sight = self._load(request).look(request.image, request.point, request.kind, request.layer)
        return replace(sight, milliseconds=(time.perf_counter() - began) * 1000)

    def _load(self, request: PredictRequest | LayersRequest | SightRequest) -> "Onlooker":
        # Torch takes seconds to import; a picture is decoded without it.
        from core.config import TrainingConfig
        from core.hardware import choose_hardware
        from core.inference.sight import Onlooker

        key = (request.run, request.which, request.stamp)
        if key not in self._kept:
            # One thread: the trainer needs the rest, and two busy pairs of threads slow each other down.
            self._kept[key] = Onlooker(request.run, choose_hardware(TrainingConfig(threads=1)), request.which)
            while len(self._kept) > KEPT_MODELS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def describe_network(request: DescribeRequest) -> Anatomy:
    """Describes the network of a config. Raises LabError when there is no such network."""
    from core.config import TrainingConfig
    from core.hardware import choose_hardware
    from core.models.describe import describe

    return describe(request.model, request.size, hardware=choose_hardware(TrainingConfig(threads=1)))


def answer(request: Request, models: Models) -> Answer | np.ndarray | Anatomy | Layers | Sight | LabError:
    """The answer to a request; what went wrong is an answer too."""
    try:
        match request:
            case DecodeRequest():
                return decode_upload(request.data)
            case DescribeRequest():
                return describe_network(request)
            case LayersRequest():
                return models.layers(request)
            case SightRequest():
                return models.look(request)
            case _:
                return models.answer(request)
    except LabError as error:
        return error
    except Exception as error:
        traceback.print_exc()
        return LabError(
            f"The network could not look at this picture ({type(error).__name__}). The lab's terminal has the details."
        )


def main() -> None:
    """Answers until input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the server's business
    requests: BinaryIO = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that a library prints may get between the answers
    models = Models()
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(answer(request, models), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    main()
