"""One trained network, ready to answer: image in, labels and confidence out."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from core.hardware import Hardware
from core.models import build_model
from core.runs import Which
from core.training.checkpoint import Checkpoint, load_weights, read_checkpoint
from core.training.evaluation import to_device


@dataclass(frozen=True)
class Prediction:
    """Labels uint8 (H, W), 0..K-1, and confidence uint8 (H, W): the probability of that label, 0..255 for 0..1."""

    labels: np.ndarray
    confidence: np.ndarray


class Predictor:
    """A network rebuilt from a checkpoint alone. `checkpoint` tells its classes, colours and config."""

    def __init__(self, run: Path, hardware: Hardware, which: Which = "best") -> None:
        """Raises LabError when the run has no such checkpoint, or it can't be read."""
        self.checkpoint: Checkpoint = read_checkpoint(run, which)
        self._hardware = hardware
        self._model = build_model(self.checkpoint.config.model, len(self.checkpoint.classes))
        load_weights(self._model, self.checkpoint)
        hardware.prepare(self._model).eval()

    @property
    def training_size(self) -> tuple[int, int]:
        """Height and width of the frames that the network was trained and scored on."""
        dataset = self.checkpoint.config.dataset
        return dataset.height, dataset.width

    @torch.no_grad()
    def predict(self, image: np.ndarray) -> Prediction:
        """Labels every pixel of an image, uint8 (H, W, 3).

        The network sees the image at about as many pixels as its training frames had, its shape kept, because things must
        come in the sizes that it has learned; its logits are scaled up to the image's own size before they are compared.
        """
        height, width = image.shape[:2]
        seen = sensible_size((height, width), self.training_size)
        if seen != (height, width):
            shrinks = seen[0] < height
            small = cv2.resize(image, seen[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        else:
            small = image
        images = to_device(torch.from_numpy(np.ascontiguousarray(small)).permute(2, 0, 1)[None], self._hardware)
        with self._hardware.autocast():
            logits = self._model(images)
        logits = logits.float()
        if seen != (height, width):
            logits = F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)
        confidence, labels = logits.softmax(dim=1)[0].max(dim=0)
        return Prediction(
            labels=labels.to(torch.uint8).cpu().numpy(),
            confidence=(confidence * 255).round().to(torch.uint8).cpu().numpy(),
        )


def sensible_size(size: tuple[int, int], training: tuple[int, int]) -> tuple[int, int]:
    """Height and width of an image scaled to the area of the training frames; unchanged when it has their size."""
    if size == training:
        return size
    scale = (training[0] * training[1] / (size[0] * size[1])) ** 0.5
    return max(32, round(size[0] * scale)), max(32, round(size[1] * scale))
