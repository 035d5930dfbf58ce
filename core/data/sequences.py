"""Which frames are neighbours in one recording, as far as their names tell."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

_COUNTER = re.compile(r"(?<!\d)(?<!\d[.:-])\d+(?:[.:-]\d+)*(?=[-_. )]|$)")
"""Digits that end a part of a name, or several joined as in a time of day: 12, f0012, 0012_left, 12.30.44."""


def series_of(name: str) -> tuple[str, tuple[int, ...]]:
    """Return what a frame's name is but for its counter, and the counter; the whole name and () without one.

    Of several, as in Cityscapes' CITY_SEQUENCE_FRAME, the counter is the last.
    """
    counters = list(_COUNTER.finditer(name))
    if not counters:
        return name, ()
    last = counters[-1]
    return f"{name[: last.start()]}#{name[last.end() :]}", tuple(map(int, re.split("[.:-]", last[0])))


def sequences_of(names: Sequence[str], folders: Iterable[str] | None = None) -> list[list[int]]:
    """Return the indices of the frames of each sequence in the order of their counters.

    A frame without a counter in its name is a sequence of its own.

    Args:
        names: of the frames.
        folders: of the frames, whose sequences are apart too.
    """
    sequences: dict[tuple[str, str], list[tuple[tuple[int, ...], int]]] = defaultdict(list)
    for index, (name, folder) in enumerate(zip(names, folders or [""] * len(names), strict=True)):
        series, counter = series_of(name)
        sequences[folder, series].append((counter, index))
    return [[index for _, index in sorted(members)] for members in sequences.values()]
