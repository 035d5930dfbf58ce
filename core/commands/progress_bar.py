"""How far a command is, as a bar on a terminal."""

import argparse

from tqdm import tqdm


class ProgressBar:
    """A progress bar on a terminal, called as `Progress` is."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._bar = tqdm(unit="frame", dynamic_ncols=True, disable=options.json or None)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, what: str, done: int, total: int) -> None:
        self._bar.set_description(what, refresh=False)
        self._bar.total, self._bar.n = total, done
        self._bar.refresh()
