"""Where the lab keeps things. Each place can be moved by an environment variable, read at every call.

| variable             | what lies there                                   | default            |
|----------------------|---------------------------------------------------|--------------------|
| `SEGLAB_CHECKPOINTS` | one folder per run                                | `checkpoints/`     |
| `SEGLAB_DATA`        | generated street scenes, and data put there by hand | `data/`          |
| `SEGLAB_DATA_ROOTS`  | the only folders under which a data set may be opened, separated as in `PATH` | the home
folder, the data folder and the folder that holds the project; on a server with sign-in the data folder alone | |
`SEGLAB_CACHE`       | decoded frames, counts of classes; may be deleted at any time | `data/cache/` | |
`SEGLAB_REPORTS`     | reports that were written                         | `data/reports/`    | | `SEGLAB_WEIGHTS`     |
pretrained encoders as safetensors files          | `weights/`         |
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from core.errors import LabError
from core.text import join_items, shorten

PROJECT = Path(__file__).resolve().parent.parent
TRASH = ".trash"
"""The folder of the deleted runs, in the folder of the runs: the list of runs passes over it."""
SWEEPS = ".sweeps"
"""The folder of the sweeps, likewise."""


def runs_folder() -> Path:
    """Return the folder that holds one folder per run."""
    return _folder("SEGLAB_CHECKPOINTS", "checkpoints")


def data_folder() -> Path:
    """Return the folder in which the lab generates street scenes."""
    return _folder("SEGLAB_DATA", "data")


def streets_folder() -> Path:
    """Return the folder of the generated street scenes."""
    return data_folder() / "streets"


def cache_folder() -> Path:
    """Return the folder of what can be made again: decoded frames and what was counted in them."""
    value = os.environ.get("SEGLAB_CACHE")
    return _folder("SEGLAB_CACHE", "") if value else data_folder() / "cache"


def reports_folder() -> Path:
    """Return the folder that holds one folder per report."""
    value = os.environ.get("SEGLAB_REPORTS")
    return _folder("SEGLAB_REPORTS", "") if value else data_folder() / "reports"


def collections_folder() -> Path:
    """Return the folder of all collections."""
    return data_folder() / "collections"


def archives_folder() -> Path:
    """Return the folder in which archives are unpacked."""
    return data_folder() / "uploads"


def weights_folder() -> Path:
    """Return the folder in which pretrained encoders are looked for before the Hub is asked."""
    return _folder("SEGLAB_WEIGHTS", "weights")


def expanded(typed: str | Path) -> Path:
    """Return a path with ~ as the home folder. Raises LabError where there is none."""
    try:
        return Path(typed).expanduser()
    except RuntimeError:
        raise LabError(f"'{typed}' can't be opened: there is no such home folder. Write the path without ~.") from None


def named_folders(parent: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Return the folders of such names, the last in the alphabet first: of names that begin with a date the newest."""
    if not parent.is_dir():
        return []
    named = [path for path in parent.iterdir() if pattern.fullmatch(path.name) and path.is_dir()]
    return sorted((path for path in named if not path.is_symlink()), key=lambda path: path.name, reverse=True)


def find_folder(name: str, parent: Path, pattern: re.Pattern[str], kind: str) -> Path:
    """Return the folder of that name, or the only one whose name contains it.

    Args:
        name: from an address or a shell, so that it may be anything, a path as well.
        parent: the folder in which it lies.
        pattern: of the names there.
        kind: what it is, "run" for example, for the sentences.

    Raises:
        LabError: there is none, or there are several.
    """
    if re.fullmatch(r"[A-Za-z0-9-]{1,80}", name):
        if pattern.fullmatch(name) and (parent / name).is_dir() and not (parent / name).is_symlink():
            return parent / name
        close = [path.name for path in named_folders(parent, pattern) if name in path.name]
        if len(close) == 1:
            return parent / close[0]
        if close:
            raise LabError(f"'{name}' could be any of {len(close)} {kind}s: {', '.join(close[:5])}. Type more of it.")
    raise LabError(
        f"There is no {kind} '{name[:80]}' in {parent}. It may have been deleted; look at the list of {kind}s."
    )


def data_roots() -> tuple[Path, ...]:
    """Return the folders under which a data set may be opened."""
    value = os.environ.get("SEGLAB_DATA_ROOTS")
    roots: list[Path] = []
    if value:
        roots = [expanded(part) for part in value.split(os.pathsep) if part]
    else:
        with suppress(RuntimeError):  # a container's user may have no home
            roots.append(Path.home())
        roots += [data_folder(), PROJECT.parent]
    return tuple(root.resolve() for root in roots)


def only_the_data_folder() -> None:
    """From now on data sets may be opened in the data folder alone, where `SEGLAB_DATA_ROOTS` names no others.

    Children inherit that.
    """
    if not os.environ.get("SEGLAB_DATA_ROOTS"):
        os.environ["SEGLAB_DATA_ROOTS"] = str(data_folder())


def resolve_data_root(text: str) -> Path:
    """Turn a typed path into an existing folder under one of `data_roots()`, links followed.

    Raises:
        LabError: there is no such folder, or it lies outside of the configured roots.
    """
    path = _resolve_typed(text, "data folder")
    if path.is_file():
        raise LabError(
            f"'{shorten(str(path), 200)}' is a file. Name the folder that holds it, '{shorten(str(path.parent), 200)}'."
        )
    if not path.is_dir():
        raise LabError(
            f"There is no folder '{shorten(str(path), 200)}'. Check the spelling, or whether the disk is mounted."
        )
    return path


def resolve_data_file(text: str, what: str) -> Path:
    """Turn a typed path into an existing file under one of `data_roots()`, links followed; `what` names it in errors.

    Raises:
        LabError: there is no such file, or it lies outside of the configured roots.
    """
    path = _resolve_typed(text, what)
    if not path.is_file():
        raise LabError(f"There is no {what} '{shorten(str(path), 200)}'. Check the spelling.")
    return path


def _resolve_typed(text: str, what: str) -> Path:
    cleaned = text.strip()
    if not cleaned or "\0" in cleaned:
        raise LabError(f"No {what} was named. Type its path.")
    try:
        path = expanded(cleaned)
        path = (path if path.is_absolute() else PROJECT / path).resolve()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # whether it may be named is said first
    except (OSError, RuntimeError, ValueError):
        raise LabError(
            f"'{shorten(cleaned, 200)}' is not a path that can be opened. Type the path of an existing {what}."
        ) from None
    if not any(path.is_relative_to(root) for root in data_roots()):
        raise LabError(
            f"'{shorten(str(path), 200)}' lies outside of the folders this lab may read. Move the data under"
            f" {join_items([str(root) for root in data_roots()], 'or')}, or start the lab with SEGLAB_DATA_ROOTS set to"
            " all the folders it may read, this one among them."
        )
    return path


def _folder(variable: str, default: str) -> Path:
    value = os.environ.get(variable)
    # A relative path means the same to the server and to a trainer, wherever they were started.
    return (PROJECT / expanded(value)).resolve() if value else PROJECT / default
