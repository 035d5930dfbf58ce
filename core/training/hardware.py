"""What this machine offers a training: device, number format, threads; each choice with the sentence that explains it."""

import os
from dataclasses import dataclass

import cv2
import torch

from core.config import TrainingConfig
from core.errors import LabError


@dataclass(frozen=True)
class Hardware:
    """Where and how tensors are computed. `autocast_dtype` is None for plain float32."""

    device: torch.device
    autocast_dtype: torch.dtype | None
    threads: int
    workers: int
    sentence: str

    def autocast(self) -> torch.autocast:
        """The context in which forward passes run."""
        return torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None)


def choose_hardware(training: TrainingConfig, threads: int = 0) -> Hardware:
    """Settles device, precision and threads, and sets torch's and OpenCV's thread counts.

    Args:
        training: the wishes.
        threads: a number that must be kept, from the plan of a run that is resumed; 0 leaves it open. On a CPU another
            number of threads adds in another order, and the weights would differ in their last bits.

    Raises:
        LabError: the wished device isn't there.
    """
    device = _device(training.device)
    threads = threads or training.threads or available_cores()
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    torch.set_float32_matmul_precision("high")
    has_bf16 = _has_bf16(device)
    if training.precision == "bf16" or (training.precision == "auto" and has_bf16):
        dtype, why = torch.bfloat16, "in bf16" + ("" if has_bf16 else ", though this processor only imitates it")
    elif training.precision == "fp32":
        dtype, why = None, "in fp32, as asked"
    else:
        dtype, why = None, "in fp32: this processor has no fast bf16"
    workers = (
        training.workers if training.workers >= 0 else (min(8, available_cores() - 1) if device.type == "cuda" else 0)
    )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    where = name if device.type != "cpu" else f"the CPU with {threads} thread{'s' if threads != 1 else ''}"
    return Hardware(device, dtype, threads, workers, f"On {where}, {why}.")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _device(wish: str) -> torch.device:
    if wish == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(wish)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise LabError(
            f"training.device is {wish}, but this machine has {torch.cuda.device_count()} CUDA devices. Choose auto or cpu."
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
