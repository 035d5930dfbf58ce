"""Seamless textures that every scene shares: noise, clouds, paving, asphalt, grass and leaves.

They are made once per process from fixed seeds, so they are the same in every process; scenes shift and scale them.
"""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

SIDE = 512
"""Pixels along each side of a tile."""


@cache
def noise(seed: int, coarsest: int = 4, finest: int = 128, fall: float = 0.55) -> np.ndarray:
    """Seamless fractal noise, float32 (SIDE, SIDE), mean 0 and standard deviation 1."""
    rng = np.random.default_rng([7001, seed])
    total, weight, cells = np.zeros((SIDE, SIDE), np.float32), 1.0, coarsest
    while cells <= finest:
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        pad = np.pad(grid, 4, mode="wrap")
        step = SIDE // cells
        big = cv2.resize(pad, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += weight * big[4 * step : 4 * step + SIDE, 4 * step : 4 * step + SIDE]
        weight *= fall
        cells *= 2
    return ((total - total.mean()) / total.std()).astype(np.float32)


def _grain(rng: np.random.Generator, across: float, along: float) -> np.ndarray:
    """Seamless white noise, smoothed by so many pixels, with standard deviation 1."""
    pad = 16
    raw = np.pad(rng.standard_normal((SIDE, SIDE)).astype(np.float32), pad, mode="wrap")
    soft = cv2.GaussianBlur(raw, (0, 0), across, sigmaY=along)[pad:-pad, pad:-pad]
    return soft / soft.std()


@cache
def asphalt() -> np.ndarray:
    """Return grains of gravel in tar: uint8 (SIDE, SIDE) around 128, 4 metres wide."""
    rng = np.random.default_rng(7101)
    value = 128 + 7 * _grain(rng, 0.9, 0.9) + 3.5 * noise(1, 8, 64)
    return np.clip(value, 0, 255).astype(np.uint8)


@cache
def paving(pattern: int) -> np.ndarray:
    """Return slabs with joints: uint8 (SIDE, SIDE) around 128, 4 metres wide.

    Patterns 0 squares, 1 bond, 2 small setts.
    """
    rng = np.random.default_rng([7102, pattern])
    across, along = ((8, 8), (6, 12), (24, 24))[pattern]
    tile = np.full((SIDE, SIDE), 128, np.float32)
    edges_y = np.linspace(0, SIDE, along + 1).round().astype(int)
    for row in range(along):
        shift = (row % 2) * 0.5 if pattern else 0.0
        edges_x = ((np.arange(across + 1) + shift) * SIDE / across).round().astype(int)
        for left, right in zip(edges_x[:-1], edges_x[1:], strict=True):
            columns = np.arange(left, right) % SIDE
            tile[edges_y[row] : edges_y[row + 1], columns] += rng.normal(0, 9)
            tile[edges_y[row] : edges_y[row + 1], [left % SIDE, (left + 1) % SIDE]] = 84
        tile[edges_y[row] : edges_y[row] + 2] = 84
    return np.clip(tile + 5 * noise(2, 16, 128) + 4 * noise(3), 0, 255).astype(np.uint8)


@cache
def grass() -> np.ndarray:
    """Return blades and tufts: uint8 (SIDE, SIDE) around 128, 4 metres wide."""
    rng = np.random.default_rng(7103)
    return np.clip(128 + 22 * _grain(rng, 1.2, 2.6) + 16 * noise(4, 8, 64), 0, 255).astype(np.uint8)


@cache
def leaves() -> np.ndarray:
    """Return a wall of foliage lit from above: uint8 (SIDE, SIDE), dark gaps to bright leaves, 2 metres wide."""
    rng = np.random.default_rng(7104)
    tile = np.full((SIDE, SIDE), 40, np.uint8)
    clumps = noise(5, 8, 32)
    count = 5200
    positions = rng.integers(0, SIDE, (count, 2))
    depth = np.sort(rng.random(count))
    angles = rng.uniform(0, np.pi, count)
    sizes = rng.uniform(5, 11, count)
    for (x, y), near, angle, size in zip(positions, depth, angles, sizes, strict=True):
        tone = 60 + 120 * near + 26 * clumps[y, x] + rng.normal(0, 14)
        ahead = np.array([np.cos(angle), np.sin(angle)]) * size
        aside = np.array([-ahead[1], ahead[0]]) * 0.45
        for dx in (0, -SIDE if x > SIDE // 2 else SIDE):
            leaf = np.array([ahead, aside, -ahead, -aside]) + (x + dx, y)
            cv2.fillConvexPoly(tile, leaf.astype(np.int32), float(np.clip(tone, 0, 255)))
    return tile


@cache
def _coursed(kind: str) -> np.ndarray:
    """Brightness around 128, uint8 (SIDE, SIDE), of 4 x 4 metres of "plaster", "brick", "stone" or "blocks"."""
    rng = np.random.default_rng([7105, len(kind)])
    value = 1 + 0.035 * noise(13)
    if kind == "plaster":
        return (value * 128).astype(np.uint8)
    course, long, spread = {"brick": (16, 40, 0.06), "stone": (8, 20, 0.035), "blocks": (10, 20, 0.06)}[kind]
    rows = np.arange(SIDE) * course / SIDE
    count = long // 2
    columns = np.arange(SIDE)[None] * count / SIDE + (rows.astype(int) % 2)[:, None] * 0.5
    each = rng.normal(1, spread, (course, count))
    value *= each[rows.astype(int)[:, None], columns.astype(int) % count]
    value *= np.where((rows % 1 < 0.15)[:, None] | (columns % 1 < 0.05), 0.86, 1.0)
    return np.clip(value * 128, 0, 255).astype(np.uint8)


def courses(kind: str, width: int, height: int, detail: float, seed: int) -> np.ndarray:
    """Brightness around 128, uint8 (height, width), of a wall at `detail` pixels per metre, counted from its foot."""
    # Sizes go in steps, so that a few small tiles serve every house.
    small = _coursed_small(kind, max(int(detail), 1) * 4)
    side = len(small)
    many = np.tile(small, (-(-height // side), -(-width // side) + 1))
    start = seed % side
    return many[many.shape[0] - height :, start : start + width]


@cache
def _coursed_small(kind: str, side: int) -> np.ndarray:
    return cv2.resize(_coursed(kind), (side, side), interpolation=cv2.INTER_AREA)


@cache
def patches() -> np.ndarray:
    """Slow changes of tone over tens of metres: uint8 (SIDE, SIDE) around 128."""
    return np.clip(128 + 4 * noise(8, 4, 64), 0, 255).astype(np.uint8)


@cache
def tracks() -> np.ndarray:
    """Return the two wheel tracks of one lane: uint8 (8, SIDE) around 128, one lane wide, the same along the road."""
    wave = np.cos((np.arange(SIDE) / SIDE - 0.5) * 4 * np.pi)
    return np.tile(128 + 4.5 * wave, (8, 1)).round().astype(np.uint8)


_NAMED: dict[str, Callable[[], np.ndarray]] = {
    "asphalt": asphalt,
    "grass": grass,
    "squares": lambda: paving(0),
    "bond": lambda: paving(1),
    "setts": lambda: paving(2),
}


@cache
def shrunk(name: str, factor: int) -> np.ndarray:
    """Return the tile "asphalt", "grass", "squares", "bond" or "setts", `factor` times smaller, for what is farther
    away.
    """
    return cv2.resize(_NAMED[name](), None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)


def read(
    tile: np.ndarray, x: np.ndarray, y: np.ndarray, scale: float, shift: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Return the tile's values at x * scale + shift[0], y * scale + shift[1], all in its pixels, going round at its
    borders.
    """
    columns = x.astype(np.float32) * np.float32(scale) + np.float32(shift[0])
    rows = y.astype(np.float32) * np.float32(scale) + np.float32(shift[1])
    return cv2.remap(tile, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
