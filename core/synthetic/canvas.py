"""The picture being painted, twice the final size, together with the polygons that say what was painted.

Painting is back to front. Beside the colours the canvas keeps `air`, how much haze lies before each pixel, which `lens`
mixes in at the end. Label maps are never read off the picture: they are the marked polygons, painted in order.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from core.labels import LABEL_BY_NAME

OVERSAMPLING = 2
"""Pixels of the working picture for each pixel of the scene, along each side."""

Color = tuple[float, float, float] | np.ndarray

_SHIFT = 4  # fractional bits OpenCV is given, so that edges move smoothly from frame to frame


def fixed(polygon: np.ndarray) -> np.ndarray:
    """(N, 2) columns and rows, where 0 is the picture's edge, as OpenCV's fixed-point corners, where 0 is a pixel's
    middle.
    """
    return ((np.asarray(polygon) - 0.5) * (1 << _SHIFT)).astype(np.int32)


def within(polygon: np.ndarray, width: float, height: float) -> np.ndarray:
    """Return the part of a polygon (N, 2) inside the picture, (M, 2); M is 0 where none is."""
    (left, top), (right, bottom) = polygon.min(0), polygon.max(0)
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return polygon
    if right < 0 or bottom < 0 or left > width or top > height:
        return np.empty((0, 2))
    for axis, bound, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        if len(polygon) == 0:
            break
        inside = (polygon[:, axis] - bound) * sign
        if (inside >= 0).all():
            continue
        clipped = []
        for here, there, d0, d1 in zip(polygon, np.roll(polygon, -1, 0), inside, np.roll(inside, -1), strict=True):
            if d0 >= 0:
                clipped.append(here)
            if (d0 >= 0) != (d1 >= 0):
                clipped.append(here + (there - here) * d0 / (d0 - d1))
        polygon = np.array(clipped).reshape(-1, 2)
    return polygon


@dataclass(frozen=True)
class Mark:
    """One labelled polygon, (N, 2) int32 pixels of the scene.

    `instance` counts the things of a class from 1, else 0.
    """

    label: str
    polygon: np.ndarray
    instance: int


@dataclass(frozen=True)
class Glow:
    """A light that shines into the lens: middle and radius in working pixels, colour 0..255.

    `source` is what was painted at its middle; if something else is there in the end, the light is hidden.
    """

    x: float
    y: float
    radius: float
    color: Color
    source: tuple[int, int, int]


@dataclass
class Canvas:
    """A scene of `size` (height, width) in the making; `rgb` and `air` are `OVERSAMPLING` times as large."""

    size: tuple[int, int]
    rgb: np.ndarray = field(init=False)
    air: np.ndarray = field(init=False)
    marks: list[Mark] = field(default_factory=list)
    glows: list[Glow] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        height, width = (side * OVERSAMPLING for side in self.size)
        self.rgb = np.zeros((height, width, 3), np.uint8)
        self.air = np.zeros((height, width), np.uint8)
        self.scratch = np.zeros((height, width), np.uint8)

    def fill(self, polygon: np.ndarray, color: Color, air: float = 0.0) -> None:
        """Paint a polygon (N, 2) of working pixels, without labelling it."""
        if len(polygon) > 2:
            points = [fixed(polygon)]
            cv2.fillPoly(self.rgb, points, tuple(float(c) for c in color), shift=_SHIFT)
            cv2.fillPoly(self.air, points, float(air), shift=_SHIFT)

    def mark(self, label: str, polygon: np.ndarray, instance: int = 0) -> None:
        """Label a polygon (N, 2) of working pixels; what lies outside the picture is cut away."""
        height, width = self.size
        inside = within(np.asarray(polygon, dtype=np.float64) / OVERSAMPLING, width, height)
        if len(inside) > 2:
            corners = np.minimum(np.maximum(np.round(inside - 0.5), 0), (width - 1, height - 1)).astype(np.int32)
            self.marks.append(Mark(label, corners, instance))

    def count(self, label: str) -> int:
        """Return the number of the next thing of this class, from 1; 0 for what is not counted."""
        if not LABEL_BY_NAME[label].has_instances:
            return 0
        self._counts[label] = self._counts.get(label, 0) + 1
        return self._counts[label]

    def stretch(self, texture: np.ndarray, quad: np.ndarray, outline: np.ndarray | None = None) -> None:
        """Paint a texture uint8 (h, w, 4: red, green, blue, air) into a quadrilateral (4, 2), from its upper left
        clockwise.

        With an `outline` (N, 2) the paint covers that polygon instead, the texture's border running on beyond the quad.
        """
        height, width = self.air.shape
        inside = within(quad if outline is None else outline, width, height)
        if len(inside) < 3:
            return
        x0, y0 = np.maximum(np.floor(inside.min(0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(inside.max(0)).astype(int) + 1, (width, height))
        if x1 - x0 < 1 or y1 - y0 < 1:
            return
        h, w = texture.shape[:2]
        source = np.float32([[0, 0], [w, 0], [w, h], [0, h]])
        warp = cv2.getPerspectiveTransform(source, np.float32(quad - (x0, y0)))
        painted = cv2.warpPerspective(
            texture, warp, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        mask = np.zeros(painted.shape[:2], np.uint8)
        cv2.fillPoly(mask, [fixed(inside - (x0, y0))], 255, shift=_SHIFT)
        cv2.copyTo(painted[..., :3], mask, self.rgb[y0:y1, x0:x1])
        cv2.copyTo(painted[..., 3], mask, self.air[y0:y1, x0:x1])

    def shine(self, x: float, y: float, radius: float, color: Color) -> None:
        """Let what has just been painted at (x, y) shine into the lens."""
        if 0 <= x < self.air.shape[1] and 0 <= y < self.air.shape[0]:
            self.glows.append(Glow(x, y, radius, color, self._at(x, y)))

    def visible_glows(self) -> list[Glow]:
        """Return the lights that nothing painted later has covered."""
        return [glow for glow in self.glows if self._at(glow.x, glow.y) == glow.source]

    def _at(self, x: float, y: float) -> tuple[int, int, int]:
        return tuple(self.rgb[int(y), int(x)].tolist())

    def thing(self, label: str, air: float) -> "Thing":
        """Begin an object of many parts whose outline becomes its label: `with canvas.thing("car", air) as car:
        ...`.
        """
        return Thing(self, label, air)


class Thing:
    """An object painted part by part; on leaving the `with` block its outline is marked once, as one instance."""

    def __init__(self, canvas: Canvas, label: str, air: float) -> None:
        self.canvas, self.label, self.air = canvas, label, float(air)
        self.low = np.array(canvas.air.shape[::-1], dtype=float)
        self.high = np.zeros(2)

    def __enter__(self) -> "Thing":
        return self

    def reach(self, points: np.ndarray, margin: float = 0.0) -> None:
        """Say beforehand that parts will be painted around `points` (N, 2)."""
        self.low = np.minimum(self.low, points.min(0) - margin)
        self.high = np.maximum(self.high, points.max(0) + margin)

    def fill(self, polygon: np.ndarray, color: Color) -> None:
        """Paint a polygon (N, 2) of working pixels."""
        self.reach(polygon)
        self.fill_fixed(fixed(polygon), tuple(float(c) for c in color))

    def fill_fixed(self, polygon: np.ndarray, color: tuple[float, ...], outer: bool = True) -> None:
        """Paint a convex polygon of `fixed` corners inside what `reach` named.

        Details that are not `outer` add no outline.
        """
        cv2.fillConvexPoly(self.canvas.rgb, polygon, color, cv2.LINE_8, _SHIFT)
        if outer:
            cv2.fillConvexPoly(self.canvas.scratch, polygon, 255, cv2.LINE_8, _SHIFT)

    def line(self, points: np.ndarray, color: Color, width: float, closed: bool = False) -> None:
        """Paint a line (N, 2) of a width in working pixels, at least one."""
        self.reach(points, width)
        path, thick = [fixed(points)], max(1, round(width))
        cv2.polylines(self.canvas.rgb, path, closed, tuple(float(c) for c in color), thick, cv2.LINE_8, _SHIFT)
        cv2.polylines(self.canvas.scratch, path, closed, 255, thick, cv2.LINE_8, _SHIFT)

    def __exit__(self, *_: object) -> None:
        height, width = self.canvas.air.shape
        x0, y0 = np.clip(np.floor(self.low).astype(int) - 2, 0, (width, height))
        x1, y1 = np.clip(np.ceil(self.high).astype(int) + 3, 0, (width, height))
        if x1 <= x0 or y1 <= y0:
            return
        window = self.canvas.scratch[y0:y1, x0:x1]
        self.canvas.air[y0:y1, x0:x1][window > 0] = self.air
        outlines, _ = cv2.findContours(window, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        window[:] = 0
        min_area = 3 * OVERSAMPLING**2
        large = [outline for outline in outlines if cv2.contourArea(outline) >= min_area or len(outlines) == 1]
        if large:
            instance = self.canvas.count(self.label)
        for outline in large:
            smooth = cv2.approxPolyDP(outline, 0.9, True)[:, 0]
            self.canvas.mark(self.label, smooth + (x0 + 0.5, y0 + 0.5), instance)
