"""How far long work is: the one signature in which everything that takes time says so."""

from collections.abc import Callable

ProgressCallback = Callable[[str, int, int], None]
"""`progress(what, done, total)`: what is being done, in words, and how much of it; total is 0 while it isn't known.

What it raises
ends the work."""
CountCallback = Callable[[int, int], None]
"""`progress(done, total)`, where the caller knows what is being done."""


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore how far the work is."""
