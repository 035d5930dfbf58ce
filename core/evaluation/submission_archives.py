"""Archives for the benchmark server that were made of a run's predictions, in its folder.

    checkpoints/<run>/submissions/
        <split>.zip     the archive, checked
        <split>.json    what it was made with

Nothing here predicts; `core.evaluation.make_submission` does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

FOLDER = "submissions"
Split = Literal["test", "val"]
SPLITS: tuple[Split, ...] = ("test", "val")


@dataclass(frozen=True)
class Archive:
    """An archive that is in order.

    Attributes:
        split: whose frames it holds.
        frames: how many.
        description: how they were predicted.
        weights: digest of the checkpoint.
        made: when, seconds since 1970.
        size: bytes.
    """

    split: Split
    frames: int
    description: str
    weights: str
    made: float
    size: int


ARCHIVE = TypeAdapter(Archive)


def archive_path(run: Path, split: Split) -> Path:
    """Return where a run's archive of a split is kept."""
    return run / FOLDER / f"{split}.zip"


def list_archives(run: Path) -> list[tuple[Path, Archive]]:
    """Return a run's archives that are there, with their facts."""
    results = []
    for split in SPLITS:
        path = archive_path(run, split)
        try:
            archive = ARCHIVE.validate_json(path.with_suffix(".json").read_bytes())
            if path.stat().st_size == archive.size:
                results.append((path, archive))
        except (OSError, ValueError):
            continue
    return results
