"""Whether a card still holds: its checkpoint, its frames and their classes are those of today.

Frames are compared by path, size and time of their files, since pages ask this whenever they are drawn.
"""

import time
from functools import lru_cache
from pathlib import Path

from core.config import DatasetConfig, RunConfig, read_config
from core.data.bands import sensible_size
from core.data.cityscapes import has_layout
from core.data.class_table import find_class_table
from core.data.dataset import Dataset, open_dataset, spread
from core.data.frames import Frame, fingerprint
from core.errors import LabError
from core.evaluation.metrics import robustness
from core.evaluation.results import EvaluationSettings, ResultMetadata, RobustnessResult
from core.inference.tta import Size, scaled
from core.models.families import padding_mode_of
from core.paths import resolve_data_root, streets_folder
from core.runs.checkpoint_digest import checkpoint_digest
from core.runs.store import Run

SECONDS = 10
"""How long the look of a data set is remembered: to list all of Cityscapes takes a tenth of a second."""


def is_stale(run: Run, metadata: ResultMetadata) -> bool:
    """Return whether the checkpoint, a frame or the classes are no longer known to be what was scored, or pictures were
    padded otherwise.

    Where the data can't be opened, a card is judged by its checkpoint alone.
    """
    if checkpoint_digest(run.path, metadata.settings.checkpoint) != metadata.weights or not metadata.fingerprint:
        return True
    if run.config and padding_of(run.config, metadata.settings, metadata.size) != metadata.padding:
        return True
    now = _data_now(run, metadata.settings)
    return now is not None and now != (metadata.fingerprint, metadata.space)


def is_robustness_stale(run: Run, result: RobustnessResult) -> bool:
    """Return whether a robustness card may no longer hold, or is of corruptions that are made otherwise today."""
    return result.version != robustness.VERSION or is_stale(run, result.metadata)


def padding_of(config: RunConfig, settings: EvaluationSettings, size: Size) -> str:
    """Return how pictures of a size are padded when they are scored, "" where they aren't, or as they always were.

    Until version 0.2 the last row and column were repeated for every network.
    """
    mode = padding_mode_of(config.model.family)
    if mode == "replicate":
        return ""
    usual = sensible_size(size, config.shown_size)
    shown = [scaled(usual, scale) for scale in settings.scales]
    if settings.sliding_window:
        window = config.training.crop_height, config.training.crop_width
        shown = [(min(height, window[0]), min(width, window[1])) for height, width in shown]
    return mode if any(side % config.model.multiple for size in shown for side in size) else ""


def scored_data(config: RunConfig, settings: EvaluationSettings) -> DatasetConfig:
    """Return the data that a run is scored on: its own, or the others that the settings name.

    Raises LabError for a root that can't be.
    """
    if not settings.root:
        return config.dataset
    root, own = resolve_data_root(settings.root), config.dataset
    others = own.model_dump() | {"name": "cityscapes", "root": settings.root, "folds": 0, "fold": 1, "unlabelled": 0.0}
    if not has_layout(root):
        others |= {"name": "folder", "annotations": "fine"}
        if find_class_table(root):
            others["classes"] = "auto"
        elif own.name == "folder" and own.classes == "auto":  # its frames are of the classes of the run's own
            others["classes"] = str(find_class_table(Path(own.root)) or "auto")
    return read_config({"dataset": others}).dataset


def scored_frames(dataset: Dataset, settings: EvaluationSettings) -> tuple[Frame, ...]:
    """Return the frames of a data set that a run is scored on; may be none."""
    frames = {"val": dataset.val, "train": dataset.train, "test": dataset.test}[settings.split]
    return tuple(spread(frames, settings.frames))


def forget_data() -> None:
    """Make the next question look at the data again."""
    _read_digests.cache_clear()


def _data_now(run: Run, settings: EvaluationSettings) -> tuple[str, str] | None:
    """Fingerprint of the frames and digest of the label space as they are now; None where they can't be opened."""
    if run.config is None:
        return None
    try:
        data = scored_data(run.config, settings)
    except LabError:
        return None
    if settings.split == "val":  # what is learned from doesn't matter, and may take long to list
        data = data.model_copy(update={"annotations": "fine", "max_train_samples": 0, "train_sample_seed": 0})
    moment = int(time.monotonic() / SECONDS)
    return _read_digests(data.model_dump_json(), str(streets_folder()), settings.split, settings.frames, moment)


@lru_cache(maxsize=64)
def _read_digests(data: str, _streets: str, split: str, frames: int, _moment: int) -> tuple[str, str] | None:
    config = DatasetConfig.model_validate_json(data)
    try:
        dataset = open_dataset(config, with_test=split == "test")
        return fingerprint(scored_frames(dataset, EvaluationSettings(split=split, frames=frames))), dataset.space.digest
    except LabError:
        return None
