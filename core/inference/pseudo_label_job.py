"""Labelling the photographs of a folder that have no masks, as a job: afterwards both are one data set."""

import secrets
from collections.abc import Mapping, Sequence

from core.config import DatasetConfig
from core.data.folder import UNLABELLED
from core.data.frames import Frame
from core.data.joint_list import is_joint, write_list
from core.data.sources import SOURCES
from core.data.uploaded_archive import free_folder
from core.errors import LabError
from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.labels import LABEL_SPACES
from core.paths import archives_folder, resolve_data_file, runs_folder
from core.progress import ProgressCallback
from core.runs.store import find_run

MIN_CONFIDENCE = 0.9
"""From which a pixel is labelled."""
SHARE = 0.5
"""Of each class's pixels, the surest, that are labelled even below that."""


def to_label(splits: Mapping[str, Sequence[Frame]]) -> list[Frame]:
    """Return the photographs without masks that could be learned from: all but those of the test split."""
    return [frame for frame in splits.get(UNLABELLED, ()) if frame.split != "test"]


def start_pseudo_labels(run_id: str, config: DatasetConfig) -> Job:
    """Start to label the photographs without masks in a folder of one's own.

    The job's result names the folder `root` of the joint data set, how many `frames` were labelled, and which share of
    their pixels, `labelled`.

    Raises:
        LabError: another such job of this person goes on, or the current user may only look.
    """
    return kinds.start("pseudo-labels", {"run": run_id, "dataset": config.model_dump(mode="json")})


def label(request: Values, progress: ProgressCallback) -> Values:
    """Do it. Raises LabError where a photograph can't be read, or the disk can't be written to."""
    from core.inference.predictor import Predictor
    from core.inference.pseudo_labels import write_pseudo_labels

    config = DatasetConfig.model_validate(request["dataset"])
    root = SOURCES[config.name].root(config.root)
    if is_joint(root):
        raise LabError(
            f"'{root}' is several data sets as one. Label the photographs of each by itself, then join them."
        )
    images = {frame.image: frame.id for frame in to_label(SOURCES[config.name].find_splits(root, config))}
    if not images:
        raise LabError(f"Every photograph in '{root}' has a mask, but for those of test. There is nothing to label.")
    predictor = Predictor(find_run(request["run"], runs_folder()).path)
    # Two people may label one folder at a time.
    name = root.name[:24].replace(".", "-")
    out = free_folder(archives_folder(), f"{name}-pseudo-{secrets.token_hex(4)}")
    result = write_pseudo_labels(predictor, images, out, progress=progress)
    labelled: dict[str, str] = {"root": str(root)}
    if config.classes in LABEL_SPACES:
        labelled["classes"] = config.classes
    elif config.classes != "auto":
        labelled["classes"] = str(resolve_data_file(config.classes, "class table"))
    joint = write_list(f"{name}-with-pseudo-labels", [labelled, out])
    return {"root": str(joint), "frames": result.frames, "labelled": result.labelled}
