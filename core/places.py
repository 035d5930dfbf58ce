"""Where the lab keeps things. Each place can be moved by an environment variable, read at every call.

| variable             | what lies there                                   | default            |
|----------------------|---------------------------------------------------|--------------------|
| `SEGLAB_CHECKPOINTS` | one folder per run                                | `checkpoints/`     |
| `SEGLAB_DATA`        | generated street scenes, and data put there by hand | `data/`          |
| `SEGLAB_DATA_ROOTS`  | folders under which a data set may be opened, separated as in `PATH` | the home folder, the data folder and the folder that holds the project |
| `SEGLAB_WEIGHTS`     | pretrained encoders as safetensors files          | `weights/`         |
"""

import os
from pathlib import Path

from core.errors import LabError

PROJECT = Path(__file__).resolve().parent.parent


def runs_folder() -> Path:
    """The folder that holds one folder per run."""
    return _place("SEGLAB_CHECKPOINTS", "checkpoints")


def data_folder() -> Path:
    """The folder in which the lab generates street scenes."""
    return _place("SEGLAB_DATA", "data")


def streets_folder() -> Path:
    """The folder of the generated street scenes."""
    return data_folder() / "streets"


def weights_folder() -> Path:
    """The folder in which pretrained encoders are looked for before the Hub is asked."""
    return _place("SEGLAB_WEIGHTS", "weights")


def data_roots() -> tuple[Path, ...]:
    """The folders under which a data set may be opened."""
    given = os.environ.get("SEGLAB_DATA_ROOTS")
    if given:
        roots = [Path(part).expanduser() for part in given.split(os.pathsep) if part]
    else:
        roots = [Path.home(), data_folder(), PROJECT.parent]
    return tuple(root.resolve() for root in roots)


def resolve_data_root(text: str) -> Path:
    """Turns a typed path into an existing folder under one of `data_roots()`, links followed.

    Raises:
        LabError: there is no such folder, or it lies outside of the configured roots.
    """
    cleaned = text.strip()
    if not cleaned or "\0" in cleaned:
        raise LabError("No data folder was named. Type the folder that holds leftImg8bit and gtFine.")
    try:
        path = Path(cleaned).expanduser()
        path = (path if path.is_absolute() else PROJECT / path).resolve()
        is_folder = path.is_dir()
    except (OSError, RuntimeError, ValueError):
        raise LabError(
            f"'{_short(cleaned)}' is not a path that can be opened. Type the folder that holds leftImg8bit."
        ) from None
    if not any(path.is_relative_to(root) for root in data_roots()):
        raise LabError(
            f"'{_short(str(path))}' lies outside of the folders this lab may read. Move the data under "
            f"{' or '.join(str(root) for root in data_roots())}, or name its parent in SEGLAB_DATA_ROOTS and start the lab again."
        )
    if not is_folder:
        raise LabError(f"There is no folder '{_short(str(path))}'. Check the spelling, or whether the disk is mounted.")
    return path


def _place(variable: str, default: str) -> Path:
    given = os.environ.get(variable)
    # A relative path means the same to the server and to a trainer, wherever they were started.
    return (PROJECT / Path(given).expanduser()).resolve() if given else PROJECT / default


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
