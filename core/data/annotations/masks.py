"""A folder's annotation files or binary masks painted into label maps, once: `cache_folder()/masks/DIGEST/`, PNG files
and an index.json.

The digest is of every file's path, size and time and of the class table, so that a folder that hasn't changed is opened
without reading any of them. The folder appears with all that is in it, and when two processes paint at once, the first
one's stays.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from core.data.annotations import FORMATS, Format, binary_masks
from core.data.annotations.binary_masks import BinaryMask, FolderFile
from core.data.annotations.files import load
from core.data.annotations.shapes import BROKEN, Annotation, ShapeError, describe, name_object, paint
from core.data.class_table import BACKGROUND, space_of
from core.data.splits import same_name, split_in, split_of
from core.errors import LabError
from core.files import new_folder, parse_json
from core.labels import IGNORED, LabelSpace
from core.paths import cache_folder
from core.progress import CountCallback
from core.text import one_line

VERSION = 1
"""Of what is painted; another one paints anew."""
IGNORE = "__ignore__"
MAX_NAMED = 20


class UnpaintedError(LabError):
    """The label maps of a folder aren't painted yet, and are too many for now."""


_painting: ContextVar[tuple[int | None, CountCallback | None]] = ContextVar("painting", default=(None, None))


@contextmanager
def painting(limit: int | None = None, progress: CountCallback | None = None) -> Iterator[None]:
    """Say how label maps are painted in what is done within.

    Args:
        limit: photographs; the maps of more are refused, where nobody can wait for them.
        progress: called with maps painted and photographs in all.
    """
    token = _painting.set((limit, progress))
    try:
        yield
    finally:
        _painting.reset(token)


@dataclass
class PaintedFolder:
    """What was painted.

    Attributes:
        formats: titles of the formats that were read.
        masks: by photograph, relative to the folder: the label map's path, and the split that its annotation file
            states.
        shapes: how many were painted.
        rows: the class table that follows from the files; empty where the folder's own decides.
        background: pixels that nobody labelled are background; they are ignored otherwise.
        hidden: shapes that cover no pixel, the first of them.
        num_hidden: how many these are.
        absent: images that are listed but not here, the first of them.
        num_absent: how many these are.
    """

    formats: list[str] = field(default_factory=list)
    masks: dict[str, tuple[str, str]] = field(default_factory=dict)
    shapes: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    background: bool = True
    hidden: list[str] = field(default_factory=list)
    num_hidden: int = 0
    absent: list[str] = field(default_factory=list)
    num_absent: int = 0

    @property
    def space(self) -> LabelSpace | None:
        """The label space that follows from the files; None where the folder's own class table decides."""
        return space_of(self.rows) if self.rows else None


def paint_folder(
    root: Path,
    images: Sequence[FolderFile],
    files: Sequence[FolderFile],
    table: LabelSpace | None = None,
    order: Sequence[str] = (),
    masks: Mapping[Path, Sequence[BinaryMask]] | None = None,
    sources: Sequence[FolderFile] = (),
) -> PaintedFolder | None:
    """Paint the label maps of a folder, or find them painted.

    Args:
        root: the data set's folder.
        images: its images.
        files: what may be annotation files.
        table: the class table that decides, by the names of classes; None takes the classes of the files.
        order: names of classes that come first, in their order; only without a table.
        masks: by photograph, the masks of one class or object each.
        sources: all that the labels may be read from, images and masks too; a change of one paints anew.

    Returns:
        None where no file holds labels of any of `FORMATS`.

    Raises:
        UnpaintedError: that would take long, and `painting` forbids it.
        LabError: a file is broken, fits no photograph or several, or the cache can't be written.
    """
    try:
        masks = masks or {}
        folder = cache_folder() / "masks" / _digest(root, sources or images, files, table, order)
        if painted := _read_index(folder):
            return painted
        limit, _ = _painting.get()
        # The first file of labels is enough to know; and who can't wait must not wait for another who paints.
        if limit is not None and len(images) > limit and (masks or any(map(_format_of, files))):
            raise UnpaintedError(
                f"The labels of {len(images):,} photographs are shapes or masks of single objects. They are painted"
                " into label maps once: open the folder on the page Data."
            )
        lock = cache_folder() / "locks" / folder.name
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):  # of several who open it, one paints
            if painted := _read_index(folder):
                return painted
            with new_folder(folder) as draft:
                result = _Painter(root, images, table, order, draft, folder).paint(files, masks)
                if result:
                    (draft / "index.json").write_text(json.dumps(asdict(result)))
        return result
    except OSError as error:
        raise LabError(f"Label maps can't be painted: '{error.filename}': {error.strerror}.") from None


def _read_index(folder: Path) -> PaintedFolder | None:
    """Return what was painted into a folder; None where it never was."""
    try:
        return PaintedFolder(**parse_json((folder / "index.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _digest(root: Path, sources: Sequence[FolderFile], files: Sequence[FolderFile], *settings: object) -> str:
    digest = hashlib.sha256(f"{VERSION}|{root}|{settings!r}".encode("utf-8", "surrogateescape"))
    for file in (*sources, *files):
        metadata = file.path.stat()
        line = f"\n{file.path}|{metadata.st_size}|{metadata.st_mtime_ns}"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


class _Ids:
    """Ids by the name of a class: those of a table, or new ones, which begin behind the background's 0."""

    def __init__(self, table: LabelSpace | None, stated: Sequence[str]) -> None:
        self.table = table
        self.ignored = IGNORED
        self.ids = {BACKGROUND[0]: 0}
        if table:
            owners = list(range(len(table.class_names)) if table.by_color else table.from_ids)
            self.ids = {_key(name): owners.index(index) for index, name in enumerate(table.class_names)}
            owners += [IGNORED] * (256 - len(owners))
            self.ignored = max((i for i in range(256) if owners[i] == IGNORED), default=IGNORED)  # 255 may be a class
        self.unlabelled = self.ids.get(BACKGROUND[0], self.ignored)
        for name in stated:
            self.of(name)

    def of(self, name: str) -> int:
        """Return the id 0..255 of a class; a new one where there is no table."""
        key = _key(name)
        if key == IGNORE or (self.table and key not in self.ids):
            return self.ignored
        if self.ids.setdefault(key, len(self.ids)) == IGNORED and not self.table:
            raise ShapeError(f"is of the class '{key}', which is one more than the 255 that a label map can hold")
        return self.ids[key]

    def rows(self, stated: Sequence[str]) -> list[dict[str, Any]]:
        """Return the class table of what was dealt: the background, the stated classes, then the others by name."""
        first = [BACKGROUND[0], *map(_key, stated)]
        ranks = {name: rank for rank, name in reversed(list(enumerate(first)))}
        names = sorted(self.ids, key=lambda name: (ranks.get(name, len(first)), name))
        return [] if self.table else [{"name": name, "ids": [self.ids[name]]} for name in names]


def _key(name: str) -> str:
    name = one_line(name)[:80]
    return BACKGROUND[0] if name.casefold() in BACKGROUND else name


class _Painter:
    """Paints a folder's label maps into a draft of their folder."""

    def __init__(
        self,
        root: Path,
        images: Sequence[FolderFile],
        table: LabelSpace | None,
        order: Sequence[str],
        draft: Path,
        folder: Path,
    ) -> None:
        self.root, self.table, self.order, self.draft, self.folder = root, table, order, draft, folder
        self.result = PaintedFolder()
        self.listed_by: dict[Path, Path] = {}  # photographs, and the annotation file of each
        self.num_images = len(images)
        self.progress = _painting.get()[1]
        self.by_name: dict[str, list[FolderFile]] = defaultdict(list)
        for image in images:
            for name in {same_name(image.path.name), same_name(image.path.stem)}:
                self.by_name[name].append(image)

    def paint(self, files: Sequence[FolderFile], masks: Mapping[Path, Sequence[BinaryMask]]) -> PaintedFolder | None:
        """Paint what the files describe and the masks cover; None where they describe nothing."""
        formats, stated = _recognise(files)
        labels = sorted({mask.label for group in masks.values() for mask in group} - {""})
        order = [*self.order, *(name for names in stated.values() for name in names), *labels]
        ids = _Ids(self.table, order)
        for file, label_format in formats.items():
            names = self.order or _nearest(stated, file)
            split = file.split or (split_in(file.path.stem) if label_format.is_shared else "")
            with _naming(file.path, label_format):
                for annotation in label_format.read(load(file.path), file.path, list(names)):
                    self._paint_one(annotation, file, split, label_format.title, ids)
        nameless = self._nameless_class([mask for group in masks.values() for mask in group])
        for image, group in masks.items():
            annotation = binary_masks.read_masks(image, group, nameless)
            self._paint_one(annotation, group[0].file, group[0].file.split, binary_masks.TITLE, ids)
        result = self.result
        if not result.shapes and not ids.rows(())[1:] or not (result.masks or result.absent):
            return None
        if not result.masks:
            raise LabError(
                f"The annotation files list {result.num_absent} images like '{result.absent[0]}', but none of these is"
                f" in '{self.root}'. Put the photographs beside them, under the names that they have there."
            )
        result.rows = ids.rows(order)
        result.background = ids.unlabelled != ids.ignored
        return result

    def _nameless_class(self, masks: Sequence[BinaryMask]) -> str:
        """Return the class of masks that name none: the only one that there is.

        Raises LabError where there are several.
        """
        nameless, named = (
            next((mask.file.path.relative_to(self.root) for mask in masks if bool(mask.label) == has_name), None)
            for has_name in (False, True)
        )
        if nameless and named:
            raise LabError(
                f"'{named}' is called after a class, but '{nameless}' after a number alone, so that its class can't be"
                " told. Call all masks after their classes, or none."
            )
        names = self.table.class_names if self.table else self.order
        names = [name for name in names if _key(name) != BACKGROUND[0]] or ["object"]
        if nameless and len(names) > 1:
            raise LabError(
                f"'{nameless}' is the mask of an object, but its name doesn't say which of the class table's"
                f" {len(names)} classes that is of ('{names[0]}', '{names[1]}'). Put it into a folder that is called"
                " after the class, such as masks/road/a.png, or leave one class beside the background in the table."
            )
        return names[0]

    def _paint_one(self, annotation: Annotation, file: FolderFile, split: str, title: str, ids: _Ids) -> None:
        result = self.result
        image = self._image_of(annotation, file, split)
        if image is None:
            result.num_absent += 1
            result.absent += [annotation.names[0]][: MAX_NAMED - len(result.absent)]
            return
        if image.path in self.listed_by:
            first, second = (path.relative_to(self.root) for path in (self.listed_by[image.path], file.path))
            where = f"'{first}' and '{second}'" if first != second else f"'{first}' twice"
            raise LabError(
                f"'{image.path.relative_to(self.root)}' is listed by {where}: which labels are its own can't be"
                " told. Keep one of them."
            )
        self.listed_by[image.path] = file.path
        size = annotation.size or _size_of(image.path)
        values, hidden = paint(annotation, size, ids.of, ids.unlabelled)
        name = image.path.relative_to(self.root).as_posix()
        path = self.draft / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        in_colors = self.table is not None and self.table.by_color
        Image.fromarray(_palette(self.table)[values] if in_colors else values).save(path, compress_level=1)
        result.formats += [title] * (title not in result.formats)
        result.masks[name] = (str(self.folder / f"{name}.png"), split)
        if self.progress:
            self.progress(len(result.masks), self.num_images)
        result.shapes += len(annotation.shapes) - len(hidden)
        result.num_hidden += len(hidden)
        for shape in hidden[: MAX_NAMED - len(result.hidden)]:
            where = file.path.relative_to(self.root).as_posix()
            result.hidden.append(f"{name_object(shape.index, shape.label)} of '{name}' in '{where}'")

    def _image_of(self, annotation: Annotation, file: FolderFile, split: str) -> FolderFile | None:
        """Return the photograph of an annotation: by its path, by the end of its path, by its name.

        Never one of another split.

        Raises:
            LabError: there are several.
        """
        for name in annotation.names:
            parts = PurePosixPath(same_name(name.replace("\\", "/"))).parts
            splits = {split, *map(split_of, parts[:-1])} - {""}
            candidates = [
                image
                for image in self.by_name.get(parts[-1] if parts else "", ())
                if not image.split or not splits or image.split in splits
            ]
            for fits in _readings(file, parts, os.path.normpath(file.path.parent / name.replace("\\", "/"))):
                fitting = [image for image in candidates if fits(image)]
                if len(fitting) == 1:
                    return fitting[0]
                candidates = fitting or candidates
            if candidates:
                first, second = (image.path.relative_to(self.root) for image in candidates[:2])
                raise LabError(
                    f"'{name}' in '{file.path.relative_to(self.root)}' could be '{first}' or '{second}'. Write the"
                    " folder before the name there, or give the photographs different names."
                )
        return None


def _readings(file: FolderFile, parts: tuple[str, ...], path: str) -> Iterator[Callable[[FolderFile], bool]]:
    """Yield what tells photographs of the same name apart, the strictest first."""
    yield lambda image: str(image.path) == path
    yield lambda image: tuple(map(same_name, image.path.parts[-len(parts) :])) == parts
    yield lambda image: image.folders == file.folders
    yield lambda _: True


def _recognise(files: Sequence[FolderFile]) -> tuple[dict[Any, Format], dict[Path, list[str]]]:
    """Return the format of each file that has one, and the class names that files state."""
    formats: dict[Any, Format] = {}
    stated: dict[Path, list[str]] = {}
    for file in files:
        if recognised := _format_of(file):
            formats[file], names = recognised
            stated |= {file.path: names} if names else {}
    return formats, stated


def _format_of(file: FolderFile) -> tuple[Format, list[str]] | None:
    """Return the format of a file, and the class names that it states; None where it is of none."""
    content = load(file.path)
    for label_format in FORMATS:
        try:
            names = label_format.recognise(content, file.path)
        except BROKEN:
            names = None
        if names is not None:
            return label_format, names
    return None


def _nearest(stated: dict[Path, list[str]], file: FolderFile) -> list[str]:
    """Return the class names of the file that shares most of the path."""
    nearest = max(stated, key=lambda path: len(os.path.commonpath([path, file.path])), default=None)
    return stated[nearest] if nearest else []


@contextmanager
def _naming(path: Path, label_format: Format) -> Iterator[None]:
    """Turn what a broken file raises into a sentence."""
    try:
        yield
    except LabError:
        raise
    except BROKEN as error:
        raise LabError(
            f"The {label_format.title} file '{path}' can't be used: it {describe(error)}. Correct that in the label"
            f" tool and export it again, or remove the file. How it must be written: {label_format.source}"
        ) from None


def _size_of(path: Path) -> tuple[int, int]:
    """Return height and width of a photograph as its EXIF turns it. Raises LabError."""
    try:
        with Image.open(path) as image:
            is_turned = image.getexif().get(0x0112, 1) >= 5
            return image.size if is_turned else image.size[::-1]
    except BROKEN:
        raise LabError(f"'{path}' can't be read as an image. Download or copy that file again.") from None


def _palette(table: LabelSpace) -> np.ndarray:
    """Return the colours of a table by the class, uint8 (256, 3), and one that it doesn't have behind them."""
    taken = {color for color, _ in table.from_colors}
    free = next(color for color in ((value // 256, value % 256, 1) for value in range(2**16)) if color not in taken)
    return np.array([*table.colors, *[free] * (256 - len(table.colors))], np.uint8)
