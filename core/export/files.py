"""What a run's folder holds of exported files. Torch isn't needed.

exports/onnx/   model.onnx  complete and checked, or not there; beside it the job that made it (core.export.job)
exports/torch/  model.pt2   the same
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from core.errors import LabError
from core.extras import check_packages
from core.jobs.engine import Job
from core.runs.store import Run


@dataclass(frozen=True)
class ExportFormat:
    """A kind of file for other tools.

    Attributes:
        title: its name.
        file: name of the file in its folder of a run.
        writer: "module:function"; `writer(program, any_size, path, metadata, threads)` writes a traced network and
            returns what answers as the file does, images float32 (1, 3, H, W) in 0..1 to logits (1, K, H, W).
        help: what it is for.
        use: Python that runs it; {name} stands for the file.
        metadata: where in the file the label table is, within a sentence.
        packages: modules that it needs beside the lab's own.
    """

    title: str
    file: str
    writer: str
    help: str
    use: str
    metadata: str
    packages: tuple[str, ...] = ()


EXPORTS: dict[str, ExportFormat] = {
    "onnx": ExportFormat(
        "ONNX",
        "model.onnx",
        "core.export.onnx_file:write",
        "For onnxruntime, TensorRT, OpenVINO and the like: one file, without Python or PyTorch.",
        'import onnxruntime\nsession = onnxruntime.InferenceSession("{name}")\n'
        '(logits,) = session.run(None, {{"images": images}})',
        "the file's metadata_props",
        ("onnx", "onnxscript", "onnxruntime"),
    ),
    "torch": ExportFormat(
        "torch.export",
        "model.pt2",
        "core.export.torch_file:write",
        "For PyTorch without the lab's code.",
        'import torch\nprogram = torch.export.load("{name}").module()\nlogits = program(images)',
        "the file, to be had with torch.export.load(..., extra_files={'labels': '', 'preprocessing': '', 'run': ''})",
    ),
}
Format = Literal[*EXPORTS]


@dataclass(frozen=True)
class Agreement:
    """How an exported program compares with its network on frames of the run's data.

    Attributes:
        frames: how many those were.
        agreement: share of their pixels, 0..1, on which both name the same class.
        largest_difference: between two logits of the same pixel and class.
        spread: standard deviation of the network's logits, to compare that with.
        network_ms: milliseconds a frame, median, of the network in PyTorch.
        file_ms: the same of the exported program.
    """

    frames: int
    agreement: float
    largest_difference: float
    spread: float
    network_ms: float
    file_ms: float


@dataclass(frozen=True)
class ExportCheck(Agreement):
    """What was exported, and how it compares with the network.

    Attributes:
        step: optimizer steps of the checkpoint.
        any_size: images of any height and width are taken; else of `size` alone.
        size: height and width of the frames that it was checked on.
        threads: processor threads that each had.
        size_bytes: of the file.
    """

    step: int
    any_size: bool
    size: tuple[int, int]
    threads: int
    size_bytes: int


_CHECK = TypeAdapter(ExportCheck)


def export_folder(run: Path, format: Format) -> Path:
    """Return where a run's exported file lies, and the job that makes it."""
    return run / "exports" / format


def export_path(run: Path, format: Format) -> Path:
    """Return the path of a run's exported file, whether or not it is there."""
    return export_folder(run, format) / EXPORTS[format].file


def read_check(run: Path, format: Format, job: Job | None) -> ExportCheck | None:
    """Read the result of a finished job whose file is there; None where there is none."""
    if job is None or job.state != "finished" or not export_path(run, format).is_file():
        return None
    try:
        return _CHECK.validate_python(job.result)
    except ValidationError:
        return None


def check_exportable(run: Run, format: Format) -> None:
    """Raise LabError where a run can't be exported: it has no checkpoint yet, or packages are missing."""
    check_packages(f"{EXPORTS[format].title} files", EXPORTS[format].packages)
    if run.config is None:
        raise LabError(f"Run {run.id} can't be exported. {run.problem}")
    if not run.has_checkpoint("best"):
        raise LabError(f"Run {run.id} has no checkpoint yet. Wait for its first evaluation.")
