"""A label set: photographs in a folder data set of the lab's own, to which masks come one by one.

ROOT/images/NAME.png    the photographs
ROOT/masks/NAME.png     a mask, once something was painted: the class of each pixel, 255 where there is none
ROOT/classes.json       the classes
ROOT/labelling.json     what the label set is called
ROOT/val.txt            the photographs to score on; all others that have a mask are learned from
ROOT/history/NAME.jsonl what was changed in a mask, by whom and when
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from core.auth import current_user, read_owner, require_write, write_owner
from core.data.class_table import FILE_NAME, SHADES, color_of, read_class_table, write_rows
from core.data.corrections import VAL_LIST, plain_letters, plain_name
from core.data.dataset import Dataset, read_target
from core.data.decoding import read_image
from core.data.frames import Frame
from core.data.uploaded_archive import free_folder
from core.disk_usage import check_disk_quota
from core.errors import LabError, writing
from core.files import parse_json, replacing, write_atomically
from core.labels import IGNORED, Color, LabelSpace
from core.paths import archives_folder
from core.progress import CountCallback
from core.text import one_line

MARKER = "labelling.json"
VAL_EVERY = 5
"""Of so many photographs that are labelled one is scored on: the second, and every fifth after it."""
MAX_IMAGES = 5000
MAX_PIXELS = 16_000_000
"""Of a photograph: a browser paints on it, and each stroke is written as a whole mask."""
NAME_LENGTH = 60
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,60}")


class ImageSource(NamedTuple):
    """What a photograph is called, and what reads its pixels, uint8 (H, W, 3)."""

    name: str
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class LabelSet:
    """Photographs that are labelled here.

    Attributes:
        root: its folder, a data set like any other.
        title: what it was called.
        space: its classes; a mask holds their numbers.
        images: the photographs by the names of their frames, in order.
        mends: whose labels are mended here: the folder of a data set, or pictures with some classes; empty where there
            are none.
    """

    root: Path
    title: str
    space: LabelSpace
    images: Mapping[str, Path]
    mends: str = ""

    @property
    def slug(self) -> str:
        """The name of its folder."""
        return self.root.name

    def image(self, frame: str) -> Path:
        """Return the photograph of a frame. Raises LabError where there is none."""
        if frame not in self.images:
            raise LabError("There is no such photograph in this label_set. Reload the page.")
        return self.images[frame]

    def mask(self, frame: str) -> Path:
        """Return where a frame's mask lies, or will. Raises LabError where there is no such frame."""
        self.image(frame)
        return self.root / "masks" / f"{frame}.png"

    @property
    def mends_data_set(self) -> bool:
        """Whether labels of a data set are mended here."""
        return Path(self.mends).is_absolute()

    @property
    def labelled(self) -> list[str]:
        """The frames that have a mask, in order."""
        present = {path.stem for path in (self.root / "masks").glob("*.png")}
        return [frame for frame in self.images if frame in present]

    @property
    def has_both_splits(self) -> bool:
        """Whether of the labelled photographs some are learned from, and some are scored on."""
        labelled = {*self.labelled}
        return 0 < len(labelled & {*self.held_back}) < len(labelled)

    @property
    def held_back(self) -> list[str]:
        """The photographs to score on, whether they have a mask yet or not."""
        path = self.root / VAL_LIST
        return path.read_text(encoding="utf-8").split() if path.is_file() else []


def decide_split(label_set: LabelSet, frame: str, split: str = "") -> None:
    """Decide for good, before a photograph gets its first mask, whether it is learned from or scored on.

    A network that is trained on as more is labelled must not be scored on what it has learned from, as it would be if
    a share of all were held back anew each time.

    Args:
        split: "train" or "val" where that is known; one of `VAL_EVERY` is scored on otherwise.
    """
    labelled, held_back = label_set.labelled, label_set.held_back
    is_val = split == "val" if split in ("train", "val") else (len(labelled) + 1) % VAL_EVERY == 2
    if is_val and frame not in (*labelled, *held_back):
        write_atomically(label_set.root / VAL_LIST, "".join(f"{name}\n" for name in (*held_back, frame)))


def create_label_set(
    title: str, images: Sequence[ImageSource], class_names: Sequence[str], progress: CountCallback | None = None
) -> LabelSet:
    """Write photographs as a label set, without any mask.

    Args:
        title: what it shall be called.
        images: the photographs.
        class_names: two or more.
        progress: called with photographs copied and photographs in all.

    Raises:
        QuotaError: the one who is asking has as much on the disk as one may have.
        LabError: the classes or the photographs can't be used, one can't be read, the disk is full, or the one who is
            asking may only look.
    """
    title, names = checked_names(title, class_names)
    if not 1 <= len(images) <= MAX_IMAGES:
        raise LabError(f"A label set has 1 to {MAX_IMAGES} photographs, and these are {len(images)}.")
    return _create(title, images, _space_of(names), {}, progress)


def checked_names(title: str, class_names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the title of a label set and the names of its classes, each on one line.

    Raises LabError where there is no title, or there are too few classes or two of one name.
    """
    title = one_line(title)[:NAME_LENGTH]
    if not title:
        raise LabError("The label set needs a name. Type one.")
    names = [one_line(name) for name in class_names if name.strip()]
    if len(names) < 2 or len({name.casefold() for name in names}) < len(names) or len(names) >= IGNORED:
        raise LabError("A label set needs two classes or more, each with a name of its own. Name what is to be seen.")
    return title, names


def mend_frame(dataset: Dataset, frame: Frame) -> tuple[LabelSet, str]:
    """Copy a frame of a data set with its labels to where they can be mended, unless it is there, and return that label
    set and the frame's name in it. The data set itself stays as it is.

    Raises LabError as `create_label_set` does.
    """
    space = replace(dataset.space, name="own", from_ids=_own_ids(len(dataset.space.class_names)), from_colors=())
    label_set = _mending(str(dataset.root), one_line(f"Mended {dataset.root.name}")[:NAME_LENGTH], space)
    target = partial(read_target, frame.labels, dataset.space) if frame.labels else None
    # Ids are of one split; what is learned from must never have the mask of another photograph (core.data.corrections).
    name = f"{frame.split}/{frame.id}" if frame.split in ("val", "test") else frame.id
    return _with_frame(label_set, name, partial(read_image, frame.image), target, frame.split)


def mend_prediction(
    name: str, image: np.ndarray, labels: np.ndarray, class_names: Sequence[str], colors: Sequence[Color]
) -> tuple[LabelSet, str]:
    """Copy a picture with what a network sees in it to where that can be mended, unless it is there, and return that
    label set and the picture's name in it. Pictures with the same classes are gathered in one label set.

    Args:
        name: what it is called; pictures that are called alike are told apart by their pixels.
        image: uint8 (H, W, 3).
        labels: uint8 (H, W), 0..K-1 or 255.
        class_names: K.
        colors: K.

    Raises LabError as `create_label_set` does.
    """
    space = LabelSpace("own", tuple(class_names), tuple(colors), _own_ids(len(class_names)))
    label_set = _mending(f"pictures with the classes {space.digest}", "Mended pictures", space)
    digest = hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
    return _with_frame(label_set, f"{plain_letters(name)[-80:]}-{digest[:8]}", lambda: image, lambda: labels)


def _mending(source: str, title: str, space: LabelSpace) -> LabelSet:
    """Return one's own label set in which labels of a source are mended in these classes; a new one without one."""
    require_write()
    owner = current_user().id
    for each in list_label_sets():
        has_same_classes = each.space.class_names == space.class_names
        if each.mends == source and has_same_classes and read_owner(each.root, of_data=True) == owner:
            return each
    return _create(title, [], space, {"mends": source})


def _with_frame(
    label_set: LabelSet,
    name: str,
    read: Callable[[], np.ndarray],
    read_labels: Callable[[], np.ndarray] | None,
    split: str = "",
) -> tuple[LabelSet, str]:
    """Return a label set that has a frame of that name, with its labels, and what it is called there."""
    stem = plain_name(name)
    if stem not in label_set.images:
        check_disk_quota()
        labels = read_labels() if read_labels else None
        with writing(label_set.root):
            if labels is not None:
                decide_split(label_set, stem, split)
                Image.fromarray(labels).save(label_set.root / "masks" / f"{stem}.png", compress_level=3)
            _write_image(label_set.root, stem, read())
    return open_label_set(label_set.slug), stem


def _create(
    title: str,
    images: Sequence[ImageSource],
    space: LabelSpace,
    marker: Mapping[str, str],
    progress: CountCallback | None = None,
) -> LabelSet:
    require_write()
    check_disk_quota()
    root = free_folder(archives_folder(), title)
    with writing(archives_folder()):
        archives_folder().mkdir(parents=True, exist_ok=True)
        with replacing(root) as draft:
            for role in ("images", "masks"):
                (draft / role).mkdir(parents=True)
            for number, (name, read) in enumerate(images):
                if progress:
                    progress(number, len(images))
                _write_image(draft, f"{number:04d}-{plain_letters(name)}", read())
            (draft / FILE_NAME).write_text(write_rows(space), encoding="utf-8")
            (draft / MARKER).write_text(json.dumps({"title": title, **marker}), encoding="utf-8")
            write_owner(draft, of_data=True)
    return open_label_set(root.name)


def _write_image(root: Path, name: str, pixels: np.ndarray) -> None:
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise LabError(
            f"'{name}' has {pixels.shape[0] * pixels.shape[1] / 1e6:.0f} megapixels; at most {MAX_PIXELS / 1e6:.0f} can"
            " be painted on. Make it smaller first."
        )
    with replacing(root / "images" / f"{name}.png") as draft:
        Image.fromarray(pixels).save(draft, compress_level=3)


def images_in(folder: Path) -> list[ImageSource]:
    """Return the photographs of a folder for `create_label_set`, those that have no mask already.

    Raises LabError where there is none.
    """
    from core.data.folder import pair_folder

    frames = pair_folder(folder).unlabelled
    if not frames:
        raise LabError(f"Every photograph in '{folder}' has a mask, or there is none. There is nothing to label.")
    return [ImageSource(frame.id.replace("/", "-"), partial(read_image, frame.image)) for frame in frames]


def open_label_set(slug: str) -> LabelSet:
    """Return a label set by the name of its folder. Raises LabError where there is none, or it can't be read."""
    root = archives_folder() / slug
    try:
        if not _SLUG.fullmatch(slug):
            raise ValueError
        marker = parse_json((root / MARKER).read_text(encoding="utf-8"))
        title, mends = str(marker["title"])[:NAME_LENGTH], str(marker.get("mends", ""))
        images = {path.stem: path for path in sorted((root / "images").glob("*.png"))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise LabError("There is no such label set, or it can't be read. Choose another.") from None
    return LabelSet(root, title, read_class_table(root / FILE_NAME), images, mends)


def list_label_sets() -> list[LabelSet]:
    """Return every label set, by title; folders that can't be read as one are passed over."""
    label_sets = []
    for marker in archives_folder().glob(f"*/{MARKER}"):
        try:
            label_sets.append(open_label_set(marker.parent.name))
        except LabError:
            continue
    return sorted(label_sets, key=lambda each: each.title.casefold())


def delete_label_set(label_set: LabelSet) -> None:
    """Remove a label set with its photographs and masks, for good.

    Raises LabError where it is another's, or can't be removed.
    """
    from core.data.uploaded_archive import delete_archive

    delete_archive(label_set.root)


def _space_of(names: Sequence[str]) -> LabelSpace:
    taken: set[tuple[int, int, int]] = set()
    colors = []
    for name in names:
        known = color_of(name)
        color = known if known and known not in taken else next(each for each in SHADES if each not in taken)
        taken.add(color)
        colors.append(color)
    return LabelSpace("own", tuple(names), tuple(colors), _own_ids(len(names)))


def _own_ids(count: int) -> tuple[int, ...]:
    """Return the ids of a mask that holds the numbers of so many classes themselves."""
    return tuple(number if number < count else IGNORED for number in range(256))
