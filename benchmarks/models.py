"""How fast the lab trains and predicts, against what a user would write or take instead. About ten minutes on two cores.

    python benchmarks/models.py [--networks fcn unet vit ...] [--batch 8] [--steps 5] [--wide]

Each network of the lab is trained in three ways that take turns, step by step, in one process:

- lab: as the lab does, `core.training.step.train_step` on what `choose_hardware` finds: bf16 where the processor has it, channels
  last, fused AdamW, clipped gradients;
- plain: the very same network in a tutorial's step: fp32, contiguous, Adam;
- peer: another library's network of the same name in that step, where there is one.

Medians count, the first step of each doesn't. Memory is what a process's resident size grows by in two steps, measured in a
process each. Predictions are of one picture of 2048 x 1024, the network running at that size; beside it the lab's own way, in
which the network sees the picture at its training size. The last line is the geometric mean of plain over lab in the families'
default networks.

For the plain U-Net the measured peak of bf16 convolutions is set beside what a whole step reaches, and where the rest goes.
Where others use the machine, `--clock cpu --threads 1` counts the processor's seconds instead of the wall's.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # as the trainer does, see core.training.__main__; here for all ways

import numpy as np
import psutil
import torch
from torch import nn
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.tutorial import plain_optimizer, plain_step, smp_unet, torchvision_fcn
from core.config import RunConfig, read_config
from core.inference.predictor import Predictor
from core.labels import CITYSCAPES_19
from core.models import build_model
from core.training.checkpoint import save_checkpoint
from core.training.evaluation import to_device
from core.training.hardware import choose_hardware
from core.training.optimizer import build_optimizer
from core.training.step import train_step

CLASSES = len(CITYSCAPES_19.classes)
NETWORKS: dict[str, dict[str, str | int]] = {
    "fcn": {"family": "fcn"},
    "fcn-resnet50": {"family": "fcn", "encoder": "resnet50"},
    "unet": {"family": "unet"},
    "plain": {"family": "unet", "encoder": "plain"},
    "wide": {"family": "unet", "encoder": "plain", "width": 64},
    "vit": {"family": "vit"},
}
DEFAULTS = ("fcn", "unet", "vit")
PEERS: dict[str, Callable[[], nn.Module]] = {
    "fcn-resnet50": lambda: torchvision_fcn(CLASSES),
    "unet": lambda: smp_unet("tf_efficientnet_lite0", CLASSES),
}
PEER_TITLES = {"fcn-resnet50": "torchvision fcn_resnet50", "unet": "smp.Unet · EfficientNet-Lite0"}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("optimizer", ("Optimizer.step", "Optimizer.zero_grad")),
    ("convolutions backward", ("ConvolutionBackward",)),
    ("normalisation", ("BatchNorm", "batch_norm", "group_norm", "GroupNorm")),
    ("activation", ("relu", "Relu", "threshold", "gelu", "Gelu", "silu", "clamp")),
    (
        "pooling, resizing, concatenation",
        ("upsample", "Upsample", "max_pool", "MaxPool", "aten::cat", "CatBackward", "pad"),
    ),
    ("loss", ("cross_entropy", "nll", "Nll", "log_softmax", "LogSoftmax", "aten::index")),
    ("clipping", ("_foreach_norm", "vector_norm", "_foreach_mul", "clamp_max", "aten::stack")),
    ("convolutions forward", ("aten::conv", "aten::mkldnn_conv", "aten::_convolution")),
    ("casts and copies", ("ToCopyBackward", "aten::to", "aten::_to_copy", "aten::copy_", "aten::contiguous")),
)
"""Where a moment of a step belongs: to the outermost operation on the stack whose name has one of these words in it."""


class Contestant:
    """A network, `lab`, `plain` or `peer`, that can take a training step and look at a picture."""

    def __init__(self, name: str, way: str, options: argparse.Namespace) -> None:
        height, width = options.crop
        self.config = config_of(name, options)
        self.hardware = choose_hardware(self.config.training)
        self.way = way
        network = PEERS[name]() if way == "peer" else build_model(self.config.model, CLASSES)
        rng = torch.Generator().manual_seed(0)
        self._images = torch.randint(0, 256, (options.batch, 3, height, width), dtype=torch.uint8, generator=rng)
        self._targets = torch.randint(0, CLASSES, (options.batch, height, width), dtype=torch.uint8, generator=rng)
        self._weights = torch.ones(CLASSES)
        if way == "lab":
            self.network = self.hardware.prepare(network).train()
            self._optimizer = build_optimizer(self.network, self.config, pretrained=False)
        else:
            self.network = network.train()
            self._optimizer = plain_optimizer(self.network)
            self._images, self._targets = self._images.float() / 255, self._targets.long()

    def step(self) -> None:
        """One optimizer step on the same batch each time."""
        if self.way == "lab":
            clip = self.config.training.clip_norm
            train_step(self.network, self._optimizer, self._images, self._targets, self._weights, self.hardware, clip)
        else:
            plain_step(self.network, self._optimizer, self._images, self._targets)

    @torch.no_grad()
    def predict(self, picture: torch.Tensor) -> torch.Tensor:
        """uint8 (1, 3, H, W) to labels (1, H, W), the network running on every pixel."""
        self.network.eval()
        if self.way == "lab":
            with self.hardware.autocast():
                return self.network(to_device(picture, self.hardware)).argmax(dim=1)
        return self.network(picture.float() / 255).argmax(dim=1)

    def predictor(self) -> Predictor:
        """The lab's own way from a picture to labels, on this network's weights."""
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder)
            save_checkpoint(run, "best", self.network, None, self.config, CITYSCAPES_19, 0, 0.0)
            return Predictor(run, self.hardware)


def config_of(name: str, options: argparse.Namespace) -> RunConfig:
    """The run that a line of `NETWORKS` stands for; everything else keeps its default."""
    training = {"threads": options.threads, "batch_size": options.batch, "device": "cpu"}
    return read_config({"model": NETWORKS[name], "training": training})


def ways_of(name: str) -> list[str]:
    """The ways in which a network is trained here."""
    return ["lab", "plain", *(["peer"] if name in PEERS else [])]


def take_turns(tasks: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of each task; they take turns, and the first round doesn't count."""
    seconds: dict[str, list[float]] = {title: [] for title in tasks}
    for _ in range(rounds + 1):
        for title, task in tasks.items():
            began = clock()
            task()
            seconds[title].append(clock() - began)
    return {title: statistics.median(spent[1:]) for title, spent in seconds.items()}


def memory_of(name: str, way: str, options: argparse.Namespace) -> int:
    """Bytes by which this process grows at most in two steps. Looked at every 2 ms, so nothing that lasts is missed."""
    contestant = Contestant(name, way, options)
    process, ended = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(2):
        contestant.step()
    ended.set()
    watcher.join()
    return peak - before


def measure_memory(name: str, way: str, options: argparse.Namespace) -> int:
    """`memory_of` in a process of its own, which has run nothing else."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["torch", "timm", "torchvision", "segmentation_models_pytorch"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(memory_of, name, way, options).result()


def compare(name: str, options: argparse.Namespace) -> float:
    """Prints a network's lines of the table; returns how many times as fast the lab trains it as the plain step."""
    clock = CLOCKS[options.clock]
    memory = {way: measure_memory(name, way, options) for way in ways_of(name)}
    contestants = {way: Contestant(name, way, options) for way in ways_of(name)}
    # A lab that has no bf16 may leave a matmul precision behind that isn't torch's default: each way gets its own.
    steps = take_turns({way: with_precision(way, one.step) for way, one in contestants.items()}, options.steps, clock)
    height, width = options.picture
    picture = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    pixels = np.ascontiguousarray(picture[0].permute(1, 2, 0).numpy())
    predictor = contestants["lab"].predictor()
    looks = {way: with_precision(way, lambda one=one: one.predict(picture)) for way, one in contestants.items()} | {
        "predictor": with_precision("lab", lambda: predictor.predict(pixels))
    }
    predictions = take_turns(looks, options.predictions, clock)
    title = contestants["lab"].config.model.title
    for way in contestants:
        print(
            f"{PEER_TITLES[name] if way == 'peer' else title:34} {way:6} {options.batch / steps[way]:9.2f} "
            f"{steps[way] / steps['lab']:8.2f} {memory[way] / 2**20:9.0f} {1000 * predictions[way]:11.0f} "
            + (f"{1000 * predictions['predictor']:10.0f}" if way == "lab" else f"{'':10}"),
            flush=True,
        )
    return steps["plain"] / steps["lab"]


def with_precision(way: str, task: Callable[[], object]) -> Callable[[], object]:
    """A task under the matmul precision of its way: that of the lab, or torch's default."""

    def run() -> object:
        torch.set_float32_matmul_precision("high" if way == "lab" else "highest")
        return task()

    return run


def share_of_peak(name: str, options: argparse.Namespace) -> None:
    """Prints which share of the measured convolution peak a lab's step reaches, and where its time goes."""
    contestant = Contestant(name, "lab", options)
    with FlopCounterMode(display=False) as counter:
        contestant.step()
    height, width = options.crop
    peaks = {
        f"{channels} x {height * 64 // channels} x {width * 64 // channels}": convolution(
            (options.batch, channels, height * 64 // channels, width * 64 // channels),
            contestant.hardware.autocast_dtype,
        )
        for channels in (64, 128, 256, 512)
    }
    flops = {shape: operations for shape, (_, operations) in peaks.items()}
    tasks = {"step": contestant.step} | {shape: task for shape, (task, _) in peaks.items()}
    seconds = take_turns(tasks, options.steps, CLOCKS[options.clock])
    rates = {shape: flops[shape] / seconds[shape] for shape in peaks}
    best = max(rates, key=rates.__getitem__)
    reached = counter.get_total_flops() / seconds["step"]
    print(f"\n{contestant.config.model.title}, width {contestant.config.model.width}, {contestant.hardware.sentence}")
    print(
        f"  {counter.get_total_flops() / 1e9:.0f} GFLOP a step in {seconds['step']:.2f} s: {reached / 1e9:.0f} GFLOP/s"
    )
    print(f"  the best of {len(peaks)} 3x3 convolutions, {best}: {rates[best] / 1e9:.0f} GFLOP/s, forward and backward")
    print(f"  share of the peak: {reached / rates[best]:.0%}")
    shares = where_time_goes(contestant.step)
    print("  " + ", ".join(f"{group} {share:.0%}" for group, share in shares.items()))


def convolution(shape: tuple[int, int, int, int], dtype: torch.dtype | None) -> tuple[Callable[[], object], int]:
    """A 3x3 convolution of maps (B, C, h, w), C channels to C, forward and backward; and its floating-point operations."""
    batch, channels, height, width = shape
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(dtype=dtype, memory_format=torch.channels_last)
    maps = torch.randn(shape).to(dtype=dtype, memory_format=torch.channels_last).requires_grad_()
    gradient = torch.randn(shape).to(dtype=dtype, memory_format=torch.channels_last)
    return lambda: layer(maps).backward(gradient), 3 * 2 * batch * height * width * channels**2 * 9


def where_time_goes(step: Callable[[], object]) -> dict[str, float]:
    """Shares of one step's time by `GROUPS`, the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        step()
    spent: dict[str, float] = {}
    for event in recorded.events():
        group = group_of(event)
        spent[group] = spent.get(group, 0) + event.self_cpu_time_total
    total = sum(spent.values())
    return {group: time / total for group, time in sorted(spent.items(), key=lambda item: -item[1])}


def group_of(event: FunctionEvent) -> str:
    """The group of an event: that of the outermost operation around it which has one."""
    found = "other"
    while event is not None:
        found = next((group for group, words in GROUPS if any(word in event.name for word in words)), found)
        event = event.cpu_parent
    return found


def main() -> None:
    """Prints the table, the plain U-Net's share of the peak, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--networks", nargs="+", choices=list(NETWORKS), default=["fcn", "fcn-resnet50", "unet", "plain", "vit"]
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, nargs=2, default=(192, 384), help="height and width of what a step sees")
    parser.add_argument(
        "--picture", type=int, nargs=2, default=(1024, 2048), help="height and width of a picture to predict"
    )
    parser.add_argument("--steps", type=int, default=5, help="counted steps of each")
    parser.add_argument("--predictions", type=int, default=3, help="counted predictions of each")
    parser.add_argument("--threads", type=int, default=0, help="0 takes one per core")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--wide", action="store_true", help="the share of the peak also for the paper's width of 64")
    options = parser.parse_args()
    print(
        f"{'network':34} {'way':6} {'images/s':>9} {'lab is x':>8} {'MiB/step':>9} {'ms/picture':>11} {'lab’s own':>10}"
    )
    ratios = {name: compare(name, options) for name in options.networks}
    if "plain" in options.networks:
        for name in ["plain", *(["wide"] if options.wide else [])]:
            share_of_peak(name, options)
    counted = [ratios[name] for name in DEFAULTS if name in ratios] or list(ratios.values())
    print(f"\nratio: {statistics.geometric_mean(counted):.2f}")


if __name__ == "__main__":
    main()
