"""Masks for photographs that have none: what a network is sure of becomes a folder data set to learn from.

Lee, Pseudo-Label (ICML workshop 2013). A pixel is labelled where the network is sure enough, or surer than of most
others of its class, since a class that is never sure would be taught away: Zou et al., Unsupervised Domain Adaptation
for Semantic Segmentation via Class-Balanced Self-Training (ECCV 2018).

    OUT/images/NAME.jpg   the photographs, and OUT/masks/NAME.png their masks, 255 where nothing is sure
    OUT/classes.json      the network's classes
    OUT/train.txt         names all of them: they are learned from, and no score is ever of them
    OUT/pseudo-labels.json   which run made them, and how sure it had to be
"""

import json
import re
import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.auth import write_owner
from core.data.class_table import FILE_NAME, write_rows
from core.data.decoding import read_image
from core.data.frames import PSEUDO_LABELS
from core.errors import LabError, writing
from core.files import new_folder
from core.inference.predict_files import saved_space
from core.inference.predictor import Predictor
from core.inference.pseudo_label_job import MIN_CONFIDENCE, SHARE
from core.labels import IGNORED
from core.paths import archives_folder
from core.progress import ProgressCallback, no_progress
from core.text import format_bytes


@dataclass(frozen=True)
class PseudoLabels:
    """What was written.

    Attributes:
        frames: photographs with their masks.
        labelled: share of all pixels that carry a class, 0..1.
        thresholds: confidence from which a class was taken, 0..1, by its name; classes that were never predicted
            aren't among them.
    """

    frames: int
    labelled: float
    thresholds: dict[str, float]


def write_pseudo_labels(
    predictor: Predictor,
    images: Mapping[Path, str],
    out: Path,
    min_confidence: float = MIN_CONFIDENCE,
    share: float = SHARE,
    progress: ProgressCallback = no_progress,
) -> PseudoLabels:
    """Label photographs and write them with their masks as a data set; the folder is there once it is whole.

    Args:
        predictor: the network; it should be calibrated, as those of this lab are.
        images: photographs, with what each is called.
        out: a folder that isn't there yet.
        min_confidence: 0..1, from which a pixel is labelled.
        share: of the pixels of each class, 0..1, the surest, that are labelled even below that.
        progress: called after each photograph.

    Raises:
        LabError: there is such a folder, a photograph can't be read, or the disk can't be written to.
    """
    if not images:
        raise LabError("There is no photograph to label. Name a folder that holds some.")
    if not 0 <= min_confidence <= 1 or not 0 <= share <= 1:
        raise LabError(f"Confidence and share are {min_confidence:g} and {share:g}, but must be from 0 to 1.")
    if out.exists():
        raise LabError(f"There is a folder '{out}' already. Name another one.")
    checkpoint = predictor.checkpoint
    pixels = checkpoint.config.dataset.pixels
    counts = np.zeros((len(checkpoint.class_names), 256), np.int64)
    size = sum(path.stat().st_size for path in images)
    if 2 * size > shutil.disk_usage(_existing(out)).free:
        raise LabError(
            f"The photographs are copied beside their masks, which takes about {format_bytes(2 * size)}: more than is"
            f" free where '{out.name}' shall be. Free some space, or take fewer photographs."
        )
    names = _flat(images)
    with writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(out) as draft:
            for role in ("images", "masks"):
                (draft / role).mkdir(parents=True)
            if out.parent == archives_folder():
                write_owner(draft, of_data=True)
            for number, (path, name) in enumerate(names.items(), start=1):
                prediction = predictor.predict(read_image(path, None, pixels))
                codes = prediction.labels.astype(np.int64) * 256 + prediction.confidence
                counts += np.bincount(codes.ravel(), minlength=counts.size).reshape(counts.shape)
                shutil.copyfile(path, draft / "images" / f"{name}{path.suffix}")
                # Both in one file until all are seen, and it is known from where on a class is taken.
                both = np.dstack([prediction.labels, prediction.confidence, prediction.labels])
                Image.fromarray(both).save(draft / "masks" / f"{name}.png")
                progress("Labelling photographs", number, len(names))
            levels = thresholds(counts, min_confidence, share)
            labelled = 0
            for name in names.values():
                path = draft / "masks" / f"{name}.png"
                labels, confidence, _ = np.moveaxis(np.asarray(Image.open(path)), -1, 0)
                is_sure = confidence >= levels[labels]
                labelled += int(is_sure.sum())
                Image.fromarray(np.where(is_sure, labels, IGNORED).astype(np.uint8)).save(path)
            (draft / FILE_NAME).write_text(write_rows(saved_space(predictor, "train")), encoding="utf-8")
            listed = "".join(f"images/{name}{path.suffix}\n" for path, name in names.items())
            (draft / "train.txt").write_text(listed, encoding="utf-8")
            made = {"run": checkpoint.path.parent.name, "min_confidence": min_confidence, "share": share}
            (draft / PSEUDO_LABELS).write_text(json.dumps(made, indent=1), encoding="utf-8")
    known = counts.sum(axis=1) > 0
    named = {
        name: level / 255
        for name, level, is_known in zip(checkpoint.class_names, levels.tolist(), known, strict=True)
        if is_known
    }
    return PseudoLabels(len(names), labelled / max(1, int(counts.sum())), named)


def thresholds(counts: np.ndarray, min_confidence: float, share: float) -> np.ndarray:
    """Return the confidence, uint8 (K,), 0..255 for 0..1, from which each class is taken.

    Args:
        counts: int64 (K, 256), how many pixels of each predicted class have which confidence.
        min_confidence: 0..1, enough for every class.
        share: 0..1, of a class's pixels, the surest, that are taken even below that.
    """
    from_the_top = counts[:, ::-1].cumsum(axis=1)
    enough = share * counts.sum(axis=1, keepdims=True)
    surest = 255 - (from_the_top >= np.maximum(enough, 1)).argmax(axis=1)
    return np.minimum(surest if share else np.full_like(surest, 255), np.ceil(min_confidence * 255)).astype(np.uint8)


def _flat(images: Mapping[Path, str]) -> dict[Path, str]:
    """Return names without folders and dots, no two alike: a list of names is to mean each of them alone."""
    taken: dict[str, int] = {}
    result = {}
    for path, name in images.items():
        flat = re.sub(r"[/\\.\x85\u2028\u2029]", "_", name)
        key = unicodedata.normalize("NFC", flat).casefold()
        taken[key] = count = taken.get(key, 0) + 1
        result[path] = flat if count == 1 else f"{flat}~{count}"
    return result


def _existing(folder: Path) -> Path:
    """Return the nearest folder above one that isn't there yet."""
    return next(parent for parent in folder.absolute().parents if parent.is_dir())
