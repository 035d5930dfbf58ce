"""What a run's folder holds of exported files, and the process that makes one. Torch isn't needed.

exports/
    model.onnx  model.pt2   complete and checked, or not there
    onnx.json   torch.json  how each export stands; written by the process that makes the file, and once by whoever starts it
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from core.errors import LabError, writing
from core.extras import check_extra
from core.runner.detached import start_detached
from core.runs import ProcessId, Run, write_atomically

Format = Literal["onnx", "torch"]
FILES: dict[Format, str] = {"onnx": "model.onnx", "torch": "model.pt2"}
TITLES: dict[Format, str] = {"onnx": "ONNX", "torch": "torch.export"}
FOLDER = "exports"
START_SECONDS = 60.0
"""A process that has not said a word after so long has not begun."""


@dataclass(frozen=True)
class Report:
    """What was exported, and how it did beside the network on frames of the run's data.

    Attributes:
        step: optimizer steps of the checkpoint.
        parameters: of the network.
        any_size: pictures of any height and width are taken; else of `size` alone.
        size: height and width of the frames that it was checked on.
        frames: how many those were.
        agreement: share of their pixels, 0..1, on which both name the same class.
        largest_difference: between two logits of the same pixel and class.
        spread: standard deviation of the network's logits, to compare that with.
        network_ms: milliseconds a frame, median, of the network in PyTorch.
        file_ms: the same of the exported program.
        threads: processor threads that each had.
        size_bytes: of the file.
    """

    step: int
    parameters: int
    any_size: bool
    size: tuple[int, int]
    frames: int
    agreement: float
    largest_difference: float
    spread: float
    network_ms: float
    file_ms: float
    threads: int
    size_bytes: int


@dataclass(frozen=True)
class Export:
    """How an export stands. `updated` in seconds since 1970."""

    state: Literal["running", "finished", "failed"]
    updated: float
    process: ProcessId | None = None
    phase: str = "starting"
    done: int = 0
    total: int = 0
    error: str = ""
    report: Report | None = None

    @property
    def is_active(self) -> bool:
        """True while its process lives, or may still be starting."""
        if self.state != "running":
            return False
        return self.process.is_alive() if self.process else time.time() - self.updated < START_SECONDS


_EXPORT = TypeAdapter(Export)


def export_path(run: Path, format: Format) -> Path:
    """Where a run's exported file lies once it is there."""
    return run / FOLDER / FILES[format]


def read_export(run: Path, format: Format) -> Export | None:
    """How an export of a run stands; None where none was begun. One that was cut off is a failed one."""
    try:
        found = _EXPORT.validate_json((run / FOLDER / f"{format}.json").read_bytes())
    except (OSError, ValueError):
        return None
    if found.state == "running" and not found.is_active:
        return Export(
            "failed", found.updated, error="The export ended without a word. Its log may say why. Start it again."
        )
    if found.state == "finished" and not export_path(run, format).is_file():
        return None
    return found


def write_export(run: Path, format: Format, export: Export) -> None:
    """Writes down how an export stands."""
    (run / FOLDER).mkdir(exist_ok=True)
    write_atomically(run / FOLDER / f"{format}.json", json.dumps(asdict(export), indent=1))


def check_exportable(run: Run, format: Format) -> None:
    """Raises LabError where a run can't be exported: it has no checkpoint yet, or packages are missing."""
    if format == "onnx":
        check_extra("onnx")
    if run.config is None:
        raise LabError(f"Run {run.id} can't be exported. {run.problem}")
    if not run.has_checkpoint("best"):
        raise LabError(f"Run {run.id} has no checkpoint yet. Wait for its first evaluation.")


def start_export(run: Run, format: Format) -> None:
    """Begins to make a run's file, in a process of its own that outlives the server.

    Raises:
        LabError: it can't be exported, is being exported already, or its folder can't be written to.
    """
    check_exportable(run, format)
    found = read_export(run.path, format)
    if found and found.is_active:
        raise LabError(f"Run {run.id} is being exported already.")
    with writing(run.path):
        write_export(run.path, format, Export("running", time.time()))
        command = [sys.executable, "-X", "utf8", "-m", "core", "export", run.id, "--format", format, "--json"]
        start_detached(command, run.path / FOLDER / f"{format}.log")
