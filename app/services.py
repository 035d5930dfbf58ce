"""What the server has one of, for all its visitors: the inference worker, the pictures in memory, the scores of frames,
the maps that are made when they are fetched.
"""

from functools import cache

from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.lazy_maps import LateMaps
from app.media import MediaStore
from core.auth import Allowance, Person, acting, most_uploads
from core.inference.frame_scores import FrameScorer
from core.inference.prediction_cache import AnswerStore
from core.inference.worker import InferenceWorker

BACKGROUND = "background"
"""The user in whose name the server asks on its own; it takes its turn like any other."""


@cache
def inference_worker() -> InferenceWorker:
    """The front of the inference processes, which start with the first question."""
    return InferenceWorker(AnswerStore())


@cache
def frame_scorer() -> FrameScorer:
    """Counts how well runs do on single frames."""
    return FrameScorer(lambda run, image: inference_worker().predict(run, image, user=BACKGROUND))


@cache
def media() -> MediaStore:
    """The pictures that pages show."""
    return MediaStore()


@cache
def uploads() -> Allowance:
    """What each person uploaded in the last hour."""
    return Allowance()


def count_upload(person: Person) -> None:
    """Counts a file that somebody uploads. Raises LabError where this hour has no more."""
    uploads().take(person.id, most_uploads(), "uploads")


def check_uploads(person: Person) -> None:
    """Raises LabError where somebody can't upload another file within this hour."""
    uploads().check(person.id, most_uploads(), "uploads")


@cache
def late_maps() -> LateMaps:
    """What networks are unsure of in the pictures that pages show; asked for another picture, what still waits is taken back."""
    return LateMaps(
        lambda question, image: inference_worker().ask_doubts(
            question.run, image, question.options, question.user, slot=(question.tab, "doubts", question.run)
        )
    )


def tab() -> str:
    """Names the browser's tab that asks: what one tab takes back is not what another waits for; empty outside of a page."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""


def visitor() -> str:
    """Names who asks, or else their tab, so that visitors take turns; empty outside of a page."""
    return acting().id or tab()
