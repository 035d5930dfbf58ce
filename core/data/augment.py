"""What happens to a training frame before the network sees it: zoom and crop, mirror, colours.

Image and target always move together, both stay uint8, and every choice comes from the generator that is handed in:
keyed by (seed, epoch, frame), the same key gives the same crop in any process and any order.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from core.config import TrainingConfig


@dataclass(frozen=True)
class Augmentation:
    """The training part's fields that shape a crop. `crop` is (height, width)."""

    crop: tuple[int, int]
    zoom: tuple[float, float]
    flip: bool
    color_jitter: float

    @classmethod
    def from_config(cls, training: TrainingConfig) -> "Augmentation":
        return cls(
            crop=(training.crop_height, training.crop_width),
            zoom=(training.zoom_min, training.zoom_max),
            flip=training.flip,
            color_jitter=training.color_jitter,
        )

    def __call__(
        self, image: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 (H, W, 3) and target uint8 (H, W) become a crop of uint8 (h, w, 3) and (h, w)."""
        top, left, height, width = self.window(image.shape[:2], rng)
        image = image[top : top + height, left : left + width]
        target = target[top : top + height, left : left + width]
        if (height, width) != self.crop:
            # Cutting first and scaling after touches a quarter of the pixels that the other order would.
            image = cv2.resize(image, self.crop[::-1], interpolation=cv2.INTER_LINEAR)
            target = cv2.resize(target, self.crop[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        if self.flip and rng.random() < 0.5:
            image, target = image[:, ::-1], target[:, ::-1]
        if self.color_jitter:
            image = jitter_colors(image, self.color_jitter, rng)
        return np.ascontiguousarray(image), np.ascontiguousarray(target)

    def window(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of the piece of a frame of `size` (height, width) that fills the crop."""
        frame_height, frame_width = size
        height, width = self.crop
        zoom = rng.uniform(*self.zoom)
        # A frame smaller than the crop is enlarged rather than padded: padding teaches nothing.
        zoom = max(zoom, height / frame_height, width / frame_width)
        window_height = min(frame_height, max(1, round(height / zoom)))
        window_width = min(frame_width, max(1, round(width / zoom)))
        top = int(rng.integers(0, frame_height - window_height + 1))
        left = int(rng.integers(0, frame_width - window_width + 1))
        return top, left, window_height, window_width


def jitter_colors(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Varies brightness, contrast and saturation of a uint8 (H, W, 3) image, each by a factor in 1 +- amount."""
    brightness, contrast, saturation = rng.uniform(1 - amount, 1 + amount, size=3)
    levels = np.arange(256, dtype=np.float32)
    table = np.clip((levels * brightness - 128) * contrast + 128, 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, saturation, gray, 1 - saturation, 0)
