"""One trained network, ready to answer: image in, labels and confidence out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from core.config import TrainingConfig
from core.data.bands import resize, sensible_size
from core.errors import LabError
from core.hardware import Hardware, choose_hardware
from core.inference.tta import QUICK_PIXELS, WHOLE, PredictOptions, Size, scaled
from core.models.build import build_model
from core.models.class_maximum import max_over_classes
from core.models.families import PaddingMode
from core.runs.checkpoint_digest import checkpoint_digest
from core.runs.store import Which
from core.training.checkpoint import Checkpoint, load_weights, read_checkpoint
from core.training.evaluate import to_device

BLOCK_PIXELS = 2**16
"""Pixels whose logits are compared together on a CPU: a class of them fits into a core's cache."""


@dataclass(frozen=True)
class Prediction:
    """Labels uint8 (H, W), 0..K-1, and confidence uint8 (H, W): the probability of that label, 0..255 for 0..1."""

    labels: np.ndarray
    confidence: np.ndarray


class Predictor:
    """A network rebuilt from a checkpoint alone. `checkpoint` tells its classes, colours and config."""

    def __init__(self, run: Path, hardware: Hardware | None = None, which: Which = "best") -> None:
        """Without `hardware`, computes in the run's own number format on the best device that is here.

        Raises:
            LabError: the run has no such checkpoint, or it can't be read.
        """
        self.checkpoint: Checkpoint = read_checkpoint(run, which)
        self._hardware = hardware or hardware_for(self.checkpoint.config.training)
        self._model = build_model(self.checkpoint.config.model, len(self.checkpoint.class_names), self.num_bands)
        load_weights(self._model, self.checkpoint)
        self._hardware.prepare(self._model).eval()

    @property
    def shown_size(self) -> Size:
        """Height and width at which the network sees the frames that it is scored on."""
        return self.checkpoint.config.shown_size

    @property
    def window(self) -> Size:
        """Height and width of the crops that the network was trained on."""
        training = self.checkpoint.config.training
        return training.crop_height, training.crop_width

    @property
    def num_bands(self) -> int:
        """How many channels an image must have."""
        return self.checkpoint.config.dataset.pixels.num_bands

    @property
    def multiple(self) -> int:
        """Pixels a side of the network's cells: a picture that begins with a cell is seen alike wherever it lies."""
        return self._model.multiple

    @property
    def padding_mode(self) -> PaddingMode:
        """How pictures are continued whose sides aren't multiples of a cell."""
        return self._model.padding_mode

    @property
    def nbytes(self) -> int:
        """Bytes of the network's weights."""
        return sum(tensor.nbytes for tensor in self._model.state_dict().values())

    @torch.no_grad()
    def predict(self, image: np.ndarray, options: PredictOptions = WHOLE) -> Prediction:
        """Label every pixel of an image, uint8 (H, W, 3).

        The network sees the image at about as many pixels as the frames that it is scored on, its shape kept, because
        things must come in the sizes that it has learned; its logits are scaled up to the image's own size before they
        are compared. A quick answer sees half of the sides, and comes at that size.

        Raises:
            LabError: it has other bands than the network learned from.
        """
        self.check_bands(image)
        usual = sensible_size(image.shape[:2], self.shown_size)
        if options.quick:
            half = min(0.5, (QUICK_PIXELS / (usual[0] * usual[1])) ** 0.5)
            logits = self._logits(resize(image, scaled(usual, half)), sliding=False)
            return decide(logits, logits.shape[-2:])
        size = image.shape[:2]
        if not options.flip and len(options.scales) == 1:
            return decide(next(self._views(image, usual, options)), size)
        confidence, labels = self.probabilities(image, size, options)[0].max(dim=0)
        return Prediction(labels.to(torch.uint8).cpu().numpy(), _as_bytes(confidence).cpu().numpy())

    @torch.no_grad()
    def probabilities(
        self, image: np.ndarray, size: Size, options: PredictOptions = WHOLE, input_size: Size | None = None
    ) -> torch.Tensor:
        """Return probabilities of the classes at a size (h, w), float32 (1, K, h, w), of an image uint8 (H, W, 3).

        Several views are averaged; a quick answer isn't possible. `input_size` is the height and width at which the
        network is shown the image, where they aren't those of `sensible_size`.

        Raises LabError as `predict` does.
        """
        self.check_bands(image)
        usual = input_size or sensible_size(image.shape[:2], self.shown_size)
        probabilities, count = torch.zeros(()), 0
        for logits in self._views(image, usual, options):
            if logits.shape[-2:] != size:
                logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
            softmax = logits.softmax(dim=1)
            probabilities = probabilities.add_(softmax) if count else softmax
            count += 1
        return probabilities / count

    def check_bands(self, image: np.ndarray) -> None:
        """Raise LabError where an image (H, W, C) has other bands than the network learned from."""
        if image.shape[2] != self.num_bands:
            raise LabError(
                f"This network learned from {self.num_bands} bands, and the image has {image.shape[2]}. Show it one of"
                " the kind that it learned from."
            )

    def _views(self, image: np.ndarray, usual: Size, options: PredictOptions) -> Iterator[torch.Tensor]:
        """Yield logits (1, K, h, w) of each way in which the options show the image, the picture always the right way
        round.
        """
        for scale in options.scales:
            shown = resize(image, scaled(usual, scale))
            yield self._logits(shown, options.sliding_window)
            if options.flip:
                yield self._logits(shown[:, ::-1], options.sliding_window).flip(-1)

    def _logits(self, image: np.ndarray, sliding: bool) -> torch.Tensor:
        """Return logits float32 (1, K, h, w) of an image uint8 (h, w, 3), seen at its own size, whole or in windows."""
        height, width = image.shape[:2]
        window = min(self.window[0], height), min(self.window[1], width)
        if not sliding or window == (height, width):
            return self._forward(image)
        total = torch.zeros(())
        weight = blend_weight(window)
        weights = torch.zeros(height, width)
        for top in window_starts(height, window[0]):
            for left in window_starts(width, window[1]):
                rows, columns = slice(top, top + window[0]), slice(left, left + window[1])
                logits = self._forward(image[rows, columns]).cpu()
                if not total.ndim:
                    # On the CPU, whose memory is the larger one: only a window's logits are on the device.
                    total = torch.zeros(1, logits.shape[1], height, width)
                total[..., rows, columns] += logits * weight
                weights[rows, columns] += weight
        return total / weights

    def _forward(self, image: np.ndarray) -> torch.Tensor:
        images = to_device(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None], self._hardware)
        with self._hardware.autocast():
            logits = self._model(images)
        return logits.float() / self.checkpoint.temperature


def load_predictor(run: Path, which: Which = "best", hardware: Hardware | None = None) -> tuple[Predictor, str]:
    """Return a predictor and the `checkpoint_digest` of the weights that it has, though a trainer may replace them
    meanwhile.

    Raises:
        LabError: as `Predictor`.
    """
    while True:
        digest = checkpoint_digest(run, which)
        predictor = Predictor(run, hardware, which)
        if digest and digest == checkpoint_digest(run, which):
            return predictor, digest


def decide(logits: torch.Tensor, size: Size) -> Prediction:
    """Return the most likely class of every pixel and how likely it is, of logits float32 (1, K, h, w) scaled up to a
    size (H, W).

    The same numbers as of `F.interpolate`, `softmax` and `max` over all, block by block: for 19 classes and 2048 x 1024
    pixels each of these would fill 160 MB, and the last looks at every number for itself.
    """
    labels = torch.empty(size, dtype=torch.uint8, device=logits.device)
    confidence = torch.empty_like(labels)
    for block_slice, block in _blocks(logits, size):
        highest, winner = max_over_classes(block, dim=0)
        total = torch.zeros_like(highest)
        for plane in block:
            total += (plane - highest).exp_()
        labels[block_slice], confidence[block_slice] = winner, _as_bytes(1 / total)
    return Prediction(labels.cpu().numpy(), confidence.cpu().numpy())


def _blocks(logits: torch.Tensor, size: Size) -> Iterator[tuple[tuple[slice, slice], torch.Tensor]]:
    """Yield logits (1, K, h, w) scaled up to a size (H, W), in blocks (K, rows, columns), and where each lies.

    One block on a GPU.

    Where there is something to scale, blocks are columns: rows at first stay as many as they are, and a block's columns
    then do, which are the two halves of one bilinear interpolation.
    """
    height, width = size
    block_pixels = height * width if logits.device.type != "cpu" else BLOCK_PIXELS
    if logits.shape[-2:] == size:
        step = max(1, block_pixels // width)
        for top in range(0, height, step):
            yield (slice(top, top + step), slice(None)), logits[0, :, top : top + step].contiguous()
        return
    wide = F.interpolate(logits.contiguous(), size=(logits.shape[-2], width), mode="bilinear", align_corners=False)
    step = max(1, block_pixels // height)
    for left in range(0, width, step):
        columns = wide[..., left : left + step].contiguous()
        scaled_up = F.interpolate(columns, size=(height, columns.shape[-1]), mode="bilinear", align_corners=False)
        yield (slice(None), slice(left, left + step)), scaled_up[0]


def _as_bytes(probability: torch.Tensor) -> torch.Tensor:
    return (probability * 255).round().to(torch.uint8)


def hardware_for(training: TrainingConfig) -> Hardware:
    """Return the best device here, with the number format that a run was trained in, so that its scores are what is
    shown.

    A run of fp16 came from a GPU; where there is none, `auto` decides.
    """
    precision = "auto" if training.precision == "fp16" and not torch.cuda.is_available() else training.precision
    return choose_hardware(TrainingConfig(precision=precision))


def window_starts(length: int, window: int) -> list[int]:
    """Return where windows begin that cover a length evenly, each overlapping the next by half or more."""
    count = 1 + -(-(length - window) // max(1, window // 2))
    return [round(index * (length - window) / max(1, count - 1)) for index in range(count)]


def blend_weight(window: Size) -> torch.Tensor:
    """Return how much each pixel of a window counts, float32 (h, w): 1 in the middle, falling evenly to the rim,
    nowhere 0.

    At the rim a network sees half of what surrounds a pixel; the neighbouring window sees it whole.
    """
    sides = []
    for length in window:
        positions = torch.arange(length, dtype=torch.float32)
        sides.append(torch.minimum(positions + 1, length - positions) / ((length + 1) / 2))
    return sides[0][:, None] * sides[1][None, :]
