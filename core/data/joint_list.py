"""The list of data sets that are one: `datasets.json`, in a folder that is a data set by it.

    ["camvid", "/data/kitti", {"root": "../labels", "classes": "labels-in-our-words.json"}]

A path is absolute, or begins at the folder of that file. `classes` is what `DatasetConfig.classes` is: a numbering, or
a class table, which may rename or merge classes of that one data set.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.auth import require_write, write_owner
from core.data.cityscapes import has_layout
from core.data.frames import unusable_name
from core.data.uploaded_archive import free_folder
from core.errors import LabError, writing
from core.files import new_folder, parse_json, write_atomically
from core.labels import LABEL_SPACES
from core.paths import archives_folder, expanded, resolve_data_file, resolve_data_root
from core.text import shorten

FILE_NAME = "datasets.json"
MAX_BYTES = 100_000
MAX_DATASETS = 20


@dataclass(frozen=True)
class ListedDataset:
    """A data set of the list: a name that no other has, its folder, its source and `DatasetConfig.classes`."""

    name: str
    root: Path
    source: str
    classes: str = "auto"


def is_joint(root: Path) -> bool:
    """Return whether a folder is several data sets as one."""
    return (root / FILE_NAME).is_file()


def read_list(root: Path) -> list[ListedDataset]:
    """Read the list of a folder, and check the folders that it names; what they hold isn't looked at.

    Raises:
        LabError: the list is broken, or names a folder that isn't there, may not be read, is itself such a list, or
            lies in another of the list.
    """
    path = resolve_data_file(str(root / FILE_NAME), "list of data sets")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("is far too long")
        return _checked(parse_json(path.read_text(encoding="utf-8-sig")), root)
    except (OSError, ValueError, RecursionError) as error:
        raise LabError(
            f"'{root / FILE_NAME}' can't be used: it {_describe_error(error)}. Write a list of folders there, like"
            ' ["camvid", "/data/kitti"].'
        ) from None


def write_list(name: str, datasets: Sequence[Path | str | dict[str, str]]) -> Path:
    """Write a folder that is these data sets as one, beside the unpacked archives, and return it.

    Args:
        name: of the new folder.
        datasets: their folders, or rows of the list with `root` and `classes`.

    Raises:
        LabError: as of `read_list`, the disk is full, or the current user may only look.
    """
    require_write()
    if len(datasets) < 2:
        raise LabError("A joint data set is made of two folders at least. Name another.")
    with writing(archives_folder()):
        archives_folder().mkdir(parents=True, exist_ok=True)
        target = free_folder(archives_folder(), name)
        rows = [row if isinstance(row, dict) else {"root": str(row)} for row in datasets]
        rows = [row | {"root": str(resolve_data_root(row["root"]))} for row in rows]
        listed = [row if "classes" in row else row["root"] for row in rows]
        with new_folder(target) as draft:
            draft.mkdir()
            write_atomically(draft / FILE_NAME, json.dumps(listed, indent=1, ensure_ascii=False))
            read_list(draft)
            write_owner(draft, of_data=True)
    return target


def _describe_error(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"isn't JSON in line {error.lineno}, column {error.colno}"
    return str(error) if isinstance(error, ValueError) and not isinstance(error, UnicodeError) else "can't be read"


def _checked(rows: object, root: Path) -> list[ListedDataset]:
    """Return the data sets of the file's content. Raises ValueError, whose text goes on after "it"; or LabError."""
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_DATASETS:
        raise ValueError(f"must be a list of 1 to {MAX_DATASETS} folders")
    listed: list[ListedDataset] = []
    for row in rows:
        keys = row if isinstance(row, dict) else {"root": row}
        if not set(keys) <= {"root", "classes"} or not all(isinstance(keys.get(key, ""), str) for key in keys):
            raise ValueError(
                f'has {shorten(repr(row), 60)}, but a folder is written like "camvid" or {{"root": "camvid"}}'
            )
        folder = resolve_data_root(_from(root, keys.get("root", "")))
        class_table = keys.get("classes", "auto")
        if is_joint(folder):
            raise LabError(f"'{folder}' is itself a list of data sets. Name the folders of that list in '{FILE_NAME}'.")
        if reason := unusable_name(folder.name):
            raise LabError(f"'{folder.parent}' holds a folder of the list that is {reason}.")
        for other in listed:
            if folder.is_relative_to(other.root) or other.root.is_relative_to(folder):
                raise LabError(
                    f"'{folder}' and '{other.root}' are the same or lie in each other, so that frames would be there"
                    " twice. Take one of them out of the list."
                )
        names = [other.name for other in listed]
        candidates = (f"{folder.name}-{index}" if index > 1 else folder.name for index in range(1, MAX_DATASETS + 1))
        listed.append(
            ListedDataset(
                next(name for name in candidates if name not in names),
                folder,
                "cityscapes" if has_layout(folder) else "folder",
                class_table if class_table in ("auto", *LABEL_SPACES) else _from(root, class_table),
            )
        )
    return listed


def _from(root: Path, typed: str) -> str:
    """Return a path of the list, which begins at the list's folder where it isn't absolute; "" stays so."""
    return str(root / expanded(typed)) if typed.strip() and "\0" not in typed else ""
