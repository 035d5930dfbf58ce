"""Trees, bushes and hedges. Trees are grown once per process leaf by leaf, then scaled, mirrored and tinted by the light."""

from functools import cache

import cv2
import numpy as np

from core.data.streets import tiles
from core.data.streets.canvas import OVERSAMPLING, Canvas
from core.data.streets.light import Light
from core.data.streets.panels import Panel, draw_panel
from core.data.streets.perspective import Camera

SHAPES = ("round", "wide", "tall", "cone", "loose", "bare")
_SIDE = 448
_BARK = 70  # tones up to here are bark, above leaves

LEAF = {
    "spring": [((58, 84, 30), (168, 196, 84)), ((64, 92, 40), (150, 184, 92)), ((84, 92, 52), (214, 186, 190))],
    "summer": [((34, 56, 24), (118, 150, 62)), ((42, 64, 30), (136, 156, 74)), ((30, 54, 34), (96, 136, 72))],
    "autumn": [((96, 58, 22), (222, 156, 52)), ((92, 40, 24), (204, 98, 48)), ((74, 72, 28), (190, 176, 70))],
    "winter": [((40, 56, 40), (96, 118, 84)), ((62, 58, 50), (136, 126, 110))],
}


@cache
def tree(shape: str, variant: int) -> tuple[np.ndarray, np.ndarray]:
    """(tone, cover), uint8 (448, 448) each: a tree that fills the square's height, lit from the upper left."""
    rng = np.random.default_rng([7200, SHAPES.index(shape), variant])
    tone, cover = np.zeros((_SIDE, _SIDE), np.uint8), np.zeros((_SIDE, _SIDE), np.uint8)
    foot = np.array([_SIDE / 2, _SIDE - 1.0])
    trunk = {"round": 0.3, "wide": 0.3, "tall": 0.12, "cone": 0.1, "loose": 0.3, "bare": 0.235}[shape]
    _branch(rng, tone, cover, foot, -np.pi / 2, _SIDE * trunk, _SIDE * 0.026, 7 if shape == "bare" else 2)
    if shape != "bare":
        _crown(rng, tone, cover, shape)
    return tone, cover


def _branch(rng: np.random.Generator, tone: np.ndarray, cover: np.ndarray, foot: np.ndarray, angle: float, length: float, thick: float, left: int) -> None:
    tip = foot + length * np.array([np.cos(angle), np.sin(angle)])
    aside = np.array([-np.sin(angle), np.cos(angle)])
    body = np.array([foot + aside * thick, foot - aside * thick, tip - aside * thick * 0.7, tip + aside * thick * 0.7])
    for picture, value in ((tone, 26), (cover, 255)):
        cv2.fillConvexPoly(picture, np.round(body).astype(np.int32), value)
    lit = np.array([foot - aside * thick, foot - aside * thick * 0.2, tip - aside * thick * 0.1, tip - aside * thick * 0.7])
    cv2.fillConvexPoly(tone, np.round(lit).astype(np.int32), int(rng.integers(46, 64)))
    if left:
        for turn in (-1, 1, 1 if left > 4 else 0):
            if turn:
                _branch(rng, tone, cover, tip, angle + turn * rng.uniform(0.16, 0.52), length * rng.uniform(0.62, 0.84), thick * 0.66, left - 1)


def _crown(rng: np.random.Generator, tone: np.ndarray, cover: np.ndarray, shape: str) -> None:
    """Clumps of leaves in a crown; leaves are brighter outside, above and towards the light, and the near ones cover the far."""
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
    place = ball[owner] * (1 - size[owner, None] * 0.6) + normal * size[owner, None]
    sun = np.array([-0.55, -0.68, -0.48])
    outside = np.clip(np.linalg.norm(place, axis=1), 0, 1.15)
    bright = 0.30 + 0.34 * (normal @ sun) + 0.26 * (place @ sun) + 0.30 * (outside - 0.55) + rng.normal(0, 0.07, leaves)
    value = np.clip(_BARK + 12 + (255 - _BARK - 12) * bright, _BARK + 12, 255)
    order = np.argsort(-place[:, 2])
    spot = (np.array(centre) + place[:, :2] * reach) * _SIDE
    angle = rng.uniform(0, np.pi, leaves)
    length = rng.uniform(3.2, 7.0, leaves)
    along = np.stack([np.cos(angle), np.sin(angle)], 1) * length[:, None]
    aside = np.stack([-along[:, 1], along[:, 0]], 1) * 0.55
    corners = np.round(np.stack([spot + along, spot + aside, spot - along, spot - aside], 1) * 16).astype(np.int32)
    for i in order:
        cv2.fillConvexPoly(tone, corners[i], float(value[i]), cv2.LINE_8, 4)
        cv2.fillConvexPoly(cover, corners[i], 255, cv2.LINE_8, 4)


def tints(rng: np.random.Generator, light: Light, season: str) -> np.ndarray:
    """uint8 (256, 1, 3): the colour of each tone of a tree on this day."""
    dark, bright = (np.array(c, dtype=float) for c in LEAF[season][rng.integers(len(LEAF[season]))])
    wobble = rng.normal(0, 5, 3)
    bark = np.array([92.0, 78, 64]) * rng.uniform(0.8, 1.15)
    # Seen from the side of the sun a crown is full of light; against it, it is dark with a bright rim.
    along = 0.5 - 0.5 * light.to_sun[2]
    full = light.sky * 0.9 + light.sun * (0.45 + 0.45 * along)
    shade = light.sky * 0.8
    tone = (np.arange(256)[:, None] - _BARK) / (255 - _BARK)
    leaf = (dark + wobble) * shade * (1 - tone) + (bright + wobble) * full * tone
    trunk = bark * (shade + (full - shade) * (np.arange(256)[:, None] / _BARK)) * (0.45 + np.arange(256)[:, None] / _BARK * 0.6)
    return np.clip(np.where(tone < 0, trunk, leaf), 0, 255).astype(np.uint8)[:, None]


def draw_tree(
    rng: np.random.Generator,
    canvas: Canvas,
    camera: Camera,
    light: Light,
    at: tuple[float, float, float],
    height: float,
    shape: str,
    table: np.ndarray,
    sunlit: float,
) -> None:
    """Paint and label one tree whose foot stands at `at`."""
    scale = camera.scale(at[0], at[2])
    foot = camera.project(np.array(at))
    side = int(height * scale)
    if side < 6:
        return
    rows, columns = canvas.air.shape
    left, top = int(foot[0] - side / 2), int(foot[1] - side)
    x0, x1, y0, y1 = max(left, 0), min(left + side, columns), max(top, 0), min(top + side, rows)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    tone, cover = tree(shape, int(rng.integers(3)))
    if light.to_sun[0] > 0:
        tone, cover = tone[:, ::-1], cover[:, ::-1]
    # Only the visible part of the square is scaled; a near tree would otherwise be larger than the picture.
    to_source = _SIDE / side
    box = [int(v) for v in ((x0 - left) * to_source, np.ceil((x1 - left) * to_source), (y0 - top) * to_source, np.ceil((y1 - top) * to_source))]
    way = cv2.INTER_AREA if side < _SIDE else cv2.INTER_LINEAR
    size = (x1 - x0, y1 - y0)
    near_tone = cv2.resize(np.ascontiguousarray(tone[box[2] : box[3], box[0] : box[1]]), size, interpolation=way)
    near_cover = cv2.resize(np.ascontiguousarray(cover[box[2] : box[3], box[0] : box[1]]), size, interpolation=way)
    if sunlit < 0.5:
        near_tone = (near_tone * np.float32(0.72)).astype(np.uint8) if not light.clouds > 0.85 else near_tone
    colour = cv2.LUT(cv2.merge([near_tone] * 3), table)
    weight = near_cover.astype(np.float32) / 255
    part = canvas.rgb[y0:y1, x0:x1]
    canvas.rgb[y0:y1, x0:x1] = cv2.blendLinear(colour, part, weight, 1 - weight)
    solid = (near_cover > 110).astype(np.uint8)
    canvas.air[y0:y1, x0:x1][solid > 0] = light.air(at[2])
    reach = 5 if side > 60 else 3
    closed = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for outline in outlines:
        if cv2.contourArea(outline) > 6 * OVERSAMPLING**2:
            canvas.mark("vegetation", cv2.approxPolyDP(outline, 1.0, True)[:, 0] + (x0 + 0.5, y0 + 0.5))


def draw_hedge(
    rng: np.random.Generator, canvas: Canvas, camera: Camera, light: Light, x: float, z0: float, z1: float, height: float, table: np.ndarray
) -> None:
    """A clipped hedge along the street, its upper edge a little uneven."""
    normal_light = 1.0 if light.to_sun[0] * x < 0 else 0.72
    seed = int(rng.integers(tiles.SIDE))
    panel = Panel((x, z0), (x, z1), 0.0, height)

    def foliage(detail: float) -> np.ndarray:
        w, h = max(int(panel.length * detail), 2), max(int(height * detail), 2)
        step = tiles.SIDE / 2.0 / detail
        leaf = tiles.leaves()
        if step > 4:
            leaf = cv2.resize(leaf, None, fx=4 / step, fy=4 / step, interpolation=cv2.INTER_AREA)
            step = 4.0
        columns = (np.arange(w) * step + seed).astype(int) % leaf.shape[1]
        rows = (np.arange(h) * step + seed).astype(int) % leaf.shape[0]
        tone = leaf[rows[:, None], columns[None]].astype(np.float32)
        tone = _BARK + 10 + (tone / 255) * (165 * normal_light) * np.linspace(1.1, 0.45, h)[:, None]
        return cv2.LUT(cv2.merge([np.clip(tone, 0, 255).astype(np.uint8)] * 3), table)

    z = np.linspace(z0, z1, max(int((z1 - z0) / 0.6), 3))
    crest = height + 0.09 * tiles.noise(15, 8, 64)[seed, (np.arange(len(z)) * 9) % tiles.SIDE]
    top = np.stack([np.full_like(z, x), crest, z], 1)
    bottom = np.stack([np.full_like(z, x), 0 * z, z], 1)[::-1]
    draw_panel(canvas, camera, light, "vegetation", panel, foliage, outline=np.concatenate([top, bottom]))
