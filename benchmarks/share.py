"""Which share of the processor's peak a training step of the plain U-Net reaches, and where its time goes.

The peak is measured in the same run: the best of several 3x3 convolutions, forward and backward, in the precision of
the step.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.contestants import Clock, Contestant, Setting, alternate, timed

CHANNELS = (64, 128, 256, 512)
"""Of the convolutions that are tried, from full resolution down: equal work each, as at the levels of a U-Net of width
64.
"""
PROFILED_STEPS = 3

GROUPS: dict[str, tuple[str, ...]] = {
    "optimizer": ("Optimizer.step", "Optimizer.zero_grad"),
    "convolutions backward": ("ConvolutionBackward",),
    "convolutions forward": ("aten::conv", "aten::mkldnn_conv", "aten::_convolution"),
    "normalisation": ("batch_norm", "BatchNorm", "group_norm", "GroupNorm", "layer_norm", "LayerNorm"),
    "activation": ("relu", "Relu", "threshold", "clamp_min", "hardtanh", "Hardtanh", "gelu", "Gelu"),
    "pooling, resizing, concatenation": ("upsample", "Upsample", "max_pool", "MaxPool", "aten::cat", "CatBackward"),
    "attention": ("scaled_dot_product", "ScaledDotProduct"),
    "matrix products": ("aten::linear", "aten::matmul", "addmm", "Addmm", "aten::mm", "MmBackward", "TBackward"),
    "loss": ("cross_entropy", "nll", "Nll", "log_softmax", "LogSoftmax", "aten::index"),
    "clipping": ("_foreach_norm", "vector_norm", "_foreach_mul", "aten::clamp", "aten::stack"),
    "casts and copies": ("ToCopyBackward", "aten::to", "aten::_to_copy", "aten::copy_", "aten::contiguous"),
}
"""Where a moment of a step belongs: to the outermost operation around it whose name holds one of these."""


def print_share(name: str, setting: Setting, rounds: int, clock: Clock) -> None:
    """Print a network's floating-point operations per second beside the peak's, and what its step consists of."""
    contestant = Contestant(name, "lab", setting)
    with FlopCounterMode(display=False) as counter:
        contestant.step()
    operations = counter.get_total_flops()
    convolutions = {
        f"{channels} channels": convolution(setting, channels, contestant.hardware.autocast_dtype)
        for channels in CHANNELS
    }
    tasks = {"step": contestant.step} | {title: task for title, (task, _) in convolutions.items()}
    seconds = alternate({title: lambda task=task: timed(task, clock) for title, task in tasks.items()}, rounds)
    peaks = {title: count / seconds[title] for title, (_, count) in convolutions.items()}
    best = max(peaks, key=peaks.__getitem__)
    reached = operations / seconds["step"]
    print(f"\n{contestant.title}, width {contestant.config.model.width}. {contestant.hardware.sentence}")
    print(f"  a step: {operations / 1e9:.0f} GFLOP in {seconds['step']:.2f} s, {reached / 1e9:.0f} GFLOP/s")
    print(f"  the fastest 3x3 convolution, {best}: {peaks[best] / 1e9:.0f} GFLOP/s forward and backward")
    print(f"  share of the peak: {reached / peaks[best]:.0%}")
    for group, share in where_time_goes(contestant.step).items():
        print(f"    {share:6.1%} {group}")


def convolution(setting: Setting, channels: int, dtype: torch.dtype | None) -> tuple[Callable[[], object], int]:
    """Return a 3x3 convolution forward and backward on maps (B, channels, h, w), channels last, and its floating-point
    operations.
    """
    height, width = (side * CHANNELS[0] // channels for side in setting.crop)
    shape = (setting.batch, channels, height, width)
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(dtype=dtype, memory_format=torch.channels_last)
    maps = torch.randn(shape).to(dtype=dtype, memory_format=torch.channels_last).requires_grad_()
    gradient = torch.randn(shape).to(dtype=dtype, memory_format=torch.channels_last)
    # Two per multiply-add; three passes: forward, gradient of the maps, gradient of the weights.
    operations = 3 * 2 * 9 * channels**2 * setting.batch * height * width
    return lambda: layer(maps).backward(gradient), operations


def where_time_goes(step: Callable[[], object]) -> dict[str, float]:
    """Return shares of a step's time by `GROUPS` and "other", the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(PROFILED_STEPS):
            step()
    spent: dict[str, float] = {}
    for event in recorded.events():
        group = group_of(event)
        spent[group] = spent.get(group, 0.0) + event.self_cpu_time_total
    total = sum(spent.values())
    return {group: time / total for group, time in sorted(spent.items(), key=lambda item: -item[1])}


def group_of(event: FunctionEvent) -> str:
    """Return the group of an operation: that of the outermost one around it, itself included, which has one."""
    result = "other"
    while event is not None:
        result = next((group for group, text in GROUPS.items() if any(name in event.name for name in text)), result)
        event = event.cpu_parent
    return result
