"""What a run's folder holds of exported files, and the job that makes one. Torch isn't needed.

exports/onnx/   model.onnx  complete and checked, or not there; beside it the job that made it (core.jobs.engine)
exports/torch/  model.pt2   the same
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from core.errors import LabError, writing
from core.extras import check_packages
from core.jobs.engine import Job, latest_job, start_job
from core.runs.store import Run

Format = Literal["onnx", "torch"]
FILES: dict[Format, str] = {"onnx": "model.onnx", "torch": "model.pt2"}
TITLES: dict[Format, str] = {"onnx": "ONNX", "torch": "torch.export"}


@dataclass(frozen=True)
class Report:
    """What was exported, and how it did beside the network on frames of the run's data.

    Attributes:
        step: optimizer steps of the checkpoint.
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


_REPORT = TypeAdapter(Report)


def export_folder(run: Path, format: Format) -> Path:
    """Where a run's exported file lies, and the job that makes it."""
    return run / "exports" / format


def export_path(run: Path, format: Format) -> Path:
    """A run's exported file, whether or not it is there."""
    return export_folder(run, format) / FILES[format]


def latest_export(run: Path, format: Format) -> Job | None:
    """The job that was started last to make a run's file, or None."""
    return latest_job(export_folder(run, format))


def read_report(run: Path, format: Format, job: Job | None) -> Report | None:
    """What a finished job found of the file that is there; None where there is none."""
    if job is None or job.state != "finished" or not export_path(run, format).is_file():
        return None
    try:
        return _REPORT.validate_python(job.result)
    except ValidationError:
        return None


def check_exportable(run: Run, format: Format) -> None:
    """Raises LabError where a run can't be exported: it has no checkpoint yet, or packages are missing."""
    if format == "onnx":
        check_packages("ONNX files", ("onnx", "onnxscript", "onnxruntime"))
    if run.config is None:
        raise LabError(f"Run {run.id} can't be exported. {run.problem}")
    if not run.has_checkpoint("best"):
        raise LabError(f"Run {run.id} has no checkpoint yet. Wait for its first evaluation.")


def start_export(run: Run, format: Format) -> Job:
    """Begins to make a run's file, in a process of its own that outlives the server.

    Raises:
        LabError: it can't be exported, is being exported already, or its folder can't be written to.
    """
    check_exportable(run, format)
    with writing(run.path):
        return start_job("core.export", {"run": run.id, "format": format}, export_folder(run.path, format))
