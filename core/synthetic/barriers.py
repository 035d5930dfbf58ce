"""Fences and walls along the street."""

import cv2
import numpy as np

from core.synthetic import tiles
from core.synthetic.canvas import Canvas
from core.synthetic.light import Light
from core.synthetic.panels import Panel, draw_panel, first_visible
from core.synthetic.perspective import Camera


def draw_fence(
    canvas: Canvas,
    camera: Camera,
    light: Light,
    x: float,
    z0: float,
    z1: float,
    height: float,
    kind: str,
    sunlit: float,
) -> None:
    """Draw a fence along the street: "bars" and "mesh" can be seen through, "boards" can't."""
    normal = np.array([-np.sign(x), 0.0, 0.0])
    panel = Panel((x, z0), (x, z1), 0.0, height)
    if kind == "boards":

        def boards(detail: float) -> np.ndarray:
            w, h = max(int(panel.length * detail), 2), max(int(height * detail), 2)
            color = light.on(np.array([150.0, 122, 92]), normal, sunlit)
            index = (np.arange(w) / max(0.14 * detail, 1.5)).astype(int)
            tone = np.random.default_rng(int(abs(x) * 100)).normal(1, 0.08, index.max() + 1)[index]
            tone = tone * np.where((np.arange(w) / max(0.14 * detail, 1.5)) % 1 < 0.12, 0.6, 1.0)
            return np.clip(np.broadcast_to(tone[None, :, None], (h, w, 1)) * color, 0, 255).astype(np.uint8)

        draw_panel(canvas, camera, light, "fence", panel, boards)
        return
    begin = first_visible(camera, panel)
    if begin >= 1:
        return
    start = z0 + (z1 - z0) * begin
    plank = tuple(
        float(c)
        for c in light.on(np.array([52.0, 58, 54]) if kind == "bars" else np.array([120.0, 126, 122]), normal, sunlit)
    )
    gap = 0.14 if kind == "bars" else 0.22
    z = start + np.arange(0, min(z1 - start, 45), gap)
    low, high = np.stack([np.full_like(z, x), 0 * z + 0.1, z], 1), np.stack([np.full_like(z, x), 0 * z + height, z], 1)
    if kind == "mesh":
        low[:, 2] += 0.35
    lines = np.round((np.stack([camera.project(low), camera.project(high)], 1) - 0.5) * 16).astype(np.int32)
    thick = 2 if camera.scale(x, start) > 60 else 1
    cv2.polylines(canvas.rgb, list(lines), False, plank, thick, cv2.LINE_AA, 4)
    for y in (0.15, height * 0.94) if kind == "bars" else (height,):
        rail = camera.project(np.array([[x, y, start], [x, y, z1]]))
        cv2.polylines(
            canvas.rgb, [np.round((rail - 0.5) * 16).astype(np.int32)], False, plank, thick + 1, cv2.LINE_AA, 4
        )
    for post in np.arange(z1, start, -2.5):
        if camera.view(np.array([x, 0, post]))[2] > 3:
            ends = camera.project(np.array([[x, 0, post], [x, height * 1.04, post]]))
            cv2.polylines(
                canvas.rgb,
                [np.round((ends - 0.5) * 16).astype(np.int32)],
                False,
                plank,
                max(2, int(0.06 * camera.scale(x, post))),
                cv2.LINE_AA,
                4,
            )
    canvas.mark("fence", camera.project(panel.corners(begin)))


def draw_wall(
    canvas: Canvas,
    camera: Camera,
    light: Light,
    x: float,
    z0: float,
    z1: float,
    height: float,
    brick: bool,
    sunlit: float,
    seed: int,
) -> None:
    """Draw a free-standing wall of brick or rendered stone with a coping."""
    normal = np.array([-np.sign(x), 0.0, 0.0])
    panel = Panel((x, z0), (x, z1), 0.0, height)

    def masonry(detail: float) -> np.ndarray:
        w, h = max(int(panel.length * detail), 2), max(int(height * detail), 2)
        course = tiles.courses("brick" if brick else "blocks", w, h, detail, seed)
        value = course * np.linspace(1 / 128, 0.84 / 128, h, dtype=np.float32)[:, None]
        value[: max(1, int(0.1 * detail))] = 1.22
        color = light.on(np.array([156.0, 98, 78]) if brick else np.array([182.0, 172, 154]), normal, sunlit)
        return np.clip(value[..., None] * color.astype(np.float32), 0, 255).astype(np.uint8)

    draw_panel(canvas, camera, light, "wall", panel, masonry)
