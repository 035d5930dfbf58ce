"""Pictures on disk to label maps on disk: whole folders, names that never collide, and where it was interrupted it goes
on.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from core.config import PixelFormat
from core.data.class_table import FILE_NAME, space_of, write_rows
from core.data.dataset import label_space_of
from core.data.decoding import decode_image
from core.data.folder import IMAGE_ENDINGS
from core.data.sources import SOURCES
from core.errors import LabError
from core.files import write_atomically
from core.inference.exports import overlay_of
from core.inference.predictor import Predictor
from core.inference.tta import WHOLE, PredictOptions
from core.labels import IGNORED, LABEL_BY_NAME, LabelSpace, palette_of

Ids = Literal["train", "dataset", "cityscapes"]
MAX_PIXELS = 200_000_000
"""A picture of one's own may have so many pixels: with its answer one of 196 million took 2.3 GB."""


@dataclass(frozen=True)
class PredictionFiles:
    """What is written of each picture.

    Attributes:
        ids: the numbers of NAME_labels.png: as the network counts, as the run's class table has them, or Cityscapes'
            label ids.
        confidence: also NAME_confidence.png, 0..255 for 0..1.
        overlay: also NAME_overlay.png, the picture under its colours.
        skip_existing: leave pictures alone whose files are there.
    """

    ids: Ids = "train"
    confidence: bool = False
    overlay: bool = False
    skip_existing: bool = False

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Return the ends of the names of what is written."""
        return "labels", "colors", *(["confidence"] if self.confidence else []), *(["overlay"] if self.overlay else [])


def find_images(sources: Sequence[Path], recursive: bool = False) -> dict[Path, str]:
    """Return pictures with what each is called in the output, no two alike: as far as they need be, by their folders
    and endings.

    Args:
        sources: pictures, or folders of pictures.
        recursive: look into folders of folders.

    Raises:
        LabError: a source isn't there, or a folder holds no picture.
    """
    names: dict[Path, Path] = {}
    for source in sources:
        if source.is_dir():
            inside = sorted(source.rglob("*") if recursive else source.iterdir())
            inside_images = [
                path for path in inside if path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".")
            ]
            if not inside_images:
                hint = "" if recursive else " Say --recursive to look into the folders in it."
                raise LabError(f"'{source}' holds no picture.{hint}")
            names |= {path: path.relative_to(source) for path in inside_images if path.is_file()}
        elif source.is_file():
            names[source] = Path(source.name)
        else:
            raise LabError(f"There is no image '{source}'. Check the path.")
    alike = Counter(name.with_suffix("").as_posix().casefold() for name in names.values())
    if any(count > 1 for count in alike.values()):
        paths = {path: Path(os.path.abspath(path)) for path in names}
        common = Path(os.path.commonpath([path.parent for path in paths.values()]))
        names = {path: whole.relative_to(common) for path, whole in paths.items()}
        alike = Counter(name.with_suffix("").as_posix().casefold() for name in names.values())
    return {
        path: (name if alike[name.with_suffix("").as_posix().casefold()] > 1 else name.with_suffix("")).as_posix()
        for path, name in names.items()
    }


def predict_files(
    predictor: Predictor, images: dict[Path, str], out: Path, files: PredictionFiles, options: PredictOptions = WHOLE
) -> Iterator[list[Path]]:
    """Label pictures at their own size, and yield the files that were written of each.

    An empty list for one that was there.

    The class table of the label maps is written beside them, so that the lab reads them as what they are.

    Raises:
        LabError: a picture can't be read or is too large, the run has no such ids, or the folder
            holds masks of others.
    """
    space = saved_space(predictor, files.ids)
    palette = palette_of(predictor.checkpoint.colors)
    out.mkdir(parents=True, exist_ok=True)
    table = out / FILE_NAME
    if table.exists() and table.read_text(encoding="utf-8") != write_rows(space):
        raise LabError(f"'{out}' holds masks of other classes or numbers: its {FILE_NAME} says so. Name another --out.")
    write_atomically(table, write_rows(space))
    for path, name in images.items():
        targets = {suffix: out / f"{name}_{suffix}.png" for suffix in files.suffixes}
        if files.skip_existing and all(target.is_file() for target in targets.values()):
            yield []
            continue
        image = _read(path, predictor.checkpoint.config.dataset.pixels)
        prediction = predictor.predict(image, options)
        values = {
            "labels": as_saved(prediction.labels, space),
            "colors": palette[prediction.labels],
            "confidence": prediction.confidence,
        }
        if files.overlay:
            values["overlay"] = overlay_of(image, values["colors"])
        for suffix, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_png(target, values[suffix])
        yield list(targets.values())


def saved_space(predictor: Predictor, ids: Ids) -> LabelSpace:
    """Return the numbering of saved label maps, as a class table that reads them back.

    Raises:
        LabError: the run's class table isn't there any more, or its classes aren't those of Cityscapes.
    """
    checkpoint = predictor.checkpoint
    named = zip(checkpoint.class_names, checkpoint.colors, strict=True)
    if ids == "dataset":
        dataset = checkpoint.config.dataset
        space = label_space_of(dataset, SOURCES[dataset.name].root(dataset.root))
        if space.class_names != checkpoint.class_names:
            raise LabError(
                "The class table of the run's data was changed since it was trained. Bring it back, or say --ids train."
            )
        return space
    if ids == "cityscapes":
        unknown = [name for name in checkpoint.class_names if name not in LABEL_BY_NAME]
        if unknown:
            raise LabError(
                f"'{unknown[0]}' is no class of Cityscapes, so that it has no label id. Say --ids train or --ids"
                " dataset."
            )
        return space_of(
            [{"name": name, "color": list(color), "ids": [LABEL_BY_NAME[name].id]} for name, color in named]
        )
    return space_of([{"name": name, "color": list(color), "ids": [index]} for index, (name, color) in enumerate(named)])


def as_saved(labels: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return classes uint8 (H, W) as the ids of a numbering, uint8 (H, W), or where it has colours as those, uint8 (H,
    W, 3).
    """
    if space.by_color:
        return palette_of(space.colors)[labels]
    table = np.full(256, IGNORED, np.uint8)
    for label_id in reversed(range(256)):  # of several ids of a class, the first
        if space.from_ids[label_id] != IGNORED:
            table[space.from_ids[label_id]] = label_id
    return table[labels]


def _read(path: Path, pixels: PixelFormat) -> np.ndarray:
    try:
        image = decode_image(path.read_bytes(), pixels)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LabError(
            f"'{path}' can't be read as a picture{f' ({reason})' if reason else ''}. Take a PNG, JPEG, WebP, TIFF or"
            " BMP that other programs open."
        ) from None
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise LabError(
            f"'{path}' is {image.shape[1]} x {image.shape[0]} pixels; the limit is {MAX_PIXELS // 10**6} million. Cut"
            " it into pieces first."
        )
    return image


def _write_png(path: Path, values: np.ndarray) -> None:
    """Write a picture so that a reader, or a run that goes on later, sees all of it or nothing."""
    encoded = cv2.imencode(".png", values if values.ndim == 2 else values[..., ::-1])[1]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(encoded)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
