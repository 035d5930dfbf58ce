"""Plants in the street: trees and clipped hedges in the colours of the season and the light of the day."""

import cv2
import numpy as np

from core.synthetic import tiles
from core.synthetic.canvas import OVERSAMPLING, Canvas
from core.synthetic.light import Light
from core.synthetic.panels import Panel, draw_panel
from core.synthetic.perspective import Camera
from core.synthetic.trees import BARK, SIDE, shrunk

LEAF = {
    "spring": [((58, 84, 30), (168, 196, 84)), ((64, 92, 40), (150, 184, 92)), ((84, 92, 52), (214, 186, 190))],
    "summer": [((34, 56, 24), (118, 150, 62)), ((42, 64, 30), (136, 156, 74)), ((30, 54, 34), (96, 136, 72))],
    "autumn": [((96, 58, 22), (222, 156, 52)), ((92, 40, 24), (204, 98, 48)), ((74, 72, 28), (190, 176, 70))],
    "winter": [((40, 56, 40), (96, 118, 84)), ((62, 58, 50), (136, 126, 110))],
}


def tints(rng: np.random.Generator, light: Light, season: str) -> np.ndarray:
    """uint8 (256, 1, 3): the colour of each tone of a tree on this day."""
    dark, bright = (np.array(c, dtype=float) for c in LEAF[season][rng.integers(len(LEAF[season]))])
    wobble = rng.normal(0, 5, 3)
    bark = np.array([92.0, 78, 64]) * rng.uniform(0.8, 1.15)
    # Seen from the side of the sun a crown is full of light; against it, it is dark with a bright rim.
    along = 0.5 - 0.5 * light.to_sun[2]
    full = light.sky * 0.9 + light.sun * (0.45 + 0.45 * along)
    shade = light.sky * 0.8
    tone = (np.arange(256)[:, None] - BARK) / (255 - BARK)
    leaf = (dark + wobble) * shade * (1 - tone) + (bright + wobble) * full * tone
    trunk = (
        bark
        * (shade + (full - shade) * (np.arange(256)[:, None] / BARK))
        * (0.45 + np.arange(256)[:, None] / BARK * 0.6)
    )
    return np.clip(np.where(tone < 0, trunk, leaf), 0, 255).astype(np.uint8)[:, None]


def draw_tree(
    canvas: Canvas,
    camera: Camera,
    light: Light,
    at: tuple[float, float, float],
    height: float,
    shape: str,
    variant: int,
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
    # The smallest copy that is still as large as the tree is seen.
    factor = max((f for f in (1, 2, 4, 8) if SIDE // f >= side), default=1)
    tone, cover = shrunk(shape, variant, factor)
    if light.to_sun[0] > 0:
        tone, cover = tone[:, ::-1], cover[:, ::-1]
    # Only the visible part of the square is scaled; a near tree would otherwise be larger than the picture.
    step = len(tone) / side
    u0, v0 = int((x0 - left) * step), int((y0 - top) * step)
    u1, v1 = int(np.ceil((x1 - left) * step)), int(np.ceil((y1 - top) * step))
    near_tone, near_cover = (
        cv2.resize(np.ascontiguousarray(part[v0:v1, u0:u1]), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        for part in (tone, cover)
    )
    if sunlit < 0.5:
        near_tone = (near_tone * np.float32(0.72)).astype(np.uint8) if not light.clouds > 0.85 else near_tone
    color = cv2.LUT(cv2.merge([near_tone] * 3), table)
    solid = cv2.threshold(near_cover, 110, 255, cv2.THRESH_BINARY)[1]
    cv2.copyTo(color, solid, canvas.rgb[y0:y1, x0:x1])
    canvas.air[y0:y1, x0:x1][solid > 0] = light.air(at[2])
    # The outline is read at the scene's own resolution, with the gaps between leaves closed as annotators do.
    half = solid[::OVERSAMPLING, ::OVERSAMPLING]
    closed = cv2.morphologyEx(half, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for outline in outlines:
        if cv2.contourArea(outline) > 6:
            smooth = cv2.approxPolyDP(outline, 0.6, True)[:, 0]
            canvas.mark("vegetation", smooth * OVERSAMPLING + (x0 + 1.0, y0 + 1.0))


def draw_hedge(
    rng: np.random.Generator,
    canvas: Canvas,
    camera: Camera,
    light: Light,
    x: float,
    z0: float,
    z1: float,
    height: float,
    table: np.ndarray,
) -> None:
    """Draw a clipped hedge along the street, its upper edge a little uneven."""
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
        tone = BARK + 10 + (tone / 255) * (165 * normal_light) * np.linspace(1.1, 0.45, h)[:, None]
        return cv2.LUT(cv2.merge([np.clip(tone, 0, 255).astype(np.uint8)] * 3), table)

    z = np.linspace(z0, z1, max(int((z1 - z0) / 0.6), 3))
    crest = height + 0.09 * tiles.noise(15, 8, 64)[seed, (np.arange(len(z)) * 9) % tiles.SIDE]
    top = np.stack([np.full_like(z, x), crest, z], 1)
    bottom = np.stack([np.full_like(z, x), 0 * z, z], 1)[::-1]
    draw_panel(canvas, camera, light, "vegetation", panel, foliage, outline=np.concatenate([top, bottom]))
