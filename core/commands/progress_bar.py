"""How far a command is, as a bar on a terminal."""

import argparse

from tqdm import tqdm


class ProgressBar:
    """A progress bar on a terminal, called as a `ProgressCallback`. `unit` is what it counts; B for bytes."""

    def __init__(self, options: argparse.Namespace, unit: str = "frame") -> None:
        self._is_quiet = options.json
        self._bar = tqdm(unit=unit, unit_scale=unit == "B", dynamic_ncols=True, disable=options.json or None)
        self._what = ""

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what != self._what:
            self._what = what
            self._bar.set_description(what, refresh=False)
        if total != self._bar.total or done < self._bar.n:
            self._bar.reset(total)  # another count; its pace says nothing of the last one
        self._bar.update(done - self._bar.n)

    def say(self, text: str) -> None:
        """Print a sentence above the bar, unless JSON is asked for."""
        if not self._is_quiet:
            self._bar.write(text)
