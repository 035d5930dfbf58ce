"""What the lab keeps when things break: processes killed at random, a full disk, numbers that run away, labels that
don't do.

    python benchmarks/faults.py [--only trainer checkpoint supervisor queue disk-metrics disk-checkpoint numbers]
    [--scale 0.1]

Real trainers on tiny generated streets, one thread each, in a temporary folder. Every campaign counts what it did and
what was lost by it, and ends with a row of a table in Markdown; whatever was lost makes the exit code 1. `--scale 0.1`
does a tenth of it. The disk that is full is a tmpfs of a few megabytes, which takes the rights to mount one.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402 - after the path is set
from safetensors import SafetensorError, safe_open  # noqa: E402

from core import runner  # noqa: E402
from core.config import RunConfig, read_config  # noqa: E402
from core.data.cityscapes import list_frames  # noqa: E402
from core.data.decoding import read_labels  # noqa: E402
from core.errors import LabError  # noqa: E402
from core.processes import ProcessId  # noqa: E402
from core.runs.metrics_log import read_metrics, valid_rows  # noqa: E402
from core.runs.status import read_status  # noqa: E402
from core.runs.store import checkpoint_path, create_run, list_runs, read_run  # noqa: E402
from core.synthetic import write_streets  # noqa: E402

SIZE = (64, 128)
PATIENCE = 180.0
"""Seconds after which something that was waited for counts as hanging."""
DISK_BYTES = 8_000_000


@dataclass
class Result:
    """One row of the table."""

    campaign: str
    faults: int
    cached: str
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


def killed_trainers(bench: Bench) -> Result:
    """Return trainers killed at random steps: the same weights as undisturbed, and no row that a reader has seen is
    missing later.
    """
    wish = config(epochs=250)
    folder = bench.runs("trainer")
    undisturbed = launch_and_wait(wish, folder)
    kills, lost, rows_seen = bench.times(20), 0, 0
    done = 0
    while done < kills:
        run = runner.launch(wish, folder)
        for _ in range(min(5, kills - done)):
            wait_until(lambda run=run: read_run(run).state == "running" and read_status(run).step > 0)
            time.sleep(bench.dice.uniform(0, 2))
            if not kill(read_status(run).trainer):
                break
            wait_until(lambda run=run: not read_run(run).is_active)
            seen = read_metrics(run)[0]
            done += 1
            runner.resume(run)
            wait_until(lambda run=run, seen=seen: len(read_metrics(run)[0]) > len(seen) or not read_run(run).is_active)
            lost += read_metrics(run)[0][: len(seen)] != seen
            rows_seen += len(seen)
        wait_until(lambda run=run: not read_run(run).is_active)
        lost += fingerprint(run) != fingerprint(undisturbed) or steps(run) != steps(undisturbed)
    return Result("trainer killed at a random moment", done, f"same SHA-256, all {rows_seen} rows that were read", lost)


def kills_inside_checkpoints(bench: Bench) -> Result:
    """Return trainers killed while they write a checkpoint: one that loads remains, and the run goes on from it."""
    folder = bench.runs("checkpoint")
    run = runner.launch(config(width=32, epochs=10_000, checkpoint_seconds=0), folder)
    kills, inside, lost = bench.times(60), 0, 0
    fresh = run / ".last.new"
    for _ in range(kills):
        wait_until(lambda: (run / "last").exists() or not read_run(run).is_active)
        trainer = wait_until(lambda: read_status(run).trainer)
        wait_until(fresh.exists, pause=0)
        time.sleep(bench.dice.uniform(0, 0.02))
        kill(trainer)
        inside += fresh.exists() or (run / ".last.old").exists()
        wait_until(lambda: not read_run(run).is_active)
        lost += not loads(run)
        runner.resume(run)
        before = read_metrics(run)[1]
        wait_until(lambda before=before: read_metrics(run)[1] > before or not read_run(run).is_active)
        lost += not read_run(run).is_active
    end(run)
    return Result(
        "trainer killed inside a checkpoint", kills, f"{inside} of them half-way; one that loads remains", lost
    )


def killed_supervisors(bench: Bench) -> Result:
    """Return supervisors killed, waiting ones and watching ones: never two trainers at a time."""
    folder = bench.runs("supervisor")
    for _ in range(4):
        runner.launch(config(epochs=500), folder)
    kills, limit = bench.times(20), 0
    for _ in range(kills):
        processes = [run.status.supervisor for run in list_runs(folder) if run.is_active]
        kill(bench.dice.choice([expected for expected in processes if expected and expected.is_alive()] or [None]))
        until = time.monotonic() + bench.dice.uniform(0.2, 2)
        while time.monotonic() < until:
            limit = max(limit, trainers_in(folder))
            time.sleep(0.05)
        revive(folder)
    for run in list_runs(folder):
        with suppress(LabError):
            runner.stop_now(run.path, patience=5)
    return Result("supervisor killed", kills, f"{limit} trainer at most on the device", max(0, limit - 1))


def killed_queue(bench: Bench) -> Result:
    """Many queued runs whose supervisors and trainers are killed at random: all finish, one at a time."""
    folder = bench.runs("queue")
    count = bench.times(80)
    for _ in range(count):
        runner.launch(config(epochs=5), folder)
    kills, limit, deadline = 0, 0, time.monotonic() + 30 * count + PATIENCE
    while any(run.state != "finished" for run in list_runs(folder)) and time.monotonic() < deadline:
        limit = max(limit, trainers_in(folder))
        if kills < count and bench.dice.random() < 0.1:
            processes = [
                expected
                for run in list_runs(folder)
                if run.is_active
                for expected in (run.status.supervisor, run.status.trainer)
                if expected and expected.is_alive()
            ]
            kills += kill(bench.dice.choice(processes or [None]))
        revive(folder)
        time.sleep(0.1)
    unfinished = sum(run.state != "finished" for run in list_runs(folder))
    cached = f"{count - unfinished} of {count} runs finished, {limit} trainer at most"
    return Result(f"random kills in a queue of {count}", kills, cached, unfinished + max(0, limit - 1))


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
            lost += read_run(run).state != "finished" or fingerprint(run) != fingerprint(undisturbed)
    return Result(
        f"disk full during {during}", times, f"{sentences} with a sentence; same SHA-256 once there is room", lost
    )


def bad_values(bench: Bench) -> Result:
    """Return a rate at which weights run away, labels that are all ignored, labels out of range: a sentence, or
    training goes on.
    """
    folder = bench.runs("numbers")
    remaining, lost = [], 0
    run = read_run(launch_and_wait(config(learning_rate=1, grad_clip_norm=0, dataset={}), folder, poison=True))
    lost += (run.status.failure, bool(run.status.suggested_change)) != ("diverged", True)
    remaining.append(f"loss that is no number: {run.state}, {run.status.failure or 'no word'}")
    for name, change, expected in (
        ("first frames ignored", lambda position, labels: labels * (position > 2), {"finished"}),
        ("all ignored", lambda number, labels: labels * 0, {"failed"}),
        ("a label of 200", lambda number, labels: labels * 0 + 200 if number == 0 else labels, {"finished", "failed"}),
    ):
        data = relabelled(bench.folder / name.replace(" ", "-"), change)
        wish = config(epochs=2, batch_size=1, crop_height=64, dataset={"name": "cityscapes", "root": str(data)})
        run = read_run(launch_and_wait(wish, folder))
        lost += run.state not in expected or run.status.failure == "fault"
        remaining.append(f"{name}: {run.state}")
    return Result("numbers and labels that don't do", 4, "; ".join(remaining), lost)


CAMPAIGNS: dict[str, Callable[[Bench], Result]] = {
    "trainer": killed_trainers,
    "checkpoint": kills_inside_checkpoints,
    "supervisor": killed_supervisors,
    "queue": killed_queue,
    "disk-metrics": lambda bench: full_disk(bench, "metrics"),
    "disk-checkpoint": lambda bench: full_disk(bench, "checkpoints"),
    "numbers": bad_values,
}

POISON = """
import sys
import torch
from core.training import __main__ as trainer, loop
step = loop.train_step
loop.train_step = lambda *given, **named: torch.tensor(float("nan")) if step(*given, **named) is not None else None
sys.exit(trainer.main(sys.argv[1:]))
"""
"""A trainer whose loss is no number from the first step on: no rate that a config may ask for does that to batch
normalisation.
"""


def launch_and_wait(wish: RunConfig, folder: Path, poison: bool = False) -> Path:
    """Train a run to its end; returns its folder."""
    if poison:
        run = create_run(wish, folder)
        with open(run / "train.log", "ab") as log:
            subprocess.run([sys.executable, "-c", POISON, str(run)], cwd=ROOT, stdout=log, stderr=log, check=False)
        return run
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


def trainers_in(folder: Path) -> int:
    """Return how many trainers of runs of a folder are alive, whatever the runs say of themselves."""
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return sum("core.training" in command and any(str(folder) in name for name in command) for command in commands)


def fingerprint(run: Path) -> str:
    """SHA-256 of a run's last weights; empty where it has none."""
    path = run / "last" / "model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


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


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of a few megabytes on a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], check=True)
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


def relabelled(root: Path, change: Callable[[int, Any], Any]) -> Path:
    """Return a copy of the streets in the Cityscapes layout whose training labels were changed."""
    from PIL import Image

    streets = Path(os.environ["SEGLAB_DATA"]) / "streets"
    shutil.copytree(streets, root)
    for index, frame in enumerate(list_frames(root, "train")):
        Image.fromarray(change(index, read_labels(frame.labels))).save(frame.labels)
    return root


def main() -> int:
    """Run the campaigns and prints their table; returns 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(CAMPAIGNS), default=list(CAMPAIGNS))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the faults; default 1")
    parser.add_argument("--seed", type=int, default=0, help="of the dice; default 0")
    options = parser.parse_args()
    lost = 0
    with tempfile.TemporaryDirectory(prefix="seglab-faults-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ |= {"SEGLAB_DATA": name, "SEGLAB_DATA_ROOTS": name, "OMP_NUM_THREADS": "1"}
        write_streets(folder / "streets", train=8, val=4, size=SIZE, seed=0)
        print("| what breaks | faults | what is kept | lost | seconds |\n|---|---|---|---|---|")
        for campaign in options.only:
            began = time.monotonic()
            bench = Bench(folder / campaign, options.scale, random.Random(options.seed))
            bench.folder.mkdir()
            try:
                result = CAMPAIGNS[campaign](bench)
            except (TimeoutError, subprocess.CalledProcessError, LabError) as error:
                result = Result(campaign, 0, f"broken off: {error}", 1)
            finally:
                for run in (outcome for path in bench.folder.iterdir() if path.is_dir() for outcome in list_runs(path)):
                    end(run.path)
            lost += result.lost
            seconds = time.monotonic() - began
            print(
                f"| {result.campaign} | {result.faults} | {result.cached} | {result.lost} | {seconds:.0f} |", flush=True
            )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
