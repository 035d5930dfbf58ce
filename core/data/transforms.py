"""What happens to a training frame before the network sees it: a crop, zoomed, turned and mirrored, its colours varied,
blurred.

Image and target always move together, both stay uint8, and every choice comes from the generator that is handed in:
keyed by (seed, epoch, frame), the same key gives the same crop in any process and any order. What is switched off
draws nothing: the crops of a run don't change because the lab has learned something new.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Protocol

import cv2
import numpy as np

from core.config import TrainingConfig
from core.data.bands import in_fours
from core.labels import IGNORED

RARE_STRIDE = 8
"""Every how many pixels, down and across, a target is looked at for rare classes."""

ELASTIC_GRID = 3
"""Displacements down and across, of which those of all pixels are interpolated, as in the U-Net's paper."""

BLUR_SIGMA = (0.3, 1.5)
"""Least and greatest blur, standard deviation in pixels of the crop."""

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in what looks equally bright, ITU-R BT.601."""

Window = tuple[int, int, int, int]
"""Top, left, height and width in a frame, in pixels."""


class Frames(Protocol):
    """Frames by number: image uint8 (H, W, C) and target uint8 (H, W)."""

    def __getitem__(self, index: int, /) -> tuple[np.ndarray, np.ndarray]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Augmentation:
    """The training part's fields that shape a crop.

    Attributes:
        crop: (height, width) of what comes out, in pixels.
        scale: least and greatest factor of enlargement.
        flip: whether half of the crops are mirrored left to right.
        color_jitter: brightness, contrast and saturation vary by up to this share, 0..1.
        vertical_flip: whether half of them are mirrored top to bottom.
        rotate90: whether they are turned by 0, 90, 180 or 270 degrees, each as often.
        rotation: a crop is turned by up to this angle either way, in degrees.
        elastic: standard deviation of the displacements that bend it, in pixels of the crop.
        blur: share of crops that are blurred, 0..1.
        rare_crops: share of crops that are centred on a class of their frame, 0..1.
        copy_paste: share of crops into which a class of another crop is pasted, 0..1.
        class_shares: share of the training set's pixels per class, for `rare_crops` and `copy_paste`; empty treats all
            classes alike.
    """

    crop: tuple[int, int]
    scale: tuple[float, float]
    flip: bool
    color_jitter: float
    _: KW_ONLY
    vertical_flip: bool = False
    rotate90: bool = False
    rotation: float = 0.0
    elastic: float = 0.0
    blur: float = 0.0
    rare_crops: float = 0.0
    copy_paste: float = 0.0
    class_shares: tuple[float, ...] = ()

    @classmethod
    def from_config(cls, training: TrainingConfig, class_shares: Sequence[float] | None = None) -> "Augmentation":
        return cls(
            crop=(training.crop_height, training.crop_width),
            scale=(training.scale_min, training.scale_max),
            flip=training.flip,
            color_jitter=training.color_jitter,
            vertical_flip=training.vertical_flip,
            rotate90=training.rotate90,
            rotation=training.rotation,
            elastic=training.elastic,
            blur=training.blur,
            rare_crops=training.rare_crops,
            copy_paste=training.copy_paste,
            class_shares=() if class_shares is None else tuple(float(share) for share in class_shares),
        )

    def __call__(
        self, image: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 (H, W, C) and target uint8 (H, W) become a crop of uint8 (h, w, C) and (h, w)."""
        rotations, window, angle = self._pick_window(target.shape, target, rng)
        size = self._size(rotations)
        mirrors = self.flip and rng.random() < 0.5
        if angle:
            image, target = warp(image, target, window, size, angle, mirrors)
        else:
            image, target = _cut(image, target, window, size, mirrors)
        if rotations:
            image, target = (np.ascontiguousarray(np.rot90(part, rotations)) for part in (image, target))
        if self.vertical_flip and rng.random() < 0.5:
            image, target = (np.ascontiguousarray(part[::-1]) for part in (image, target))
        if self.elastic:
            image, target = bend(image, target, self.elastic, rng)
        if self.color_jitter:
            image = jitter_colors(image, self.color_jitter, rng)
        if self.blur and rng.random() < self.blur:
            sigma = rng.uniform(*BLUR_SIGMA)
            image = in_fours(lambda part: cv2.GaussianBlur(part, (0, 0), sigma), image)
        # Nothing was done to a frame that is the crop already, and a cached frame may not be written to.
        return np.require(image, requirements="CW"), np.require(target, requirements="CW")

    def crop_of(self, frames: Frames, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a crop of one of some frames, with a class of another one pasted in where there is `copy_paste`."""
        image, target = self(*frames[index], rng)
        if self.copy_paste and rng.random() < self.copy_paste:
            image, target = image.copy(), target.copy()  # a crop may be a view of a frame that is kept
            paste_class((image, target), self(*frames[int(rng.integers(len(frames)))], rng), self.class_shares, rng)
        return image, target

    def window(
        self, size: tuple[int, int], rng: np.random.Generator, target: np.ndarray | None = None, rotations: int = 0
    ) -> Window:
        """Return the piece of a frame of `size` (height, width) that fills the crop, before it is turned.

        Args:
            size: of the frame.
            rng: what chooses.
            target: uint8 (H, W), where classes are looked for when there are `rare_crops`.
            rotations: by 90 degrees, that the piece will go through.
        """
        frame_height, frame_width = size
        height, width = self._size(rotations)
        scale = rng.uniform(*self.scale)
        # A frame smaller than the crop is enlarged rather than padded: padding teaches nothing.
        scale = max(scale, height / frame_height, width / frame_width)
        window_height = min(frame_height, max(1, round(height / scale)))
        window_width = min(frame_width, max(1, round(width / scale)))
        top = int(rng.integers(0, frame_height - window_height + 1))
        left = int(rng.integers(0, frame_width - window_width + 1))
        if self.rare_crops and target is not None and rng.random() < self.rare_crops:
            pixel = find_rare_pixel(target, self.class_shares, rng)
            if pixel:
                top = min(max(0, pixel[0] - window_height // 2), frame_height - window_height)
                left = min(max(0, pixel[1] - window_width // 2), frame_width - window_width)
        return top, left, window_height, window_width

    def corners(self, size: tuple[int, int], target: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """Return where the crop of a generator lies in its frame, for showing it.

        Args:
            size: (height, width) of the frame.
            target: the frame's, as handed to the crop; without `rare_crops` it may be None.
            rng: in the state in which the crop would get it; it is advanced.

        Returns:
            float64 (4, 2), x and y in pixels of the frame, from its outer edge: upper left, upper right, lower right
            and lower left corner of the crop before it is mirrored. A turned crop may reach over the frame's edge.
        """
        _, (top, left, height, width), angle = self._pick_window(size, target, rng)
        unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        return unit * (width, height) @ _turning(angle).T + (left + width / 2, top + height / 2)

    def _pick_window(
        self, size: tuple[int, int], target: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[int, Window, float]:
        """Return rotations by 90 degrees, the window, and the angle in degrees by which it turns about its middle."""
        rotations = int(rng.integers(4)) if self.rotate90 else 0
        window = self.window(size, rng, target, rotations)
        return rotations, window, rng.uniform(-self.rotation, self.rotation) if self.rotation else 0.0

    def _size(self, rotations: int) -> tuple[int, int]:
        """Return height and width of a crop before it is rotated by 90 degrees so often."""
        return self.crop[::-1] if rotations % 2 else self.crop


def find_rare_pixel(
    target: np.ndarray, class_shares: Sequence[float], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Choose a class of a target, a class of half the share twice as likely, and then one of its pixels.

    Args:
        target: uint8 (H, W); every eighth pixel of every eighth row is looked at.
        class_shares: share of the training set's pixels per class, 0..1; empty treats the classes of the target alike.
        rng: what chooses, also at which row and column to begin, so that no thin thing is missed for ever.

    Returns:
        Row and column, or None where nothing is labelled.
    """
    first_row, first_column = (int(first) for first in rng.integers(0, RARE_STRIDE, 2))
    sampled = np.ascontiguousarray(target[first_row::RARE_STRIDE, first_column::RARE_STRIDE])
    present = np.flatnonzero(np.bincount(sampled.ravel(), minlength=IGNORED + 1)[:IGNORED])
    if not present.size:
        return None
    shares = np.ones(IGNORED)
    shares[: len(class_shares)] = class_shares
    # A class may have been missed by the counting, which looks at a part of the frames only.
    chances = 1 / np.maximum(shares[present], 1e-6)
    chosen = rng.choice(present, p=chances / chances.sum())
    spots = np.flatnonzero(sampled == chosen)
    row, column = divmod(int(spots[rng.integers(len(spots))]), sampled.shape[1])
    return first_row + RARE_STRIDE * row, first_column + RARE_STRIDE * column


def paste_class(
    crop: tuple[np.ndarray, np.ndarray],
    other: tuple[np.ndarray, np.ndarray],
    class_shares: Sequence[float],
    rng: np.random.Generator,
) -> None:
    """Paste the pixels of one class of another crop into a crop, where they stand there; image and target alike.

    Ghiasi et al.: Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation,
    https://arxiv.org/abs/2012.07177; by class instead of by instance as in ClassMix, https://arxiv.org/abs/2007.07936.

    Args:
        crop: image uint8 (h, w, C) and target uint8 (h, w), both changed.
        other: another one of the same size.
        class_shares: as for `find_rare_pixel`, which chooses the class.
        rng: what chooses.
    """
    pixel = find_rare_pixel(other[1], class_shares, rng)
    if pixel:
        pasted = other[1] == other[1][pixel]
        for part, source in zip(crop, other, strict=True):
            part[pasted] = source[pasted]


def bend(
    image: np.ndarray, target: np.ndarray, deviation: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Bend a crop, image uint8 (H, W, C) and target uint8 (H, W) alike, as tissue or cloth would: each pixel comes from
    beside itself, by displacements that are drawn on a coarse grid, normally distributed, and interpolated between.

    Ronneberger et al.: U-Net, https://arxiv.org/abs/1505.04597, section 3.1, where the deviation is 10 pixels. What
    comes from beyond the crop is mirrored in the image and ignored in the target.
    """
    height, width = target.shape
    drawn = rng.normal(0, deviation, (ELASTIC_GRID, ELASTIC_GRID, 2)).astype(np.float32)
    shift = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    columns += shift[..., 0]
    rows += shift[..., 1]
    image = in_fours(
        lambda part: cv2.remap(part, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), image
    )
    target = cv2.remap(target, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORED)
    return image, target


def jitter_colors(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Vary brightness, contrast and saturation of a uint8 (H, W, C) image, each by a factor in 1 +- amount.

    Saturation of colours alone: other bands than three have none.
    """
    brightness, contrast, saturation = rng.uniform(1 - amount, 1 + amount, size=3)
    if image.shape[2] != 3:
        values = np.arange(256) * brightness * contrast + 128 - 128 * contrast
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)[image]
    # All three are linear, so one matrix does them at once: a share of each colour, a share of its gray, a constant.
    mix = saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1))
    matrix = np.column_stack([brightness * contrast * mix, np.full(3, 128 - 128 * contrast)])
    return cv2.transform(image, matrix.astype(np.float32))


def _cut(
    image: np.ndarray, target: np.ndarray, window: Window, size: tuple[int, int], mirrors: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a window, scale it to a size (h, w), and mirror it."""
    top, left, height, width = window
    image = image[top : top + height, left : left + width]
    target = target[top : top + height, left : left + width]
    if (height, width) != size:
        # Cutting first and scaling after touches a quarter of the pixels that the other order would.
        image = in_fours(lambda part: cv2.resize(part, size[::-1], interpolation=cv2.INTER_LINEAR), image)
        target = cv2.resize(target, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return (in_fours(lambda part: cv2.flip(part, 1), image), cv2.flip(target, 1)) if mirrors else (image, target)


def warp(
    image: np.ndarray, target: np.ndarray, window: Window, crop: tuple[int, int], angle: float, mirrors: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Cut, scale, turn and mirror at once: each pixel of the crop is looked up in the frame a single time."""
    top, left, height, width = window
    crop_height, crop_width = crop
    scale = np.diag([(-1 if mirrors else 1) * width / crop_width, height / crop_height])
    matrix = _turning(angle) @ scale
    # OpenCV counts from the middle of the first pixel, a window from its edge.
    middle = np.array([left + width / 2, top + height / 2]) - 0.5
    shift = middle - matrix @ [(crop_width - 1) / 2, (crop_height - 1) / 2]
    # Only what the turned window can touch, two pixels of margin included.
    reach = np.abs(_turning(angle)) @ [width / 2, height / 2] + 2
    first = np.floor(middle - reach).astype(int)
    end = np.ceil(middle + reach).astype(int) + 1
    inside = np.maximum(0, first)
    piece = np.s_[inside[1] : end[1], inside[0] : end[0]]
    size = (crop_width, crop_height)

    def warp(part: np.ndarray) -> np.ndarray:
        # Four channels are turned in less than half of the time of three, and so is a picture that was mirrored
        # beyond its edges before: OpenCV has no fast way to do that while it turns.
        is_rgb = part.shape[2] == 3
        part = _mirrored_beyond(part, first, end)
        part = cv2.cvtColor(part, cv2.COLOR_RGB2RGBA) if is_rgb else part
        lookup = np.column_stack([matrix, shift - first])
        part = cv2.warpAffine(part, lookup, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
        return cv2.cvtColor(part, cv2.COLOR_RGBA2RGB) if is_rgb else part

    image = in_fours(warp, image)
    target = cv2.warpAffine(
        target[piece],
        np.column_stack([matrix, shift - inside]),
        size,
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=IGNORED,
    )
    return image, target


def _mirrored_beyond(image: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the piece of an image from column and row `first` to `end`, which may lie outside: there it goes on as in
    a mirror.
    """
    height, width = image.shape[:2]
    left, top = np.maximum(0, -first)
    right, bottom = np.maximum(0, end - (width, height))
    piece = image[max(0, first[1]) : end[1], max(0, first[0]) : end[0]]
    if not (left or top or right or bottom):
        return piece
    return cv2.copyMakeBorder(piece, int(top), int(bottom), int(left), int(right), cv2.BORDER_REFLECT)


def _turning(angle: float) -> np.ndarray:
    """float64 (2, 2), the rotation of (x, y) by an angle in degrees."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[cosine, -sine], [sine, cosine]])
