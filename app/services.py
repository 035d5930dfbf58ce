"""What the server has one of, for all its visitors: the inference worker, the pictures in memory, the scores of frames."""

from functools import cache

from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.media import MediaStore
from core.inference.answers import AnswerStore
from core.inference.frame_scores import FrameScorer
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


def visitor() -> str:
    """Names the session that asks, so that visitors take turns; empty outside of a page."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""
