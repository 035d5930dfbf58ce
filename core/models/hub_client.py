"""What is said to the Hub, and its refusals in words: which commit a revision is, and single files of bounded size.

Files are asked for by their fixed names, never by those that a repository lists.
"""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
from huggingface_hub import HfApi, constants, get_hf_file_metadata, get_token, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import tqdm as HubBar
from huggingface_hub.utils import validate_repo_id

from core.errors import LabError, causes
from core.jobs.engine import JobStoppedError
from core.progress import CountCallback, ProgressCallback
from core.text import format_bytes, shorten

PATIENCE = 20.0
"""Seconds that the Hub has for an answer."""
COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{7,127}")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
SPARE = 2**28
"""Bytes that stay free on the disk."""
MAX_WEIGHTS_BYTES = 4 * 2**30
"""A file of weights may have this many: the largest networks of the lab have a third of it."""


@dataclass(frozen=True)
class Listing:
    """A repository at one commit, 40 hexadecimal digits: the names of its files, and who may see it."""

    repo: str
    commit: str
    names: frozenset[str]
    is_private: bool

    @property
    def pickles(self) -> list[str]:
        """Return the files in formats that can carry programs."""
        return sorted(name for name in self.names if name.lower().endswith(_PICKLES))


def checked_repo(text: str) -> str:
    """OWNER/NAME of a repository, as it was typed or from its address. Raises LabError when it can't be one."""
    repo = text.strip().removeprefix(f"{constants.ENDPOINT}/").removesuffix("/")
    try:
        validate_repo_id(repo)
    except HFValidationError:
        repo = ""
    if repo.count("/") != 1:
        raise LabError(
            f"'{shorten(text.strip())}' is not the name of a repository on the Hugging Face Hub. Type OWNER/NAME, like"
            " anna/street-fcn."
        )
    return repo


def is_logged_in() -> bool:
    """Return whether a token for the Hub is set on this machine; the Hub isn't asked whether it is a good one."""
    try:
        return bool(get_token())
    except Exception:  # a login that has to be renewed, and can't be now
        return False


def fetch_listing(repo: str, revision: str = "") -> Listing:
    """Return what a repository holds at a revision; the newest commit where none is named. Raises LabError."""
    revision = revision.strip()
    with explain_errors(repo, revision):
        info = HfApi().model_info(repo, revision=revision or None, timeout=PATIENCE)
        names = frozenset(str(sibling.rfilename) for sibling in info.siblings or ())
    if not COMMIT.fullmatch(str(info.sha)) or (COMMIT.fullmatch(revision) and info.sha != revision):
        raise LabError(
            f"The Hub named no commit for {repo}, so it can't be said what would be fetched. Try again later."
        )
    return Listing(repo, info.sha, names, bool(info.private))


def fetch(listing: Listing, name: str, max_bytes: int, progress: ProgressCallback) -> Path:
    """Return the path of a repository's file in the Hub's own cache; downloaded where it isn't there yet.

    Args:
        listing: the repository, at the commit that is meant.
        name: one of the lab's own fixed names.
        max_bytes: bytes that the file may have; a larger one is refused before it comes.
        progress: called with the bytes.

    Raises:
        LabError: it isn't there, is too large, or doesn't arrive.
    """
    what = f"Fetching {name}"
    with explain_errors(listing.repo, listing.commit):
        metadata = get_hf_file_metadata(hf_hub_url(listing.repo, name, revision=listing.commit), timeout=PATIENCE)
    size = metadata.size
    # The client makes a file name of the etag.
    if size is None or metadata.commit_hash != listing.commit or not _ETAG.fullmatch(metadata.etag or ""):
        raise LabError(
            f"The Hub's answer about {name} of {listing.repo} makes no sense. Nothing was fetched; try again later."
        )
    if size > max_bytes:
        raise LabError(
            f"{name} of {listing.repo} has {format_bytes(size)}, but no network of this lab has more than"
            f" {format_bytes(max_bytes)}. Nothing was fetched."
        )

    def bounded(done: int, _total: int) -> None:
        if done > size:
            raise LabError(f"{listing.repo} sends more of {name} than it said. The download was ended.")
        progress(what, done, size)

    cache = Path(constants.HF_HUB_CACHE)
    with explain_errors(listing.repo, listing.commit):
        cache.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(cache).free
        if size + SPARE > free:
            raise LabError(
                f"{name} of {listing.repo} has {format_bytes(size)}, but '{cache}' has {format_bytes(free)} free. Free"
                " some space, and try again."
            )
        progress(what, 0, size)
        result = huggingface_hub.hf_hub_download(
            listing.repo, name, revision=listing.commit, etag_timeout=PATIENCE, tqdm_class=bar_for(bounded)
        )
        path = Path(result).resolve()
        arrived = path.stat().st_size
    if not path.is_relative_to(cache.resolve()) or arrived != size:
        raise LabError(f"{name} of {listing.repo} did not arrive as the Hub announced it. Try again.")
    progress(what, size, size)
    return path


def bar_for(progress: CountCallback) -> type[HubBar]:
    """Return the Hub's progress bar, which tells `progress` instead of drawing."""

    class Bar(HubBar):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            progress(int(self.n), int(self.total or 0))

    return Bar


@contextmanager
def explain_errors(repo: str, revision: str = "", writes: bool = False) -> Iterator[None]:
    """Turn whatever fails in the Hub's client into a sentence, without address, header or token.

    Raises:
        LabError: in place of any other error but `JobStoppedError`.
    """
    try:
        yield
    except (LabError, JobStoppedError):
        raise
    except Exception as error:
        if any(isinstance(cause, JobStoppedError) for cause in causes(error)):
            raise JobStoppedError from None
        # An error of the client tells its request, and that holds the token: it is not chained.
        raise LabError(_sentence(error, repo, revision, writes)) from None


def _sentence(error: BaseException, repo: str, revision: str, writes: bool) -> str:
    known = (_known(cause, repo, revision, writes) for cause in causes(error))
    unknown = (
        f"The Hugging Face Hub gave an answer about {repo} that can't be understood ({type(error).__name__}). Try again"
        " later."
    )
    return next(filter(None, known), unknown)


def _known(error: BaseException, repo: str, revision: str, writes: bool) -> str:
    match error:
        case LabError():
            return str(error)
        case OfflineModeIsEnabled():
            return (
                "The Hub is switched off here by HF_HUB_OFFLINE. Unset it and start the lab again, or take what is here"
                " already."
            )
        case RevisionNotFoundError():
            return (
                f"{repo} has no revision '{shorten(revision)}'. Name a branch, a tag or a commit of it, or none for the"
                " newest."
            )
        case GatedRepoError():
            return (
                f"{repo} wants its conditions accepted first. Open its page on the Hub, accept them there, and try"
                " again."
            )
        case EntryNotFoundError() if isinstance(error, HfHubHTTPError):
            return f"{repo} lacks a file that a network of this lab has. Was it pushed from the lab?"
        case RepositoryNotFoundError():
            return _nowhere(repo)
        case HfHubHTTPError():
            return _refusal(error.response, repo, writes)
        case httpx2.TimeoutException():
            return (
                "The Hugging Face Hub did not answer in time. It may be busy, or the connection slow: try again later."
            )
        case httpx2.ProxyError():
            return "The proxy between this machine and the Hugging Face Hub refused. Check HTTPS_PROXY, and try again."
        case httpx2.RemoteProtocolError() | httpx2.ReadError() | httpx2.WriteError():
            return (
                "The connection to the Hugging Face Hub broke. Try again; what is complete isn't sent or fetched again."
            )
        case httpx2.TransportError():
            return (
                "The Hugging Face Hub can't be reached. Go online, or check HF_ENDPOINT and the proxy, and try again."
            )
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return "The disk is full. Free some space, and try again."
        case OSError(errno=errno.EACCES | errno.EROFS | errno.EPERM):
            return f"'{error.filename}' can't be written to. Allow writing there, or name another place in HF_HOME."
        case OSError() if "Consistency check failed" in str(error):
            return f"Less of {repo} arrived than the Hub announced. Try again."
    return ""


def _refusal(response: Any, repo: str, writes: bool) -> str:
    match response.status_code:
        case 401 if "credentials" in response.headers.get("X-Error-Message", "").lower() or (writes and get_token()):
            return (
                "The Hub doesn't know this token: it is mistyped, revoked or expired. Log in again with 'hf auth"
                " login', or mend HF_TOKEN."
            )
        case 401 | 404:
            return _nowhere(repo)
        case 403 if writes:
            return (
                f"Your token may not write to {repo}. Make one with the permission to write at"
                " huggingface.co/settings/tokens, or push to a name of your own."
            )
        case 403:
            return f"Your token may not read {repo}. Ask its owner, or log in as a user who may: hf auth login."
        case 409:
            return f"{repo} is being changed elsewhere at this moment. Try again."
        case 413:
            return f"The Hub finds what was sent to {repo} too large. Leave the pictures out."
        case 429:
            return f"The Hub asks for a pause: too many requests from here. Try again {_when(response)}."
        case code if code >= 500:
            return f"The Hugging Face Hub has trouble of its own (code {code}). Try again later."
    return ""


def _nowhere(repo: str) -> str:
    if get_token():
        return f"There is no {repo} on the Hub that your token may see. Check the spelling, or ask its owner."
    return f"There is no public {repo} on the Hub. Check the spelling; if it is private, log in first: hf auth login."


def _when(response: Any) -> str:
    seconds = response.headers.get("Retry-After", "")
    return f"in {int(seconds)} seconds" if re.fullmatch(r"\d{1,5}", seconds) else "in some minutes"
