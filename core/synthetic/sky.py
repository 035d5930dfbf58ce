"""The sky with its clouds and sun, and what stands on the horizon far behind the street."""

import cv2
import numpy as np

from core.synthetic import tiles
from core.synthetic.canvas import Canvas
from core.synthetic.light import Light
from core.synthetic.perspective import Camera, turned

_STEP = 4  # the sky is soft: one sample for so many working pixels each way is enough


def draw_sky(rng: np.random.Generator, canvas: Canvas, camera: Camera, light: Light) -> None:
    """Fill the picture above the horizon: gradient, glow round the sun, clouds seen in perspective."""
    height, width = canvas.air.shape
    bottom = int(np.clip(camera.horizon + 4, 2, height))
    rows = (np.arange(0, bottom, _STEP) + _STEP / 2)[:, None]
    columns = (np.arange(0, width, _STEP) + _STEP / 2)[None, :]
    up = np.maximum((camera.horizon - rows) / camera.focal, 0.0).astype(np.float32) + 0 * columns
    right = ((columns - camera.centre) / camera.focal).astype(np.float32) + 0 * rows
    length = np.sqrt(1 + up**2 + right**2)
    sun = turned(light.to_sun[None], -camera.yaw, (0, 0, 0))[0].astype(np.float32)
    towards = np.clip((sun[0] * right + sun[1] * up + sun[2]) / length, 0, 1)[..., None]

    zenith, horizon, glow = (np.float32(c) for c in (light.zenith, light.horizon, light.glow))
    rise = (1 - np.exp(-4.2 * up))[..., None]
    color = horizon * (1 - rise) + zenith * rise
    near = towards * towards * towards
    near *= near
    halo = np.float32(0.55) * near + np.float32(0.45) * cv2.pow(near, 10)[..., None]
    color = color + (glow - color) * np.clip(halo * (0.35 if light.clouds > 0.85 else 1.0), 0, 1)

    density, bright = _clouds(rng, up, right, light, sun)
    bright = bright[..., None]
    lit = np.minimum(glow * np.float32(0.55) + horizon * np.float32(0.3) + 48, 255) * (0.9 + 0.1 * towards**2)
    dark = zenith * np.float32(0.42) + horizon * np.float32(0.46)
    cloud = dark * (1 - bright) + lit * bright
    color += (cloud - color) * density[..., None]
    disc = np.clip((towards - 0.99955) / 0.0003, 0, 1) * (1 - density[..., None])
    color += (255 - color) * disc
    image = np.clip(color, 0, 255).astype(np.uint8)
    canvas.rgb[:bottom] = cv2.resize(image, (width, len(rows) * _STEP), interpolation=cv2.INTER_LINEAR)[:bottom]
    canvas.rgb[bottom:] = light.haze.clip(0, 255).astype(np.uint8)
    canvas.mark("sky", np.array([[0, 0], [width, 0], [width, bottom], [0, bottom]]))


def _clouds(
    rng: np.random.Generator, up: np.ndarray, right: np.ndarray, light: Light, sun: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Density and brightness 0..1, both (rows, columns), of a layer of clouds lying overhead like a ceiling."""
    offset = rng.uniform(0, tiles.SIDE, 2)
    size = rng.uniform(50, 95)
    streak = rng.uniform(0.45, 0.9)
    cloud_base = 1.0 / (up + 0.11)
    field = tiles.noise(11, 4, 128, 0.56)
    east, north = right * cloud_base * np.float32(streak), cloud_base
    here = tiles.read(field, east, north, size, offset)
    sunward = offset + np.array([sun[0], sun[2]]) / max(np.hypot(sun[0], sun[2]), 0.2) * 11
    there = tiles.read(field, east, north, size, sunward)
    threshold = 1.5 - 2.9 * light.clouds
    density = np.clip((here - threshold) / 1.25, 0, 1)
    density = density * density * (3 - 2 * density)
    bright = np.clip(0.62 + 0.34 * (here - there) - 0.16 * (here - threshold), 0, 1)
    return density * np.clip(up * 9 + 0.25, 0, 0.94), bright


def draw_horizon(rng: np.random.Generator, canvas: Canvas, camera: Camera, light: Light, leaf: np.ndarray) -> None:
    """Hills or roofs of the far town, pale with distance, behind everything else; `leaf` is the season's green."""
    height, width = canvas.air.shape
    up = np.array([0.0, 1.0, 0.0])
    columns = np.linspace(-20, width + 20, 48)
    for depth, tall in ((900.0, 46.0), (420.0, 15.0)):
        if rng.random() < 0.55:
            start = rng.integers(tiles.SIDE)
            profile = tiles.noise(12, 4, 32)[start, np.arange(48) * 5]
            line = camera.horizon - camera.focal / depth * tall * np.clip(0.6 + 0.35 * profile, 0.15, 2)
            outline = np.concatenate(
                [np.stack([columns, line], 1), [[width + 20, camera.horizon + 6], [-20, camera.horizon + 6]]]
            )
            canvas.fill(outline, light.on(leaf, up), light.air(depth * 0.8) * 0.9)
            canvas.mark("vegetation", outline)
    wall = light.on(np.array([170.0, 160, 152]), np.array([0.0, 0, -1]))
    for _ in range(rng.integers(4, 14)):
        depth = rng.uniform(260, 420)
        x = camera.centre + rng.normal(0, 0.3) * width
        tall, wide = rng.uniform(10, 26) * camera.focal / depth, rng.uniform(10, 26) * camera.focal / depth
        base = camera.horizon + 6
        block = np.array([[x, base - tall], [x + wide, base - tall], [x + wide, base], [x, base]])
        shade = rng.uniform(0.7, 1.1)
        canvas.fill(block, np.clip(wall * shade, 0, 255), light.air(depth))
        canvas.mark("building", block)
        if rng.random() < 0.5:
            roof = np.array([[x, base - tall], [x + wide / 2, base - tall * 1.35], [x + wide, base - tall]])
            canvas.fill(roof, np.clip(wall * shade * (0.8, 0.6, 0.55), 0, 255), light.air(depth))
            canvas.mark("building", roof)
