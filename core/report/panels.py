"""The pictures of a report: examples of the data, and what each run makes of its best, its median and its worst
frame.
"""

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np

from core.data.bands import composite
from core.data.cityscapes import list_frames
from core.data.dataset import Dataset, open_dataset, read_target, spread
from core.data.frames import Frame
from core.data.sources import SOURCES
from core.errors import LabError
from core.inference.exports import OVERLAY_SHARE, png
from core.inference.predictor import Predictor
from core.report.progress import ProgressTracker
from core.report.report_data import PERCENT, Group
from core.report.structure import ImageRows, Number, ReportImage, Text

EXAMPLES = 3
JPEG_QUALITY = 88

CITYSCAPES_RULE = (
    "photographs of Cityscapes may be used for research and teaching, but not passed on, and pictures were not"
    " asked for"
)


def add_images(group: Group, requested: bool | None, tracker: ProgressTracker) -> Group:
    """Return a group with its pictures, or with the reason why it has none, and with what is known of its cities.

    Args:
        group: of runs.
        requested: by the user; None for pictures of anything but Cityscapes.
        tracker: called with how far it is.
    """
    source = SOURCES[group.first.config.dataset.name]
    try:
        dataset = open_dataset(group.first.config.dataset)
    except LabError as error:
        tracker.done("pictures", len(group.summaries))
        return replace(group, images_problem=f"the data can't be opened any more: {error}")
    cities = {
        split: dict(sorted(Counter(frame.city for frame in frames).items()))
        for split, frames in (("train", dataset.train), ("val", dataset.val))
        if frames
    }
    group = replace(group, cities=cities)
    shows = source.sharing != "never" if requested is None else requested
    if not shows:
        tracker.done("pictures", len(group.summaries))
        reason = CITYSCAPES_RULE if source.sharing == "never" else "pictures were not asked for"
        return replace(group, images_problem=reason)
    try:
        columns, examples = _examples(dataset)
        panels = _panels(group, dataset, tracker)
    except LabError as error:
        return replace(group, images_problem=str(error))
    return replace(
        group,
        example_columns=columns,
        examples=examples,
        panel_columns=("photograph", "truth", *(summary.label for summary in group.evaluated)),
        panels=panels,
    )


def _examples(dataset: Dataset) -> tuple[tuple[str, ...], ImageRows]:
    """Training frames under their fine masks, and where there are any under coarse ones."""
    frames = [frame for frame in dataset.train if frame.labels]
    coarse = _coarse(dataset)
    if coarse:
        frames = [frame for frame in frames if frame.id in coarse] or frames
    chosen = {frame.id: frame for frame in spread(frames, EXAMPLES)}
    columns = ("photograph", "fine mask", *(("coarse mask",) if coarse else ()))
    rows = []
    for frame in chosen.values():
        image = dataset.image(frame)
        targets = [dataset.target(frame)]
        if coarse:
            drawn = coarse.get(frame.id)
            targets.append(drawn and read_target(drawn.labels, dataset.space, dataset.size))
        overlays = [
            None if target is None else _as_image(_overlay(image, target, dataset), f"{column} over {frame.id}")
            for column, target in zip(columns[1:], targets, strict=True)
        ]
        rows.append(((frame.id,), (_as_image(image, f"photograph {frame.id}"), *overlays)))
    return columns, tuple(rows)


def _coarse(dataset: Dataset) -> dict[str, Frame]:
    if not SOURCES[dataset.name].has_coarse:
        return {}
    try:
        return {frame.id: frame for frame in list_frames(dataset.root, "train", "coarse")}
    except LabError:
        return {}


def _panels(group: Group, dataset: Dataset, tracker: ProgressTracker) -> ImageRows:
    """Return the frame with the highest, the median and the lowest mean of the runs' IoU, each as every run sees it."""
    chosen = _best_median_worst(group)
    frames = {frame.id: frame for frame in dataset.val}
    if not chosen or any(frame_id not in frames for _, frame_id in chosen):
        tracker.done("pictures", len(group.summaries))
        return ()
    images = {frame_id: dataset.image(frames[frame_id]) for _, frame_id in chosen}
    predictions: dict[str, dict[str, np.ndarray]] = {}
    for summary in group.evaluated:
        on_frame = tracker.of("pictures", f"Labelling frames with {summary.label}")
        predictor = Predictor(summary.run.path)
        predictions[summary.run.id] = {}
        for index, (frame_id, image) in enumerate(images.items()):
            on_frame("", index, len(images))
            predictions[summary.run.id][frame_id] = predictor.predict(image).labels
        tracker.done("pictures")
    rows = []
    for name, frame_id in chosen:
        frame, image = frames[frame_id], images[frame_id]
        panels = [
            _as_image(image, f"photograph {frame_id}"),
            _mask(dataset.target(frame), dataset, f"truth of {frame_id}"),
        ]
        panels += [
            _mask(predictions[summary.run.id][frame_id], dataset, f"{summary.label} on {frame_id}")
            for summary in group.evaluated
        ]
        rows.append(((f"{name}: ", frame.id, *_scores(group, frame_id)), tuple(panels)))
    return tuple(rows)


def _best_median_worst(group: Group) -> list[tuple[str, str]]:
    """Return what each frame is, and its id."""
    sums: dict[str, list[float]] = {}
    for summary in group.evaluated:
        for row in summary.result.scores.per_image():
            if row["miou"] is not None:
                sums.setdefault(row["id"], []).append(row["miou"])
    # Only frames that every run was scored on.
    means = {frame: np.mean(values) for frame, values in sums.items() if len(values) == len(group.evaluated)}
    ranked = sorted(means, key=lambda frame: (-means[frame], frame))
    if len(ranked) < 3:
        return [("frame", frame) for frame in ranked]
    return [("best", ranked[0]), ("median", ranked[len(ranked) // 2]), ("worst", ranked[-1])]


def _scores(group: Group, frame_id: str) -> Text:
    text: list[str | Number] = [", mean IoU "]
    for summary in group.evaluated:
        rows = summary.read(summary.result_file, "/scores/images")
        row_index = next(index for index, row in enumerate(rows) if row["id"] == frame_id)
        miou = summary.score(f"/scores/images/{row_index}/miou", PERCENT)
        if miou:
            text += [miou, f" ({summary.label}), "]
    text[-1] = text[-1].rstrip(", ") if isinstance(text[-1], str) else text[-1]
    return tuple(text)


def _overlay(image: np.ndarray, target: np.ndarray, dataset: Dataset) -> np.ndarray:
    image = composite(image)
    painted = cv2.addWeighted(image, 1 - OVERLAY_SHARE, dataset.space.palette[target], OVERLAY_SHARE, 0)
    labelled = target < len(dataset.space.class_names)
    return np.where(labelled[..., None], painted, image // 2)


def _as_image(image: np.ndarray, alt: str) -> ReportImage:
    coded = cv2.imencode(".jpg", composite(image)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return ReportImage(coded.tobytes(), alt)


def _mask(labels: np.ndarray, dataset: Dataset, alt: str) -> ReportImage:
    return ReportImage(png(dataset.space.palette[labels]), alt)
