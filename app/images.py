"""From frames, uploads and runs to the addresses of pictures that the viewer takes, and to its panels."""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
import streamlit as st
from cachetools import LRUCache, cached

from app.lazy_maps import Question
from app.media import encode_colors, encode_image, encode_map
from app.services import inference_worker, lazy_maps, media, tab, visitor
from app.viewer import Panel
from app.widgets import failed_state
from core.config import PixelFormat
from core.data.bands import composite
from core.data.dataset import Dataset, read_target
from core.data.decoding import read_image
from core.data.frames import Frame
from core.errors import LabError
from core.inference.batches import Upload, UploadBudget, shown_name
from core.inference.fair_queue import outcome
from core.inference.prediction_cache import CachedPrediction
from core.inference.tta import QUICK, WHOLE, PredictOptions
from core.inference.worker import Explanation, ExplanationKind, Layers, checkpoint_stamp
from core.labels import LabelSpace
from core.paths import runs_folder

THUMBNAIL_WIDTH = 320
MOMENT_SECONDS = 0.5
"""So long a page waits for answers before it shows what there is."""
DECODED_BYTES = 2**30
"""Pixels of uploads and collections that all visitors' pages together keep; what had to go is decoded again."""
_DECODED: LRUCache = LRUCache(DECODED_BYTES, getsizeof=attrgetter("nbytes"))
_DECODED_LOCK = Lock()


@dataclass(frozen=True)
class Sample:
    """A picture to look at: what it is called, its pixels uint8 (H, W, 3), a text that names its content, and its
    file's own size.
    """

    name: str
    image: np.ndarray
    digest: str
    size: tuple[int, int] = (0, 0)

    @property
    def nbytes(self) -> int:
        """Return what its pixels take in memory."""
        return self.image.nbytes


def cache_decoded(key: Callable[..., Hashable]) -> Callable[[Callable], Callable]:
    """Keep what a function decodes, under its `key`, until `DECODED_BYTES` of pixels are needed for what is looked at.

    The decorated function's results say their `nbytes`.
    """
    return cached(_DECODED, key, _DECODED_LOCK)


def named(name: str, image: np.ndarray, size: tuple[int, int] = (0, 0)) -> Sample:
    """Return a picture whose digest follows from its pixels. `size` is (height, width) before it was reduced."""
    digest = hashlib.sha256(f"{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return Sample(name, image, digest.hexdigest(), size)


def saved_sample(name: str, path: Path) -> Sample:
    """Return a picture of a collection, from memory where it was read before. Raises LabError when its file is gone."""
    try:
        return _read_saved(file_digest(path), path, name)
    except OSError:
        raise LabError(f"The picture '{name}' of this collection is gone. Choose another collection.") from None


@cache_decoded(lambda digest, _path, name: (digest, name))
def _read_saved(digest: str, _path: Path, name: str) -> Sample:
    return Sample(name, read_image(_path), digest)


def file_digest(path: Path) -> str:
    """Return a text that names a file's present content: its path, size and time of change."""
    metadata = path.stat()
    return hashlib.sha256(f"{path}|{metadata.st_size}|{metadata.st_mtime_ns}".encode()).hexdigest()


def image_address(image: np.ndarray, digest: str) -> str:
    """Address of a photograph, uint8 (H, W, 3), whose content is named by `digest`."""
    return media().address(("photo", digest, image.shape), "jpg", lambda: encode_image(image))


def map_address(values: np.ndarray, *parts: object) -> str:
    """Address of a label or confidence map, uint8 (H, W); `parts` say what it follows from."""
    return media().address(("map", *parts), "png", lambda: encode_map(values))


def colors_address(labels: np.ndarray, palette: np.ndarray, *parts: object) -> str:
    """Address of a label map in colours; `parts` say what it follows from."""
    return media().address(("colors", *parts), "png", lambda: encode_colors(labels, palette))


@st.cache_data(max_entries=24, show_spinner=False)
def _read_frame(
    digest: str, _frame: Frame, _space: LabelSpace, pixels: PixelFormat
) -> tuple[np.ndarray, np.ndarray | None]:
    target = read_target(_frame.labels, _space) if _frame.labels else None
    return read_image(_frame.image, pixels=pixels), target


def truth_of(frame: Frame, dataset: Dataset) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Photograph and target at the size of their files, and the digest of both.

    Raises LabError when one can't be read.
    """
    try:
        digest = file_digest(frame.image) + (file_digest(frame.labels) if frame.labels else "") + dataset.space.digest
        digest += f"{dataset.pixels.bands}{dataset.pixels.white}"
    except OSError as error:
        raise LabError(f"'{error.filename}' can't be opened any more: {error.strerror}. Was the data moved?") from None
    image, target = _read_frame(digest, frame, dataset.space, dataset.pixels)
    return image, target, digest


def predict(run_id: str, image: np.ndarray, digest: str, options: PredictOptions = WHOLE) -> CachedPrediction:
    """Return what a run's best checkpoint sees in an image, from memory where it was asked before.

    Raises:
        LabError: the run has no checkpoint, or the inference process failed.
    """
    run = runs_folder() / run_id
    return _predict(run, checkpoint_stamp(run, "best"), digest, options, image)


def ask(
    run_id: str, image: np.ndarray, digest: str, options: PredictOptions = WHOLE, slot: str = ""
) -> "Future[CachedPrediction]":
    """As `predict`, without waiting. Asked again for the same, it is the same answer.

    Asked for another picture or with other
    options for the same place on the page, what still waits there is taken back.
    """
    run = runs_folder() / run_id
    question = (checkpoint_stamp(run, "best"), digest, options)
    request = st.session_state.setdefault("asked", {})
    known = request.get((slot, run_id))
    if known is None or known[0] != question:
        future = inference_worker().ask(run, image, options=options, user=visitor(), slot=(tab(), slot, run_id))
        known = request[slot, run_id] = (question, future)
    return known[1]


def ask_twice(run_ids: Sequence[str], image: np.ndarray, digest: str, options: PredictOptions) -> bool:
    """Ask several runs for a quick answer, then for the full one. Returns whether a full one is still to come."""
    for run_id in run_ids:
        ask(run_id, image, digest, QUICK, "quick")
    return not all([ask(run_id, image, digest, options, "full").done() for run_id in run_ids])


def best_predictions(
    run_ids: Sequence[str], image: np.ndarray, digest: str, options: PredictOptions
) -> tuple[dict[str, CachedPrediction], list[str]]:
    """Return the best answers that are there by now, by run, and the runs whose full answer is still to come.

    Where the full one is not there, the quick one is waited for, which is a matter of a moment. The page says of each
    run that failed why it did.
    """
    predictions, coming = {}, []
    for run_id in run_ids:
        full = ask(run_id, image, digest, options, "full")
        try:
            if full.done():
                predictions[run_id] = outcome(full)
            else:
                predictions[run_id] = outcome(ask(run_id, image, digest, QUICK, "quick"))
                coming.append(run_id)
        except LabError as error:
            failed_state(error)
    return predictions, coming


def predictions_so_far(
    run_ids: Sequence[str], image: np.ndarray, digest: str
) -> "tuple[dict[str, CachedPrediction], dict[str, Future[CachedPrediction]]]":
    """Return what several runs see in an image, and the answers that are still to come after a moment; both by run.

    The page says of each that failed why it did.
    """
    futures = {run_id: ask(run_id, image, digest, slot="full") for run_id in run_ids}
    wait(futures.values(), timeout=MOMENT_SECONDS)
    predictions: dict[str, CachedPrediction] = {}
    coming: dict[str, Future[CachedPrediction]] = {}
    for run_id, future in futures.items():
        try:
            if future.done():
                predictions[run_id] = outcome(future)
            else:
                coming[run_id] = future
        except LabError as error:
            failed_state(error)
    return predictions, coming


def coming_panel(title: str, color: str | None = None) -> Panel:
    """Return the panel of a run whose mask is still to come: the picture alone."""
    return Panel(title, labels=None, subtitle="is looking at it", color=color)


@st.cache_data(max_entries=48, show_spinner=False)
def _predict(run: Path, stamp: str, digest: str, options: PredictOptions, _image: np.ndarray) -> CachedPrediction:
    return inference_worker().predict(run, _image, options=options, user=visitor())


def layers(run_id: str) -> Layers:
    """Return what can be looked at inside a run's network, from memory where it was asked before.

    Raises LabError as `predict` does.
    """
    run = runs_folder() / run_id
    return _layers(run, checkpoint_stamp(run, "best"))


@st.cache_data(max_entries=48, show_spinner=False)
def _layers(run: Path, stamp: str) -> Layers:
    return inference_worker().layers(run, user=visitor())


def explain(
    run_id: str, image: np.ndarray, digest: str, point: tuple[float, float], kind: ExplanationKind, layer: str = ""
) -> Explanation:
    """Return what a run's network sees at a point of an image, from memory where it was asked before.

    Raises:
        LabError: as `predict` does, and where the network has no such layer.
    """
    run = runs_folder() / run_id
    return _explain(run, checkpoint_stamp(run, "best"), digest, image, point, kind, layer)


@st.cache_data(max_entries=48, show_spinner=False)
def _explain(
    run: Path,
    stamp: str,
    digest: str,
    _image: np.ndarray,
    point: tuple[float, float],
    kind: ExplanationKind,
    layer: str,
) -> Explanation:
    return inference_worker().explain(run, _image, point, kind, layer, user=visitor())


@st.cache_data(max_entries=8, show_spinner=False)
def decode(digest: str, _data: bytes, pixels: PixelFormat) -> np.ndarray:
    """Return an uploaded picture, decoded in a process of its own. `digest` is the hash of its bytes."""
    return inference_worker().decode(_data, visitor(), pixels)


def decode_batch(name: str, data: bytes, pixels: PixelFormat, budget: UploadBudget) -> tuple[Upload, ...]:
    """Return the pictures of an uploaded file, decoded in a process of its own.

    Of one that has none, the sentence why.
    """
    try:
        return inference_worker().decode_batch(name, data, visitor(), pixels, budget)
    except LabError as error:
        return (Upload(shown_name(name), problem=str(error)),)


def prediction_panel(
    title: str,
    run_id: str,
    prediction: CachedPrediction,
    image: np.ndarray,
    digest: str,
    options: PredictOptions = WHOLE,
    subtitle: str = "",
    color: str | None = None,
) -> Panel:
    """Return what a run answered about an image, as a panel of the viewer.

    Its doubts are made when the browser asks for them.

    The answer may be the quick one: the doubts are those of the options all the same.
    """
    run = runs_folder() / run_id
    stamp = checkpoint_stamp(run, "best")
    parts = (run_id, stamp, digest, options, prediction.labels.shape)
    entropy, likeliest = lazy_maps().addresses(Question(run, stamp, options, visitor(), tab()), image, digest)
    return Panel(
        title,
        map_address(prediction.labels, "labels", *parts),
        map_address(prediction.confidence, "confidence", *parts),
        subtitle=subtitle,
        color=color,
        entropy=entropy,
        likeliest=likeliest,
    )


def thumbnail_address(image: np.ndarray, *parts: object) -> str:
    """Address of a small JPEG of an image, uint8 (H, W, 3); `parts` say what it follows from."""

    def small() -> bytes:
        scale = THUMBNAIL_WIDTH / image.shape[1]
        return encode_image(cv2.resize(composite(image), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))

    return media().address(("thumbnail", *parts), "jpg", small)


def explanation_address(values: np.ndarray) -> str:
    """Address of a heat map, uint8 (h, w), which follows from its bytes: there are as many as there are pixels to ask
    about.
    """
    return map_address(values, "sight", values.shape, hashlib.sha256(values.tobytes()).hexdigest())
