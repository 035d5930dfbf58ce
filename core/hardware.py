"""What this machine offers a training: device, number format, threads.

Each choice with the sentence that explains it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import torch
from torch import nn

from core.config import TrainingConfig
from core.errors import LabError
from core.processes import available_cores
from core.text import plural


@dataclass(frozen=True)
class Hardware:
    """Where and how tensors are computed. `autocast_dtype` is None for plain float32."""

    device: torch.device
    autocast_dtype: torch.dtype | None
    threads: int
    workers: int
    sentence: str

    @property
    def precision(self) -> Literal["fp32", "bf16", "fp16"]:
        """The number format by the name that a config gives it."""
        if self.autocast_dtype is None:
            return "fp32"
        return "bf16" if self.autocast_dtype is torch.bfloat16 else "fp16"

    def autocast(self) -> torch.autocast:
        """Return the context in which forward passes run."""
        return torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """Keep small gradients from vanishing in fp16; does nothing in other formats."""
        return torch.amp.GradScaler(self.device.type, enabled=self.autocast_dtype is torch.float16)

    def prepare(self, model: nn.Module) -> nn.Module:
        """Move a network to the device, channels last, and return it; on a CPU in bf16, some layers stay in fp32."""
        if self.device.type == "cpu" and self.autocast_dtype is torch.bfloat16:
            for module in model.modules():
                if isinstance(module, nn.Conv2d) and _is_slow_in_bf16(module):
                    module.forward = _in_fp32(module.forward)
        return model.to(self.device, memory_format=torch.channels_last)


def choose_hardware(training: TrainingConfig, local_rank: int = 0) -> Hardware:
    """Settle device, precision and threads, and sets torch's and OpenCV's thread counts.

    Args:
        training: the wishes.
        local_rank: number of this process among those that train together on this machine, from 0: its GPU's number.

    Raises:
        LabError: the wished device isn't there.
    """
    device = _device(training.device)
    if device.type == "cuda" and training.num_processes > 1:
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    threads = training.threads or max(1, available_cores() // training.num_processes)
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    torch.set_float32_matmul_precision("high")
    has_bf16 = _has_bf16(device)
    if training.precision == "bf16" or (training.precision == "auto" and has_bf16):
        dtype, why = torch.bfloat16, "in bf16" + ("" if has_bf16 else ", though this processor only imitates it")
    elif training.precision == "fp16":
        dtype, why = torch.float16, "in fp16, with scaled gradients"
    elif training.precision == "fp32":
        dtype, why = None, "in fp32, as asked"
    else:
        dtype, why = None, "in fp32: this processor has no fast bf16"
    workers = (
        training.workers if training.workers >= 0 else (min(8, available_cores() - 1) if device.type == "cuda" else 0)
    )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    where = name if device.type != "cpu" else f"the CPU with {plural(threads, 'thread')}"
    together = f"{training.num_processes} processes, each o" if training.num_processes > 1 else "O"
    return Hardware(device, dtype, threads, workers, f"{together}n {where}, {why}.")


def _is_slow_in_bf16(layer: nn.Conv2d) -> bool:
    """Depthwise convolutions that are large or strided: oneDNN's bf16 gradient of them is slower than the fp32 one.

    `benchmarks/depthwise.py` on two AVX512-BF16 cores, torch 2.15: whole step 1.17 (FCN-8s) and 1.21 (U-Net) times as
    fast.
    """
    depthwise = layer.groups == layer.in_channels > 1
    return depthwise and (max(layer.kernel_size) > 3 or max(layer.stride) > 1)


def _in_fp32(forward: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    def in_fp32(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return forward(images.float()).to(images.dtype)

    return in_fp32


def _device(wish: str) -> torch.device:
    if wish == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(wish)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise LabError(
            f"training.device is {wish}, but this machine has {torch.cuda.device_count()} CUDA devices. Choose auto or"
            " cpu."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise LabError("training.device is mps, but this machine has none. Choose auto or cpu.")
    return device


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # Without these instructions bf16 is emulated and slower than fp32.
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
    return False
