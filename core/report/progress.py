"""How far the writing of a report is: its parts on one scale, so that the time left can be told."""

from collections.abc import Callable, Sequence

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`; may raise to break off."""

UNITS = {"anatomy": 30, "pictures": 20, "figures": 60, "robustness": 1000}
"""About how many predictions each part takes, for every run or, figures, once; a card takes its frames, and half as many again."""


class ProgressTracker:
    """Told of the parts as they are done; tells the rest."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._results: list[int] = []
        self._done = 0
        self._total = 1

    def plan(self, results: Sequence[int], robustness: bool) -> None:
        """Says what there will be: frames to score for each run, and whether under corruptions too."""
        self._results = [max(1, 3 * frames // 2) for frames in results]
        each = UNITS["anatomy"] + UNITS["pictures"] + robustness * UNITS["robustness"]
        self._total = sum(self._results) + each * len(results) + UNITS["figures"]

    def of(self, part: str, what: str) -> Progress:
        """A progress for one part, to hand to whoever does it."""
        units, reached = self._units(part), self._done

        def tell(_what: str, done: int, total: int) -> None:
            nonlocal reached
            reached = max(reached, self._done + round(units * done / max(1, total)))
            self._progress(what, min(reached, self._total - 1), self._total)

        return tell

    def done(self, part: str) -> None:
        """Counts one part as done."""
        self._done += self._units(part)
        if part == "card" and self._results:
            self._results.pop(0)

    def _units(self, part: str) -> int:
        return (self._results[0] if self._results else 1) if part == "card" else UNITS[part]
