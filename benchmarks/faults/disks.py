"""Campaigns against disks: full or read-only, under a training and under every other writer."""

import io
import os
import shutil
import subprocess
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.faults.bench import (
    Bench,
    Result,
    config,
    end,
    ended_alike,
    launch_and_wait,
    loads,
    wait_until,
)
from core import runner
from core.data import cache, collections, uploaded_archive
from core.data.class_table import save_class_table, write_rows
from core.data.dataset import Dataset, open_dataset
from core.data.joint_list import write_list
from core.data.statistics import count_frames
from core.errors import LabError, storage_sentence
from core.evaluation.evaluate_run import evaluate_run
from core.evaluation.job import start_evaluation
from core.evaluation.results import EvaluationSettings
from core.export.export import export_run
from core.inference.predict_files import PredictionFiles, find_images, predict_files
from core.inference.predictor import load_predictor
from core.labels import CITYSCAPES_19
from core.paths import reports_folder, streets_folder
from core.progress import no_progress
from core.report.settings import ReportSettings
from core.report.writing import write_report
from core.runs.metrics_log import read_metrics
from core.runs.notes import Notes, write_notes
from core.runs.status import read_status, request_stop
from core.runs.store import Run, checkpoint_path, list_runs, read_run
from core.sweeps import read_spec, start_sweep, stop_sweep

DISK_BYTES = 8_000_000
WRITERS_DISK_BYTES = 64_000_000


def full_disk(bench: Bench, during: str) -> Result:
    """Return the disk fills up while rows or checkpoints are written: once there is room again the run ends with the
    same weights.
    """
    often = {"metrics": 1000, "checkpoints": 0}[during]
    wish = config(epochs=120, checkpoint_seconds=often, evaluations=1 if during == "metrics" else 2)
    undisturbed = launch_and_wait(wish, bench.runs(f"undisturbed-{during}"))
    times, lost, sentences = bench.times(10), 0, 0
    for index in range(times):
        with small_disk(bench.folder / f"disk-{during}-{index}") as folder:
            run = runner.launch(wish, folder)
            wait_until(lambda run=run: read_status(run).step > bench.dice.randint(1, 60))
            seen = read_metrics(run)[0]
            ballast = folder / "ballast"
            fill(ballast)
            wait_until(lambda run=run: not read_run(run).is_active)
            sentences += read_run(run).state == "lost" or read_status(run).failure == "disk"
            lost += read_run(run).state == "finished" or read_metrics(run)[0][: len(seen)] != seen
            lost += checkpoint_path(run, "last") is not None and not loads(run)
            ballast.unlink()
            runner.resume(run)
            wait_until(lambda run=run: not read_run(run).is_active)
            lost += not ended_alike(run, undisturbed)
    return Result(
        f"disk full during {during}", times, f"{sentences} with a sentence; same SHA-256 once there is room", lost
    )


@contextmanager
def small_disk(folder: Path, size: int = DISK_BYTES) -> Iterator[Path]:
    """Mount a disk of some bytes on a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        for run in list_runs(folder):
            end(run.path)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take up all that is left of a disk."""
    with suppress(OSError), open(path, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


Break = Callable[[Path], Callable[[], object]]
"""Makes a disk refuse what is written, and returns what makes it take it again."""


def full(disk: Path) -> Callable[[], object]:
    """Leave no room on a disk."""
    ballast = disk / "ballast"
    fill(ballast)
    return ballast.unlink


def read_only(disk: Path) -> Callable[[], object]:
    """Let nothing be written to a disk."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    return lambda: subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@dataclass(frozen=True)
class Disk:
    """A small disk with a trained run and a folder of images and masks.

    Attributes:
        root: where it is mounted; `runs` and `data` lie there.
        run: the trained one.
    """

    root: Path
    run: Run

    @property
    def folder(self) -> Path:
        """Return the data set's folder."""
        return self.root / "data" / "folder"

    @property
    def dataset(self) -> Dataset:
        """Return what the run was trained on."""
        return open_dataset(self.run.config.dataset)


def start_a_sweep(disk: Disk) -> None:
    """Start a sweep and stop it."""
    spec = read_spec({"base": disk.run.config.model_dump(), "vary": {"training.seed": [1, 2]}, "method": "grid"})
    stop_sweep(start_sweep(spec, disk.run.path.parent))


def label_pictures(disk: Disk) -> None:
    """Write the masks of a folder's pictures."""
    predictor, _ = load_predictor(disk.run.path)
    images = find_images([disk.folder / "images"])
    list(predict_files(predictor, images, disk.root / "masks", PredictionFiles()))


def upload(disk: Disk) -> None:
    """Unpack a ZIP of the folder's files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for path in disk.folder.rglob("*.png"):
            file.write(path, path.relative_to(disk.folder))
    uploaded_archive.unpack_archive("mine.zip", archive)


def report_on(disk: Disk) -> None:
    """Write a report of the run."""
    settings = ReportSettings((disk.run.id,), sections=("results",), pictures=False)
    write_report(settings, reports_folder() / "20261128-120000-report-0000")


WRITERS: dict[str, Callable[[Disk], object]] = {
    "launch": lambda disk: end(runner.launch(config(epochs=1), disk.run.path.parent)),
    "notes": lambda disk: write_notes(disk.run.path, Notes(name="renamed")),
    "request to stop": lambda disk: request_stop(disk.run.path),
    "trash": lambda disk: runner.delete(disk.run.path),
    "sweep": start_a_sweep,
    "scoring": lambda disk: evaluate_run(disk.run, EvaluationSettings()),
    "scoring in the background": lambda disk: start_evaluation([disk.run.id], EvaluationSettings()),
    "export": lambda disk: export_run(disk.run, "torch", disk.root / "network.pt2", no_progress),
    "masks of a folder": label_pictures,
    "report": report_on,
    "collection": lambda disk: collections.save_collection("Mine", [("a", np.zeros((32, 64, 3), np.uint8))]),
    "class table": lambda disk: save_class_table(disk.folder, write_rows(CITYSCAPES_19)),
    "uploaded archive": upload,
    "joint data set": lambda disk: write_list("both", [disk.folder, disk.folder.with_name("other")]),
    "decoded frames": lambda disk: cache.build_cache(disk.dataset, disk.dataset.train, "raw"),
    "counts of classes": lambda disk: count_frames(disk.dataset, disk.dataset.train),
}
"""All that the lab writes beside a training's own files."""


def unwritable(bench: Bench, break_: Break) -> Result:
    """Break the disk under every writer: each is refused in a sentence or does without, nothing that was there changes,
    no half file stays, and once the disk is mended the same call succeeds.
    """
    for module in (cache, collections, uploaded_archive):
        module.SPARE_BYTES = 0  # a disk of megabytes has no gigabyte to leave alone
    template = bench.runs("template")
    shutil.copytree(streets_folder(), template / "data" / "streets")
    run = launch_and_wait(config(epochs=2), template / "runs")
    for name in ("folder", "other"):
        for kind, index in (("images", 0), ("masks", 1)):
            target = template / "data" / name / kind
            target.mkdir(parents=True)
            for frame in open_dataset(read_run(run).config.dataset).train[:4]:
                shutil.copy((frame.image, frame.labels)[index], target / f"{frame.id.rpartition('/')[2]}.png")
    names = list(WRITERS)[:: max(1, round(1 / bench.scale))]
    outcomes = {name: broken_under(bench, template, name, break_) for name in names}
    lost = [f"{name}: {what}" for name, what in outcomes.items() if what not in ("refused", "did without")]
    counts = Counter(outcomes.values())
    kept = (
        f"{counts['refused']} refused with a sentence, {counts['did without']} did without; nothing changed, no half"
        " file, done once mended"
    )
    title = "disk full at each writer" if break_ is full else "read-only disk at each writer"
    return Result(title, len(names), "; ".join([kept, *lost]), len(lost))


def broken_under(bench: Bench, template: Path, name: str, break_: Break) -> str:
    """Return what a writer did on a broken disk: "refused", "did without", or what was wrong."""
    before = dict(os.environ)
    with small_disk(bench.folder / name.replace(" ", "-"), WRITERS_DISK_BYTES) as root:
        shutil.copytree(template, root, dirs_exist_ok=True)
        os.environ |= {
            "SEGLAB_CHECKPOINTS": str(root / "runs"),
            "SEGLAB_DATA": str(root / "data"),
            "SEGLAB_DATA_ROOTS": str(root),
        }
        try:
            disk = Disk(root, list_runs(root / "runs")[0])
            files = {path: content_of(path) for path in root.rglob("*") if path.is_file()}
            mend = break_(root)
            outcome = "did without"
            try:
                WRITERS[name](disk)
            except LabError as error:
                outcome = "refused" if str(error).endswith(".") else f"'{error}' is no sentence"
            except OSError as error:
                outcome = "refused" if storage_sentence(error) else f"{error!r} is no sentence"
            mend()
            left = [path.name for path in root.rglob("*") if path not in files and is_half(path)]
            if left:
                return f"left {', '.join(left)}"
            if outcome == "refused" and (
                changed := [path.name for path, content in files.items() if content_of(path) != content]
            ):
                return f"changed {', '.join(changed)}"
            if outcome == "refused":
                WRITERS[name](disk)
            return outcome
        finally:
            for run in list_runs(root / "runs"):
                end(run.path)
            os.environ.clear()
            os.environ.update(before)


def content_of(path: Path) -> bytes:
    """Return what a file holds; nothing where it isn't there any more."""
    return path.read_bytes() if path.is_file() else b""


def is_half(path: Path) -> bool:
    """Return whether a file or folder is a draft: hidden, and no lock, trash or registry."""
    return path.name.startswith(".") and path.name not in (".trash", ".sweeps", ".slots", ".queue.lock")
