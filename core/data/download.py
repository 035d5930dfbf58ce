"""Cityscapes with the user's own account: logs in, fetches the official archives, checks and unpacks them.

Run again, it goes on.

The archives come through the official downloader (`cityscapesscripts.download`), which knows the addresses. Here stands
what it leaves out: words instead of tracebacks, a way to stop between two pieces, and archives that are opened with the
care due to any file from elsewhere. Its login is not used, for it offers to keep the password in a file; nothing here
keeps one.

Source: https://github.com/mcordts/cityscapesScripts/blob/master/cityscapesscripts/download/downloader.py
"""

import hashlib
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from core.auth import current_user, require_write
from core.errors import LabError
from core.paths import (
    archives_folder,
    cache_folder,
    collections_folder,
    data_folder,
    data_roots,
    expanded,
    reports_folder,
    resolve_data_root,
    runs_folder,
    streets_folder,
    weights_folder,
)
from core.progress import ProgressCallback
from core.text import format_bytes

OFFICIAL = "https://www.cityscapes-dataset.com"
SPARE = 10**9
"""Bytes that stay free on the disk."""
CHUNK = 2**16
TIMEOUT = (20, 60)
"""Seconds until a connection stands, and between two pieces of an answer."""
MAX_DROPS = 100
MAX_ENTRIES = 500_000
MAX_GROWTH = 10
"""An archive that unpacks to more than this many times its published size is refused."""
_DOCUMENT = re.compile(r"(readme|license)(\.(txt|md))?", re.IGNORECASE)


@dataclass(frozen=True)
class Package:
    """One official archive.

    Args:
        title: what it is, in a sentence.
        size: bytes, as published, rounded; the site writes 2**30 bytes as GB.
        growth: how many times larger it is when unpacked, estimated.
        folder: that it makes.
        ending: of the one file that every frame has.
        frames: how many frames each split has.
    """

    title: str
    size: int
    growth: float
    folder: str
    ending: str
    frames: Mapping[str, int]


PACKAGES: dict[str, Package] = {
    "leftImg8bit_trainvaltest.zip": Package(
        "The 5,000 photographs of train, val and test.",
        11 * 2**30,
        1.0,
        "leftImg8bit",
        "_leftImg8bit.png",
        {"train": 2975, "val": 500, "test": 1525},
    ),
    "gtFine_trainvaltest.zip": Package(
        "Fine labels of train and val; those of test are kept secret, and empty here.",
        241 * 2**20,
        4.0,
        "gtFine",
        "_gtFine_labelIds.png",
        {"train": 2975, "val": 500, "test": 1525},
    ),
    "gtCoarse.zip": Package(
        "Coarse labels of train, val and the 19,998 frames of train_extra.",
        int(1.3 * 2**30),
        3.0,
        "gtCoarse",
        "_gtCoarse_labelIds.png",
        {"train": 2975, "val": 500, "train_extra": 19998},
    ),
    "leftImg8bit_trainextra.zip": Package(
        "The 19,998 photographs of train_extra, which have coarse labels only.",
        44 * 2**30,
        1.0,
        "leftImg8bit",
        "_leftImg8bit.png",
        {"train_extra": 19998},
    ),
}
FINE = ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip")
"""What training with fine labels needs."""


class _DroppedError(Exception):
    """The connection broke while an archive came in."""


class _BeyondEndError(Exception):
    """The site has nothing after what is there."""


@dataclass(frozen=True)
class _Watch:
    """Who is told about the bytes of an archive."""

    name: str
    published: int
    progress: ProgressCallback


class Session(requests.Session):
    """Talks to cityscapes-dataset.com alone, follows no redirect, and says in words what fails.

    `SEGLAB_CITYSCAPES_URL` puts another address in its place: https, or http on 127.0.0.1.
    """

    def __init__(self) -> None:
        super().__init__()
        self._base, is_loopback = _address()
        self.trust_env = not is_loopback  # this machine isn't behind its own proxy
        self.watch: _Watch | None = None

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request, as in requests. An answer that streams reports its bytes to `watch`.

        Raises:
            LabError: the site can't be reached, or refuses.
        """
        if not url.startswith(f"{OFFICIAL}/"):
            raise LabError("The official downloader asked for an address outside of cityscapes-dataset.com. Update it.")
        options = {"timeout": TIMEOUT} | options | {"allow_redirects": False}
        if options.get("stream"):
            # A packed transfer would count other bytes than the file has.
            options["headers"] = {**(options.get("headers") or {}), "Accept-Encoding": "identity"}
        problem = ""
        try:
            response = super().request(method, self._base + url.removeprefix(OFFICIAL), **options)
        except requests.RequestException as error:
            problem = _error_text(error)
        # Outside of the handler: an error of requests holds the request, and that of the login holds the password.
        if problem:
            raise LabError(problem)
        if response.status_code == 416:
            raise _BeyondEndError
        if response.status_code >= 400:
            raise LabError(_refusal(response.status_code))
        if options.get("stream") and (
            response.status_code not in (200, 206) or "text/html" in response.headers.get("Content-Type", "")
        ):
            raise LabError(
                "cityscapes-dataset.com sent a page in place of the archive. Log in there once with a browser, see what"
                " it asks for, and start again."
            )
        if options.get("stream") and self.watch:
            request = re.fullmatch(r"bytes=(\d+)-", options["headers"].get("Range", ""))
            arriving = response.iter_content(CHUNK)
            chunks = self._chunks(response, arriving, int(request[1]) if request else 0, self.watch)
            response.iter_content = lambda chunk_size=1, decode_unicode=False: chunks  # type: ignore[method-assign]
        return response

    def _chunks(
        self, response: requests.Response, arriving: Iterator[bytes], start: int, watch: _Watch
    ) -> Iterator[bytes]:
        """Yield the bytes of an archive from `start` on, whether or not the site left out those before."""
        done = start if response.status_code == 206 else 0
        if done and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise LabError("cityscapes-dataset.com sent another part of the archive than was asked for. Start again.")
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else watch.published
        try:
            for chunk in arriving:
                if max(total, done + len(chunk)) > 2 * watch.published + CHUNK:
                    raise LabError(
                        f"What the site sends as {watch.name} is far larger than published: it was not taken."
                    )
                fresh = chunk[max(0, start - done) :]
                done += len(chunk)
                watch.progress(f"Fetching {watch.name}", done, total)
                yield fresh
        except requests.RequestException:
            raise _DroppedError from None
        watch.progress(f"Checking {watch.name}", done, done)


def login(username: str, password: str) -> Session:
    """Log in with the form of the site. The credentials are sent once and kept nowhere.

    Raises:
        LabError: they are empty or wrong, or the site can't be reached.
    """
    check_credentials(username, password)
    session = Session()
    session.get(f"{OFFICIAL}/login")
    form = {"username": username.strip(), "password": password, "submit": "Login"}
    response = session.post(f"{OFFICIAL}/login", data=form)
    if response.status_code != 302:  # what the official downloader looks at, too
        raise LabError(
            "cityscapes-dataset.com doesn't know this username with this password. Check both, or set a new password"
            " there."
        )
    goal = urlsplit(urljoin(response.url, response.headers.get("Location", "")))
    if _bare(goal.hostname) not in (_bare(urlsplit(response.url).hostname), _bare(urlsplit(OFFICIAL).hostname)):
        raise LabError(
            "The login led to another site, so nothing was fetched. Is there a portal between you and the internet?"
        )
    return session


def target_folder(text: str) -> Path:
    """Turn a typed path into a folder for the data under one of `core.paths.data_roots()`, and make it where it is
    missing.

    Never one of the folders that the lab keeps its own things in, nor below: a file or a folder there means something
    to it. An admin chooses any other; everybody else a folder that lies directly in the data folder, or in one that
    `SEGLAB_DATA_ROOTS` names.

    Raises:
        LabError: its parent isn't there, it lies outside of the data roots or where no data belongs, it can't be made,
            or the one who is asking may only look.
    """
    require_write()
    cleaned = text.strip()
    if not cleaned:
        return resolve_data_root(cleaned)  # which says what to do
    typed = expanded(cleaned)
    try:
        if typed.parent == data_folder():
            data_folder().mkdir(parents=True, exist_ok=True)
        path = resolve_data_root(str(typed.parent)) / typed.name
        _check_target(path.resolve())
        if typed.name != ".." and not path.is_symlink():
            path.mkdir(exist_ok=True)
    except FileExistsError:
        raise LabError(f"'{path}' is a file. Name a folder.") from None
    except OSError as error:
        raise LabError(f"'{cleaned}' can't be made: {error.strerror}. Name another folder.") from None
    return resolve_data_root(str(path))


def check_credentials(username: str, password: str) -> None:
    """Raise LabError where one of them was left out."""
    if not username.strip() or not password:
        raise LabError("Type the username and the password of your account at cityscapes-dataset.com.")


def check_names(names: Sequence[str]) -> None:
    """Raise LabError unless every name is one of `PACKAGES`, and there is one."""
    wrong = [name for name in names if name not in PACKAGES]
    if wrong or not names:
        raise LabError(
            f"{f'There is no package {wrong[0][:80]!r}. ' if wrong else ''}Choose from: {', '.join(PACKAGES)}."
        )


def get_packages(
    connect: Callable[[], Session],
    names: Sequence[str],
    folder: Path,
    progress: ProgressCallback,
    keep_archives: bool = False,
) -> dict[str, str]:
    """Download and unpack what isn't complete yet, and remove each archive once it is unpacked.

    Args:
        connect: logs in; only called when something must be fetched.
        names: of archives, from `PACKAGES`.
        folder: that shall hold leftImg8bit, gtFine and the like.
        progress: called for every piece, with bytes.
        keep_archives: leaves the archives in the folder.

    Returns:
        What each package lacks by the official count, in words; empty where it is complete.

    Raises:
        LabError: something the user can mend; what was fetched is kept.
    """
    check_names(names)
    # An archive that lies there may be half unpacked; without one, the counts decide.
    needed = [name for name in names if lacking(name, folder) or (folder / name).exists()]
    if needed:
        for archive in download(connect(), needed, folder, progress):
            unpack(archive, folder, progress)
            if not keep_archives and not lacking(archive.name, folder):
                archive.unlink()
    return {name: lacking(name, folder) for name in names}


def download(session: Session, names: Sequence[str], folder: Path, progress: ProgressCallback) -> list[Path]:
    """Fetch archives into a folder and check them against their official MD5 sums; half an archive is gone on with.

    What the official downloader prints is dropped: while it works, stdout and stderr of the whole process lead nowhere.

    Args:
        session: from `login`.
        names: of archives, from `PACKAGES`.
        folder: an existing one.
        progress: called for every piece, with bytes.

    Returns:
        The archives, in the order of the names.

    Raises:
        LabError: the account can't have a package, the disk is too small, the site fails, or an archive arrives
            damaged.
    """
    check_names(names)
    offered = _offered(session)
    barred = [name for name in names if name not in offered]
    if barred:
        raise LabError(
            f"This account may not download {', '.join(barred)}. Ask for access on cityscapes-dataset.com, or leave it"
            " out."
        )
    _check_space({name: offered[name] for name in names}, folder)
    return [_fetch(session, name, offered[name], folder, progress) for name in names]


def unpack(archive: Path, folder: Path, progress: ProgressCallback) -> None:
    """Unpack an official archive. Nothing is written before all of its entries have been looked at.

    A file that is there already, of the right size and checksum, is left alone, so an interrupted unpacking goes on.
    The archive's README and license are kept under its name.

    Args:
        archive: its name is one of `PACKAGES`.
        folder: an existing one.
        progress: called for every piece, with bytes.

    Raises:
        LabError: the archive is damaged, holds what the official one can't hold, or the disk is full.
    """
    check_names([archive.name])
    with _explain_damage(archive), zipfile.ZipFile(archive) as opened:
        entries = _looked_at(opened, archive, folder)
        total = sum(info.file_size for info, _ in entries)
        done = 0

        def report(count: int) -> None:
            nonlocal done
            done += count
            progress(f"Unpacking {archive.name}", done, total)

        for info, path in entries:
            if _is_there(path, info):
                report(info.file_size)
            else:
                _write_entry(opened, info, path, report)


def count_frames(name: str, folder: Path) -> dict[str, int]:
    """Return how many frames of a package lie in a folder, by split."""
    package = PACKAGES[name]
    counts = {}
    for split in package.frames:
        split_folder = folder / package.folder / split
        cities = [entry.path for entry in os.scandir(split_folder) if entry.is_dir()] if split_folder.is_dir() else []
        counts[split] = sum(entry.name.endswith(package.ending) for city in cities for entry in os.scandir(city))
    return counts


def lacking(name: str, folder: Path) -> str:
    """Return what a folder lacks of a package by the official counts, in words; empty where nothing is missing."""
    result = count_frames(name, folder)
    parts = [
        f"{split} {result[split]:,} of {official:,}"
        for split, official in PACKAGES[name].frames.items()
        if result[split] < official
    ]
    return f"{PACKAGES[name].folder} is not complete: {', '.join(parts)}." if parts else ""


def _check_target(path: Path) -> None:
    """Raise LabError where no data belongs at a path, its links followed, or the current user may not choose it."""
    folders = (
        runs_folder(),
        cache_folder(),
        reports_folder(),
        collections_folder(),
        archives_folder(),
        streets_folder(),
        weights_folder(),
    )
    reserved = {folder.resolve() for folder in folders}
    around = [folder for folder in (*reserved, data_folder().resolve(), *data_roots()) if path.is_relative_to(folder)]
    if around and max(around, key=lambda folder: len(folder.parts)) in reserved:
        raise LabError(f"'{path}' is where the lab keeps things of its own. Name another folder.")
    allowed = {data_folder().resolve(), *(data_roots() if os.environ.get("SEGLAB_DATA_ROOTS") else ())}
    if not current_user().is_admin and not {path, path.parent} & allowed:
        raise LabError(
            f"'{path}' lies directly in none of {', '.join(map(str, sorted(allowed)))}. Name a folder that does, or ask"
            " an admin."
        )


def _address() -> tuple[str, bool]:
    """Return where the site is, and whether that is this machine."""
    url = os.environ.get("SEGLAB_CITYSCAPES_URL", "")
    if not url:
        return OFFICIAL, False
    parts = urlsplit(url)
    is_loopback = parts.scheme == "http" and parts.hostname == "127.0.0.1"
    if (parts.scheme != "https" and not is_loopback) or not parts.hostname or "@" in parts.netloc:
        raise LabError("SEGLAB_CITYSCAPES_URL must begin with https:// or http://127.0.0.1. Change it, or remove it.")
    return url.rstrip("/"), is_loopback


def _bare(host: str | None) -> str:
    return (host or "").removeprefix("www.")


def _error_text(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return (
            "The connection to cityscapes-dataset.com is not safe: its certificate can't be checked. Look at the clock"
            " of this machine, or ask who runs its network."
        )
    if isinstance(error, requests.Timeout):
        return "cityscapes-dataset.com doesn't answer. Check the connection to the internet, and try again."
    return "cityscapes-dataset.com can't be reached. Check the connection to the internet, and try again."


def _refusal(status: int) -> str:
    if status >= 500:
        return f"cityscapes-dataset.com has trouble of its own (status {status}). Try again later."
    return f"cityscapes-dataset.com refuses (status {status}). Check with a browser that your account may download."


@dataclass(frozen=True)
class _Offer:
    """A package as the site lists it, its size in bytes, rounded."""

    package_id: str
    size: int


def _offered(session: requests.Session) -> dict[str, _Offer]:
    """Return what the account may download, by name."""
    from cityscapesscripts.download.downloader import get_available_packages, parse_size_to_bytes

    try:
        return {
            entry["name"]: _Offer(str(entry["packageID"]), int(parse_size_to_bytes(entry["size"])))
            for entry in get_available_packages(session=session)
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LabError(
            "cityscapes-dataset.com gave no list of packages. Log in there with a browser, and see why."
        ) from None


def _check_space(offers: Mapping[str, _Offer], folder: Path) -> None:
    need = SPARE
    for name, offer in offers.items():
        package = PACKAGES[name]
        missing = 1 - min(1.0, sum(count_frames(name, folder).values()) / sum(package.frames.values()))
        need += max(0, offer.size - _size(folder / name)) + int(offer.size * package.growth * missing)
    free = shutil.disk_usage(folder).free
    if free < need:
        raise LabError(
            f"'{folder}' has {format_bytes(free)} free, but {format_bytes(need)} are needed for the archives, what they"
            " hold and a reserve. Free some space, or name a folder on another disk."
        )


def _fetch(
    session: Session,
    name: str,
    offer: _Offer,
    folder: Path,
    progress: ProgressCallback,
) -> Path:
    from cityscapesscripts.download.downloader import download_packages

    path = folder / name
    if path.is_symlink():
        raise LabError(f"'{path}' is a link. Remove it, and start again.")
    # Published sizes are rounded; below this an archive can't be complete, and reading it would be for nothing.
    if _size(path) >= 0.8 * offer.size:
        fields = session.get(f"{OFFICIAL}/md5-sum/?packageID={offer.package_id}").text.split()
        if fields and fields[0] == _md5(path, progress):
            return path
    session.watch = _Watch(name, offer.size, progress)
    for _ in range(MAX_DROPS):
        before = _size(path)
        try:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                download_packages(session=session, package_names=[name], destination_path=str(folder), resume=True)
            return path
        except _BeyondEndError:
            path.unlink()  # as long as the real one, or longer, and not the real one
        except _DroppedError:
            if _size(path) == before:
                break
        except LabError:
            raise
        except OSError as error:
            raise LabError(f"'{path}' can't be written: {error.strerror}. Free some space, and start again.") from None
        except (ValueError, IndexError, KeyError, AssertionError):
            raise LabError(
                f"cityscapes-dataset.com gave an answer about {name} that makes no sense. Try again later."
            ) from None
        except Exception as error:
            if "MD5" not in str(error):
                raise
            path.unlink()
            raise LabError(
                f"{name} arrived damaged: its checksum is not the official one. The file was removed; start again to"
                " fetch it anew."
            ) from None
    raise LabError(
        f"The connection broke while {name} came in. What has arrived is kept: start again, and it goes on from there."
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path, progress: ProgressCallback) -> str:
    total, done = _size(path), 0
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(16 * CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(f"Checking {path.name}", done, total)
    return digest.hexdigest()


@contextmanager
def _explain_damage(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError):
        raise LabError(
            f"'{archive}' is damaged or no zip archive. Delete it, and start again to fetch it anew."
        ) from None
    except OSError as error:
        named = error.filename or archive
        raise LabError(f"'{named}' can't be read or written: {error.strerror}. Mend that, and start again.") from None


def _looked_at(opened: zipfile.ZipFile, archive: Path, folder: Path) -> list[tuple[zipfile.ZipInfo, Path]]:
    """Return every file of an archive with the path it goes to, or LabError for the first thing that can't be
    official.
    """
    package = PACKAGES[archive.name]
    infos = opened.infolist()
    size = sum(info.file_size for info in infos)
    if len(infos) > MAX_ENTRIES:
        _refuse(archive, f"it has more than {MAX_ENTRIES:,} entries")
    if size > MAX_GROWTH * package.size:
        _refuse(archive, f"it unpacks to {format_bytes(size)}")
    entries = [(info, _path_of(info, archive, folder)) for info in infos]
    if len({str(path).casefold() for _, path in entries}) < len(entries):
        _refuse(archive, "it holds a name twice")
    if (folder / package.folder).is_symlink():
        raise LabError(f"'{folder / package.folder}' is a link. Remove it, or name the folder that it leads to.")
    missing = sum(info.file_size for info, path in entries if _size(path) != info.file_size)
    free = shutil.disk_usage(folder).free
    if missing + SPARE > free:
        raise LabError(
            f"'{folder}' has {format_bytes(free)} free, but {archive.name} unpacks to {format_bytes(missing)} more, and"
            " 1 GB is kept. Free some space, and start again."
        )
    return [(info, path) for info, path in entries if not info.is_dir()]


def _path_of(info: zipfile.ZipInfo, archive: Path, folder: Path) -> Path:
    """Return where an entry goes.

    Raises LabError unless its name, kind and packing are those of an official archive.
    """
    package = PACKAGES[archive.name]
    # zipfile cuts a name at its first zero byte and turns backslashes on Windows; what was written counts.
    name = info.orig_filename
    parts = name.removesuffix("/").split("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not name.isprintable() or set(name) & set('\\:*?"<>|') or not {"", ".", ".."}.isdisjoint(parts):
        _refuse(archive, f"the name {name[:80]!r} leads elsewhere")
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        _refuse(archive, f"{name[:80]!r} is a link or a device")
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse(archive, f"{name[:80]!r} is packed in a way that the official archive doesn't use")
    if len(parts) == 1 and not info.is_dir() and _DOCUMENT.fullmatch(name):
        return folder / f"{archive.stem}-{name}"
    if parts[0] != package.folder or (len(parts) == 1 and not info.is_dir()):
        _refuse(archive, f"{name[:80]!r} does not belong to {package.folder}")
    return folder / PurePosixPath(name)


def _refuse(archive: Path, why: str) -> None:
    raise LabError(
        f"'{archive}' is not the official archive: {why}. Nothing was unpacked; delete it, and fetch it anew."
    )


def _is_there(path: Path, info: zipfile.ZipInfo) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != info.file_size:
        return False
    checksum = 0
    with open(path, "rb") as file:
        while chunk := file.read(16 * CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum == info.CRC


def _write_entry(opened: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, report: Callable[[int], None]) -> None:
    """Write one file under a hidden name and rename it: under its own name it is complete, its checksum compared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.part")
    hidden.unlink(missing_ok=True)
    try:
        with opened.open(info) as source, open(hidden, "xb") as file:
            while chunk := source.read(16 * CHUNK):
                file.write(chunk)
                report(len(chunk))
        if hidden.stat().st_size != info.file_size:
            raise zipfile.BadZipFile
        os.replace(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
