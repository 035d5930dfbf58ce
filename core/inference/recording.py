"""One forward pass, written down: what came out of every layer, and what attended to what.

Nothing here knows a family: layers are found by running the module, attention by listening to the one function that
computes it. No hook stays behind. What is shown of it is decided in `core.inference.explain`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from core.models.base import SegmentationModel
from core.models.diagram_blocks import leaves

Point = tuple[float, float]
"""(u, v), 0..1 from the left and from the top of the picture."""
Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Attention:
    """Queries and keys of one block that attends from every token to every token.

    Attributes:
        queries: (heads, N, d).
        keys: (heads, N, d).
        bias: what is added to the products of both, broadcast to (heads, N, N); None for nothing.
        scale: what these products are multiplied with.
        first: number of the first patch among the N tokens; the others have no place in the picture.
        grid: height and width in patches.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    bias: torch.Tensor | None
    scale: float
    first: int
    grid: Size

    def weights(self, patch: int) -> torch.Tensor:
        """Return how much the patch of this number attends to each token, (heads, N); each row sums to 1."""
        query = self.queries[:, self.first + patch, None].float()  # (heads, 1, d)
        products = (query @ self.keys.float().transpose(1, 2)) * self.scale  # (heads, 1, N)
        if self.bias is not None:
            products = (
                products
                + self.bias.float().expand(len(products), *self.queries.shape[1:2] * 2)[:, self.first + patch, None]
            )
        return products.softmax(dim=-1)[:, 0]


@dataclass(frozen=True)
class Recording:
    """One forward pass.

    Attributes:
        images: (1, 3, h, w), what the network was given.
        frame: height and width once padded to the network's multiple.
        features: (C, rows, columns) by layer, in order.
        strides: pixels of the frame for one cell, by layer.
        attention: by block, in order.
    """

    images: torch.Tensor
    frame: Size
    features: dict[str, torch.Tensor]
    strides: dict[str, float]
    attention: dict[str, Attention]

    @property
    def size(self) -> Size:
        """Height and width of the images."""
        return self.images.shape[-2], self.images.shape[-1]

    @property
    def bytes(self) -> int:
        """Of all that it holds."""
        tensors = [*self.features.values()]
        for block in self.attention.values():
            tensors += [block.queries, block.keys]
        return sum(tensor.nbytes for tensor in tensors)


@torch.no_grad()
def record(model: SegmentationModel, images: torch.Tensor) -> Recording:
    """Run the network once on images float (1, 3, h, w) in 0..1 and keep what came out of every layer.

    A layer is a box of the diagram (see `core.models.model_summary.leaves`) that has weights to mix with;
    normalisations, activations and pooling alone are none. Called several times in a pass, its last output counts.
    """
    frame = tuple(side + -side % model.multiple for side in images.shape[-2:])
    features, attention = _listen(model, images, frame)
    strides = {name: frame[0] / maps.shape[-2] for name, maps in features.items()}
    if any(stride != int(stride) for stride in strides.values()):
        # Convolutions without padding: cells are fewer than the frame has room for. How many more there are in a larger
        # frame tells their stride.
        larger, more = (
            _listen(model, F.pad(images, (0, model.multiple) * 2, mode="replicate"), frame)[0],
            model.multiple,
        )
        strides = {name: more / (larger[name].shape[-2] - maps.shape[-2]) for name, maps in features.items()}
    return Recording(images, frame, features, strides, attention)


def _listen(
    model: SegmentationModel, images: torch.Tensor, frame: Size
) -> tuple[dict[str, torch.Tensor], dict[str, Attention]]:
    features: dict[str, torch.Tensor] = {}
    attention: dict[str, Attention] = {}
    running: list[str] = []  # the modules that are being computed, outermost first
    embedding = getattr(model.encoder, "patch_embed", None)
    patch = embedding.patch_size[0] if embedding is not None else None
    grid = (frame[0] // patch, frame[1] // patch) if patch else (0, 0)

    def keep(name: str, result: object) -> None:
        maps = as_maps(result, frame, grid) if isinstance(result, torch.Tensor) else None
        if maps is not None:
            features.pop(name, None)
            features[name] = maps.clone()  # an activation behind it may work in place

    class Listen(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):  # noqa: ANN001
            if function is F.scaled_dot_product_attention:
                block = as_attention(*args, **(kwargs or {}), grid=grid, patches_last=running[0].startswith("encoder"))
                if block:
                    attention[running[-1].rpartition(".")[0]] = block
            return function(*args, **(kwargs or {}))

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name:
                enter = lambda *_, name=name: running.append(name)  # noqa: E731
                stack.callback(module.register_forward_pre_hook(enter).remove)
                stack.callback(module.register_forward_hook(lambda *_: running.pop() and None).remove)
        for name, module in leaves(model):
            if any(parameter.ndim > 1 for parameter in module.parameters()):
                hook = lambda _module, _args, result, name=name: keep(name, result)  # noqa: E731
                stack.callback(module.register_forward_hook(hook).remove)
        stack.enter_context(fused(model))
        stack.enter_context(Listen())
        model(images)
    return features, attention


def as_maps(result: torch.Tensor, frame: Size, grid: Size) -> torch.Tensor | None:
    """Return what a layer gave as maps (C, rows, columns); None for what has no place in the picture.

    Args:
        result: (1, C, rows, columns), channels last, or tokens (1, N, C) with class and register tokens before the
            patches.
        frame: height and width of the picture in pixels.
        grid: height and width in patches.
    """
    if result.ndim == 4:
        fits = [frame[0] * columns == frame[1] * rows for rows, columns in (result.shape[2:], result.shape[1:3])]
        return result[0].permute(2, 0, 1) if fits == [False, True] else result[0]
    patches = grid[0] * grid[1]
    if result.ndim == 3 and 0 < patches <= result.shape[1]:
        return result[0, -patches:].T.unflatten(1, grid)
    return None


def as_attention(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    grid: Size,
    patches_last: bool,
    **_others: object,
) -> Attention | None:
    """Return the arguments of `torch.nn.functional.scaled_dot_product_attention` as `Attention`.

    None where not every patch attends to every other: within windows (Swin), or to a coarser map.

    Args:
        grid: height and width in patches.
        patches_last: whether the tokens that are no patches stand before the patches, as in an encoder, or behind them,
            as the class embeddings of Segmenter's head.
    """
    tokens, patches = queries.shape[-2], grid[0] * grid[1]
    if queries.ndim != 4 or len(queries) != 1 or keys.shape[-2] != tokens or not 0 < patches <= tokens or is_causal:
        return None
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=queries.dtype).masked_fill(~attn_mask, -torch.inf)
    bias = attn_mask[0] if attn_mask is not None and attn_mask.ndim == 4 else attn_mask
    scale = queries.shape[-1] ** -0.5 if scale is None else scale
    return Attention(queries[0], keys[0], bias, scale, tokens - patches if patches_last else 0, grid)


@contextmanager
def fused(model: nn.Module) -> Iterator[None]:
    """Lets timm compute attention by the one function that can be listened to, whatever the environment told it."""
    blocks = [module for module in model.modules() if getattr(module, "fused_attn", None) is False]
    for block in blocks:
        block.fused_attn = True
    try:
        yield
    finally:
        for block in blocks:
            block.fused_attn = False


# ---- from cells to the picture


def cells_under(positions: torch.Tensor, count: int, length: int, stride: float) -> torch.Tensor:
    """Return which of `count` cells lie under positions, in pixels from the frame's edge, along one axis of `length`
    pixels.

    Cells lie about the frame's middle: with padded convolutions they fill it, without they may stand out or fall short.
    """
    return ((positions - length / 2) / stride + count / 2).floor().long().clamp(0, count - 1)


def all_cells(recording: Recording, count: Size, stride: float) -> tuple[torch.Tensor, torch.Tensor]:
    """For every row and every column of the picture, the row and column of the cell under it."""
    return tuple(
        cells_under(torch.arange(recording.size[axis]) + 0.5, count[axis], recording.frame[axis], stride)
        for axis in (0, 1)
    )


def cell_at(recording: Recording, point: Point, count: Size, stride: float) -> tuple[int, int]:
    """Row and column of the cell under a point of the picture."""
    u, v = point
    position = (v * recording.size[0], u * recording.size[1])
    row, column = (
        int(cells_under(torch.tensor(position[axis]), count[axis], recording.frame[axis], stride)) for axis in (0, 1)
    )
    return row, column
