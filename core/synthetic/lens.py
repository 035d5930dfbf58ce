"""From the painted canvas to a photograph: haze, glow of lights, bloom, tone, vignette, grain."""

import cv2
import numpy as np

from core.synthetic import tiles
from core.synthetic.canvas import OVERSAMPLING, Canvas
from core.synthetic.light import Light

_GRAIN = np.round(np.random.default_rng(7300).normal(0, 2.1, (tiles.SIDE, tiles.SIDE))).astype(
    np.int16
)  # a sensor's noise


def expose(rng: np.random.Generator, canvas: Canvas, light: Light) -> np.ndarray:
    """Return the picture as taken, uint8 (height, width, 3)."""
    height, width = canvas.size
    veil = cv2.merge([canvas.air] * 3)
    clear = cv2.multiply(canvas.rgb, cv2.bitwise_not(veil), scale=1 / 255)
    table = np.clip(np.arange(256)[:, None] / 255 * light.haze, 0, 255).astype(np.uint8)[:, None]
    hazy = cv2.add(clear, cv2.LUT(veil, table))
    small = cv2.resize(hazy, (width, height), interpolation=cv2.INTER_AREA)
    for glow in canvas.visible_glows():
        _shine(small, glow.x / OVERSAMPLING, glow.y / OVERSAMPLING, glow.radius / OVERSAMPLING, np.asarray(glow.color))
    # The camera meters the scene as cameras do: towards a middle grey, but night stays night.
    aim = 78.0 if light.lamps else 116.0
    gain = float(np.clip((aim / max(float(small.mean()), 1.0)) ** 0.8, 0.85, 1.35))
    small = cv2.convertScaleAbs(small, alpha=gain)
    quarter = cv2.resize(small, (max(width // 4, 1), max(height // 4, 1)), interpolation=cv2.INTER_AREA)
    bright = cv2.subtract(quarter, (168, 168, 168, 0))
    bloom = cv2.GaussianBlur(bright, (0, 0), max(width / 90, 1))
    image = cv2.addWeighted(
        small, 1.0, cv2.resize(bloom, (width, height), interpolation=cv2.INTER_LINEAR), 0.45, 0
    ).astype(np.float32)

    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    vignette = 1 - rng.uniform(0.10, 0.2) * (0.75 * x**2 + 0.45 * y**2) ** 1.5
    image *= vignette.astype(np.float32)[..., None] * np.float32(rng.uniform(0.94, 1.06))
    image = cv2.LUT(np.clip(image, 0, 255).astype(np.uint8), _curve(rng, light))
    grain = rng.integers(0, tiles.SIDE, 2)
    rows = (np.arange(height) + grain[0]) % tiles.SIDE
    columns = (np.arange(width) + grain[1]) % tiles.SIDE
    noisy = image.astype(np.int16) + _GRAIN[rows[:, None], columns[None]][..., None]
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _shine(image: np.ndarray, x: float, y: float, radius: float, color: np.ndarray) -> None:
    """Add a soft disc of light."""
    height, width = image.shape[:2]
    reach = int(np.clip(radius * 2.6, 2, 120))
    x0, x1, y0, y1 = (
        max(int(x) - reach, 0),
        min(int(x) + reach + 1, width),
        max(int(y) - reach, 0),
        min(int(y) + reach + 1, height),
    )
    if x1 <= x0 or y1 <= y0:
        return
    far = ((np.arange(y0, y1)[:, None] - y) ** 2 + (np.arange(x0, x1)[None] - x) ** 2) / max(radius, 0.8) ** 2
    light = (np.exp(-far * 1.8) * 0.8 + np.exp(-far * 0.5) * 0.25)[..., None] * color
    image[y0:y1, x0:x1] = np.clip(image[y0:y1, x0:x1] + light, 0, 255).astype(np.uint8)


def _curve(rng: np.random.Generator, light: Light) -> np.ndarray:
    """uint8 (256, 1, 3): a soft shoulder, a little contrast, and a cast of the camera's own."""
    value = np.linspace(0, 1, 256)[:, None]
    s = value * value * (3 - 2 * value)
    strength = 0.12 if light.hour == "mist" else rng.uniform(0.22, 0.4)
    tone = value * (1 - strength) + s * strength
    cast = 1 + rng.normal(0, 0.012, 3)
    return np.clip(tone * 250 * cast + 3, 0, 255).astype(np.uint8)[:, None]
