"""What the server has one of, for all its visitors: the inference worker, the pictures in memory, the scores of frames,
the maps that are made when they are fetched.
"""

from functools import cache

from streamlit import config
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.lazy_maps import LazyMaps
from app.media import MediaStore
from app.thumbnails import Thumbnails
from core.auth import HourlyQuota, User, current_user, max_upload_mb, max_uploads
from core.config import read_config
from core.inference.frame_scores import FrameScorer
from core.inference.prediction_cache import PredictionCache
from core.inference.worker import InferenceWorker
from core.models.encoder_table import encoders_of
from core.models.families import FAMILIES
from core.models.summary_cache import recall_summary
from core.paths import runs_folder
from core.runs.store import list_runs

SHARED_UPLOAD_MB = 20
"""Of one file, where people sign in: what is uploaded stays in the server's memory."""
DESCRIBED_SIZE = (256, 512)
"""Height and width of the picture for which forms tell what a network costs, in pixels."""
BACKGROUND = "background"
"""The user in whose name the server asks on its own; it takes its turn like any other."""


@cache
def inference_worker() -> InferenceWorker:
    """Return the front of the inference processes, which start with the first question."""
    return InferenceWorker(PredictionCache())


def warm_up() -> None:
    """Load the newest network that can be looked at, if there is one, while the first page is drawn; in a new lab, get
    to know the networks that its forms begin with.
    """
    run = next((run for run in list_runs(runs_folder()) if run.has_checkpoint("best")), None)
    if run:
        inference_worker().warm_up(run.path)
    for family in FAMILIES:
        model = read_config({"model": {"family": family, "encoder": encoders_of(family)[0].name}}).model
        if recall_summary(model, DESCRIBED_SIZE) is None:
            inference_worker().ask_description(model, DESCRIBED_SIZE, BACKGROUND)


@cache
def frame_scorer() -> FrameScorer:
    """Count how well runs do on single frames."""
    return FrameScorer(lambda run, image: inference_worker().predict(run, image, user=BACKGROUND))


@cache
def media() -> MediaStore:
    """Return the pictures that pages show."""
    return MediaStore()


@cache
def thumbnails() -> Thumbnails:
    """Return the small pictures of frames that filmstrips show."""
    return Thumbnails(media())


@cache
def uploads() -> HourlyQuota:
    """Return how many files each person uploaded in the last hour."""
    return HourlyQuota()


@cache
def uploaded_mb() -> HourlyQuota:
    """Return how many megabytes each person uploaded in the last hour."""
    return HourlyQuota()


def count_upload(user: User, size: int) -> None:
    """Count an upload of a user, of so many bytes. Raises LabError where this hour has no more."""
    check_uploads(user)
    uploaded_mb().take(user.id, max_upload_mb(user), "MB of uploads", size / 10**6)
    uploads().take(user.id, max_uploads(user), "uploads")


def check_uploads(user: User) -> None:
    """Raise LabError where a user can't upload another file, however small, within this hour."""
    uploads().check(user.id, max_uploads(user), "uploads")
    uploaded_mb().check(user.id, max_upload_mb(user), "MB of uploads", 0)


def keep_uploads_small() -> None:
    """Let a file have `SHARED_UPLOAD_MB` at most, where only the lab's own config.toml says how large it may be."""
    if config.get_where_defined("server.maxUploadSize").endswith("config.toml"):
        config.set_option("server.maxUploadSize", SHARED_UPLOAD_MB)


def max_upload_size(size: int) -> int:
    """Return how many megabytes a file of a widget may have, that would take so many bytes."""
    return min(size // 10**6, int(config.get_option("server.maxUploadSize")))


@cache
def lazy_maps() -> LazyMaps:
    """Return what networks are unsure of in the pictures that pages show.

    Asked for another picture, what still waits is taken back.
    """
    return LazyMaps(
        lambda question, image: inference_worker().ask_uncertainty(
            question.run, image, question.options, question.user, slot=(question.tab, "doubts", question.run)
        )
    )


def tab() -> str:
    """Name the browser's tab that asks: what one tab takes back is not what another waits for.

    Empty outside of a page.
    """
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""


def visitor() -> str:
    """Name who asks, or else their tab, so that visitors take turns; empty outside of a page."""
    return current_user().id or tab()
