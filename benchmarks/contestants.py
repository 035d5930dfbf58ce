"""The networks that the benchmarks train, each in up to three ways, and the taking of turns that makes times comparable.

- lab: as the lab does, `core.training.step.train_step` on what `choose_hardware` finds: bf16 where the processor has it, channels
  last, fused AdamW, clipped gradients;
- plain: the very same network in a tutorial's step: fp32, contiguous, Adam;
- peer: another library's network of the same name in that step, where there is one.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from benchmarks.tutorial import plain_optimizer, plain_step, smp_unet, torchvision_fcn
from core.config import RunConfig, read_config
from core.hardware import choose_hardware
from core.inference.predictor import Predictor
from core.labels import CITYSCAPES_19
from core.models import build_model
from core.training.checkpoint import save_checkpoint
from core.training.evaluation import to_device
from core.training.optimizer import build_optimizer
from core.training.step import train_step

Way = Literal["lab", "plain", "peer"]

CLASSES = len(CITYSCAPES_19.classes)
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
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Setting:
    """What all have in common: frames in a batch, height and width of a crop, threads (0 takes one per core)."""

    batch: int
    crop: tuple[int, int]
    threads: int


class Contestant:
    """A network that can take a training step and look at a picture in one of the three ways, on the CPU."""

    def __init__(self, name: str, way: Way, setting: Setting) -> None:
        self.way = way
        self.config = _config_of(name, setting)
        self.hardware = choose_hardware(self.config.training)
        self.title = self.config.model.title if way != "peer" else PEERS[name][0]
        torch.manual_seed(0)
        network = PEERS[name][1]() if way == "peer" else build_model(self.config.model, CLASSES)
        self._images = torch.randint(0, 256, (setting.batch, 3, *setting.crop), dtype=torch.uint8)
        self._targets = torch.randint(0, CLASSES, (setting.batch, *setting.crop), dtype=torch.uint8)
        self._weights = torch.ones(CLASSES)
        if way == "lab":
            self.network = self.hardware.prepare(network).train()
            self._optimizer = build_optimizer(self.network, self.config, pretrained=False)
        else:
            self.network = network.train()
            self._optimizer = plain_optimizer(self.network)
            self._images, self._targets = self._images.float() / 255, self._targets.long()

    def step(self) -> None:
        """One optimizer step, on the same batch each time."""
        self._set_precision()
        self.network.train()
        if self.way == "lab":
            clip = self.config.training.clip_norm
            train_step(self.network, self._optimizer, self._images, self._targets, self._weights, self.hardware, clip)
        else:
            plain_step(self.network, self._optimizer, self._images, self._targets)

    @torch.no_grad()
    def predict(self, picture: torch.Tensor) -> torch.Tensor:
        """uint8 (1, 3, H, W) to labels (1, H, W), the network running at the picture's size."""
        self._set_precision()
        self.network.eval()
        if self.way == "lab":
            with self.hardware.autocast():
                return self.network(to_device(picture, self.hardware)).argmax(dim=1)
        return self.network(picture.float() / 255).argmax(dim=1)

    def predictor(self) -> Predictor:
        """The lab's own way from a picture to labels, with this network's weights."""
        with tempfile.TemporaryDirectory() as folder:
            save_checkpoint(Path(folder), "best", self.network, None, self.config, CITYSCAPES_19, 0, 0.0)
            return Predictor(Path(folder), self.hardware)

    def _set_precision(self) -> None:
        # `choose_hardware` sets one for the whole process; a tutorial has torch's default.
        torch.set_float32_matmul_precision("high" if self.way == "lab" else "highest")


def take_turns(tasks: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of each task over `rounds`; they take turns, and a first round doesn't count."""
    seconds: dict[str, list[float]] = {title: [] for title in tasks}
    for _ in range(1 + rounds):
        for title, task in tasks.items():
            began = clock()
            task()
            seconds[title].append(clock() - began)
    return {title: statistics.median(spent[1:]) for title, spent in seconds.items()}


def _config_of(name: str, setting: Setting) -> RunConfig:
    height, width = setting.crop
    training = {"batch_size": setting.batch, "crop_height": height, "crop_width": width}
    return read_config({"model": NETWORKS[name], "training": training | {"threads": setting.threads, "device": "cpu"}})
