"""The one error whose text is meant for the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LabError(Exception):
    """Something the user can mend. The message is a sentence: what happened, and what to do.

    Pages and the command line show the message alone; every other exception is a fault of the lab and keeps its
    traceback.
    """


class DivergedError(LabError):
    """The weights ran away: the loss of a training is no number any more."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those behind it: a library wraps what really happened."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a folder that can't be written to into a sentence.

    Raises:
        LabError: in place of the OSError of what is done inside.
    """
    try:
        yield
    except OSError as error:
        raise LabError(
            f"'{path}' can't be written to: {error.strerror}. Free some space, or allow writing there."
        ) from None
