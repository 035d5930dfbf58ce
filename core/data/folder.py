"""A folder of one's own: photographs and masks found and paired by name, whatever tool laid them out.

Understood, with or without folders for train, val and test on any level:

    images/a.jpg            masks/a.png                     the plain form; labels/, annotations/, gt/ do as well
    train/a.png             train_labels/a_L.png            CamVid
    trainannot/a.png        train/a.png                     CamVid of SegNet
    JPEGImages/a.jpg        SegmentationClass/a.png         Pascal VOC, with ImageSets/Segmentation/{train,val}.txt
    a.jpg                   a_mask.png, or a.png            label tools, side by side

Where nothing says which frames are for validation, a share of them is held back, the same ones every time.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from core.config import DatasetConfig
from core.data.frames import Frame, Pairing
from core.errors import LabError
from core.paths import data_roots

UNLABELLED = "without masks"
"""The split of images that have no mask."""
PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
IMAGE_ROLES = {
    "image",
    "images",
    "img",
    "imgs",
    "photo",
    "photos",
    "jpegimages",
    "rgb",
    "input",
    "inputs",
    "original",
    "frames",
}
MASK_ROLES = {
    "mask", "masks", "label", "labels", "annotation", "annotations", "annot", "gt", "groundtruth", "target", "targets",
    "segmentationclass", "segmentationclassraw", "segmentation", "labelids", "indexed",
}  # fmt: skip
OTHER_ROLES = {"segmentationobject", "instances", "depth", "overlays", "overlay", "visualization", "vis"}
SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "testing": "test",
}  # fmt: skip
_MASK_ENDING = re.compile(
    r"[-_. ](mask|masks|label|labels|labelids|l|gt|seg|segmentation|annotation|annot|target|p)$", re.IGNORECASE
)
_WORDS = re.compile(r"[-_ .]|(?<=train)(?=annot|label|mask)|(?<=val)(?=annot|label|mask)|(?<=test)(?=annot|label|mask)")
MAX_FILES = 500_000


@dataclass(frozen=True)
class _File:
    path: Path
    split: str
    folders: tuple[str, ...]  # the folders that say neither role nor split
    stem: str
    is_mask: bool | None  # None where no folder says


def pair_folder(root: Path, val_fraction: float = 0.2) -> Pairing:
    """Pair every photograph under `root` with its mask.

    Args:
        root: the data set's folder, checked by `core.paths.resolve_data_root`.
        val_fraction: of the pairs, held back for validation where no split is named, 0..1.

    Raises:
        LabError: the folder may not be read, or holds far too many files.
    """
    skipped: list[tuple[Path, str]] = []
    try:
        files = [_file_of(root, path) for path in _walk(root, skipped)]
    except OSError as error:
        raise LabError(
            f"'{error.filename}' can't be opened: {error.strerror}. Allow reading it, or name another folder."
        ) from None
    images, masks = _separate(files)
    listed = _listed_splits(root)
    by_key, by_name = _keyed(masks), _named_once(masks)
    image_names = Counter(image.stem.lower() for image in images)
    frames, unlabelled, used = [], [], set()
    for image in images:
        mask = next((by_key[key] for key in _keys(image) if key in by_key), None)
        if mask is None and image_names[image.stem.lower()] == 1:
            mask = by_name.get(image.stem.lower())
        frame_id = "/".join((*image.folders, image.stem))
        split = image.split or (mask.split if mask else "") or listed.get(image.stem, "")
        frame = Frame(frame_id, "/".join(image.folders), split, image.path, mask.path if mask else None)
        if mask:
            used.add(mask.path)
        (frames if mask else unlabelled).append(frame)
    orphans = tuple(sorted(mask.path for mask in masks if mask.path not in used))
    return Pairing(
        tuple(_with_splits(sorted(frames, key=lambda frame: (frame.split, frame.id)), val_fraction)),
        tuple(sorted(unlabelled, key=lambda frame: frame.id)),
        orphans,
        tuple(skipped),
    )


def explain_no_pairs(root: Path, pairing: Pairing) -> str:
    """Return why a folder gave nothing to train on, and what to do, in one or two sentences."""
    form = "Put photographs into images/ and masks of the same names into masks/."
    if not pairing.unlabelled and not pairing.orphans:
        return f"'{root}' holds no pictures. {form}"
    if not pairing.orphans:
        first = pairing.unlabelled[0].image.name
        return f"'{root}' holds {len(pairing.unlabelled)} photographs like '{first}', but no masks. {form}"
    if not pairing.unlabelled:
        return (
            f"'{root}' holds {len(pairing.orphans)} masks like '{pairing.orphans[0].name}', but no photographs. {form}"
        )
    return (
        f"No photograph in '{root}' has a mask of its name: '{pairing.unlabelled[0].image.name}' and '{pairing.orphans[0].name}' don't "
        "match. Give both the same name; the mask may end in _mask, _label or _L."
    )


def find_frames(root: Path, config: DatasetConfig) -> tuple[list[Frame], list[Frame]]:
    """Return the frames to learn from and those to score on. Raises LabError where either is empty."""
    result = pair_folder(root, config.val_fraction)
    train = [frame for frame in result.frames if frame.split == "train"]
    val = [frame for frame in result.frames if frame.split == "val"]
    if not result.frames:
        raise LabError(explain_no_pairs(root, result))
    if not train or not val:
        raise LabError(
            f"'{root}' has {len(train)} frames to learn from and {len(val)} to score on, and needs at least one of each. Add pairs of "
            "image and mask."
        )
    return train, val


def find_splits(root: Path, config: DatasetConfig) -> dict[str, tuple[Frame, ...]]:
    """Return every frame by split; images without a mask are a split of their own."""
    pairs = pair_folder(root, config.val_fraction)
    splits = {
        split: tuple(frame for frame in pairs.frames if frame.split == split) for split in ("train", "val", "test")
    }
    return splits | {UNLABELLED: pairs.unlabelled}


def _walk(root: Path, skipped: list[tuple[Path, str]]) -> Iterator[Path]:
    """Yield every picture file under a folder. Links are followed once, and never out of the folders that may be read."""
    seen: set[str] = set()
    allowed = data_roots()
    count = 0
    pending = [root]
    while pending:
        folder = pending.pop()
        real = folder.resolve()
        if str(real) in seen:
            skipped.append((folder, "a link to a folder that was read already"))
            continue
        if not any(real.is_relative_to(permitted) for permitted in allowed):
            skipped.append((folder, "a link out of the folders this lab may read"))
            continue
        seen.add(str(real))
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith("."):
                    continue
                path = folder / entry.name
                try:
                    is_folder = entry.is_dir()
                except OSError:  # a link to itself
                    skipped.append((path, "a link that leads in a circle"))
                    continue
                if is_folder:
                    pending.append(path)
                elif path.suffix.lower() in PHOTOS:
                    if entry.is_symlink() and not any(path.resolve().is_relative_to(place) for place in allowed):
                        skipped.append((path, "a link out of the folders this lab may read"))
                        continue
                    count += 1
                    if count > MAX_FILES:
                        raise LabError(f"'{root}' holds more than {MAX_FILES} pictures. Name a smaller folder.")
                    yield path


def _file_of(root: Path, path: Path) -> _File:
    split, is_mask, folders = "", None, []
    for folder in path.relative_to(root).parent.parts:
        text = False
        name = folder.lower().replace("ground_truth", "groundtruth")
        for part in (name, *_WORDS.split(name)):
            if part in SPLITS:
                split, text = split or SPLITS[part], True
            if part in OTHER_ROLES:
                is_mask, text = False, True
                folders.append(folder)  # a picture of something else pairs with nothing
            elif part in MASK_ROLES:
                is_mask, text = True, True
            elif part in IMAGE_ROLES:
                is_mask, text = bool(is_mask), True
        if not text:
            folders.append(folder)
    return _File(path, split, tuple(folders), path.stem, is_mask)


def _separate(files: list[_File]) -> tuple[list[_File], list[_File]]:
    """Return photographs and masks. Where no folder says, the ending of the name does, or a photograph of the same name beside it."""
    some_folder_says_mask = any(file.is_mask for file in files)
    lossy = {(file.path.parent, file.stem) for file in files if file.path.suffix.lower() in (".jpg", ".jpeg", ".webp")}
    images, masks = [], []
    for file in files:
        is_mask = file.is_mask
        if not is_mask and not some_folder_says_mask:
            twin = file.path.suffix.lower() in (".png", ".bmp") and (file.path.parent, file.stem) in lossy
            is_mask = twin or bool(_MASK_ENDING.search(file.stem))
        if any(part.lower() in OTHER_ROLES for part in file.folders):
            continue
        (masks if is_mask else images).append(file)
    return images, masks


def _keys(file: _File) -> tuple[tuple[str, ...], ...]:
    """Return what a file may be paired by, the most exact first: split, folders and name; then without the split."""
    name = file.stem.lower()
    folders = tuple(part.lower() for part in file.folders)
    return (file.split, *folders, name), ("", *folders, name)


def _keyed(masks: list[_File]) -> dict[tuple[str, ...], _File]:
    """Return masks by every key that a photograph may ask for; an exact name goes before one that only matches without its ending."""
    by_key: dict[tuple[str, ...], _File] = {}
    for mask in masks:
        for key in _keys(mask):
            by_key.setdefault(key, mask)
    for mask in masks:
        shorter = replace(mask, stem=_MASK_ENDING.sub("", mask.stem))
        for key in _keys(shorter):
            by_key.setdefault(key, mask)
    return by_key


def _named_once(masks: list[_File]) -> dict[str, _File]:
    """Return masks by their bare name, wherever they lie, as far as no two have the same."""
    names = [_MASK_ENDING.sub("", mask.stem).lower() for mask in masks]
    counts = Counter(names)
    return {name: mask for name, mask in zip(names, masks, strict=True) if counts[name] == 1}


def _listed_splits(root: Path) -> dict[str, str]:
    """Split by name, where ImageSets/Segmentation (Pascal VOC), or the folder itself, has train.txt and val.txt."""
    listed: dict[str, str] = {}
    for folder in (root / "ImageSets" / "Segmentation", root / "splits", root):
        for split in ("test", "val", "train"):
            path = folder / f"{split}.txt"
            if path.is_file() and path.stat().st_size < 50_000_000:
                for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                    if line.strip():
                        listed.setdefault(Path(line.split()[0]).stem, split)
    return listed


def _with_splits(frames: list[Frame], val_fraction: float) -> Iterator[Frame]:
    """Yield frames without a split get one: all train where others are for validation, else a share of them is held back."""
    has_val = any(frame.split == "val" for frame in frames)
    free = [frame for frame in frames if frame.split not in ("train", "val", "test")]
    if not has_val and not free:
        free = [frame for frame in frames if frame.split == "train"]
    order = sorted(free, key=lambda frame: hashlib.sha256(frame.id.encode("utf-8", "surrogateescape")).digest())
    count = 0 if has_val or len(free) < 2 else max(1, round(len(free) * val_fraction))
    held_back = {frame.id for frame in order[:count]}
    loose = {frame.id for frame in free}
    for frame in frames:
        if frame.id in held_back and frame.id in loose:
            yield replace(frame, split="val")
        else:
            yield replace(frame, split="train") if frame.split == "" else frame
