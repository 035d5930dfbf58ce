"""What a network sees: the maps between its layers, where its patches look, and which pixels move a decision.

Nothing here knows a family: layers are found by running the module, and attention by listening to the one function that
computes it. Nothing stays behind either, neither a hook nor a gradient.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from core.errors import LabError
from core.inference.predictor import Predictor, sensible_size
from core.inference.worker import Layers, Sight, SightKind, SightMap
from core.models.contract import SegmentationModel
from core.models.describe import leaves
from core.runs import Which
from core.training.evaluation import to_device
from core.training.hardware import Hardware

MOST_CHANNELS = 6
MOST_HEADS = 6
"""With the mean and the network's own mask they fill a viewer of eight panels."""
FIELD_SHARE = 0.95
KEPT_BYTES = 256 * 2**20
"""A recording up to this size is kept for the next question about the same picture."""

Point = tuple[float, float]
Size = tuple[int, int]


# ---- recording


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
        """How much the patch of this number attends to each token, (heads, N); each row sums to 1."""
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
    """Runs the network once on images float (1, 3, h, w) in 0..1 and keeps what came out of every layer.

    A layer is a box of the diagram (see `core.models.describe.leaves`) that has weights to mix with; normalisations,
    activations and pooling alone are none. Called several times in a pass, its last output counts.
    """
    frame = tuple(side + -side % model.multiple for side in images.shape[-2:])
    features, attention = _listen(model, images, frame)
    strides = {name: frame[0] / maps.shape[-2] for name, maps in features.items()}
    if any(stride != int(stride) for stride in strides.values()):
        # Convolutions without padding: cells are fewer than the frame has room for. How many more there are in a larger frame
        # tells their stride.
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
        def __torch_function__(self, function, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
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
    """What a layer gave as maps (C, rows, columns); None for what has no place in the picture.

    Args:
        result: (1, C, rows, columns), channels last, or tokens (1, N, C) with class and register tokens before the patches.
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
    """The arguments of `torch.nn.functional.scaled_dot_product_attention` as `Attention`.

    None where not every patch attends to every other: within windows (Swin), or to a coarser map.

    Args:
        grid: height and width in patches.
        patches_last: whether the tokens that are no patches stand before the patches, as in an encoder, or behind them, as
            the class embeddings of Segmenter's head.
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
    """Which of `count` cells lie under positions, in pixels from the frame's edge, along one axis of `length` pixels.

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
    places = (v * recording.size[0], u * recording.size[1])
    return tuple(
        int(cells_under(torch.tensor(places[axis]), count[axis], recording.frame[axis], stride)) for axis in (0, 1)
    )


def heat_map(title: str, note: str, values: torch.Tensor, low: float | None = None, power: float = 1.0) -> SightMap:
    """Values float (h, w) as bytes, from `low` (None: the least of them) to the largest."""
    values = values.float().cpu()
    low, high = float(values.min()) if low is None else low, float(values.max())
    spread = high - low or 1.0
    shown = ((values - low) / spread).clamp(0, 1) ** (1 / power) * 255
    return SightMap(title, note, shown.round().to(torch.uint8).numpy(), low, high, power)


# ---- three ways to look


def feature_maps(recording: Recording, layer: str, point: Point) -> Sight:
    """The mean over channels of the absolute activation, and the channels that answer most strongly at a point.

    How strongly is counted in standard deviations above the channel's own mean over the picture: channels have scales of
    their own.
    """
    features, stride = recording.features[layer].float(), recording.strides[layer]
    count = features.shape[-2:]
    rows, columns = (places.to(features.device) for places in all_cells(recording, count, stride))
    row, column = cell_at(recording, point, count, stride)
    seen = features[:, rows.unique()][:, :, columns.unique()].flatten(1)  # (C, cells of the picture)
    spread = seen.std(dim=1, correction=0)
    surplus = (features[:, row, column] - seen.mean(dim=1)) / spread.clamp(min=1e-6 * float(seen.abs().max()) + 1e-12)
    order = surplus.argsort(descending=True, stable=True)[:MOST_CHANNELS].tolist()

    def laid_out(cells: torch.Tensor) -> torch.Tensor:
        return cells[rows][:, columns]

    maps = [heat_map(f"Mean of {len(features)} channels", "", laid_out(features.abs().mean(dim=0)), low=0.0)]
    maps += [heat_map(f"Channel {number}", f"{surplus[number]:+.1f} σ", laid_out(features[number])) for number in order]
    facts = (
        f"{layer} gives {len(features)} channels of {count[0]} × {count[1]} cells; a cell stands for {stride:g} × {stride:g} "
        f"of the {recording.size[1]} × {recording.size[0]} pixels that the network is given."
    )
    return Sight(tuple(maps), facts)


def attention_maps(recording: Recording, block: str, point: Point, special: tuple[str, ...]) -> Sight:
    """Where the patch under a point attends to: the mean over heads, then head by head.

    Args:
        recording: of a network with attention.
        block: one of its blocks.
        point: (u, v), 0..1.
        special: names of the tokens that are no patches, in their order.
    """
    attention = recording.attention[block]
    stride = recording.frame[0] / attention.grid[0]
    row, column = cell_at(recording, point, attention.grid, stride)
    weights = attention.weights(row * attention.grid[1] + column)  # (heads, N)
    weights = torch.cat([weights.mean(dim=0, keepdim=True), weights])
    patches = weights[:, attention.first : attention.first + attention.grid[0] * attention.grid[1]]
    rows, columns = (places.to(weights.device) for places in all_cells(recording, attention.grid, stride))
    heads = len(weights) - 1
    titles = [f"Mean of {heads} heads", *(f"Head {number}" for number in range(1, heads + 1))]
    maps = []
    for title, cells in list(zip(titles, patches.unflatten(1, attention.grid), strict=True))[: 1 + MOST_HEADS]:
        away = 1 - float(cells.sum())
        note = f"{away:.0%} elsewhere" if special else ""
        maps.append(heat_map(title, note, cells[rows][:, columns], low=0.0, power=2.0))
    facts = f"{block} has {heads} heads over {attention.grid[0]} × {attention.grid[1]} patches."
    if heads > MOST_HEADS:
        facts += f" The first {MOST_HEADS} are shown."
    if special:
        others = torch.cat([weights[0, : attention.first], weights[0, attention.first + patches.shape[1] :]]).tolist()
        facts += f" Of the mean weight {_shares(special, others)}, which have no place in the picture."
    return Sight(tuple(maps), facts)


def special_tokens(model: SegmentationModel, recording: Recording, block: str) -> tuple[str, ...]:
    """Names of the tokens of a block that are no patches, in their order: class, registers, or Segmenter's class embeddings."""
    attention = recording.attention[block]
    count = attention.queries.shape[1] - attention.grid[0] * attention.grid[1]
    if not attention.first:
        return ("class embeddings",) * count
    classes = 1 if getattr(model.encoder, "cls_token", None) is not None else 0
    return ("class token",) * classes + ("register tokens",) * (count - classes)


def _shares(names: tuple[str, ...], weights: list[float]) -> str:
    sums: dict[str, float] = {}
    for name, weight in zip(names, weights, strict=True):
        sums[name] = sums.get(name, 0.0) + weight
    words = [f"{share:.1%} goes to the {_counted(name, names)}" for name, share in sums.items()]
    return " and ".join(words)


def _counted(name: str, names: tuple[str, ...]) -> str:
    count = names.count(name)
    return name if count == 1 else f"{count} {name}"


def effective_field(model: SegmentationModel, images: torch.Tensor, point: Point) -> tuple[torch.Tensor, int]:
    """How much each pixel moves the winning logit at a point: the gradient's absolute value, summed over colours.

    Luo et al.: Understanding the Effective Receptive Field in Deep Convolutional Neural Networks,
    https://arxiv.org/abs/1701.04128, section 2; there of one unit over many pictures, here of one decision on this picture.

    Args:
        model: in evaluation mode, without autocast: in bf16 the small gradients at the rim would be noise.
        images: float (1, 3, h, w) in 0..1.
        point: (u, v), 0..1.

    Returns:
        Float (h, w), and the number of the winning class.
    """
    images = images.detach().clone().requires_grad_()
    row, column = pixel_at(point, images.shape[-2:])
    with torch.enable_grad():
        answers = model(images)[0, :, row, column]
        winner = int(answers.argmax())
        (gradient,) = torch.autograd.grad(answers[winner], images)
    return gradient[0].abs().sum(dim=0), winner


def box_side(field: torch.Tensor, pixel: tuple[int, int], share: float = FIELD_SHARE) -> int:
    """Side in pixels of the smallest square about a pixel (row, column) that holds this share of a field's sum.

    It is 2r + 1, and may stand out of the picture, where nothing is.
    """
    rows = (torch.arange(field.shape[0], device=field.device) - pixel[0]).abs()
    columns = (torch.arange(field.shape[1], device=field.device) - pixel[1]).abs()
    distance = torch.maximum(rows[:, None], columns[None, :])
    held = torch.bincount(distance.flatten(), weights=field.flatten().double()).cumsum(0)
    radius = int(torch.searchsorted(held, share * held[-1]))
    return 2 * radius + 1


def pixel_at(point: Point, size: Size) -> tuple[int, int]:
    """Row and column of the pixel at a point (u, v), 0..1."""
    (u, v), (height, width) = point, size
    return min(int(v * height), height - 1), min(int(u * width), width - 1)


# ---- a network that can be asked


class Onlooker(Predictor):
    """A predictor that also tells what its network sees."""

    def __init__(self, run: Path, hardware: Hardware, which: Which = "best") -> None:
        """Raises LabError when the run has no such checkpoint, or it can't be read."""
        super().__init__(run, hardware, which)
        self._recording: Recording | None = None
        self._layers: Layers | None = None

    @property
    def layers(self) -> Layers:
        """What can be looked at, and where."""
        if self._layers is None:
            # Whatever the picture, the layers are the same.
            recording = self._record(np.zeros((*self.training_size, 3), np.uint8))
            self._layers = {"features": tuple(recording.features)}
            if recording.attention:
                self._layers["attention"] = tuple(recording.attention)
            self._layers["field"] = ()
        return self._layers

    def look(self, image: np.ndarray, point: Point, kind: SightKind, layer: str = "") -> Sight:
        """What the network sees at a point (u, v), 0..1, of an image uint8 (H, W, 3).

        Raises:
            LabError: there is nothing of this kind in the network, or no such layer.
        """
        if kind == "field":
            return self._field(image, point)
        if kind not in self.layers:
            raise LabError(
                "This network has no attention from every patch to every other. Look at its feature maps instead."
            )
        if layer not in self.layers[kind]:
            raise LabError(f"The network has no layer '{layer}' to look at. It has: {', '.join(self.layers[kind])}.")
        recording = self._record(image)
        if kind == "features":
            return feature_maps(recording, layer, point)
        return attention_maps(recording, layer, point, special_tokens(self._model, recording, layer))

    def _record(self, image: np.ndarray) -> Recording:
        images = self._given(image)
        kept = self._recording
        if kept is not None and kept.images.shape == images.shape and torch.equal(kept.images, images):
            return kept
        with self._hardware.autocast():
            recording = record(self._model, images)
        self._recording = recording if recording.bytes <= KEPT_BYTES else None
        return recording

    def _field(self, image: np.ndarray, point: Point) -> Sight:
        images = self._given(image)
        field, winner = effective_field(self._model, images, point)
        name = self.checkpoint.classes[winner]
        if not field.any():
            return Sight(
                (heat_map("Effective receptive field", name, field, low=0.0),),
                f"No pixel of the picture moves the logit of {name} here: the network answers the same whatever it sees.",
            )
        side = box_side(field, pixel_at(point, field.shape))
        scale = (image.shape[0] * image.shape[1] / field.numel()) ** 0.5
        facts = f"{FIELD_SHARE:.0%} of what moves the logit of {name} here lies in a square of {round(side * scale)} pixels a side"
        if round(side * scale) != side:
            facts += f" ({side} of the network's own, which is given {field.shape[1]} × {field.shape[0]})"
        relative = field / field.max()
        return Sight((heat_map("Effective receptive field", name, relative, low=0.0, power=2.0),), f"{facts}.")

    def _given(self, image: np.ndarray) -> torch.Tensor:
        """The image as the network is given it, float (1, 3, h, w): about as large as a training frame, as in `predict`."""
        size = sensible_size(image.shape[:2], self.training_size)
        if size != image.shape[:2]:
            shrinks = size[0] < image.shape[0]
            image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return to_device(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None], self._hardware)
