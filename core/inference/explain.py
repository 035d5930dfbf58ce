"""What a network sees: the maps between its layers, where its patches look, and which pixels move a decision."""

from pathlib import Path

import numpy as np
import torch

from core.data.bands import resize, sensible_size
from core.errors import LabError
from core.hardware import Hardware
from core.inference.predictor import Predictor
from core.inference.recording import Point, Recording, Size, all_cells, cell_at, record
from core.inference.worker import Explanation, ExplanationKind, ExplanationMap, Layers
from core.models.base import SegmentationModel
from core.runs.store import Which
from core.training.evaluate import to_device

MAX_CHANNELS = 6
MAX_HEADS = 6
"""With the mean and the network's own mask they fill a viewer of eight panels."""
FIELD_SHARE = 0.95
MAX_RECORDING_BYTES = 256 * 2**20
"""A recording up to this size is kept for the next question about the same picture."""


def heat_map(
    title: str, note: str, values: torch.Tensor, low: float | None = None, power: float = 1.0
) -> ExplanationMap:
    """Return values float (h, w) as bytes, from `low` (None: the least of them) to the largest."""
    values = values.float().cpu()
    low, high = float(values.min()) if low is None else low, float(values.max())
    spread = high - low or 1.0
    shown = ((values - low) / spread).clamp(0, 1) ** (1 / power) * 255
    return ExplanationMap(title, note, shown.round().to(torch.uint8).numpy(), low, high, power)


# ---- three ways to look


def feature_maps(recording: Recording, layer: str, point: Point) -> Explanation:
    """Return the mean over channels of the absolute activation, and the channels that answer most strongly at a point.

    How strongly is counted in standard deviations above the channel's own mean over the picture: channels have scales
    of their own.
    """
    features, stride = recording.features[layer].float(), recording.strides[layer]
    count = features.shape[-2:]
    rows, columns = (positions.to(features.device) for positions in all_cells(recording, count, stride))
    row, column = cell_at(recording, point, count, stride)
    visible = features[:, rows.unique()][:, :, columns.unique()].flatten(1)  # (C, cells of the picture)
    spread = visible.std(dim=1, correction=0)
    surplus = (features[:, row, column] - visible.mean(dim=1)) / spread.clamp(
        min=1e-6 * float(visible.abs().max()) + 1e-12
    )
    order = surplus.argsort(descending=True, stable=True)[:MAX_CHANNELS].tolist()

    def laid_out(cells: torch.Tensor) -> torch.Tensor:
        return cells[rows][:, columns]

    maps = [heat_map(f"Mean of {len(features)} channels", "", laid_out(features.abs().mean(dim=0)), low=0.0)]
    maps += [
        heat_map(f"Channel {channel}", f"{surplus[channel]:+.1f} σ", laid_out(features[channel])) for channel in order
    ]
    metadata = (
        f"{layer} gives {len(features)} channels of {count[1]} × {count[0]} cells; a cell stands for {stride:g} ×"
        f" {stride:g} of the {recording.size[1]} × {recording.size[0]} pixels that the network is given."
    )
    return Explanation(tuple(maps), metadata)


def attention_maps(recording: Recording, block: str, point: Point, special: tuple[str, ...]) -> Explanation:
    """Return where the patch under a point attends to: the mean over heads, then head by head.

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
    rows, columns = (positions.to(weights.device) for positions in all_cells(recording, attention.grid, stride))
    heads = len(weights) - 1
    titles = [f"Mean of {heads} heads", *(f"Head {index}" for index in range(1, heads + 1))]
    maps = []
    for title, cells in list(zip(titles, patches.unflatten(1, attention.grid), strict=True))[: 1 + MAX_HEADS]:
        away = 1 - float(cells.sum())
        note = f"{1 - away:.0%} on patches" if special else ""
        maps.append(heat_map(title, note, cells[rows][:, columns], low=0.0, power=2.0))
    metadata = f"{block} has {heads} heads over {attention.grid[1]} × {attention.grid[0]} patches."
    if heads > MAX_HEADS:
        metadata += f" The first {MAX_HEADS} are shown."
    if special:
        others = torch.cat([weights[0, : attention.first], weights[0, attention.first + patches.shape[1] :]]).tolist()
        metadata += f" Of the mean weight {_shares(special, others)}, outside of the picture."
    return Explanation(tuple(maps), metadata)


def special_tokens(model: SegmentationModel, recording: Recording, block: str) -> tuple[str, ...]:
    """Return names of the tokens of a block that are no patches, in their order: class, registers, or Segmenter's class
    embeddings.
    """
    attention = recording.attention[block]
    count = attention.queries.shape[1] - attention.grid[0] * attention.grid[1]
    if not attention.first:
        return ("class embedding",) * count
    num_class_tokens = 1 if getattr(model.encoder, "cls_token", None) is not None else 0
    return ("class token",) * num_class_tokens + ("register token",) * (count - num_class_tokens)


def _shares(names: tuple[str, ...], weights: list[float]) -> str:
    """Return how much goes to tokens that lie nowhere, in words."""
    sums: dict[str, float] = {}
    for name, weight in zip(names, weights, strict=True):
        sums[name] = sums.get(name, 0.0) + weight
    counted = {name: f"the {name}" if names.count(name) == 1 else f"{names.count(name)} {name}s" for name in sums}
    return " and ".join(f"{share:.1%} goes to {counted[name]}" for name, share in sums.items())


def effective_field(model: SegmentationModel, images: torch.Tensor, point: Point) -> tuple[torch.Tensor, int]:
    """Return how much each pixel moves the winning logit at a point: the gradient's absolute value, summed over
    colours.

    Luo et al.: Understanding the Effective Receptive Field in Deep Convolutional Neural Networks,
    https://arxiv.org/abs/1701.04128, section 2; there of one unit over many pictures, here of one decision on this
    picture.

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
        logits = model(images)[0, :, row, column]
        winner = int(logits.argmax())
        (gradient,) = torch.autograd.grad(logits[winner], images)
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


class Explainer(Predictor):
    """A predictor that also tells what its network sees."""

    def __init__(self, run: Path, hardware: Hardware | None = None, which: Which = "best") -> None:
        """Raise LabError when the run has no such checkpoint, or it can't be read."""
        super().__init__(run, hardware, which)
        self._recording: Recording | None = None
        self._layers: Layers | None = None

    @property
    def layers(self) -> Layers:
        """What can be looked at, and where."""
        if self._layers is None:
            # Whatever the picture, the layers are the same.
            recording = self._record(np.zeros((*self.shown_size, self.num_bands), np.uint8))
            self._layers = {"features": tuple(recording.features)}
            if recording.attention:
                self._layers["attention"] = tuple(recording.attention)
            self._layers["field"] = ()
        return self._layers

    def explain(self, image: np.ndarray, point: Point, kind: ExplanationKind, layer: str = "") -> Explanation:
        """Return what the network sees at a point (u, v), 0..1, of an image uint8 (H, W, 3).

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
        images = self._to_tensor(image)
        previous = self._recording
        if previous is not None and previous.images.shape == images.shape and torch.equal(previous.images, images):
            return previous
        with self._hardware.autocast():
            recording = record(self._model, images)
        self._recording = recording if recording.bytes <= MAX_RECORDING_BYTES else None
        return recording

    def _field(self, image: np.ndarray, point: Point) -> Explanation:
        images = self._to_tensor(image)
        field, winner = effective_field(self._model, images, point)
        name = self.checkpoint.class_names[winner]
        if not field.any():
            return Explanation(
                (heat_map("Effective receptive field", name, field, low=0.0),),
                f"No pixel of the picture moves the logit of {name} here: the network answers the same whatever it"
                " sees.",
            )
        side = box_side(field, pixel_at(point, field.shape))
        scale = (image.shape[0] * image.shape[1] / field.numel()) ** 0.5
        metadata = f"{FIELD_SHARE:.0%} of what moves the logit of {name} here lies in"
        if round(side * scale) >= max(image.shape[:2]):
            metadata += " nearly the whole picture: no smaller square around the pixel holds as much"
        else:
            metadata += f" a square of {round(side * scale)} pixels a side"
            if round(side * scale) != side:
                metadata += f" ({side} of the network's own, which is given {field.shape[1]} × {field.shape[0]})"
        relative = field / field.max()
        return Explanation((heat_map("Effective receptive field", name, relative, low=0.0, power=2.0),), f"{metadata}.")

    def _to_tensor(self, image: np.ndarray) -> torch.Tensor:
        """Return the image as the network is given it, float (1, 3, h, w): about as large as a training frame, as in
        `predict`.
        """
        self.check_bands(image)
        shown = resize(image, sensible_size(image.shape[:2], self.shown_size))
        return to_device(torch.from_numpy(np.ascontiguousarray(shown)).permute(2, 0, 1)[None], self._hardware)
