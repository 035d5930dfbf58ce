"""What every network of the lab is: images in, logits out, at any size.

The frame that all families share (normalising, padding to the network's stride, scaling the logits back, first weights,
freezing) is here, so that a family is only its `segment`.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from core.models.families import PaddingMode
from core.models.load_weights import LoadReport, load_encoder


class SegmentationModel(nn.Module):
    """Base of all families.

    Args:
        num_classes: K, how many classes are told apart.
        mean: per channel, 0..1; what the encoder was trained with.
        std: per channel, 0..1.
        multiple: height and width that `segment` sees are multiples of this; what is missing is added below and to the
            right, as `padding_mode` says.

    A family sets `encoder` to the part that can start from pretrained weights, or leaves it None where there is none.

    Shape:
        images float (B, C, H, W) in 0..1, any H and W, C as many as `mean` has -> logits float (B, K, H, W).
    """

    def __init__(self, num_classes: int, mean: Sequence[float], std: Sequence[float], multiple: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.multiple = multiple
        self.padding_mode: PaddingMode = "reflect"
        self.encoder: nn.Module | None = None
        self.frozen: tuple[nn.Module, ...] = ()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (B, C, h, w), h and w multiples of `multiple`, to logits (B, K, h/s, w/s) at the output
        stride s.
        """
        raise NotImplementedError

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[-2:]
        images = (images - self.mean) / self.std
        # Written so that a trace for any size sees a multiple: then all sizes that follow stay simple.
        below = (height + self.multiple - 1) // self.multiple * self.multiple - height
        right = (width + self.multiple - 1) // self.multiple * self.multiple - width
        if torch.compiler.is_exporting() or below or right:
            images = pad_images(images, (below, right), self.padding_mode)
        logits = self.segment(images)
        if logits.shape[-2:] != images.shape[-2:]:
            # In fp32 and channels first before they are large: the loss wants them so, and turning them is cheaper
            # here.
            logits = logits.to(torch.float32, memory_format=torch.contiguous_format)
            logits = F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
        return logits[..., :height, :width]

    def no_weight_decay(self) -> set[str]:
        """Return the names of parameters that aren't decayed though they are matrices: embeddings, and what timm
        spares.
        """
        parts = [(name, part) for name, part in self.named_modules() if name and hasattr(part, "no_weight_decay")]
        return {f"{name}.{parameter}" for name, part in parts for parameter in part.no_weight_decay()}

    def take_bands(self, count: int) -> None:
        """See images of another number of bands than three: the first convolution's weights are repeated over them as
        `timm.create_model(in_chans=...)` does, and so are mean and std.
        """
        from timm.models import adapt_input_conv

        root = self.encoder or self
        first = next(module for module in root.modules() if isinstance(module, nn.Conv2d))
        first.weight = nn.Parameter(adapt_input_conv(count, first.weight.detach()))
        first.in_channels = count
        for name in ("mean", "std"):
            setattr(self, name, getattr(self, name)[:, torch.arange(count) % 3])

    def load_pretrained(self, path: Path) -> LoadReport:
        """Fill the encoder from a safetensors file. Raises LabError when it doesn't fit, see `load_encoder`."""
        assert self.encoder is not None, "a network without an encoder has nothing to load"
        return load_encoder(self.encoder, path)

    def freeze_encoder(self, share: float = 1.0) -> None:
        """The first layers of the encoder learn nothing any more, and their normalisations keep their statistics also
        while the rest trains.

        Args:
            share: of the encoder's layers, in the order in which it was built, 0..1.
        """
        assert self.encoder is not None, "a network without an encoder has nothing to freeze"
        modules = list(self.encoder.modules())
        layers = [module for module in modules if next(module.parameters(recurse=False), None) is not None]
        count = round(share * len(layers))
        for index, layer in enumerate(layers):
            for parameter in layer.parameters(recurse=False):
                parameter.requires_grad = index >= count
        learning = set(layers[count:])
        end = modules.index(layers[count]) if learning else len(modules)
        # With what has no weights among them: dropout drops nothing there.
        self.frozen = tuple(module for module in modules[:end] if learning.isdisjoint(module.modules()))
        self.train(self.training)

    def freeze_but(self, names: Collection[str]) -> None:
        """Nothing learns any more but the parameters of some names; what has none of them keeps its statistics."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad = name in names
        # With what has no weights: dropout drops nothing.
        self.frozen = tuple(
            module
            for module in self.modules()
            if module is not self and not any(parameter.requires_grad for parameter in module.parameters())
        )
        self.train(self.training)

    def thaw(self) -> None:
        """Everything learns."""
        self.requires_grad_(True)
        self.frozen = ()
        self.train(self.training)

    def train(self, mode: bool = True) -> "SegmentationModel":
        super().train(mode)
        for module in self.frozen:
            module.training = False
        return self


def pad_images(images: torch.Tensor, missing: tuple[int, int], mode: PaddingMode) -> torch.Tensor:
    """Return images (B, C, h, w) with so many rows below and columns to the right: their own, mirrored at the rim, or
    the last one again and again.
    """
    if mode == "replicate":
        return F.pad(images, (0, missing[1], 0, missing[0]), mode="replicate")
    return mirror(images, (0, 0), missing)


def mirror(images: torch.Tensor, before: tuple[int, int], after: tuple[int, int]) -> torch.Tensor:
    """Return images (B, C, h, w) mirrored beyond their rim, as often as it takes.

    Args:
        images: one pixel wide or high, they are repeated instead.
        before: rows above and columns to the left.
        after: rows below and columns to the right.
    """
    for axis, first, last in zip((-2, -1), before, after, strict=True):
        size = images.shape[axis]
        position = torch.arange(-first, size + last, device=images.device)
        # By a tensor: ONNX has no remainder by a number that follows from the picture's size.
        position = position.remainder(position.new_full((), 2 * (size - 1))) if size > 1 else position * 0
        images = images.index_select(axis, torch.where(position < size, position, 2 * (size - 1) - position))
    return images
