"""How fast the lab trains and predicts, against what a user would write or take instead. About ten minutes on two cores.

    python benchmarks/models.py [--networks fcn unet vit ...] [--batch 8] [--steps 5] [--wide]

The ways lab, plain and peer (see `contestants.py`) take turns, step by step, in one process; medians count. Memory is what a
process grows by in two steps, measured in a process each. A picture of 2048 x 1024 is predicted with the network running at that
size, and, beside it, as the lab does, where the network sees it at its training size. The plain U-Net is set beside the measured
peak of bf16 convolutions.

The last line is the geometric mean, over the families' default networks, of how many times as fast the lab trains the same
network as the plain step does. Where others use the machine, `--clock cpu --threads 1` counts seconds of the processor.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the trainer, see core.training.__main__; here for all ways
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own log

import numpy as np
import psutil
import torch

from benchmarks.contestants import CLOCKS, NETWORKS, PEERS, Contestant, Setting, Way, take_turns
from benchmarks.share import print_share
from core.families import FAMILIES

MEMORY_STEPS = 2
LOOK_SECONDS = 0.002


def compare(name: str, setting: Setting, options: argparse.Namespace) -> float:
    """Prints a network's lines of the table; returns how many times as fast the lab trains it as the plain step."""
    clock = CLOCKS[options.clock]
    ways: list[Way] = ["lab", "plain", "peer"] if name in PEERS else ["lab", "plain"]
    memory = {way: measure_memory(name, way, setting) for way in ways}
    contestants = {way: Contestant(name, way, setting) for way in ways}
    steps = take_turns({way: one.step for way, one in contestants.items()}, options.steps, clock)
    picture = torch.randint(0, 256, (1, 3, *options.picture), dtype=torch.uint8)
    pixels = np.ascontiguousarray(picture[0].permute(1, 2, 0).numpy())  # (H, W, 3)
    predictor = contestants["lab"].predictor()
    looks = {way: lambda one=one: one.predict(picture) for way, one in contestants.items()}
    predictions = take_turns(looks | {"predictor": lambda: predictor.predict(pixels)}, options.predictions, clock)
    for way, one in contestants.items():
        own_way = f"{1000 * predictions['predictor']:10.0f}" if way == "lab" else f"{'':10}"
        print(
            f"{one.title:36} {way:6} {setting.batch / steps[way]:9.2f} {steps[way] / steps['lab']:9.2f} "
            f"{memory[way] / 2**20:9.0f} {1000 * predictions[way]:11.0f} {own_way}",
            flush=True,
        )
    return steps["plain"] / steps["lab"]


def measure_memory(name: str, way: Way, setting: Setting) -> int:
    """Bytes that a few training steps take at most, in a process of its own that has run nothing else."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:  # imported once for all of these processes; no thread has run there yet
        context.set_forkserver_preload(["torch", "timm", "torchvision", "segmentation_models_pytorch"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(memory_growth, name, way, setting).result()


def memory_growth(name: str, way: Way, setting: Setting) -> int:
    """Bytes by which this process's resident size grows at most while it takes a few steps."""
    contestant = Contestant(name, way, setting)
    process, ended = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not ended.wait(LOOK_SECONDS):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(MEMORY_STEPS):
        contestant.step()
    ended.set()
    watcher.join()
    return peak - before


def main() -> None:
    """Prints the table, the plain U-Net's share of the peak, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    networks = [name for name in NETWORKS if name != "wide"]
    parser.add_argument("--networks", nargs="+", choices=networks, default=networks)
    parser.add_argument("--batch", type=int, default=8, help="frames in a step")
    parser.add_argument("--crop", type=int, nargs=2, default=(192, 384), help="height and width of what a step sees")
    parser.add_argument(
        "--picture", type=int, nargs=2, default=(1024, 2048), help="height and width of the predicted picture"
    )
    parser.add_argument("--steps", type=int, default=5, help="counted steps of each")
    parser.add_argument("--predictions", type=int, default=3, help="counted predictions of each")
    parser.add_argument("--threads", type=int, default=0, help="0 takes one per core")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="seconds of the wall, or of the processor"
    )
    parser.add_argument("--wide", action="store_true", help="the share of the peak also for the paper's width of 64")
    options = parser.parse_args()
    setting = Setting(options.batch, tuple(options.crop), options.threads)
    height, width = options.picture
    print(f"Batches of {setting.batch} crops, {setting.crop[1]} x {setting.crop[0]}; pictures of {width} x {height}.")
    print(
        f"{'network':36} {'way':6} {'images/s':>9} {'lab is x':>9} {'MiB/step':>9} {'ms/picture':>11} {'lab’s own':>10}"
    )
    ratios = {name: compare(name, setting, options) for name in options.networks}
    if "plain" in options.networks:
        for name in ("plain", "wide") if options.wide else ("plain",):
            print_share(name, setting, options.steps, CLOCKS[options.clock])
    defaults = [ratio for name, ratio in ratios.items() if name in FAMILIES]
    print(f"\nratio: {statistics.geometric_mean(defaults or ratios.values()):.2f}")


if __name__ == "__main__":
    main()
