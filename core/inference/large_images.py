"""Pictures of any size, labelled in overlapping tiles that are blended, row of tiles by row of tiles.

The overlap-tile strategy of U-Net (https://arxiv.org/abs/1505.04597, section 2) with logits that are weighted where
tiles overlap. Memory grows with the width of a picture, not with its height. `benchmarks/large_picture.py`: 20,000 x
20,000 at a pixel scale of 0.25 took 1.5 GB in all for 19 classes, half of it torch's, and a plain U-Net labelled 98 %
of 1,500 x 1,500 pixels as it does untiled.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from core.data.bands import sensible_size
from core.data.dataset import open_dataset
from core.errors import LabError
from core.inference.predictor import BLOCK_PIXELS, Prediction, Predictor, decide
from core.inference.raster_files import RasterRows, read_header
from core.inference.tta import WHOLE, PredictOptions, Size
from core.models.families import PaddingMode
from core.progress import CountCallback

LARGE_PIXELS = 100_000_000
"""A picture of more pixels is labelled in tiles: whole, with its answer, it would not fit into 2 GB."""
MIN_PIXEL_SCALE, MAX_PIXEL_SCALE = 1 / 32, 4.0
UNITS = 4
"""Steps of the grid that a tile is high and wide; the tile beside it lies `STRIDE` steps on."""
STRIDE = 2
SIGMA = 1 / 8
"""Of the Gaussian by which pixels of a tile count, in tiles: nnU-Net's (https://doi.org/10.1038/s41592-020-01008-z)."""
MIN_ROWS = 8
"""Rows of the picture that are decided together, or `BLOCK_PIXELS` if those are more."""


@dataclass(frozen=True)
class Axis:
    """How tiles lie along one side of a picture: on a grid whose steps are whole pixels, and whole cells of the
    network, so that every tile sees the picture as its neighbours do.

    Attributes:
        length: of the picture, in its own pixels.
        step: of the grid, in the picture's own pixels.
        input_step: the same step in pixels that the network sees.
    """

    length: int
    step: int
    input_step: int

    @property
    def steps(self) -> int:
        """Steps of the grid that cover the picture, a tile's at least."""
        return max(UNITS, -(-self.length // self.step))

    @property
    def starts(self) -> list[int]:
        """Steps at which tiles begin; the last one ends with the grid."""
        last = self.steps - UNITS
        return [*range(0, last, STRIDE), last]

    @property
    def weight(self) -> torch.Tensor:
        """How much each seen pixel of a tile counts, float32 (UNITS * seen): a Gaussian, 1 in the middle."""
        positions = torch.arange(UNITS * self.input_step) + 0.5
        return torch.exp(-0.5 * ((positions / (UNITS * self.input_step) - 0.5) / SIGMA) ** 2)

    @property
    def total_weight(self) -> torch.Tensor:
        """What the weights of all tiles add up to, float32 (steps * seen)."""
        total = torch.zeros(self.steps * self.input_step)
        for start in self.starts:
            total[start * self.input_step : (start + UNITS) * self.input_step] += self.weight
        return total


def pixel_scale_of(predictor: Predictor) -> float:
    """Return at how many pixels the network saw each of its training frames' own, per side.

    1 where the frames are gone: then the network is shown a large picture as it is.
    """
    try:
        frames = open_dataset(predictor.checkpoint.config.dataset)
        header = read_header((frames.train or frames.val)[0].image)
    except (LabError, OSError):
        return 1.0
    return sensible_size(header.size, predictor.shown_size)[0] / header.size[0] if header else 1.0


def check_pixel_scale(scale: float) -> None:
    """Raise LabError for a scale that makes no sense."""
    if not MIN_PIXEL_SCALE <= scale <= MAX_PIXEL_SCALE:
        raise LabError(
            f"A pixel scale is a number from {MIN_PIXEL_SCALE:g} to {MAX_PIXEL_SCALE:g}: 0.5 shows the network half as"
            " many pixels a side as the picture has. Choose one of these."
        )


def label_rows(
    predictor: Predictor,
    raster: RasterRows,
    scale: float,
    options: PredictOptions = WHOLE,
    progress: CountCallback = lambda done, total: None,
) -> Iterator[tuple[int, np.ndarray, Prediction]]:
    """Label a picture from top to bottom, and yield a row's number, some rows from there on, and their prediction.

    Tiles have about the size of the training frames, and overlap by half; in the interior of a picture every pixel is
    seen by four of them.

    Args:
        predictor: the network.
        raster: of any size.
        scale: pixels that the network sees of each of the picture's own, per side.
        options: of each tile.
        progress: called with (tiles done, tiles in all) before each tile.
    """
    rows, columns = (
        axis_of(length, side, predictor.multiple, scale)
        for length, side in zip(raster.size, predictor.shown_size, strict=True)
    )
    tile = (UNITS * rows.input_step, UNITS * columns.input_step)
    num_classes = len(predictor.checkpoint.class_names)
    # The row above the tiles is the last of those decided before: between the two, logits are interpolated.
    logits = torch.zeros(1, num_classes, 1 + tile[0], columns.steps * columns.input_step)
    weight, row_weights = rows.weight[:, None] * columns.weight, rows.total_weight
    column_weights = columns.total_weight
    band, top, decided = np.zeros((0, raster.size[1], predictor.num_bands), np.uint8), 0, 0
    starts = [*rows.starts, rows.steps]
    for index, (start, following) in enumerate(pairwise(starts)):
        bottom = min((start + UNITS) * rows.step, rows.length)
        band = np.concatenate([band[decided - top :], raster.read(top + len(band), bottom)])
        top = decided
        shown = _padded(
            band[start * rows.step - top :], (UNITS * rows.step, columns.steps * columns.step), predictor.padding_mode
        )
        for position, column in enumerate(columns.starts):
            progress(index * len(columns.starts) + position, len(rows.starts) * len(columns.starts))
            image = shown[:, column * columns.step : (column + UNITS) * columns.step]
            probabilities = predictor.probabilities(image, tile, options, tile).cpu()
            left = column * columns.input_step
            logits[..., 1:, left : left + tile[1]] += probabilities.clamp_min_(1e-30).log_().mul_(weight)
        first = start * rows.input_step - 1  # of `logits`
        end = rows.length if following == rows.steps else _decided_rows(following * rows.input_step, rows)
        while decided < end:
            until = min(decided + max(MIN_ROWS, BLOCK_PIXELS // columns.length), end)
            above, below, share = _between(np.arange(decided, until), rows)
            some = torch.lerp(
                logits[:, :, above - first] / row_weights[above, None],
                logits[:, :, below - first] / row_weights[below, None],
                share[:, None],
            ).div_(column_weights)
            wide = decide(some, (until - decided, columns.steps * columns.step))
            labels, confidence = (values[:, : columns.length] for values in (wide.labels, wide.confidence))
            yield decided, band[decided - top : until - top], Prediction(labels, confidence)
            decided = until
        moved = (following - start) * rows.input_step
        for plane in logits[0]:  # one at a time, so that no second array of this size is needed
            plane[: len(plane) - moved] = plane[moved:].clone()
            plane[len(plane) - moved :] = 0


def axis_of(length: int, training: int, multiple: int, scale: float) -> Axis:
    """Return how tiles of about the length of training frames lie along one side.

    Args:
        length: of the picture, in pixels.
        training: of the training frames, in pixels.
        multiple: pixels of a cell of the network.
        scale: pixels that the network sees of each of the picture's own.
    """
    input_step = max(1, round(training / UNITS / multiple)) * multiple
    return Axis(length, max(1, round(input_step / scale)), input_step)


def _between(positions: np.ndarray, axis: Axis) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the seen pixels before and after the picture's own, and how far between these they lie, 0..1.

    As `F.interpolate` takes them, bilinear and without aligned corners.
    """
    input_positions = np.clip(
        (positions + 0.5) * axis.input_step / axis.step - 0.5, 0, axis.steps * axis.input_step - 1
    )
    before = np.floor(input_positions).astype(np.int64)
    after = np.minimum(before + 1, axis.steps * axis.input_step - 1)
    return (
        torch.from_numpy(before),
        torch.from_numpy(after),
        torch.from_numpy((input_positions - before).astype(np.float32)),
    )


def _decided_rows(rows: int, axis: Axis) -> int:
    """Return how many of the picture's first pixels lie between the first so many seen ones."""
    return min(axis.length, math.ceil((rows - 0.5) * axis.step / axis.input_step - 0.5))


def _padded(image: np.ndarray, size: Size, mode: PaddingMode) -> np.ndarray:
    """Return an image (H, W, C) continued below and to the right up to a size, as its network does."""
    missing = [(0, length - there) for length, there in zip(size, image.shape[:2], strict=True)]
    if not any(after for _, after in missing):
        return image
    return np.pad(image, [*missing, (0, 0)], mode="edge" if mode == "replicate" else "reflect")
