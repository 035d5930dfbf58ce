"""Trees grown leaf by leaf, once per process and from fixed seeds; `nature` scales, mirrors and tints them."""

from functools import cache

import cv2
import numpy as np

SHAPES = ("round", "wide", "tall", "cone", "loose", "bare")
SIDE = 448
BARK = 70  # tones up to here are bark, above leaves


@cache
def tree(shape: str, variant: int) -> tuple[np.ndarray, np.ndarray]:
    """(tone, cover), uint8 (448, 448) each: a tree that fills the square's height, lit from the upper left."""
    rng = np.random.default_rng([7200, SHAPES.index(shape), variant])
    tone, cover = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    foot = np.array([SIDE / 2, SIDE - 1.0])
    trunk = {"round": 0.3, "wide": 0.3, "tall": 0.12, "cone": 0.1, "loose": 0.3, "bare": 0.235}[shape]
    _branch(rng, tone, cover, foot, -np.pi / 2, SIDE * trunk, SIDE * 0.026, 7 if shape == "bare" else 2)
    if shape != "bare":
        _crown(rng, tone, cover, shape)
    return tone, cover


@cache
def shrunk(shape: str, variant: int, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the same `tree`, `factor` times smaller."""
    side = SIDE // factor
    tone, cover = (cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) for part in tree(shape, variant))
    return tone, cover


def _branch(
    rng: np.random.Generator,
    tone: np.ndarray,
    cover: np.ndarray,
    foot: np.ndarray,
    angle: float,
    length: float,
    thick: float,
    left: int,
) -> None:
    tip = foot + length * np.array([np.cos(angle), np.sin(angle)])
    aside = np.array([-np.sin(angle), np.cos(angle)])
    body = np.array([foot + aside * thick, foot - aside * thick, tip - aside * thick * 0.7, tip + aside * thick * 0.7])
    for layer, value in ((tone, 26), (cover, 255)):
        cv2.fillConvexPoly(layer, np.round(body).astype(np.int32), value)
    lit = np.array(
        [foot - aside * thick, foot - aside * thick * 0.2, tip - aside * thick * 0.1, tip - aside * thick * 0.7]
    )
    cv2.fillConvexPoly(tone, np.round(lit).astype(np.int32), int(rng.integers(46, 64)))
    if left:
        for side in (-1, 1, 1 if left > 4 else 0):
            if side:
                _branch(
                    rng,
                    tone,
                    cover,
                    tip,
                    angle + side * rng.uniform(0.16, 0.52),
                    length * rng.uniform(0.62, 0.84),
                    thick * 0.66,
                    left - 1,
                )


def _crown(rng: np.random.Generator, tone: np.ndarray, cover: np.ndarray, shape: str) -> None:
    """Clumps of leaves in a crown.

    Leaves are brighter outside, above and towards the light, and the near ones cover the far.
    """
    centre, reach, clumps, leaves = {
        "round": ((0.5, 0.36), (0.34, 0.33), 46, 5200),
        "wide": ((0.5, 0.34), (0.45, 0.29), 52, 5600),
        "tall": ((0.5, 0.44), (0.17, 0.43), 40, 4400),
        "cone": ((0.5, 0.5), (0.3, 0.48), 60, 5400),
        "loose": ((0.5, 0.36), (0.36, 0.32), 26, 3000),
    }[shape]
    ball = rng.standard_normal((clumps, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    ball *= rng.uniform(0.25, 1.0, (clumps, 1)) ** 0.5
    if shape == "cone":
        ball[:, 0] *= (ball[:, 1] + 1.05) / 2
        ball[:, 2] *= (ball[:, 1] + 1.05) / 2
    size = rng.uniform(0.16, 0.3, clumps) * (0.7 if shape in ("tall", "cone") else 1.0)
    owner = rng.integers(clumps, size=leaves)
    normal = rng.standard_normal((leaves, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    center = ball[owner] * (1 - size[owner, None] * 0.6) + normal * size[owner, None]
    sun = np.array([-0.55, -0.68, -0.48])
    outside = np.clip(np.linalg.norm(center, axis=1), 0, 1.15)
    bright = (
        0.30 + 0.34 * (normal @ sun) + 0.26 * (center @ sun) + 0.30 * (outside - 0.55) + rng.normal(0, 0.07, leaves)
    )
    value = np.clip(BARK + 12 + (255 - BARK - 12) * bright, BARK + 12, 255)
    order = np.argsort(-center[:, 2])
    spot = (np.array(centre) + center[:, :2] * reach) * SIDE
    angle = rng.uniform(0, np.pi, leaves)
    length = rng.uniform(3.2, 7.0, leaves)
    along = np.stack([np.cos(angle), np.sin(angle)], 1) * length[:, None]
    aside = np.stack([-along[:, 1], along[:, 0]], 1) * 0.55
    corners = np.round(np.stack([spot + along, spot + aside, spot - along, spot - aside], 1) * 16).astype(np.int32)
    for i in order:
        cv2.fillConvexPoly(tone, corners[i], float(value[i]), cv2.LINE_8, 4)
        cv2.fillConvexPoly(cover, corners[i], 255, cv2.LINE_8, 4)
