"""Who works in the lab, what is theirs, and what they may do.

Without sign-in there is one user, who may do everything. With sign-in a run, a sweep, a report, a collection and an
unpacked archive have an owner: everyone sees them, and only the owner or an admin changes them. The rules are asked
where things are changed, deep in core, so that no page, route or command goes around them.

| variable               | what it sets                                                                    | default |
|------------------------|---------------------------------------------------------------------------------|---------|
| `SEGLAB_ADMINS`        | e-mail addresses of those who may change everything, separated by commas        | nobody  |
| `SEGLAB_READ_ONLY`     | 1: only admins who signed in may change anything, as for a class on a projector | 0       |
| `SEGLAB_MAX_QUEUED`    | runs that who is no admin may have waiting or training, and sweeps under way    | 4       |
| `SEGLAB_MAX_UPLOADS`   | files that one who signed in may upload in an hour                              | 100     |
| `SEGLAB_MAX_UPLOAD_MB` | megabytes of files that one who signed in may upload in an hour                 | 500     |
| `SEGLAB_MAX_DISK_GB`   | gigabytes on disk that the things of who is no admin may take                   | 50      |
| `SEGLAB_USER`          | for the command line: in whose name the lab's own account acts                  | the lab |

0 is any number. The one user of a lab without sign-in is bound by what is set alone.

A shell is as powerful as its account: the account that owns the folder of runs acts for the lab, any other for itself,
as far as the folder's permissions let it.
"""

import getpass
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from core.errors import LabError
from core.paths import runs_folder

HOUR = 3600.0


class QuotaError(LabError):
    """A user has as many of something as one may have at a time."""


@dataclass(frozen=True)
class User:
    """A user of the lab.

    Attributes:
        id: what their things are marked with; empty for the lab itself, and for the one person of a lab without
            sign-in.
        name: what they are called.
        is_admin: they may change what belongs to others.
    """

    id: str
    name: str
    is_admin: bool = False


SYSTEM_USER = User("", "the lab", True)
ANONYMOUS = User("nobody", "nobody")
"""A visitor who is not signed in where one must be: owns nothing, changes nothing."""


def is_admin(user_id: str) -> bool:
    """Return True for those whom `SEGLAB_ADMINS` names."""
    named = {_known_as(name.strip()) for name in os.environ.get("SEGLAB_ADMINS", "").split(",")} - {""}
    return _known_as(user_id) in named


def _known_as(name: str) -> str:
    """Return what a user is known by: an e-mail address in small letters, a provider's own name exactly as it is, for
    there `ADM` and `adm` are two people.
    """
    return name.lower() if name.isascii() and "|" not in name else name


def build_user(user_id: str, name: str = "") -> User:
    """Return the user of an id, an admin where `SEGLAB_ADMINS` says so."""
    return User(_known_as(user_id), name or user_id, is_admin(user_id))


def shell_user() -> User:
    """Return who types a command: the lab for the account that owns the folder of runs, or whom `SEGLAB_USER` names.

    Else that account.
    """
    if not hasattr(os, "getuid"):
        return SYSTEM_USER
    folder = runs_folder()
    while not folder.exists():
        folder = folder.parent
    if folder.stat().st_uid != os.getuid() and os.getuid() != 0:
        import pwd

        return User(f"account {pwd.getpwuid(os.getuid()).pw_name}", getpass.getuser())
    name = os.environ.get("SEGLAB_USER", "").strip()
    return build_user(name) if name else SYSTEM_USER


_source: Callable[[], User] = shell_user
_acting: ContextVar[User | None] = ContextVar("acting", default=None)


def set_current_user(source: Callable[[], User]) -> None:
    """Tell who is asking from now on; the server knows it by the page's session, a command by its account."""
    global _source
    _source = source


def current_user() -> User:
    """Return who is asking right now."""
    return _acting.get() or _source()


@contextmanager
def acting_as(user: User) -> Iterator[None]:
    """Let a user be who is asking, in this thread and inside the block: for requests that no page makes."""
    token = _acting.set(user)
    try:
        yield
    finally:
        _acting.reset(token)


def is_read_only() -> bool:
    """Return True where nothing may be changed by the one who is asking."""
    if os.environ.get("SEGLAB_READ_ONLY", "0").strip().lower() in ("", "0", "no", "false"):
        return False
    asking = current_user()
    return not (asking.id and asking.is_admin)


def require_write() -> None:
    """Raise LabError where the one who is asking may only look, or hasn't signed in."""
    if current_user() == ANONYMOUS:
        raise LabError("You are not signed in, so you can't change anything here. Sign in, and try again.")
    if is_read_only():
        raise LabError("This lab is read-only at the moment: you can look at everything, and change nothing.")


def may_change(owner: str) -> bool:
    """Return whether the one who is asking may change what belongs to that owner."""
    asking = current_user()
    return asking != ANONYMOUS and not is_read_only() and (asking.is_admin or asking.id == owner)


def require_owner(owner: str, what: str) -> None:
    """Raise LabError where the one who is asking may not change a thing of that owner; `what` names it, "This run"."""
    require_write()
    if not may_change(owner):
        raise LabError(
            f"{what} belongs to {owner or 'the lab'}. Only {owner or 'an admin'}{' or an admin' if owner else ''} can"
            " do that."
        )


def require_admin(what: str) -> None:
    """Raise LabError where the one who is asking may not use the lab's own login elsewhere.

    `what` says for what, "push a run".
    """
    require_write()
    if not current_user().is_admin:
        raise LabError(
            f"Only an admin can {what} from here: it would go out in the name of the lab's own login, not in yours."
        )


def max_queued() -> int:
    """Return how many runs the one who is asking may have waiting or training, and how many sweeps under way.

    0 is any number, as admins may.
    """
    limit = env_int("SEGLAB_MAX_QUEUED", 4)
    return 0 if current_user().is_admin else limit


def require_quota(owners: Iterable[str], what: str) -> None:
    """Asked under the queue's lock before one more is made, for else two that ask at once would both be let in.

    Args:
        owners: whose those are that there are already.
        what: they are, in the plural: "runs waiting or training".

    Raises:
        QuotaError: the one who is asking has as many of them as `max_queued` allows.
    """
    asking, limit = current_user(), max_queued()
    own = sum(owner == asking.id for owner in owners)
    if limit and own >= limit:
        raise QuotaError(
            f"You have {own} of the {limit} {what} that one person may have. Wait for one to end, or stop one."
        )


def max_uploads(user: User) -> int:
    """Return how many files a user may upload in an hour; 0 for any number."""
    return env_int("SEGLAB_MAX_UPLOADS", 100 if user.id else 0)


def max_upload_mb(user: User) -> int:
    """Return how many megabytes (10^6 bytes) of files a user may upload in an hour; 0 for any number."""
    return env_int("SEGLAB_MAX_UPLOAD_MB", 500 if user.id else 0)


def max_disk_gb() -> int:
    """Return how many gigabytes (10^9 bytes) on disk the things of the one who is asking may take.

    0 is any number, as admins and the lab itself may.
    """
    limit = env_int("SEGLAB_MAX_DISK_GB", 50)
    return 0 if current_user().is_admin else limit


class HourlyQuota:
    """Counts what each person took within the last hour, in pieces or in megabytes. May be asked from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken: dict[str, deque[tuple[float, float]]] = defaultdict(deque)
        self._guard = threading.Lock()

    def take(self, user_id: str, limit: int, what: str, amount: float = 1) -> None:
        """Count some more.

        Args:
            user_id: who takes it.
            limit: how much an hour has; 0 for any number.
            what: in the plural, "uploads".
            amount: how much is taken.

        Raises:
            LabError: this hour doesn't have that much any more.
        """
        with self._guard:
            self._check(user_id, limit, what, amount)
            self._taken[user_id].append((self._clock(), amount))

    def check(self, user_id: str, limit: int, what: str, amount: float = 1) -> None:
        """Raise LabError where `take` would."""
        with self._guard:
            self._check(user_id, limit, what, amount)

    def used(self, user_id: str) -> float:
        """Return how much someone took within the last hour."""
        with self._guard:
            return self._used(user_id)

    def _used(self, user_id: str) -> float:
        now, taken = self._clock(), self._taken[user_id]
        while taken and now - taken[0][0] > HOUR:
            taken.popleft()
        return sum(each for _, each in taken)

    def _check(self, user_id: str, limit: int, what: str, amount: float) -> None:
        used, now, taken = self._used(user_id), self._clock(), self._taken[user_id]
        if limit and used + amount > limit:
            minutes = max(1, round((HOUR - (now - taken[0][0])) / 60)) if taken else 60
            raise LabError(f"You have used the {limit} {what} of this hour. The next are free in {minutes} min.")


def env_int(variable: str, default: int = 0) -> int:
    """Return the number that a variable sets, or the default. Raises LabError where it is no whole number."""
    # SEGLAB_MOST_... is what version 0.1 called SEGLAB_MAX_...
    old = variable.replace("SEGLAB_MAX_", "SEGLAB_MOST_")
    value = (os.environ.get(variable) or os.environ.get(old, "")).strip() or str(default)
    if not value.isdigit():
        raise LabError(f"{variable} is '{value[:40]}', but must be a whole number. Change it, and start the lab again.")
    return int(value)


def owner_file(folder: Path, of_data: bool = False) -> Path:
    """Return where a run, a sweep or a collection says whose it is.

    A folder of data says it in a hidden file: no archive brings one, and no reader takes it for a label.
    """
    return folder / (".owner.txt" if of_data else "owner.txt")


def read_owner(folder: Path, of_data: bool = False) -> str:
    """Return whose a folder is; empty where it says nothing."""
    try:
        return owner_file(folder, of_data).read_text(encoding="utf-8")[:320].strip()
    except (OSError, ValueError):
        return ""


def write_owner(folder: Path, of_data: bool = False) -> None:
    """Mark a new folder with the one who is asking; the lab's own aren't marked."""
    owner = current_user().id
    if owner:
        owner_file(folder, of_data).write_text(owner, encoding="utf-8")
