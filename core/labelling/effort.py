"""What labels cost: photographs, changes, and minutes of work, read from the histories of a label set."""

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from core.errors import LabError
from core.files import parse_json, unless_changed
from core.labelling.label_set import MARKER

PAUSE = 60.0
"""Seconds between two changes of a person from which on they weren't painting meanwhile."""


@dataclass(frozen=True)
class Effort:
    """What was done on a label set: on so many photographs, in so many changes.

    `minutes` is the time between changes, without pauses.
    """

    frames: int
    changes: int
    minutes: float


@dataclass(frozen=True)
class LabellingHistory:
    """Every change of a label set: on which photograph, by whom, and when, in seconds since 1970.

    `is_mended` tells whether labels were there before, which are corrected.
    """

    changes: tuple[tuple[str, str, float], ...]
    is_mended: bool = False

    def effort(self, until: float = math.inf) -> Effort:
        """Return what was painted up to a moment."""
        by_person: dict[str, list[float]] = defaultdict(list)
        frames = set()
        for frame, who, when in self.changes:
            if when <= until:
                frames.add(frame)
                by_person[who].append(when)
        seconds = 0.0
        for moments in by_person.values():
            moments.sort()
            gaps = [after - before for before, after in zip(moments, moments[1:], strict=False)]
            seconds += sum(gap for gap in gaps if gap < PAUSE)
        return Effort(len(frames), sum(map(len, by_person.values())), seconds / 60)


def read_labelling(root: Path) -> LabellingHistory | None:
    """Return what was ever painted in a folder; None where it is no label set."""
    try:
        is_mended = bool(parse_json((root / MARKER).read_text(encoding="utf-8")).get("mends"))
    except (OSError, ValueError, AttributeError):
        return None
    files = sorted((root / "history").glob("*.jsonl"))
    changes = tuple((path.stem, *change) for path in files for change in _changes(path) or ())
    return LabellingHistory(changes, is_mended)


@unless_changed
def _changes(path: Path) -> tuple[tuple[str, float], ...]:
    """Return who changed a mask, and when; lines that can't be read are left out."""
    changes = []
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = parse_json(line)
                changes.append((str(row["who"]), float(row["when"])))
            except (LabError, ValueError, KeyError, TypeError):
                continue
    except OSError:
        return ()
    return tuple(changes)
