"""Upright surfaces along or across the street, textured at the resolution at which they are seen."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from core.synthetic.canvas import Canvas
from core.synthetic.light import Light
from core.synthetic.perspective import Camera

Texture = Callable[[float], np.ndarray]
"""From pixels per metre to uint8 (h, w, 3), as long as the panel is long, its left column at the panel's start."""


@dataclass(frozen=True)
class Panel:
    """An upright rectangle from `start` to `end`, both (x, z) on the ground, between the heights `low` and `high`.

    The panel leans: its upper edge may be moved sideways and ahead by `lean` (x, z), as roofs are.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    low: float
    high: float
    lean: tuple[float, float] = (0.0, 0.0)

    @property
    def length(self) -> float:
        """Metres along the ground."""
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))

    def corners(self, begin: float = 0.0) -> np.ndarray:
        """(4, 3): upper start, upper end, lower end, lower start; `begin` 0..1 cuts off the panel's first part."""
        a, b = np.array(self.start), np.array(self.end)
        a = a + (b - a) * begin
        up = np.array(self.lean)
        return np.array([
            [a[0] + up[0], self.high, a[1] + up[1]],
            [b[0] + up[0], self.high, b[1] + up[1]],
            [b[0], self.low, b[1]],
            [a[0], self.low, a[1]],
        ])  # fmt: skip


_SHARES = np.linspace(0, 1, 26)


def first_visible(camera: Camera, panel: Panel) -> float:
    """Return where along the panel, 0..1, the picture's edge is passed, when it starts outside or behind the camera."""
    width = camera.size[1]
    corners = panel.corners()
    feet = camera.view(corners[3] + (corners[2] - corners[3]) * _SHARES[:, None])
    ahead = feet[:, 2] > 2.0
    reach = width * 0.5 + abs(camera.centre - width / 2)
    inside = np.flatnonzero(ahead & (np.abs(feet[:, 0]) * camera.focal < reach * np.maximum(feet[:, 2], 2.0)))
    if not len(inside):
        # Both ends may lie outside with the middle between two samples; nothing that thin is worth painting.
        return 1.0
    first = inside[0]
    return float(_SHARES[first - 1] if first and ahead[first - 1] else _SHARES[first])


def draw_panel(
    canvas: Canvas,
    camera: Camera,
    light: Light,
    label: str,
    panel: Panel,
    texture: Texture,
    outline: np.ndarray | None = None,
) -> None:
    """Paint and label a panel; `outline` (N, 3) in the street limits the paint to a shape that isn't a rectangle."""
    begin = first_visible(camera, panel)
    if begin >= 1.0:
        return
    corners = panel.corners(begin)
    quad = camera.project(corners)
    ahead = camera.view(corners)[:, 2]
    nearest = ahead.min()
    # Two thirds of the working picture's resolution is still finer than the photograph's.
    detail = float(np.clip(0.66 * camera.focal / max(nearest, 2.0), 3.0, camera.size[1] / 38.0))
    full = texture(detail)
    part = full[:, int(full.shape[1] * begin) :]
    # Seen at a slant the panel is narrow: shrink it first, since the warp itself doesn't average.
    across = np.hypot(*(quad[3] - quad[2])) * 1.5
    columns = int(np.clip(across, 2, part.shape[1]))
    if columns < part.shape[1]:
        part = cv2.resize(part, (columns, part.shape[0]), interpolation=cv2.INTER_AREA)
    depths = np.linspace(ahead[3], ahead[2], part.shape[1])
    air = np.broadcast_to(np.clip(light.air(depths), 0, 255).astype(np.uint8), part.shape[:2])
    shape = quad if outline is None else camera.outline(outline)
    if len(shape) > 2:
        canvas.stretch(np.dstack([part, air]), quad, shape)
        canvas.mark(label, shape)
