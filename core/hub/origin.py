"""Where a run came from that was not trained here: a repository of the Hub, and the commit that it was taken at."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from core.files import write_atomically
from core.runs.store import Run

FILE_NAME = "origin.json"
MAX_BYTES = 4096


@dataclass(frozen=True)
class Origin:
    """A repository, OWNER/NAME, and its commit, 40 hexadecimal digits."""

    repo: str
    commit: str

    @property
    def sentence(self) -> str:
        """For a person."""
        return f"From {self.repo} on the Hugging Face Hub, at commit {self.commit[:8]}."


_ORIGIN = TypeAdapter(Origin)


def read_origin(run: Path) -> Origin | None:
    """Return where a run folder came from; None where it was trained here."""
    try:
        with open(run / FILE_NAME, "rb") as file:
            return _ORIGIN.validate_json(file.read(MAX_BYTES))
    except (OSError, ValidationError):
        return None


def write_origin(run: Path, origin: Origin) -> None:
    """Write down where a run folder came from."""
    write_atomically(run / FILE_NAME, json.dumps(asdict(origin)))


def find_origin(runs: Iterable[Run], origin: Origin) -> Run | None:
    """Return the run that came from there, where one is among these."""
    return next((run for run in runs if read_origin(run.path) == origin), None)
