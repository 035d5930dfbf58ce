"""Where the campaigns take place: tiny trainings, what they left, and how to wait for and end them."""

import hashlib
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from safetensors import SafetensorError, safe_open

from core import runner
from core.config import RunConfig, read_config
from core.errors import LabError
from core.processes import ProcessId
from core.runs.metrics_log import read_metrics, valid_rows
from core.runs.store import checkpoint_path, list_runs, read_run

ROOT = Path(__file__).resolve().parents[2]
SIZE = (64, 128)
PATIENCE = 180.0
"""Seconds after which something that was waited for counts as hanging."""


@dataclass
class Result:
    """One row of the table."""

    campaign: str
    faults: int
    kept: str
    lost: int


@dataclass
class Bench:
    """Where the campaigns take place, and their dice."""

    folder: Path
    scale: float
    dice: random.Random

    def times(self, full: int) -> int:
        """Return how often something is done that is done `full` times at full scale; at least once."""
        return max(1, round(full * self.scale))

    def runs(self, name: str) -> Path:
        """Return a fresh folder of runs."""
        path = self.folder / name
        path.mkdir()
        return path


def config(width: int = 4, dataset: dict[str, Any] | None = None, **training: Any) -> RunConfig:
    """Return a plain U-Net on the tiny streets; arguments are training fields."""
    height, breadth = SIZE
    return read_config(
        {
            "dataset": {"name": "streets", "height": height, "width": breadth} | (dataset or {}),
            "model": {"family": "unet", "encoder": "plain", "weights": "none", "width": width},
            "training": {
                "minutes": 0,
                "epochs": 60,
                "batch_size": 2,
                "crop_height": 32,
                "crop_width": 64,
                "evaluations": 2,
                "checkpoint_seconds": 1,
                "precision": "fp32",
                "device": "cpu",
                "threads": 1,
            }
            | training,
        }
    )


def launch_and_wait(wish: RunConfig, folder: Path) -> Path:
    """Train a run to its end; returns its folder."""
    run = runner.launch(wish, folder)
    wait_until(lambda: not read_run(run).is_active)
    return run


def wait_until(question: Callable[[], Any], pause: float = 0.02) -> Any:
    """Ask until the answer is true and return it. Raises TimeoutError when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not (response := question()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Nothing happened for {PATIENCE:g} s.")
        time.sleep(pause)
    return response


def kill(expected: ProcessId | None) -> bool:
    """Kill a process at once; False when there is none any more."""
    process = expected.process() if expected else None
    if process:
        process.kill()
    return process is not None


def end(run: Path) -> None:
    """Stop a run that is still going, without waiting for its checkpoint."""
    with suppress(LabError):
        runner.stop_now(run, patience=0)


def revive(folder: Path) -> None:
    """Resume what was killed, as a user would."""
    for run in list_runs(folder):
        with suppress(LabError):
            if run.state in ("lost", "failed"):
                runner.resume(run.path)


def trainers_in(folder: Path, module: str = "core.training") -> int:
    """Return how many trainers of runs of a folder are alive, whatever the runs say of themselves."""
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return sum(module in command and any(str(folder) in name for name in command) for command in commands)


def wait_for_device(folder: Path) -> None:
    """Wait until the supervisors of a folder's runs have ended, which hold the device for a moment more."""
    wait_until(lambda: not trainers_in(folder, "core.runner.supervisor"))


def fingerprint(run: Path) -> str:
    """SHA-256 of a run's last weights; empty where it has none."""
    path = run / "last" / "model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def ended_alike(run: Path, undisturbed: Path) -> bool:
    """Return whether a run is finished, with the weights of one that nothing disturbed."""
    return read_run(run).state == "finished" and fingerprint(run) == fingerprint(undisturbed)


def steps(run: Path) -> list[int]:
    """Return the steps of a run that count, in their order."""
    return [row["step"] for row in valid_rows(read_metrics(run)[0]) if row["kind"] == "train"]


def loads(run: Path) -> bool:
    """Return whether a run's last checkpoint can be read to its last tensor.

    Its folder is complete, or the one that replaces it is.
    """
    folder = checkpoint_path(run, "last")
    if folder is None:
        folder = run / ".last.old"
    try:
        json.loads((folder / "state.json").read_bytes())
        for name in ("model", "optimizer"):
            with safe_open(folder / f"{name}.safetensors", framework="numpy") as file:
                for key in file.keys():  # noqa: SIM118 - not a dictionary
                    file.get_tensor(key)
    except (OSError, ValueError, SafetensorError):
        return False
    return True
