"""Pictures and videos on disk to label maps on disk: whole folders, names that never collide, and where it was
interrupted it goes on.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
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
from core.extras import check_packages, install_hint
from core.files import replacing, write_atomically
from core.inference.batches import is_video
from core.inference.exports import overlay_of
from core.inference.label_video import check_smooth, label_video
from core.inference.large_images import LARGE_PIXELS, check_pixel_scale, label_rows, pixel_scale_of
from core.inference.predictor import Prediction, Predictor
from core.inference.raster_files import georeference_of, has_rasterio, open_rows, open_tiff, read_header
from core.inference.tta import WHOLE, PredictOptions
from core.labels import IGNORED, LABEL_BY_NAME, LabelSpace, palette_of
from core.progress import ProgressCallback, no_progress

Ids = Literal["train", "dataset", "cityscapes"]


@dataclass(frozen=True)
class PredictionFiles:
    """What is written of each picture.

    Attributes:
        ids: the numbers of NAME_labels: as the network counts, as the run's class table has them, or Cityscapes'
            label ids.
        confidence: also NAME_confidence, 0..255 for 0..1.
        overlay: also NAME_overlay, the picture under its colours.
        skip_existing: leave pictures alone whose files are there.
        pixel_scale: show every picture in tiles, so many pixels of them for each of its own, per side. 0 shows pictures
            whole, and in tiles those of more than `LARGE_PIXELS`, as the training frames were scaled.
        smooth: of videos, as `label_video` takes it.
    """

    ids: Ids = "train"
    confidence: bool = False
    overlay: bool = False
    skip_existing: bool = False
    pixel_scale: float = 0.0
    smooth: float = 0.0

    def __post_init__(self) -> None:
        """Raise LabError for numbers that make no sense."""
        check_smooth(self.smooth)
        if self.pixel_scale:
            check_pixel_scale(self.pixel_scale)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Return the ends of the names of what is written of a picture."""
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


def lost_coordinates(images: Iterable[Path]) -> str:
    """Return a sentence where pictures tell where on earth they lie and their masks won't as rasterio is missing."""
    headers = () if has_rasterio() else filter(None, map(read_header, images))
    if not any(header.is_georeferenced for header in headers):
        return ""
    return f"There are georeferenced pictures. For masks that keep their coordinates: {install_hint('rasterio')}"


def predict_files(
    predictor: Predictor,
    images: dict[Path, str],
    out: Path,
    files: PredictionFiles,
    options: PredictOptions = WHOLE,
    progress: ProgressCallback = no_progress,
) -> Iterator[list[Path]]:
    """Label pictures and videos at their own size, and yield the files that were written of each.

    An empty list for one that was there. Of a picture PNGs are written; of one that is georeferenced or shown in tiles
    TIFFs, the former at the same coordinates; of a video MP4s of all but labels and confidence, which a video would
    blur.

    The class table of the label maps is written beside them, so that the lab reads them as what they are.

    Raises:
        LabError: a file can't be read, rasterio is missing for a large picture, the run has no such ids, or the folder
            holds masks of others.
    """
    space = saved_space(predictor, files.ids)
    out.mkdir(parents=True, exist_ok=True)
    table = out / FILE_NAME
    if table.exists() and table.read_text(encoding="utf-8") != write_rows(space):
        raise LabError(f"'{out}' holds masks of other classes or numbers: its {FILE_NAME} says so. Name another --out.")
    write_atomically(table, write_rows(space))
    for path, name in images.items():
        video = _starts_as_video(path)
        header = None if video else read_header(path)
        tiled = header is not None and (files.pixel_scale > 0 or header.size[0] * header.size[1] > LARGE_PIXELS)
        as_tiff = tiled or (header is not None and header.is_georeferenced and has_rasterio())
        ending = "mp4" if video else "tif" if as_tiff else "png"
        kinds = [kind for kind in files.suffixes if not video or kind in ("colors", "overlay")]
        targets = {kind: out / f"{name}_{kind}.{ending}" for kind in kinds}
        if files.skip_existing and all(target.is_file() for target in targets.values()):
            yield []
            continue
        for target in targets.values():
            target.parent.mkdir(parents=True, exist_ok=True)
        on_progress = partial(progress, f"Labelling {path.name}")
        if video:
            label_video(predictor, path, targets, options, files.smooth, on_progress)
            yield list(targets.values())
            continue
        if as_tiff:
            check_packages(f"Reading '{path}' in tiles", ["rasterio"])
            if header.is_turned:
                raise LabError(
                    f"'{path}' is stored turned, as its EXIF says, and is to be read as it is stored: too large, or"
                    " georeferenced. Turn it upright in another program and save it."
                )
        with ExitStack() as stack:
            pixels = predictor.checkpoint.config.dataset.pixels
            if tiled:
                rows = stack.enter_context(open_rows(path, pixels))
                scale = files.pixel_scale or pixel_scale_of(predictor)
                pieces = label_rows(predictor, rows, scale, options, on_progress)
            else:
                image = _read(path, pixels)
                pieces = iter([(0, image, predictor.predict(image, options))])
            if as_tiff:
                georeference = georeference_of(path)
                channels = {"labels": 3 if space.by_color else 1, "confidence": 1, "colors": 3, "overlay": 3}
                write = {
                    kind: stack.enter_context(open_tiff(target, header.size, channels[kind], georeference))
                    for kind, target in targets.items()
                }
            else:
                write = {kind: partial(_write_png, target) for kind, target in targets.items()}
            for top, image, prediction in pieces:
                for kind, values in _values(predictor, space, kinds, image, prediction).items():
                    write[kind](top, values)
        yield list(targets.values())


def _values(
    predictor: Predictor, space: LabelSpace, kinds: Sequence[str], image: np.ndarray, prediction: Prediction
) -> dict[str, np.ndarray]:
    """Return what is written of a picture or of some rows of one, uint8 (H, W) or (H, W, 3), by the ends of names."""
    values = {
        "labels": as_saved(prediction.labels, space),
        "colors": palette_of(predictor.checkpoint.colors)[prediction.labels],
        "confidence": prediction.confidence,
    }
    if "overlay" in kinds:
        values["overlay"] = overlay_of(image, values["colors"])
    return {kind: values[kind] for kind in kinds}


def _starts_as_video(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_video(file.read(12))
    except OSError:
        return False  # read as a picture, which says why it can't be


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
    return image


def _write_png(path: Path, _top: int, values: np.ndarray) -> None:
    """Write a picture so that a reader, or a run that goes on later, sees all of it or nothing."""
    encoded = cv2.imencode(".png", values if values.ndim == 2 else values[..., ::-1])[1]
    with replacing(path) as draft:
        draft.write_bytes(encoded)
