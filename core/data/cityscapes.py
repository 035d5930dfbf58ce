"""The Cityscapes layout, as it comes out of the official archives: which photograph belongs to which labels.

    ROOT/leftImg8bit/{train,val,test,train_extra}/CITY/CITY_000000_000019_leftImg8bit.png
    ROOT/gtFine/{train,val}/CITY/CITY_000000_000019_gtFine_labelIds.png     or ..._polygons.json
    ROOT/gtCoarse/{train,train_extra,val}/CITY/CITY_000000_000019_gtCoarse_labelIds.png

Where a label picture is missing but its polygons are there, the polygons are painted. Generated streets are written in
the same layout, so this finds them too. Source: https://github.com/mcordts/cityscapesScripts#dataset-structure
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from core.config import DatasetConfig
from core.data.frames import Frame, Pairing, unusable_name
from core.errors import LabError
from core.text import join_first

IMAGE_SUFFIX = "_leftImg8bit.png"
Kind = Literal["fine", "coarse"]
LABEL_FOLDERS: dict[Kind, str] = {"fine": "gtFine", "coarse": "gtCoarse"}
ARCHIVES: dict[str, str] = {"train_extra": "leftImg8bit_trainextra.zip"}
"""Where a split's photographs come from, unless it is the common archive."""


def list_frames(root: Path, split: str, annotations: Kind = "fine") -> list[Frame]:
    """Return the frames of a split that have labels, by city and number.

    For `test`, whose labels are kept secret, all of them.

    Raises:
        LabError: the layout isn't there, or no image has its label file.
    """
    result = pair_frames(root, split, annotations)
    if split == "test":
        return sorted([*result.frames, *result.unlabelled], key=lambda frame: frame.id)
    if not result.frames:
        raise LabError(_missing_labels(root, split, LABEL_FOLDERS[annotations], len(result.unlabelled), annotations))
    return list(result.frames)


def pair_frames(root: Path, split: str, annotations: Kind = "fine") -> Pairing:
    """Return every photograph of a split with its labels, and what has no partner.

    Raises:
        LabError: the layout isn't there, a folder may not be read, or the split has no photograph.
    """
    try:
        return _pair(root, split, annotations)
    except OSError as error:
        raise LabError(
            f"'{error.filename}' can't be opened: {error.strerror}. Allow reading it, or name another folder."
        ) from None


def has_layout(root: Path) -> bool:
    """Return True where a folder holds leftImg8bit, which no other layout does."""
    return os.path.isdir(root / "leftImg8bit")  # unlike Path.is_dir, this takes a locked folder for none


def splits_of(root: Path) -> list[str]:
    """Return the splits that have a folder of photographs, in the official order."""
    return [split for split in ("train", "val", "test", "train_extra") if os.path.isdir(root / "leftImg8bit" / split)]


def find_frames(root: Path, config: DatasetConfig) -> tuple[list[Frame], list[Frame]]:
    """Return the frames to learn from, with fine masks, coarse ones or both, and those to score on. Raises LabError."""
    fine = list_frames(root, "train", "fine") if "fine" in config.annotations else []
    coarse = [
        frame
        for split in config.coarse_split.split("+")
        for frame in (list_frames(root, split, "coarse") if "coarse" in config.annotations else [])
    ]
    if fine and coarse:
        fine = [replace(frame, weight=config.fine_weight) for frame in fine]
        coarse = [replace(frame, weight=config.coarse_weight) for frame in coarse]
    return [*fine, *coarse], list_frames(root, "val", "fine")


def find_splits(root: Path, _config: DatasetConfig) -> dict[str, tuple[Frame, ...]]:
    """Return every frame by split, labelled or not, in the order of its id."""
    splits = {}
    for split in splits_of(root):
        pairs = pair_frames(root, split, "coarse" if split == "train_extra" else "fine")
        splits[split] = tuple(sorted([*pairs.frames, *pairs.unlabelled], key=lambda frame: frame.id))
    return splits


def _pair(root: Path, split: str, annotations: Kind) -> Pairing:
    images = root / "leftImg8bit" / split
    if not images.is_dir():
        raise LabError(_missing_layout(root, split))
    kind = LABEL_FOLDERS[annotations]
    frames: list[Frame] = []
    unlabelled: list[Frame] = []
    orphans: list[Path] = []
    skipped = [(path, reason) for path in _within(images) if (reason := unusable_name(path.name))]
    cities = sorted(path for path in images.iterdir() if path.is_dir() and not unusable_name(path.name))
    for city in cities:
        label_folder = root / kind / split / city.name
        names = {path.name for path in label_folder.iterdir()} if label_folder.is_dir() else set()
        matched = set()
        for image in sorted(city.glob(f"[!.]*{IMAGE_SUFFIX}")):
            if unusable_name(image.name):
                continue
            frame_id = image.name.removesuffix(IMAGE_SUFFIX)
            stem = f"{frame_id}_{kind}"
            labels = next((name for name in (f"{stem}_labelIds.png", f"{stem}_polygons.json") if name in names), None)
            matched.add(stem)
            frame = Frame(frame_id, city.name, split, image, label_folder / labels if labels else None)
            (frames if labels else unlabelled).append(frame)
        orphans += [
            label_folder / name
            for name in sorted(names)
            if name.endswith(f"_{kind}_labelIds.png") and name.removesuffix("_labelIds.png") not in matched
        ]
    if not frames and not unlabelled:
        raise LabError(
            f"There is no image under '{images}'. Expected files like CITY/CITY_000000_000019{IMAGE_SUFFIX}."
        )
    return Pairing(tuple(frames), tuple(unlabelled), tuple(orphans), tuple(skipped))


def _within(folder: Path) -> Iterator[Path]:
    """Yield what lies in a folder and in the folders in it."""
    for path in folder.iterdir():
        yield path
        if path.is_dir():
            yield from path.iterdir()


def _missing_layout(root: Path, split: str) -> str:
    for path, where in (
        (root.parent, "one folder higher"),
        *((child, "one folder deeper") for child in _folders(root)),
    ):
        if has_layout(path) and not has_layout(root):
            return f"'{root}' holds no leftImg8bit folder, but '{path}', {where}, does. Name that one."
    if (root / "leftImg8bit").is_dir():
        result = ", ".join(path.name for path in _folders(root / "leftImg8bit")) or "nothing"
        archive = ARCHIVES.get(split)
        what = f"Unpack {archive} into it" if archive else "Unpack the archive again, with all its folders"
        return f"'{root}' has no {split} split: leftImg8bit holds {result}. {what}."
    return (
        f"'{root}' is not a Cityscapes folder: it holds no leftImg8bit. Unpack leftImg8bit_trainvaltest.zip and "
        "gtFine_trainvaltest.zip from cityscapes-dataset.com into it."
    )


def _missing_labels(root: Path, split: str, kind: str, images: int, annotations: Kind) -> str:
    """Return what lies where the labels of a split should be, and what to do."""
    prefix = f"'{root / 'leftImg8bit' / split}' has {images} images, but"
    folder = root / kind / split
    endings = Counter(path.stem.rpartition(f"_{kind}_")[2] + path.suffix for path in folder.glob(f"*/*_{kind}_*"))
    if endings:
        listed = join_first([f"{count} {ending}" for ending, count in endings.most_common()], 4)
        what = f"Unpack the {annotations} archive again: it holds labelIds and polygons of each"
        return f"{prefix} '{folder}' holds no labelIds for them; it holds {listed}. {what}."
    if any(folder.glob("*/*")):
        return (
            f"{prefix} no file under '{folder}' is called after one of them. Unpack the {annotations} archive of the"
            " same cities."
        )
    return (
        f"{prefix} none has its labels under '{folder}'. Unpack the {annotations} archive beside leftImg8bit; files"
        f" like CITY/CITY_000000_000019_{kind}_labelIds.png are needed."
    )


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(child for child in path.iterdir() if child.is_dir())
    except OSError:
        return []
