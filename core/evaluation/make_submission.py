"""Predicting a split's frames at full size into the benchmark server's archive, which is checked before it has its
name.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from core.auth import require_write
from core.data.cityscapes import list_frames
from core.data.dataset import label_space_of
from core.data.decoding import read_image
from core.data.sources import SOURCES
from core.errors import LabError
from core.evaluation.metrics.protocol import label_ids_of
from core.evaluation.submission import TEST_FRAMES, check_submission, write_submission
from core.evaluation.submission_archives import Archive, Split, archive_path
from core.files import replacing, write_atomically
from core.inference.predictor import load_predictor
from core.inference.tta import WHOLE, PredictOptions
from core.progress import ProgressCallback, no_progress
from core.runs.store import Run, Which


def make_submission(
    run: Run,
    split: Split,
    path: Path | None = None,
    options: PredictOptions = WHOLE,
    checkpoint: Which = "best",
    progress: ProgressCallback = no_progress,
) -> tuple[Path, Archive]:
    """Predict every frame of a split and write the archive.

    Args:
        run: on the 19 classes of Cityscapes.
        split: test, for the server, or val, to see what it would get.
        path: of the ZIP; by default in the run's folder, its facts beside it.
        options: how the frames are shown to the network.
        checkpoint: the best or the last.
        progress: called before each frame; may raise to break off, and nothing is left then.

    Returns:
        The archive's path and facts.

    Raises:
        LabError: the run's classes or data are others, its checkpoint can't be read, the archive would be refused, or
            it would lie in the run's folder and the current user may only look.
    """
    if path is None:
        require_write()
    if run.config is None:
        raise LabError(run.problem)
    source = SOURCES[run.config.dataset.name]
    if not source.has_coarse:
        raise LabError(
            "The benchmark server takes predictions for frames of Cityscapes. Choose a run that was trained on it."
        )
    root = source.root(run.config.dataset.root)
    space = label_space_of(run.config.dataset, root)
    label_ids_of(space)  # refuses other classes before the work begins
    frames = list_frames(root, split)
    if split == "test" and not source.has_test_split:
        raise LabError(
            "Generated streets have no test frames. Choose the split val to see what an archive looks like, or a run"
            " that was trained on Cityscapes."
        )
    if split == "test" and len(frames) != TEST_FRAMES:
        raise LabError(
            f"'{root}' holds {len(frames)} test frames, but the server wants all {TEST_FRAMES}. Download"
            " leftImg8bit_trainvaltest.zip again, or take the split val."
        )
    predictor, weights = load_predictor(run.path, checkpoint)
    if predictor.checkpoint.class_names != space.class_names:
        raise LabError(
            "The run's class table was changed since its training. Bring it back as it was, or train a new run."
        )
    target = path or archive_path(run.path, split)
    target.parent.mkdir(parents=True, exist_ok=True)

    def predictions() -> Iterator[tuple[str, np.ndarray]]:
        for done, frame in enumerate(frames):
            progress("Predicting frames", done, len(frames))
            yield frame.id, predictor.predict(read_image(frame.image), options).labels

    with replacing(target) as draft:
        write_submission(draft, predictions(), space)
        progress("Checking the archive", len(frames), len(frames))
        problems = check_submission(draft, [frame.id for frame in frames])
        if problems:
            raise LabError(f"The archive is not what the server takes: {' '.join(problems[:3])}")
        size = draft.stat().st_size
    made = Archive(split, len(frames), _describe(options, checkpoint), weights, time.time(), size)
    if path is None:
        write_atomically(target.with_suffix(".json"), json.dumps(asdict(made)))
    return target, made


def _describe(options: PredictOptions, checkpoint: Which) -> str:
    parts = ["sliding window" if options.sliding_window else "whole picture"]
    if options.flip:
        parts.append("mirrored too")
    return ", ".join([*parts, f"{checkpoint} checkpoint"])
