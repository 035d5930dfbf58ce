"""Several data sets as one: each is opened as it would be by itself, and their classes are joined by name.

Where the numbers of a data set's label maps aren't the joint ones, its maps are written anew, once:
`cache_folder()/joint/DIGEST/`. The digest is of every file's path, size and time and of both numberings. Maps hold the
joint numbering whatever a classes.json beside the list says, which only gathers what it numbers.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.config import DatasetConfig
from core.data.cityscapes import pair_frames, splits_of
from core.data.class_table import SHADES, find_class_table, format_rows, read_class_table, space_of
from core.data.dataset import label_space_of, read_target
from core.data.folder import explain_no_pairs, pair_folder
from core.data.frame_threads import map_frames
from core.data.frames import Frame, Pairing, fingerprint
from core.data.joint_list import ListedDataset, read_list
from core.data.splits import Splits
from core.errors import LabError, writing
from core.files import new_folder, parse_json
from core.labels import IGNORED, LABEL_SPACES, Color, LabelSpace
from core.paths import cache_folder, resolve_data_file

VERSION = 1
"""Of what is written; another one writes anew."""


@dataclass(frozen=True)
class JoinedDataset:
    """One of the data sets: what the list says of it, its own numbering, and what is paired there."""

    listed: ListedDataset
    space: LabelSpace
    pairing: Pairing
    is_rewritten: bool = False


@dataclass(frozen=True)
class JointDatasets:
    """Data sets that are one.

    Attributes:
        datasets: in the order of the list.
        space: how their label maps, as they are or rewritten, are read.
        left_out: classes of theirs that it hasn't.
    """

    datasets: tuple[JoinedDataset, ...]
    space: LabelSpace
    left_out: tuple[str, ...]

    def lacking(self) -> dict[str, list[str]]:
        """Return, by data set, classes of the others that its own table hasn't."""
        names = dict.fromkeys(name for each in self.datasets for name in each.space.class_names)
        lacking = {each.listed.name: [n for n in names if n not in each.space.class_names] for each in self.datasets}
        return {name: class_names for name, class_names in lacking.items() if class_names}


def join_folders(root: Path, val_fraction: float, group_by: str, class_table: str) -> Pairing:
    """Pair the frames of every data set of a folder's list.

    Args:
        root: the folder of the list.
        val_fraction, group_by: as of `core.data.folder.pair_folder`, of each data set by itself.
        class_table: "auto" for the joint numbering; otherwise what decides by the names of classes.

    Returns:
        Frames whose ids and cities begin with the name of their data set, and whose label maps are of one numbering.

    Raises:
        LabError: the list or a data set of it can't be used, or the cache can't be written.
    """
    datasets = [_open(listed, val_fraction, group_by) for listed in read_list(root)]
    numbering = joint_numbering(root, [each.space for each in datasets])
    space = table = numbering
    if class_table in LABEL_SPACES:
        space = table = LABEL_SPACES[class_table]
    elif class_table != "auto":
        space = table = read_class_table(resolve_data_file(class_table, "class table"))
    elif path := find_class_table(root):
        space = read_class_table(path, numbering)
    datasets = [each if _meanings(each.space) == _meanings(table) else _rewrite(each, table) for each in datasets]
    splits = {each.listed.name: each.pairing.splits for each in datasets if each.pairing.splits}
    source = " ".join(f"In '{name}': {own.source}" for name, own in splits.items())
    pairing = _concatenated([each.pairing for each in datasets], source)
    pairing.splits.unmatched.extend(f"{name}/{line}" for name, own in splits.items() for line in own.unmatched)
    mapped = {name for value, name in _meanings(table).items() if value in _meanings(space)}
    left_out = tuple(name for name in numbering.class_names if name not in mapped)
    return replace(pairing, joint=JointDatasets(tuple(datasets), space, left_out))


def _concatenated(pairings: Sequence[Pairing], source: str) -> Pairing:
    """Return what was found in all, with where the splits come from, as a sentence."""
    frames, unlabelled, orphans, skipped = (
        tuple(item for pairing in pairings for item in getattr(pairing, name))
        for name in ("frames", "unlabelled", "orphans", "skipped")
    )
    others = sum((pairing.others for pairing in pairings), Counter())
    return Pairing(frames, unlabelled, orphans, skipped, (), Splits(list(frames), source), others)


def joint_numbering(root: Path, spaces: list[LabelSpace]) -> LabelSpace:
    """Return the numbering of the classes of all: the first one's own where no other adds any, else as they come.

    Raises LabError where there are more than a label map can hold.
    """
    first = spaces[0]
    colors: dict[str, Color] = {}
    for space in spaces:
        for name, color in zip(space.class_names, space.colors, strict=True):
            free = (color, *SHADES)
            taken = set(colors.values()) if space is not first else set()
            colors.setdefault(name, next((shade for shade in free if shade not in taken), color))
    if len(colors) == len(first.class_names) and not first.by_color:
        return replace(first, name="own")
    rows = [{"name": name, "color": list(color), "ids": [index]} for index, (name, color) in enumerate(colors.items())]
    try:
        return space_of(rows)
    except ValueError as error:
        raise LabError(f"The data sets of '{root}' can't be joined: {error} Leave some out of the list.") from None


def name_rows(root: Path, text: str) -> str:
    """Return the text of a class table of a joint numbering with the names of classes in place of ids.

    It then stays right when the list or a data set's table is changed.

    Raises:
        LabError: a data set can't be opened, or the table isn't of the joint numbering.
    """
    numbering = joint_numbering(root, [_open(listed, 0.2, "auto").space for listed in read_list(root)])
    meanings, rows = _meanings(numbering), parse_json(text)
    for row in rows:
        ids = row.pop("ids", [-1])
        if not meanings.keys() >= set(ids):
            raise LabError(
                f"'{root}' joins data sets, so that masks are mended by the class table of the one at fault."
            )
        row["names"] = list(dict.fromkeys(meanings[class_id] for class_id in ids))
    return format_rows(rows)


def _open(listed: ListedDataset, val_fraction: float, group_by: str) -> JoinedDataset:
    """Find the frames and the numbering of one data set. Raises LabError."""
    root = listed.root
    config = DatasetConfig(name=listed.source, root=str(root), classes=listed.classes)
    if listed.source == "cityscapes":
        splits = [split for split in splits_of(root) if split != "train_extra"]  # whose masks are coarse
        pairing = _concatenated([pair_frames(root, split) for split in splits], "The folders say so.")
    else:
        pairing = pair_folder(root, val_fraction, group_by, listed.classes)
    for problem in pairing.problems(root):
        raise LabError(f"In '{root}': {problem}")
    if not pairing.frames:
        raise LabError(explain_no_pairs(root, pairing))
    frames, unlabelled = (
        tuple(
            replace(frame, id=f"{listed.name}/{frame.id}", city="/".join(filter(None, (listed.name, frame.city))))
            for frame in part
        )
        for part in (pairing.frames, pairing.unlabelled)
    )
    return JoinedDataset(listed, label_space_of(config, root), replace(pairing, frames=frames, unlabelled=unlabelled))


def _meanings(space: LabelSpace) -> dict[Any, str]:
    """Return what each number or colour of a label map stands for, but for what is ignored."""
    owners: Iterable[tuple[Any, int]] = space.from_colors if space.by_color else enumerate(space.from_ids)
    return {value: space.class_names[owner] for value, owner in owners if owner != IGNORED}


def _rewrite(dataset: JoinedDataset, table: LabelSpace) -> JoinedDataset:
    """Return a data set whose label maps are in the numbering of a table, written unless they are there.

    Raises LabError.
    """
    frames = dataset.pairing.frames
    meanings = repr((VERSION, sorted(_meanings(dataset.space).items()), sorted(_meanings(table).items())))
    digest = hashlib.sha256(f"{meanings}{fingerprint(frames)}".encode()).hexdigest()[:32]
    folder = cache_folder() / "joint" / digest
    values = _values(dataset.space, table)

    def write(frame: Frame) -> None:
        path = draft / _file_of(frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values[read_target(frame.labels, dataset.space)]).save(path, compress_level=1)

    if not folder.is_dir():
        with writing(cache_folder()), new_folder(folder) as draft:
            for _ in map_frames(write, frames):
                pass
    own = tuple(replace(frame, labels=folder / _file_of(frame)) for frame in frames)
    return replace(dataset, pairing=replace(dataset.pairing, frames=own), is_rewritten=True)


def _file_of(frame: Frame) -> str:
    return f"{frame.split}/{frame.id}.png"  # ids are each their own within a split


def _values(space: LabelSpace, table: LabelSpace) -> np.ndarray:
    """Return what stands for each class 0..255 of a space in label maps of a table, by name: uint8 (256,), or (256, 3)
    where the table is of colours.
    """
    known = dict(reversed([(name, value) for value, name in _meanings(table).items()]))
    if table.by_color:
        shades = ((value // 256, value % 256, 1) for value in range(2**16))
        ignored: Any = next(shade for shade in shades if shade not in _meanings(table))
    else:
        ignored = next((value for value in range(255, -1, -1) if value not in _meanings(table)), IGNORED)
    names = (*space.class_names, *[None] * (256 - len(space.class_names)))
    return np.array([known.get(name, ignored) for name in names], np.uint8)
