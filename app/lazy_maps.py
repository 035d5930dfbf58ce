"""Maps of what networks are unsure of, made only when a browser fetches one.

Few who look at masks ask for entropy or for the second likeliest class, and each costs another look by the network.
What it takes to ask is kept here: the pictures that pages showed last, up to a limit. Where one had to go, reloading
the page brings it back.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.inference.prediction_cache import UncertaintyMaps
from core.inference.tta import PredictOptions

BUDGET = 128 * 2**20
MAX_QUESTIONS = 500
"""About one picture: a frame that a whole class looks at is asked about in many tabs."""


@dataclass(frozen=True)
class Question:
    """What a user may ask, in one tab of theirs, of a run's best checkpoint, which `stamp` tells from others, about a
    picture.
    """

    run: Path
    stamp: str
    options: PredictOptions
    user: str
    tab: str


@dataclass
class _Shown:
    """A picture on some page, uint8 (H, W, 3), and by name the questions about it and those that wait for their
    answer.
    """

    image: np.ndarray
    questions: dict[str, Question] = field(default_factory=dict)
    waiting: "dict[str, Future[UncertaintyMaps]]" = field(default_factory=dict)


class LazyMaps:
    """Questions by name, asked once the answer is fetched. May be used from many threads."""

    def __init__(self, ask: "Callable[[Question, np.ndarray], Future[UncertaintyMaps]]", budget: int = BUDGET) -> None:
        """`ask` answers a question about an image; `budget` is in bytes of pictures."""
        self._ask = ask
        self._budget = budget
        self._shown: OrderedDict[str, _Shown] = OrderedDict()
        self._lock = threading.Lock()

    def addresses(self, question: Question, image: np.ndarray, digest: str) -> tuple[str, str]:
        """Return where the entropy and the likeliest classes of an image will be found; `digest` names its content."""
        name = hashlib.sha256(repr((digest, image.shape, question)).encode()).hexdigest()[:40]
        with self._lock:
            shown = self._shown.setdefault(digest, _Shown(image))
            self._shown.move_to_end(digest)
            shown.questions.pop(name, None)
            shown.questions[name] = question  # the last one now
            if len(shown.questions) > MAX_QUESTIONS:
                del shown.questions[next(iter(shown.questions))]
            while len(self._shown) > 1 and sum(each.image.nbytes for each in self._shown.values()) > self._budget:
                self._shown.popitem(last=False)
        return f"/lab/uncertainty/{name}/entropy.png", f"/lab/uncertainty/{name}/likeliest.png"

    def ask(self, name: str) -> "Future[UncertaintyMaps] | None":
        """Return the answer to a question, asked now where it isn't waited for already.

        None for one that isn't kept.
        """
        with self._lock:
            shown = next((each for each in self._shown.values() if name in each.questions), None)
            if shown is None:
                return None
            result = shown.waiting.get(name)
            if result is None or result.done():
                result = shown.waiting[name] = self._ask(shown.questions[name], shown.image)
                # The browser keeps what it fetched, and the disk what was answered: nothing is held here.
                result.add_done_callback(lambda _: shown.waiting.pop(name, None))
            return result
