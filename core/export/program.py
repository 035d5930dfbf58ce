"""A trained network as a program without Python: traced once, for pictures of any size where its code allows that.

torch.export: https://docs.pytorch.org/docs/stable/export.html
"""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import nn

from core.errors import LabError
from core.models.base import SegmentationModel

Size = tuple[int, int]
"""Height and width."""

Logits = Callable[[torch.Tensor], torch.Tensor]
"""One picture float (1, 3, H, W) in 0..1 to logits float (1, K, H, W)."""


def trace(model: SegmentationModel, size: Size) -> tuple[torch.export.ExportedProgram, bool]:
    """Trace a network that is in evaluation mode, in fp32, on the CPU.

    Args:
        model: left as it is.
        size: of its pictures, where it has to be fixed.

    Returns:
        The program, and whether it takes pictures of any size. One that names its size in its code, as DINOv3's
        rotary embeddings do, takes `size` alone.

    Raises:
        LabError: the network can't be traced at all.
    """
    model = copy.deepcopy(model).requires_grad_(False)
    _pad_evenly(model)
    # Two sizes with nothing in common, so that no accident of the first holds for the second.
    first, second = (_uneven(model, 3), _uneven(model, 5))
    try:
        # Sizes are then not looked at for being 0 or 1, which torch's own ONNX exporter asks for in the same way.
        with torch.fx.experimental._config.patch(backed_size_oblivious=True):
            program = torch.export.export(
                model,
                (_example_input(model, first),),
                dynamic_shapes=({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},),
            )
        if program.module()(_example_input(model, second)).shape[-2:] == second:
            return program, True
    except Exception as error:  # whatever the tracer meets; the fixed size says what is really wrong
        print(f"Not for any size: {type(error).__name__}: {str(error).splitlines()[0][:300]}")
    try:
        return torch.export.export(model, (_example_input(model, size),)), False
    except Exception as error:
        raise LabError(
            f"This network can't be traced: {type(error).__name__}: {str(error).splitlines()[0][:300]}. "
            "Networks whose path depends on what a picture shows have no such program: choose another network."
        ) from error


def _uneven(model: SegmentationModel, cells: int) -> Size:
    return cells * model.multiple + 1, (cells + 1) * model.multiple - 1


def _example_input(model: SegmentationModel, size: Size) -> torch.Tensor:
    return torch.rand(1, model.mean.numel(), *size, generator=torch.Generator().manual_seed(0))


def _pad_evenly(model: nn.Module) -> None:
    """Give convolutions that look at a picture's size to pad it the numbers that come out for sides that their stride
    divides.

    The contract pads every picture to such sides. What is asked of a size that isn't known yet grows with every layer:
    the U-Net on an EfficientNet-Lite0 was not traced after four minutes.
    """
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is Conv2dSame:
                setattr(module, name, _EvenlyPadded(child))


class _EvenlyPadded(nn.Module):
    """A TensorFlow-like "same" convolution for maps (B, C, h, w) whose sides its stride divides."""

    def __init__(self, convolution: Conv2dSame) -> None:
        super().__init__()
        self.convolution = convolution
        self.padding: list[int] = []  # left, right, top, bottom
        sides = zip(convolution.kernel_size, convolution.stride, convolution.dilation, strict=True)
        for kernel, stride, dilation in reversed(list(sides)):
            missing = max(0, (kernel - 1) * dilation + 1 - stride)
            self.padding += [missing // 2, missing - missing // 2]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        layer = self.convolution
        padded = F.pad(features, self.padding)
        return F.conv2d(padded, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)
