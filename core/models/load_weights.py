"""Weights from a safetensors file into an encoder, strictly, with a report of what fitted by name."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from core.errors import LabError
from core.text import join_first

PATCHES = "patch_embed_proj_weight"
OUTER_NAMES = ("features.", "encoder.", "model.")
"""What a file's names may have too little or too much in front: torchvision's `vgg16().features` begins at 0, a
checkpoint of this lab has its encoder under `encoder.`."""


@dataclass(frozen=True)
class LoadReport:
    """What a file of weights filled, by name.

    Attributes:
        file: its name.
        fitted: how many tensors were filled.
        resized: those whose positions, or whose patches, were interpolated to another grid.
        widened: those of three colours that were repeated over other bands.
        fresh: those that the file lacks and that may be learned anew, such as fc6.
        unused: those of the file that have no place, such as a classifier's.
    """

    file: str
    fitted: int
    resized: tuple[str, ...] = ()
    widened: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def joined(self, other: "LoadReport") -> "LoadReport":
        """This report with that of another part of the network filled from the same file.

        Unused is what neither used.
        """
        return LoadReport(
            self.file,
            self.fitted + other.fitted,
            self.resized + other.resized,
            self.widened + other.widened,
            self.fresh + other.fresh,
            tuple(name for name in self.unused if name in other.unused),
        )

    @property
    def sentence(self) -> str:
        """For a person: how much fitted, and what didn't, by name."""
        text = f"{self.fitted} tensors of the network are from {self.file}"
        if self.resized:
            text += f"; interpolated to this grid: {join_first(self.resized, 4)}"
        if self.widened:
            text += f"; repeated over the bands of these data: {join_first(self.widened, 4)}"
        if self.fresh:
            text += f"; not in the file, so learned from scratch: {join_first(self.fresh, 4)}"
        if self.unused:
            text += f"; in the file, but not needed: {join_first(self.unused, 4)}"
        return text + "."


def load_encoder(encoder: nn.Module, path: Path) -> LoadReport:
    """Fill an encoder from a safetensors file; every tensor of the encoder must be there, in its shape.

    Position embeddings of another grid are interpolated, and patches resampled where the encoder was built with others
    than its own (Beyer et al.: FlexiViT, https://arxiv.org/abs/2212.08013). Of a file that holds more, only what is
    wanted is read.

    Raises:
        LabError: the file can't be read or doesn't fit; the message names the first tensors that are missing or
            misshapen.
    """
    file = _open(path)
    expected = {_flat(name): tensor for name, tensor in encoder.state_dict().items() if not _is_counter(name)}
    file_names = _best_naming(file.keys(), set(expected))
    missing = sorted(set(expected) - set(file_names))
    if missing:
        raise LabError(
            f"'{path.name}' doesn't fit the encoder: {len(missing)} of its {len(expected)} tensors are missing, first "
            f"{', '.join(missing[:3])}. Choose the file that belongs to this encoder."
        )
    resized, widened = [], []
    with torch.no_grad():
        for name, target in expected.items():
            shape = tuple(file.get_slice(file_names[name]).get_shape())
            is_resampled = name.endswith(PATCHES) and getattr(encoder, "has_resampled_patches", False)
            expected_shape = tuple(target.shape[:2]) + shape[2:] if is_resampled else tuple(target.shape)
            if not _may_fill(name, shape, expected_shape):
                raise LabError(
                    f"'{path.name}' doesn't fit the encoder: {name} is {shape}, but must be {tuple(target.shape)}."
                    " Choose the file that belongs to this encoder."
                )
            source = file.get_tensor(file_names[name]).float()
            if name.endswith("pos_embed") and source.shape != target.shape:
                source = _resize_positions(encoder, source)
                resized.append(file_names[name])
            if source.shape[2:] != target.shape[2:] and is_resampled:
                from timm.layers import resample_patch_embed

                source = resample_patch_embed(source, list(target.shape[2:]))
                resized.append(file_names[name])
            if source.ndim == 4 and source.shape[1] == 3 and target.shape[1] != 3:
                from timm.models import adapt_input_conv

                source = adapt_input_conv(target.shape[1], source)
                widened.append(file_names[name])
            target.copy_(source)
    unused = sorted(name for flat, name in file_names.items() if flat not in expected and not _is_counter(name))
    return LoadReport(path.name, len(expected), tuple(resized), tuple(widened), unused=tuple(unused))


def load_layers(layers: dict[str, nn.Module], names: dict[str, tuple[str, ...]], path: Path) -> LoadReport:
    """Fill convolutions from the convolutional or linear layers of a file that may or may not have them.

    Args:
        layers: layers with weight (out, in, h, w) and bias, by name.
        names: what each may be called in the file.
        path: a safetensors file.

    A linear layer's weight (out, in * h * w) is folded. A layer that the file lacks stays as it is.
    """
    file = _open(path)
    names_there = set(file.keys())
    fitted, fresh, used = 0, [], set()
    for title, layer in layers.items():
        called = next((name for name in names[title] if f"{name}.weight" in names_there), None)
        if called is None or math.prod(file.get_slice(f"{called}.weight").get_shape()) != layer.weight.numel():
            fresh.append(title)
            continue
        with torch.no_grad():
            layer.weight.copy_(file.get_tensor(f"{called}.weight").float().reshape(layer.weight.shape))
            layer.bias.copy_(file.get_tensor(f"{called}.bias").float())
        used |= {f"{called}.weight", f"{called}.bias"}
        fitted += 2
    return LoadReport(path.name, fitted, fresh=tuple(fresh), unused=tuple(sorted(names_there - used)))


def _open(path: Path) -> Any:
    """Open a safetensors file, of which only names and shapes are read at once. Raises LabError."""
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError, ValueError) as error:
        raise LabError(f"'{path.name}' can't be read as a safetensors file ({error}). Download it again.") from None


def _may_fill(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Return whether a tensor of a shape can become one of another: positions of another grid, colours for bands."""
    if name.endswith("pos_embed"):
        return len(shape) == len(expected) and shape[-1] == expected[-1]
    is_of_colors = len(shape) == len(expected) == 4 and shape[1] == 3
    return shape == expected or (is_of_colors and (shape[0], *shape[2:]) == (expected[0], *expected[2:]))


def _best_naming(names: Iterable[str], expected: set[str]) -> dict[str, str]:
    """Return the file's own names by the encoder's: of several ways to name them, the one that fits most."""
    namings: list[Callable[[str], str]] = [lambda name: name]
    for outer in OUTER_NAMES:
        namings.append(lambda name, outer=outer: outer + name)  # type: ignore[misc]
        namings.append(lambda name, outer=outer: name.removeprefix(outer))  # type: ignore[misc]
    renamed = [{_flat(naming(name)): name for name in names} for naming in namings]
    return max(renamed, key=lambda candidate: len(expected & set(candidate)))


def _flat(name: str) -> str:
    # timm's feature wrappers rename features.0.weight to features_0.weight for some networks.
    return name.replace(".", "_")


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _resize_positions(encoder: nn.Module, positions: torch.Tensor) -> torch.Tensor:
    from timm.layers import resample_abs_pos_embed

    prefix = 0 if encoder.no_embed_class else encoder.num_prefix_tokens
    return resample_abs_pos_embed(positions, list(encoder.patch_embed.grid_size), num_prefix_tokens=prefix)
