"""The one error whose text is meant for the user."""

import errno
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


_REMEDIES = {
    errno.ENOSPC: "Free some space, and try again",
    errno.EDQUOT: "Your share of that disk is used up: remove something of yours, and try again",
    errno.EROFS: "That disk can only be read: name a folder on another one, or allow writing there",
    errno.EACCES: "Allow this account to use it, or name another folder",
    errno.EPERM: "Allow this account to use it, or name another folder",
}


def storage_sentence(error: OSError, path: Path | None = None) -> str:
    """Return what a disk refused and what to do; empty for an error that isn't about full, locked or read-only disks.

    Args:
        error: as the system raised it.
        path: what was to be written; else what the error names.
    """
    if error.errno not in _REMEDIES:
        return ""
    name = path or error.filename
    what = f"'{name}' can't be used" if name else "The lab can't write its files"
    return f"{what}: {error.strerror}. {_REMEDIES[error.errno]}."


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a folder that can't be written to into a sentence.

    Raises:
        LabError: in place of the OSError of what is done inside.
    """
    try:
        yield
    except OSError as error:
        raise LabError(
            storage_sentence(error, path)
            or f"'{path}' can't be written to: {error.strerror}. Free some space, or allow writing there."
        ) from None
