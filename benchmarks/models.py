"""How fast the lab trains and predicts, against what a user would write or take instead.

About ten minutes on two cores.

    python benchmarks/models.py [--networks fcn unet vit ...] [--batch 8] [--steps 5] [--wide]

The ways lab, plain and peer (see `contestants.py`) have a process each and take turns, step by step; medians count.
Memory is what a process grows by in its first two steps. A picture of 2048 x 1024 is predicted with the network running
at that size, and, in the last column, as the lab does, where the network sees it at its training size. The plain U-Net
is set beside the measured peak of bf16 convolutions.

The last line is the geometric mean, over the families' default networks, of how many times as fast the lab trains the
same network as the plain step does. Where others use the machine, `--clock cpu --threads 1` counts seconds of the
processor.
"""

import argparse
import os
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the trainer, see core.training.__main__; here for all ways
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own log

from benchmarks.contestants import CLOCKS, NETWORKS, PEERS, Clock, Lane, Setting, Way, alternate
from benchmarks.share import print_share
from core.models.families import FAMILIES


def compare(name: str, setting: Setting, steps: int, predictions: int, clock: Clock) -> float:
    """Print a network's lines of the table; returns how many times as fast the lab trains it as the plain step."""
    ways: list[Way] = ["lab", "plain", "peer"] if name in PEERS else ["lab", "plain"]
    with ExitStack() as stack:
        lanes = {way: stack.enter_context(Lane(name, way, setting)) for way in ways}
        memory = {way: lane.memory("step") for way, lane in lanes.items()}
        step = alternate({way: lambda lane=lane: lane.seconds("step", clock) for way, lane in lanes.items()}, steps)
        styles = {way: lambda lane=lane: lane.seconds("predict", clock) for way, lane in lanes.items()}
        styles["own"] = lambda: lanes["lab"].seconds("predict_as_the_lab", clock)
        explanation = alternate(styles, predictions)
    for way, lane in lanes.items():
        own = f"{1000 * explanation['own']:10.0f}" if way == "lab" else f"{'':10}"
        print(
            f"{lane.title:36} {way:6} {setting.batch / step[way]:9.2f} {step[way] / step['lab']:9.2f} "
            f"{memory[way] / 2**20:9.0f} {1000 * explanation[way]:11.0f} {own}",
            flush=True,
        )
    return step["plain"] / step["lab"]


def main() -> None:
    """Print the table, the plain U-Net's share of the peak, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    networks = [name for name in NETWORKS if name != "wide"]
    parser.add_argument("--networks", nargs="+", choices=networks, default=networks)
    parser.add_argument("--batch", type=int, default=8, help="frames in a step")
    parser.add_argument("--crop", type=int, nargs=2, default=(192, 384), help="height and width of what a step sees")
    parser.add_argument(
        "--image", type=int, nargs=2, default=(1024, 2048), help="height and width of the predicted picture"
    )
    parser.add_argument("--steps", type=int, default=5, help="counted steps of each")
    parser.add_argument("--predictions", type=int, default=3, help="counted predictions of each")
    parser.add_argument("--threads", type=int, default=0, help="0 takes one per core")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="seconds of the wall, or of the processor"
    )
    parser.add_argument("--wide", action="store_true", help="the share of the peak also for the paper's width of 64")
    options = parser.parse_args()
    setting = Setting(options.batch, tuple(options.crop), tuple(options.image), options.threads)
    height, width = setting.image
    print(f"Batches of {setting.batch} crops, {setting.crop[1]} x {setting.crop[0]}; pictures of {width} x {height}.")
    print(
        f"{'network':36} {'way':6} {'images/s':>9} {'lab is x':>9} {'MiB/step':>9} {'ms/picture':>11} {'lab’s own':>10}"
    )
    ratios = {
        name: compare(name, setting, options.steps, options.predictions, options.clock) for name in options.networks
    }
    if "plain" in options.networks:
        for name in ("plain", "wide") if options.wide else ("plain",):
            print_share(name, setting, options.steps, options.clock)
    defaults = [ratio for name, ratio in ratios.items() if name in FAMILIES]
    print(f"\nratio: {statistics.geometric_mean(defaults or ratios.values()):.2f}")


if __name__ == "__main__":
    main()
