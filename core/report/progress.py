"""How far the writing of a report is: its parts on one scale, so that the time left can be told."""

from collections.abc import Sequence

from core.progress import ProgressCallback

UNITS = {"anatomy": 30, "pictures": 20, "figures": 60, "robustness": 1000}
"""About how many predictions each part takes, for every run or, figures, once.

Scoring takes its frames, and half as many again.
"""


class ProgressTracker:
    """Puts the progress of the parts of a report on one scale."""

    def __init__(self, progress: ProgressCallback) -> None:
        self._progress = progress
        self._scoring: list[int] = []
        self._done = 0
        self._total = 1

    def plan(self, frames: Sequence[int], robustness: bool) -> None:
        """Set what there will be: frames to score for each run, and whether under corruptions too."""
        self._scoring = [max(1, 3 * count // 2) for count in frames]
        each = UNITS["anatomy"] + UNITS["pictures"] + robustness * UNITS["robustness"]
        self._total = sum(self._scoring) + each * len(frames) + UNITS["figures"]

    def of(self, part: str, what: str) -> ProgressCallback:
        """Return the callback of one part."""
        units, reached = self._units(part), self._done

        def part_progress(_what: str, done: int, total: int) -> None:
            nonlocal reached
            reached = max(reached, self._done + round(units * done / max(1, total)))
            self._progress(what, min(reached, self._total - 1), self._total)

        return part_progress

    def done(self, part: str, runs: int = 1) -> None:
        """Count one part of some runs as done."""
        self._done += self._units(part) * runs
        if part == "scores" and self._scoring:
            self._scoring.pop(0)

    def _units(self, part: str) -> int:
        return (self._scoring[0] if self._scoring else 1) if part == "scores" else UNITS[part]
