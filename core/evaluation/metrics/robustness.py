"""Photographs as bad days make them, to score a network on: eight corruptions in five strengths, keyed by seed and
frame.

In the manner of Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions (ICLR 2019),
whose strengths are for pictures of 224 pixels. Lengths here are shares of the picture's height: grains of noise, blocks
of JPEG and pixels of a coarser picture are those of a picture of `HEIGHT` rows, so that a picture is as bad at any size
that it is scored at, from that many rows on. Written with OpenCV, which is here anyway.
"""

import zlib
from collections.abc import Callable

import cv2
import numpy as np

STRENGTHS = (1, 2, 3, 4, 5)
VERSION = 2
"""Raised when a corruption changes: scores under others don't compare with it.

1 had grains, blocks and pixels of the picture's own, up to six times weaker at full size."""
HEIGHT = 256
"""Rows of the picture for which strengths are written."""

Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def corrupt(image: np.ndarray, kind: str, strength: int, frame_id: str = "", seed: int = 0) -> np.ndarray:
    """Return a worse picture of the same things.

    Args:
        image: uint8 (H, W, 3).
        kind: one of `CORRUPTIONS`.
        strength: 1..5.
        frame_id: together with the seed, kind and strength it decides what is drawn.
        seed: of the card.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: there is no such kind or strength.
    """
    if kind not in CORRUPTIONS or strength not in STRENGTHS:
        raise ValueError(f"there is no corruption '{kind}' of strength {strength}")
    key = zlib.crc32(f"{frame_id}|{kind}|{strength}".encode("utf-8", "surrogateescape"))
    return CORRUPTIONS[kind](image, strength - 1, np.random.default_rng((seed, key)))


def _noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    grains = rng.normal(0, (8, 15, 25, 38, 55)[level], (*_reference(image), 3)).astype(np.float32)
    return _as_image(image + _fitted(grains, image, cv2.INTER_NEAREST))


def _blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    height = image.shape[0]
    spread = height * (0.002, 0.004, 0.006, 0.009, 0.013)[level] + 0.2 * max(1, height / HEIGHT)
    return cv2.GaussianBlur(image, (0, 0), spread)


def _fog(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Thicker towards the horizon, in patches, as bright as the sky."""
    height, width = image.shape[:2]
    patches = cv2.resize(rng.random((4, 8)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    above = 1 - np.abs(np.linspace(-0.6, 0.8, height, dtype=np.float32))[:, None]
    thickness = (0.3, 0.45, 0.6, 0.72, 0.82)[level] * np.clip(0.55 + 0.35 * above + 0.3 * (patches - 0.5), 0, 1)
    return _as_image(image * (1 - thickness[..., None]) + 215 * thickness[..., None])


def _rain(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Slanted streaks over a darker, softer picture."""
    height, width = _reference(image)
    streaks = np.zeros((height, width), np.uint8)
    length, slant = height * (0.03, 0.04, 0.05, 0.06, 0.08)[level], rng.uniform(-0.3, 0.3)
    for x, y in rng.random(((100, 200, 350, 550, 800)[level], 2)) * (width, height):
        end = (round(x + slant * length), round(y + length))
        cv2.line(streaks, (round(x), round(y)), end, 200, 1, cv2.LINE_AA)
    rows = image.shape[0]
    soft = cv2.GaussianBlur(image, (0, 0), 0.4 * max(1, rows / HEIGHT) + 0.001 * rows * level)
    veil = soft * (0.92, 0.87, 0.82, 0.77, 0.7)[level]
    share = _fitted(streaks, image)[..., None].astype(np.float32) / 255 * 0.7
    return _as_image(veil * (1 - share) + 220 * share)


def _jpeg(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """The blocks and colours that JPEG makes of the picture at `HEIGHT` rows, on the picture as it is."""
    height, width = _reference(image)
    plain = _resized(image, (height, width))
    quality = [cv2.IMWRITE_JPEG_QUALITY, (40, 25, 15, 10, 6)[level]]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(plain, cv2.COLOR_RGB2BGR), quality)
    decoded = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return _as_image(image + _fitted(decoded.astype(np.float32) - plain, image, cv2.INTER_NEAREST))


def _brightness(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Too bright or too dark, by a power of the light."""
    stops = (1.35, 1.7, 2.2, 2.8, 3.6)[level]
    power = stops if rng.random() < 0.5 else 1 / stops
    return cv2.LUT(image, _as_image(255 * (np.arange(256) / 255) ** power))


def _occlusion(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Gray blots, as of dirt on the lens. What they hide is still asked for."""
    height, width = image.shape[:2]
    result = image.copy()
    for x, y, size in rng.random(((2, 4, 6, 9, 12)[level], 3)):
        radius = round(height * (0.04 + 0.08 * size))
        cv2.circle(result, (round(x * width), round(y * height)), radius, (70, 68, 65), cv2.FILLED, cv2.LINE_AA)
    return result


def _resolution(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Made smaller and enlarged again."""
    factor = (1.5, 2, 3, 4, 6)[level]
    height, width = (max(1, round(side / factor)) for side in _reference(image))
    return _fitted(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), image)


def _reference(image: np.ndarray) -> tuple[int, int]:
    """Height and width of a picture at `HEIGHT` rows; of a smaller one its own."""
    height, width = image.shape[:2]
    rows = min(HEIGHT, height)
    return rows, max(1, round(width * rows / height))


def _fitted(layer: np.ndarray, image: np.ndarray, enlarging: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Return a layer at the size of a picture."""
    return _resized(layer, image.shape[:2], enlarging)


def _resized(layer: np.ndarray, size: tuple[int, int], enlarging: int = cv2.INTER_LINEAR) -> np.ndarray:
    if layer.shape[:2] == size:
        return layer
    is_smaller = size[0] < layer.shape[0]
    return cv2.resize(layer, size[::-1], interpolation=cv2.INTER_AREA if is_smaller else enlarging)


def _as_image(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    "noise": _noise,
    "blur": _blur,
    "fog": _fog,
    "rain": _rain,
    "jpeg": _jpeg,
    "brightness": _brightness,
    "occlusion": _occlusion,
    "resolution": _resolution,
}
"""What can be done to a picture, by name."""
