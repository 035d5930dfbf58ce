"""The boxes of a network's diagram, found by running it: which modules, what comes out of them, and from where it came
in.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from core.models.base import SegmentationModel
from core.models.summary_types import Block

CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


@torch.no_grad()
def trace_blocks(model: SegmentationModel, image: torch.Tensor) -> tuple[Block, ...]:
    """Run the network once and notes for each of its modules what came in and what came out."""
    results: list[Block] = []
    # By identity, and weakly: at 2048 x 1024 not every tensor of the way can be kept.
    sources = WeakIdKeyDictionary()
    channels_last = getattr(model.encoder, "output_fmt", "NCHW") == "NHWC"
    grid = patch_grid(model, image)

    def sources_of(things: object) -> frozenset[int]:
        return frozenset().union(*(sources.get(tensor, frozenset()) for tensor in _tensors(things)))

    def mark(things: object, origin: frozenset[int]) -> None:
        for tensor in _tensors(things):
            sources[tensor] = origin

    class Follow(TorchFunctionMode):
        """What comes out of any function between two blocks stems from what went in."""

        def __torch_function__(self, function, types, args=(), kwargs=None):  # noqa: ANN001
            result = function(*args, **(kwargs or {}))
            mark(result, sources_of((args, kwargs)))
            return result

    inputs: dict[nn.Module, frozenset[int]] = {}

    def enter(module: nn.Module, args: object, kwargs: object) -> None:
        inputs[module] = sources_of((args, kwargs))

    def leave(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _args: object, _kwargs: object, result: object) -> None:
            tensor = next(iter(_tensors(result)))
            results.append(
                _block(name, module, tensor, inputs[module], grid, channels_last and name.startswith("encoder."))
            )
            mark(result, frozenset({len(results) - 1}))

        return hook

    with ExitStack() as stack:
        for name, module in leaves(model):
            stack.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(leave(name), with_kwargs=True).remove)
        mark(image, frozenset({-1}))
        stack.enter_context(Follow())
        ends = sources_of(model(image))
    if ends != {len(results) - 1}:  # scores of several strides, summed
        last = results[-1]
        shape = (last.channels, last.height, last.width)
        results.append(Block("logits", "Sum", "logits", 1, *shape, 0, tuple(sorted(ends))))
    return merge_rows(results)


def patch_grid(model: SegmentationModel, image: torch.Tensor) -> tuple[int, int] | None:
    """Return rows and columns of a ViT's patches, padding included; None for an encoder without patches."""
    patch = getattr(getattr(model.encoder, "patch_embed", None), "patch_size", None)
    if patch is None:
        return None
    height, width = (-(-size // model.multiple) * model.multiple for size in image.shape[-2:])
    return height // patch[0], width // patch[1]


def leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules that a diagram shows as boxes: lists and the encoder are opened, anything else is one box."""
    results = []

    def open_up(prefix: str, module: nn.Module) -> None:
        for name, child in module.named_children():
            path = f"{prefix}{name}"
            if isinstance(child, CONTAINERS) or path == "encoder":
                open_up(f"{path}.", child)
            else:
                results.append((path, child))

    open_up("", model)
    return results


def merge_rows(blocks: list[Block]) -> tuple[Block, ...]:
    """Return blocks that only continue the one before them, at the same channels and size, become one box with it.

    Also a normalisation or activation behind a convolution, whatever its class: it continues it.
    """
    users = [sum(index in block.inputs for block in blocks) for index in range(len(blocks))]
    merged: list[Block] = []
    new_index: dict[int, int] = {-1: -1}
    for index, block in enumerate(blocks):
        before = blocks[index - 1] if index else None
        continues = (
            before is not None
            and block.inputs == (index - 1,)
            and users[index - 1] == 1
            and not before.kind.endswith(("Pool2d", "PatchEmbed"))  # what changes the size stands by itself
            and (block.part, block.channels, block.height, block.width)
            == (before.part, before.channels, before.height, before.width)
        )
        if continues:
            last = merged[-1]
            kinds = last.kind.split(" + ")
            kind = last.kind if block.kind in kinds else " + ".join([*kinds, block.kind])
            merged[-1] = Block(
                last.name, kind, last.part, last.modules + 1, last.channels, last.height, last.width,
                last.parameters + block.parameters, last.inputs,
            )  # fmt: skip
        else:
            inputs = tuple(sorted({new_index[source] for source in block.inputs}))
            merged.append(
                Block(
                    block.name, block.kind, block.part, block.modules, block.channels, block.height, block.width,
                    block.parameters, inputs,
                )
            )  # fmt: skip
        new_index[index] = len(merged) - 1
    return tuple(merged)


def _block(
    name: str,
    module: nn.Module,
    result: torch.Tensor,
    inputs: frozenset[int],
    grid: tuple[int, int] | None,
    channels_last: bool,
) -> Block:
    if result.ndim == 4:
        channels, height, width = result.shape[1:]
        if channels_last or getattr(module, "output_fmt", "NCHW") == "NHWC":
            height, width, channels = result.shape[1:]
    else:
        # Tokens (B, N, C), of which class and register tokens have no place in the grid.
        tokens, channels = result.shape[-2:]
        height, width = grid or (1, tokens)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Block(
        name, type(module).__name__, name.split(".")[0], 1, channels, height, width, parameters, tuple(sorted(inputs))
    )


def _tensors(things: Any) -> list[torch.Tensor]:
    if isinstance(things, torch.Tensor):
        return [things]
    if isinstance(things, dict):
        things = things.values()
    if isinstance(things, list | tuple) or type(things).__name__ == "dict_values":
        return [tensor for thing in things for tensor in _tensors(thing)]
    return []
