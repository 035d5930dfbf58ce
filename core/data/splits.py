"""Which frames are learned from and which are scored on: what a data set states is taken as it stands, else whole
groups are held back, or stretches of neighbouring names.

A data set states its splits by folders (train/, val/, train2017/), or by lists: files that are called train.txt,
val.txt, valid.txt or test.txt, of one image a line, as Pascal VOC, fast.ai's CamVid and many others have them.
"""

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from core.data.frames import Frame
from core.data.sequences import sequences_of
from core.errors import LabError
from core.text import join_items, plural

UNLISTED = "in no list"
"""The split of frames that a data set's own lists leave out: they are neither learned from nor scored on."""
SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "testing": "test",
}  # fmt: skip
MAX_LIST_BYTES = 50_000_000
MIN_GROUPS = 4
"""Fewer groups than these aren't held back whole: a split of one or two scenes says little."""

MIN_SERIES = 10
"""Names that count on for fewer frames than these make no series of which stretches are held back."""
MIN_STRETCH, MAX_STRETCHES = 10, 4
"""Of a series so many stretches are held back, unless they would be shorter than that: at the border of each, a frame
to learn from is like one to score on."""


def split_of(name: str) -> str:
    """Return the split that a folder or a list is called by, as COCO's train2017 too; "" for any other name."""
    return SPLITS.get(re.sub(r"[-_ ]?(19|20)\d\d$", "", name.lower()), "")


def split_in(stem: str) -> str:
    """Return the split that one of a name's parts is called by, as in instances_train2017; "" where none is."""
    return next(filter(None, map(split_of, stem.replace("-", "_").replace(".", "_").split("_"))), "")


@dataclass
class Splits:
    """Frames with their splits, where those come from as a sentence, and what the lists say that no frame fits."""

    frames: list[Frame]
    source: str
    is_stated: bool = False
    unmatched: list[str] = field(default_factory=list)
    ambiguous: list[tuple[str, Path, Path]] = field(default_factory=list)


def assign_splits(
    root: Path, frames: Sequence[Frame], lists: Sequence[Path], val_fraction: float, group_by: str = "stretch"
) -> Splits:
    """Give every frame its split: its folder's, else its list's, else a share of the groups is held back for
    validation.

    Args:
        root: the data set's folder.
        frames: with the split that their folders state, or ""; those without labels only matter to lists.
        lists: files of the data set that are called like a split.
        val_fraction: of the frames, held back where nothing is stated, 0..1.
        group_by: what stays together there: "folder", "name" (without the number at its end) or "frame"; "auto" takes
            folders or names where there are enough of them, else frames; "stretch" takes neighbouring names instead of
            those.

    Raises:
        LabError: a list can't be read, or names none of the frames.
    """
    labelled = [frame for frame in frames if frame.labels]
    free = [frame for frame in labelled if not frame.split]
    if lists and free:
        return _listed(root, frames, lists)
    stated = Counter(frame.split for frame in labelled if frame.split)
    for split in ("train", "val"):
        bare = [frame.image for frame in frames if frame.split == split and not frame.labels]
        if bare and labelled and not free and not stated[split]:
            raise LabError(
                f"The folder for {split} holds {plural(len(bare), 'photograph')} like '{_relative(bare[0], root)}',"
                f" but no mask of any of them. Unpack the masks of {split}, or remove that folder to hold frames of the"
                " others back."
            )
    if stated["val"] or (stated and not stated["train"] and not free):
        source = f"The folders say so: {_counted(stated)}."
        if free:
            source += (
                f" {plural(len(free), 'frame')} of no such folder {'are' if len(free) > 1 else 'is'} learned from."
            )
        whole = [frame if frame.split else replace(frame, split="train") for frame in frames]
        return Splits(whole, source, is_stated=True)
    held_back, how = _held_back([frame for frame in labelled if frame.split in ("", "train")], val_fraction, group_by)
    whole = [
        replace(frame, split="val" if frame.id in held_back else "train") if frame.split in ("", "train") else frame
        for frame in frames
    ]
    return Splits(whole, f"Nothing says which frames are for validation: {how}")


def _relative(path: Path, root: Path) -> Path:
    """Return a path within the folder, or as it is for one that was unpacked into the cache."""
    return path.relative_to(root) if path.is_relative_to(root) else path


def _listed(root: Path, frames: Sequence[Frame], lists: Sequence[Path]) -> Splits:
    """Return the frames with the splits of lists.

    Those that no list names are in none, unless only validation is listed.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    for index, frame in enumerate(frames):
        for name in {name for path in (frame.image, frame.labels) if path for name in _names_of(root, path, frame)}:
            by_name[name].append(index)
    result = Splits(list(frames), "", is_stated=True)
    counts: Counter[str] = Counter()
    for path in lists:
        split, matches = split_of(path.stem), 0
        for line in _lines_of(path):
            indices = _matching(line, by_name)
            if not indices:
                result.unmatched.append(f"{path.name}: {line[:80]}")
            elif len(indices) > 1:
                first, second = (frames[index].image for index in indices[:2])
                result.ambiguous.append((f"{path.name}: {line[:80]}", first, second))
            else:
                matches += 1
                known = result.frames[indices[0]].split
                if known not in ("", split) and not frames[indices[0]].split:
                    raise LabError(
                        f"'{line[:80]}' stands in '{path.name}' and in a list for {known}: a frame can be of one split"
                        " alone. Take it out of one of the two."
                    )
                if not frames[indices[0]].split and not result.frames[indices[0]].split:
                    result.frames[indices[0]] = replace(frames[indices[0]], split=split)
        counts[path.name] += matches
        if not matches and not result.ambiguous and split != "test":
            raise LabError(
                f"'{path.relative_to(root)}' says which frames are of {split}, but names none of the {len(frames)} that"
                f" are here: its first line is '{next(_lines_of(path), '')[:80]}', and a photograph is called"
                f" '{frames[0].image.relative_to(root)}'. Correct the list, or remove it."
            )
    states_train = any(split_of(path.stem) == "train" for path in lists)
    rest = UNLISTED if states_train else "train"
    left = sum(not frame.split for frame in result.frames if frame.labels)
    result.frames = [frame if frame.split else replace(frame, split=rest) for frame in result.frames]
    listed = join_items([f"{name} ({count})" for name, count in counts.items()])
    result.source = f"{listed} say{'s' * (len(counts) == 1)} so."
    if left:
        be = "are" if left > 1 else "is"
        what = "in no list and left out" if states_train else "in no list and learned from"
        result.source += f" {plural(left, 'frame')} {be} {what}."
    return result


def _lines_of(path: Path) -> Iterator[str]:
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise LabError(f"'{path}' is too large for a list of names. Remove it, or name another folder.")
        data = path.read_bytes()
    except OSError as error:
        raise LabError(f"'{path}' can't be read: {error.strerror}. Allow reading it, or remove it.") from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    lines = (line.strip().strip('"') for line in data.decode(encoding, "surrogateescape").splitlines())
    return (line for line in lines if line)


def _names_of(root: Path, path: Path, frame: Frame) -> Iterable[str]:
    """Yield what a list may call a file: every end of its path, with and without the ending of the name, and its
    frame's id.
    """
    yield same_name(frame.id)
    if not path.is_relative_to(root):  # painted from an annotation file, into the cache
        return
    parts = path.relative_to(root).parts
    for start in range(len(parts)):
        name = "/".join(parts[start:])
        yield same_name(name)
        yield same_name(name.removesuffix(path.suffix))


def _matching(line: str, by_name: dict[str, list[int]]) -> list[int]:
    """Return the frames of a line: by the whole of it, else by its first column; by as much of the path as fits."""
    for text in (line, *re.split(r"[,;\t]|\s(?=\S+\.\w+$)|\s", line)[:1]):
        parts = PurePosixPath(text.replace("\\", "/")).parts
        for start in range(len(parts)):
            indices = by_name.get(same_name("/".join(parts[start:])))
            if indices:
                return indices
    return []


def same_name(name: str) -> str:
    """Return the form in which two names are equal that look the same: composed, and without regard to case."""
    return unicodedata.normalize("NFC", name).casefold()


def _counted(counts: Counter[str]) -> str:
    return join_items([f"{split} ({counts[split]})" for split in ("train", "val", "test") if counts[split]])


def _held_back(frames: Sequence[Frame], val_fraction: float, group_by: str) -> tuple[set[str], str]:
    """Return ids of frames to hold back, the same ones every time, and how they were chosen as the rest of a
    sentence.
    """
    if len(frames) < 2:
        return set(), "there are too few to hold any back."
    by, groups = _groups(frames, "auto" if group_by == "stretch" else group_by)
    held_back: set[str] = set()
    if group_by == "stretch" and by == "frame":
        for series in _numbered(frames):
            by = "stretch"
            held_back |= _stretches(series, val_fraction)
            for frame_id in series:
                del groups[frame_id]
    order = sorted(groups, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
    count = len(held_back) + round(sum(map(len, groups.values())) * val_fraction)
    for name in order:
        left = len(frames) - len(held_back) - len(groups[name])
        if len(held_back) < max(1, count) and left > 0:
            held_back |= set(groups[name])
    whole = {
        "frame": "",
        "stretch": ", stretches of neighbouring names",
        "folder": ", whole folders of them",
        "name": ", whole series of them (by the name before its number)",
    }[by]
    share = f"{len(held_back) / len(frames):.0%}"
    return held_back, f"{share} are held back{whole}, the same ones every time."


def _numbered(frames: Sequence[Frame]) -> list[list[str]]:
    """Return the ids of each series of frames whose names count on, in their order."""
    sequences = sequences_of([frame.id for frame in frames], [frame.city for frame in frames])
    return [[frames[index].id for index in sequence] for sequence in sequences if len(sequence) >= MIN_SERIES]


def _stretches(series: Sequence[str], val_fraction: float) -> set[str]:
    """Return the last share of each of a few equal parts of a series."""
    share = len(series) * val_fraction
    parts = max(1, min(MAX_STRETCHES, int(share / MIN_STRETCH)))
    ends = [round(len(series) * (part + 1) / parts) for part in range(parts)]
    lengths = [round(share * (part + 1) / parts) - round(share * part / parts) for part in range(parts)]
    return {name for end, length in zip(ends, lengths, strict=True) for name in series[end - length : end]}


def group_frames(frames: Sequence[Frame], folds: int) -> list[list[str]]:
    """Return the ids of frames that stay together where all are parted into folds: folders, series, else stretches of
    names that count on, else single frames.
    """
    by, groups = _groups(frames, "auto", min_groups=2 * folds)
    if by == "frame":
        for series in _numbered(frames):
            parts = folds * max(1, min(MAX_STRETCHES, len(series) // (folds * MIN_STRETCH)))
            for stretch in np.array_split(np.array(series, object), min(parts, len(series))):
                groups[stretch[0]] = list(stretch)
                for name in stretch[1:]:
                    del groups[name]
    return list(groups.values())


def _groups(frames: Sequence[Frame], group_by: str, min_groups: int = MIN_GROUPS) -> tuple[str, dict[str, list[str]]]:
    """Return what frames are grouped by, and the ids of each group: neighbours in a video mustn't sit on both sides of
    a split.
    """
    for by in ("folder", "name") if group_by == "auto" else (group_by,):
        groups: dict[str, list[str]] = defaultdict(list)
        for frame in frames:
            name = {"folder": frame.city, "name": re.sub(r"[-_. ]*\d+$", "", frame.id), "frame": frame.id}[by]
            groups[name].append(frame.id)
        largest = max(map(len, groups.values()))
        is_informative = min_groups <= len(groups) < len(frames) and largest <= 2 * len(frames) / min_groups
        if group_by != "auto" or is_informative:
            return by, groups
    return "frame", {frame.id: [frame.id] for frame in frames}
