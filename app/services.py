"""What the server has one of, for all its visitors: the inference worker and the pictures in memory."""

from functools import cache

from app.media import MediaStore
from core.inference.worker import InferenceWorker


@cache
def inference_worker() -> InferenceWorker:
    """The front of the inference process, which starts with the first question."""
    return InferenceWorker()


@cache
def media() -> MediaStore:
    """The pictures that pages show."""
    return MediaStore()
