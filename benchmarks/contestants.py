"""The networks that the benchmarks train, each in up to three ways, and the taking of turns that makes times
comparable.

- lab: as the lab does, `core.training.step.train_step` on what `choose_hardware` finds: bf16 where the processor has
it, channels
  last, fused AdamW, clipped gradients;
- plain: the very same network in a tutorial's step: fp32, contiguous, Adam;
- peer: another library's network of the same name in that step, where there is one.
"""

import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal

import psutil
import torch
from torch import nn

from benchmarks.tutorial import plain_optimizer, plain_step, smp_unet, torchvision_fcn
from core.config import RunConfig, read_config
from core.hardware import choose_hardware
from core.inference.predictor import Predictor
from core.labels import CITYSCAPES_19
from core.models.build import build_model
from core.processes import available_cores
from core.training.checkpoint import TrainingState, save_checkpoint
from core.training.distributed import Distributed
from core.training.evaluate import to_device
from core.training.losses import SummedLoss
from core.training.malloc import keep_freed_memory
from core.training.optimizer import build_optimizer
from core.training.step import train_step

Way = Literal["lab", "plain", "peer"]
Task = Literal["step", "predict", "predict_as_the_lab"]
Clock = Literal["wall", "cpu"]

CLASSES = len(CITYSCAPES_19.class_names)
NETWORKS: dict[str, dict[str, str | int]] = {
    "fcn": {"family": "fcn"},
    "fcn-resnet50": {"family": "fcn", "encoder": "resnet50"},
    "unet": {"family": "unet"},
    "plain": {"family": "unet", "encoder": "plain"},
    "wide": {"family": "unet", "encoder": "plain", "width": 64},
    "vit": {"family": "vit"},
}
PEERS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "fcn-resnet50": ("torchvision fcn_resnet50", lambda: torchvision_fcn(CLASSES)),
    "unet": ("smp.Unet · EfficientNet-Lite0", lambda: smp_unet("tf_efficientnet_lite0", CLASSES)),
}
CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
LOOK_SECONDS = 0.002


@dataclass(frozen=True)
class Setting:
    """What all have in common: frames in a batch, sizes (height, width) of a crop and of a picture, threads (0: one per
    core).
    """

    batch: int
    crop: tuple[int, int]
    image: tuple[int, int]
    threads: int


class Contestant:
    """A network that can take a training step and look at a picture in one of the three ways, on the CPU."""

    def __init__(self, name: str, way: Way, setting: Setting) -> None:
        self.config = _config_of(name, setting)
        self.title = PEERS[name][0] if way == "peer" else self.config.model.title
        # A tutorial leaves all but the number of threads as it is.
        self.hardware = choose_hardware(self.config.training) if way == "lab" else None
        torch.set_num_threads(setting.threads or available_cores())
        torch.manual_seed(0)
        network = PEERS[name][1]() if way == "peer" else build_model(self.config.model, CLASSES)
        self._images = torch.randint(0, 256, (setting.batch, 3, *setting.crop), dtype=torch.uint8)
        self._targets = torch.randint(0, CLASSES, (setting.batch, *setting.crop), dtype=torch.uint8)
        self._image = torch.randint(0, 256, (1, 3, *setting.image), dtype=torch.uint8)
        self._loss = SummedLoss(self.config.training, torch.ones(CLASSES))
        if self.hardware:
            self.network = self.hardware.prepare(network)
            self._optimizer = build_optimizer(self.network, self.config, pretrained=False)
        else:
            self.network = network
            self._optimizer = plain_optimizer(self.network)
            self._images, self._targets = self._images.float() / 255, self._targets.long()

    def step(self) -> None:
        """One optimizer step, on the same batch each time."""
        self.network.train()
        if self.hardware:
            train_step(
                self.network,
                self._optimizer,
                self._images,
                self._targets,
                self._loss,
                self.hardware,
                self.config.training,
                self.hardware.scaler(),
                Distributed(),
            )
        else:
            plain_step(self.network, self._optimizer, self._images, self._targets)

    @torch.no_grad()
    def predict(self) -> torch.Tensor:
        """Return labels (1, H, W) of the picture, the network running at the picture's size."""
        self.network.eval()
        if self.hardware:
            with self.hardware.autocast():
                return self.network(to_device(self._image, self.hardware)).argmax(dim=1)
        return self.network(self._image.float() / 255).argmax(dim=1)

    def predict_as_the_lab(self) -> None:
        """The lab's own way from a picture to labels: the network sees it at its training size."""
        self._predictor.predict(self._image[0].permute(1, 2, 0).numpy())

    @cached_property
    def _predictor(self) -> Predictor:
        with tempfile.TemporaryDirectory() as folder:
            save_checkpoint(
                Path(folder), "best", TrainingState(self.network, best_miou=0.0), self.config, CITYSCAPES_19
            )
            return Predictor(Path(folder), self.hardware)


class Lane:
    """A contestant in a process of its own, so that none inherits another's settings, threads or memory."""

    def __init__(self, name: str, way: Way, setting: Setting) -> None:
        forks = "forkserver" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if forks else "spawn")
        if forks:  # imported once for all lanes
            context.set_forkserver_preload(["torch", "timm", "torchvision", "segmentation_models_pytorch"])
        self._process = ProcessPoolExecutor(1, mp_context=context)
        self.title: str = self._process.submit(_enter, name, way, setting).result()

    def __enter__(self) -> "Lane":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.shutdown()

    def seconds(self, task: Task, clock: Clock) -> float:
        """Return what one go at a task takes."""
        return self._process.submit(_seconds, task, clock).result()

    def memory(self, task: Task) -> int:
        """Return bytes by which the process's resident size grows at most while it does a task twice.

        To be asked first.
        """
        return self._process.submit(_memory, task).result()


def alternate(tasks: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median of the seconds that each task returns over `rounds`; they take turns, and a first round doesn't count."""
    seconds: dict[str, list[float]] = {title: [] for title in tasks}
    for _ in range(1 + rounds):
        for title, task in tasks.items():
            seconds[title].append(task())
    return {title: statistics.median(spent[1:]) for title, spent in seconds.items()}


def timed(task: Callable[[], object], clock: Clock) -> float:
    """Return seconds that a task takes."""
    began = CLOCKS[clock]()
    task()
    return CLOCKS[clock]() - began


# ---- in a lane's process

_contestants: list[Contestant] = []


def _enter(name: str, way: Way, setting: Setting) -> str:
    if way == "lab":
        keep_freed_memory()  # as the trainer does
    _contestants.append(Contestant(name, way, setting))
    return _contestants[0].title


def _seconds(task: Task, clock: Clock) -> float:
    return timed(getattr(_contestants[0], task), clock)


def _memory(task: Task) -> int:
    process, ended = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not ended.wait(LOOK_SECONDS):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(2):
        getattr(_contestants[0], task)()
    ended.set()
    watcher.join()
    return peak - before


def _config_of(name: str, setting: Setting) -> RunConfig:
    height, width = setting.crop
    training = {"batch_size": setting.batch, "crop_height": height, "crop_width": width}
    return read_config({"model": NETWORKS[name], "training": training | {"threads": setting.threads, "device": "cpu"}})
