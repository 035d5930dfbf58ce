"""The Cityscapes layout, read as it comes out of the official archives.

    ROOT/leftImg8bit/{train,val,test}/CITY/CITY_000000_000019_leftImg8bit.png
    ROOT/gtFine/{train,val}/CITY/CITY_000000_000019_gtFine_labelIds.png
    ROOT/gtCoarse/{train,train_extra,val}/CITY/CITY_000000_000019_gtCoarse_labelIds.png

Only finding and decoding of files is done here. Generated streets are written in the same layout, so this reads them too.
Source: https://github.com/mcordts/cityscapesScripts#dataset-structure
"""

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.config import Annotations
from core.errors import LabError

IMAGE_SUFFIX = "_leftImg8bit.png"
LABEL_FOLDERS: dict[Annotations, str] = {"fine": "gtFine", "coarse": "gtCoarse"}


@dataclass(frozen=True)
class Frame:
    """One photograph and, where the split has them, its labels. `id` is CITY_SEQUENCE_FRAME."""

    id: str
    city: str
    split: str
    image: Path
    labels: Path | None


def list_frames(root: Path, split: str, annotations: Annotations = "fine") -> list[Frame]:
    """The frames of a split that have labels, by city and number; for `test`, whose labels are kept secret, all of them.

    Raises:
        LabError: the layout isn't there, or no image has its label file.
    """
    try:
        return _paired(root, split, annotations)
    except OSError as error:
        raise LabError(
            f"'{error.filename}' can't be opened: {error.strerror}. Allow reading it, or name another folder."
        ) from None


def _paired(root: Path, split: str, annotations: Annotations) -> list[Frame]:
    images = root / "leftImg8bit" / split
    if not images.is_dir():
        raise LabError(_missing_layout(root, split))
    kind = LABEL_FOLDERS[annotations]
    frames = []
    for city in sorted(path for path in images.iterdir() if path.is_dir()):
        label_folder = root / kind / split / city.name
        known = {path.name for path in label_folder.iterdir()} if label_folder.is_dir() else set()
        for image in sorted(city.glob(f"*{IMAGE_SUFFIX}")):
            frame_id = image.name.removesuffix(IMAGE_SUFFIX)
            label_name = f"{frame_id}_{kind}_labelIds.png"
            labels = label_folder / label_name if label_name in known else None
            frames.append(Frame(frame_id, city.name, split, image, labels))
    if not frames:
        raise LabError(
            f"There is no image under '{images}'. Expected files like CITY/CITY_000000_000019{IMAGE_SUFFIX}."
        )
    paired = [frame for frame in frames if frame.labels]
    if split == "test":
        return frames
    if not paired:
        raise LabError(
            f"'{images}' has {len(frames)} images, but none has its labels under '{root / kind / split}'. "
            f"Unpack the {kind} archive beside leftImg8bit; files like CITY/CITY_000000_000019_{kind}_labelIds.png are needed."
        )
    return paired


def read_image(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decodes a photograph.

    Args:
        path: an image file of the user's own data set.
        size: (height, width) to scale to; None keeps the file's size.

    Returns:
        uint8 (H, W, 3), red green blue.

    Raises:
        LabError: the file is missing or is not an image.
    """
    image = _decode(path, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise LabError(f"'{path}' can't be read as an image. Download or copy that file again.")
    if size and image.shape[:2] != size:
        shrinks = size[0] < image.shape[0]
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image


def read_label_ids(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decodes a label map, uint8 (H, W), of the numbers that stand in the file; scaled by nearest neighbour.

    Raises:
        LabError: the file is missing, is not an image, or is not a map of 8-bit numbers.
    """
    labels = _decode(path, cv2.IMREAD_UNCHANGED)
    if labels is None:
        raise LabError(f"'{path}' can't be read as a label map. Download or copy that file again.")
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise LabError(
            f"'{path}' is a colour or 16-bit picture, but a label map holds one 8-bit number a pixel. Use the labelIds files."
        )
    if size and labels.shape != size:
        labels = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return labels


def _decode(path: Path, flags: int) -> np.ndarray | None:
    try:
        return cv2.imread(str(path), flags)
    except cv2.error:  # a header that promises more pixels than OpenCV allows
        return None


def _missing_layout(root: Path, split: str) -> str:
    for path, where in (
        (root.parent, "one folder higher"),
        *((child, "one folder deeper") for child in _folders(root)),
    ):
        if os.path.isdir(path / "leftImg8bit"):  # unlike Path.is_dir, this takes a locked folder for none
            return f"'{root}' holds no leftImg8bit folder, but '{path}', {where}, does. Name that one."
    if (root / "leftImg8bit").is_dir():
        found = ", ".join(path.name for path in _folders(root / "leftImg8bit")) or "nothing"
        return (
            f"'{root}' has no {split} split: leftImg8bit holds {found}. Unpack the archive again, with all its folders."
        )
    return (
        f"'{root}' is not a Cityscapes folder: it holds no leftImg8bit. Unpack leftImg8bit_trainvaltest.zip and "
        f"gtFine_trainvaltest.zip from cityscapes-dataset.com into it."
    )


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(child for child in path.iterdir() if child.is_dir())
    except OSError:
        return []
