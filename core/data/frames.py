"""What every layout on disk comes down to: frames, each a photograph and its labels, and what had no partner."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.errors import LabError

if TYPE_CHECKING:
    from core.data.annotations.masks import PaintedFolder
    from core.data.joint import JointDatasets
    from core.data.splits import Splits

PSEUDO_LABELS = "pseudo-labels.json"
"""A file in a data set whose masks a network made, `core.inference.pseudo_labels`: no score is of them."""
Split = Literal["train", "val", "test", "train_extra"]


@dataclass(frozen=True)
class Frame:
    """One photograph and, where there are any, its labels.

    Attributes:
        id: names it within its data set; CITY_SEQUENCE_FRAME in Cityscapes, the path without its ending elsewhere.
        city: the city, or whatever folder gathers frames.
        split: the part of the data set that it belongs to.
        image: the photograph's file.
        labels: a picture of ids or colours, or the polygons they are painted from; None without labels.
        weight: how often it is shown in an epoch; a part of 1 shows a random part of such frames.
    """

    id: str
    city: str
    split: str
    image: Path
    labels: Path | None
    weight: float = 1.0


@dataclass(frozen=True)
class Pairing:
    """What was found in a folder: frames with labels, and files that stand alone.

    Attributes:
        frames: photographs with their labels, in order of their id.
        unlabelled: photographs without labels.
        orphans: label files without a photograph.
        skipped: folders and files that were left out, each with the reason.
        ambiguous: files that could be paired in two ways: one, and the two that it could belong to.
        splits: where the split comes from; None for Cityscapes, whose folders say it.
        others: how many files of which other ending lie there.
        painted: what was painted from annotation files; None without any.
        joint: the data sets that are joined here; None where the folder is one itself.
    """

    frames: tuple[Frame, ...]
    unlabelled: tuple[Frame, ...] = ()
    orphans: tuple[Path, ...] = ()
    skipped: tuple[tuple[Path, str], ...] = ()
    ambiguous: tuple[tuple[Path, Path, Path], ...] = ()
    splits: "Splits | None" = None
    others: Counter[str] = field(default_factory=Counter)
    painted: "PaintedFolder | None" = None
    joint: "JointDatasets | None" = None

    def problems(self, root: Path) -> list[str]:
        """Return what may mean two things, as sentences that name both; nothing is learned from such a folder."""
        named = [tuple(path.relative_to(root) for path in paths) for paths in self.ambiguous]
        problems = [
            f"'{one}' could belong to '{first}' or to '{second}'. Give each photograph one mask of its own name in a"
            " folder of its own kind."
            for one, first, second in named[:1]
        ]
        for line, first, second in self.splits.ambiguous[:1] if self.splits else ():
            problems.append(
                f"'{line}' could be '{first.relative_to(root)}' or '{second.relative_to(root)}'. Write the folder"
                " before the name in that list."
            )
        return problems


def unusable_name(name: str) -> str:
    """Return why a file or folder of this name is left out, as the rest of "it is ...", or "".

    What can't be written to a log or shown on a page can't be named to anyone either.
    """
    codes = [ord(letter) for letter in name]
    if any(0xD800 <= code <= 0xDFFF for code in codes):
        return "called by a name that isn't valid UTF-8, as old ZIP archives leave them; rename it"
    if any(code < 32 or code == 127 for code in codes):
        return "called by a name with a line break or another control character in it; rename it"
    if any(0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069 for code in codes):
        return "called by a name with invisible signs that turn the direction of writing; rename it"
    return ""


def fingerprint(frames: Sequence[Frame]) -> str:
    """Return a text that is the same as long as no file of these frames was changed, judged as rsync does: by path,
    size and time.

    Raises:
        LabError: a file has vanished.
    """
    digest = hashlib.sha256()
    for frame in frames:
        for path in (frame.image, frame.labels):
            if path is None:
                continue
            try:
                metadata = path.stat()
            except OSError as error:
                raise LabError(_vanished(error)) from None
            digest.update(f"{path}|{metadata.st_size}|{metadata.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def data_digest(frames: Sequence[Frame]) -> str:
    """Return a text that tells whether data are those of before, wherever they lie: names, sizes, and what the labels
    say.

    Photographs are judged by their size, so that all of Cityscapes takes seconds.

    Raises:
        LabError: a file has vanished.
    """
    digest = hashlib.sha256()
    for frame in frames:
        try:
            labels = frame.labels.read_bytes() if frame.labels else b""
            size = frame.image.stat().st_size
        except OSError as error:
            raise LabError(_vanished(error)) from None
        digest.update(f"{frame.id}|{size}|".encode("utf-8", "surrogateescape") + hashlib.sha256(labels).digest())
    return digest.hexdigest()[:32]


def _vanished(error: OSError) -> str:
    return (
        f"'{error.filename}' was there a moment ago and can't be read now: {error.strerror}. Check that its disk is"
        " there, and try again."
    )


def content_digest(frames: Sequence[Frame]) -> str:
    """Return a text that is the same for frames of the same names and contents only, on whatever machine.

    Reads every file.

    Raises:
        LabError: a file has vanished.
    """
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(frame.id.encode("utf-8", "surrogateescape"))
        for path in (frame.image, frame.labels):
            if path is None:
                digest.update(b"|none")
                continue
            try:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                raise LabError(_vanished(error)) from None
    return digest.hexdigest()[:32]
