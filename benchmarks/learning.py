"""What five minutes teach: the lab as a user starts it, against a plain tutorial loop of the same length.

Over half an hour.

    python benchmarks/learning.py --minutes 5 [--root ../shared/data/cityscapes] [--families fcn unet vit]

Ours is `python -m core train --preset quick`; theirs is `tutorial.py` on the same encoder weights, given as many
seconds as ours really took from the start of its process to its end, its evaluations included. Each has the machine for
itself. The last weights of both are scored by the same code on the same validation frames, ours in the precision that
it was trained in. One seed: differences under 0.02 are noise. Ours is also asked how soon one of its evaluations was as
good as theirs in the end, its own start included. The last lines are two per family: `fcn mIoU ours 0.408 theirs 0.231`
and `fcn sooner: 4.21`, theirs over ours.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from safetensors.torch import load_file

from benchmarks.tutorial import build_network
from core.config import RunConfig, read_config, with_preset
from core.data.dataset import Dataset, open_dataset
from core.evaluation.metrics.confusion import ConfusionMatrix
from core.hardware import choose_hardware
from core.inference.predictor import Predictor
from core.models.weights_source import fetch_weights, find_weights
from core.paths import PROJECT
from core.runs.metrics_log import evaluations
from core.training.plan import Plan

SHARED = PROJECT.parent / "shared"
PRESET = "quick"

Values = dict[str, dict[str, Any]]
"""Fields of a run that differ from the preset, by part and name."""


def compete(values: Values, folder: Path) -> tuple[float, float, float]:
    """Train a family both ways, one after the other; returns the mean IoU of ours and of theirs, 0..1, and their time
    over that which ours took to theirs.
    """
    config = read_config(with_preset(values, PRESET))
    dataset = open_dataset(config.dataset)
    run, steps, seconds = train_ours(values, folder)
    predictor = Predictor(run, choose_hardware(config.training), "last")
    ours = score(dataset, lambda image: predictor.predict(image).labels)
    print(f"{config.model.title}: ours {describe(steps, seconds, ours)}", flush=True)

    weights, steps, seconds = train_theirs(config, folder, seconds)
    network = build_network(config.model, len(dataset.space.class_names))
    network.load_state_dict(load_file(weights))
    theirs = score(dataset, lambda image: label_plainly(network.eval(), image))
    print(f"{config.model.title}: theirs {describe(steps, seconds, theirs)}", flush=True)
    return ours.miou(), theirs.miou(), seconds / seconds_to(run, theirs.miou())


def seconds_to(run: Path, miou: float) -> float:
    """Return seconds from the start of a run to its first evaluation of at least a mean IoU, 0..1; infinity without."""
    setup_seconds = Plan.load(run).setup_seconds
    reached = (row["minutes"] for row in evaluations(run) if row["miou"] is not None and row["miou"] >= miou)
    return setup_seconds + 60 * next(reached, float("inf"))


def describe(steps: int, seconds: float, confusion: ConfusionMatrix) -> str:
    """Return what a training came to, in half a sentence."""
    accuracy = confusion.pixel_accuracy()
    return f"{steps} steps in {seconds:.0f} s, mean IoU {confusion.miou():.3f}, pixel accuracy {accuracy:.3f}"


def train_ours(values: Values, folder: Path) -> tuple[Path, int, float]:
    """Train as a user does in a terminal; returns the run's folder, its steps, and the seconds from start to end."""
    command = ["-m", "core", "train", "--preset", PRESET, "--json"]
    for part, fields in values.items():
        for name, value in fields.items():
            command += [f"--{part}.{name.replace('_', '-')}", str(value)]
    began = time.monotonic()
    result = json.loads(call(*command, SEGLAB_CHECKPOINTS=str(folder)).splitlines()[-1])
    if result["state"] != "finished":
        raise SystemExit(f"Our run ended {result['state']}: {result['error']}")
    return folder / result["run"], result["step"], time.monotonic() - began


def train_theirs(config: RunConfig, folder: Path, seconds: float) -> tuple[Path, int, float]:
    """Train as a tutorial does; returns the file of weights, the steps, and the seconds from start to end."""
    source = find_weights(config.model)
    out = folder / "theirs.safetensors"
    command = ["benchmarks/tutorial.py", "--family", config.model.family, "--root", config.dataset.root]
    command += ["--seconds", str(seconds), "--batch", str(config.training.batch_size), "--out", str(out)]
    command += ["--size", str(config.dataset.height), str(config.dataset.width)]
    command += ["--weights", str(fetch_weights(source))] if source.pretrained else []
    began = time.monotonic()
    steps = int(call(*command).splitlines()[-1])
    return out, steps, time.monotonic() - began


def call(*arguments: str, **variables: str) -> str:
    """Return what a Python process of its own printed, started as if by hand.

    The end of its complaints where it fails.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, env=environment | variables, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments[:3])} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout


def score(dataset: Dataset, label: Callable[[np.ndarray], np.ndarray]) -> ConfusionMatrix:
    """Label every validation frame at the data set's size and counts."""
    confusion = ConfusionMatrix(len(dataset.space.class_names))
    for frame in dataset.val:
        confusion.update(dataset.target(frame), label(dataset.image(frame)))
    return confusion


@torch.no_grad()
def label_plainly(network: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) to labels uint8 (H, W), in fp32."""
    images = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    return network(images)[0].argmax(dim=0).to(torch.uint8).numpy()


def main() -> None:
    """Print how each family fared, then one line a family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training, from the start of its process")
    parser.add_argument("--root", type=Path, default=SHARED / "data/cityscapes", help="holds leftImg8bit and gtFine")
    parser.add_argument("--families", nargs="+", choices=["fcn", "unet", "vit"], default=["fcn", "unet", "vit"])
    parser.add_argument("--size", type=int, nargs=2, default=(256, 512), help="of frames; crops have three quarters")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of ours; that of the tutorial is 0")
    options = parser.parse_args()
    root = options.root.resolve()
    os.environ.setdefault("SEGLAB_DATA_ROOTS", str(root))
    if (SHARED / "weights").is_dir():
        os.environ.setdefault("SEGLAB_WEIGHTS", str(SHARED / "weights"))
    height, width = options.size
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for family in options.families:
            values: Values = {
                "dataset": {"name": "cityscapes", "root": str(root), "height": height, "width": width},
                "model": {"family": family},
                "training": {
                    "minutes": options.minutes,
                    "seed": options.seed,
                    "batch_size": options.batch,
                    "crop_height": height * 3 // 4,
                    "crop_width": width * 3 // 4,
                },
            }
            path = Path(folder) / family
            path.mkdir()
            ours, theirs, sooner = compete(values, path)
            lines += [f"{family} mIoU ours {ours:.3f} theirs {theirs:.3f}", f"{family} sooner: {sooner:.2f}"]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
