"""Where a point of the street lands in the picture: a pinhole camera on a possibly bending street.

Street coordinates are metres: x to the right of the road's middle, y up from the asphalt, z forward from the camera.
The street bends as a parabola, so every module can think of it as straight. Drawing is left to `canvas`.
"""

from dataclasses import dataclass

import numpy as np

NEAR = 1.6
"""Metres before the camera where surfaces are cut off; nothing nearer is visible above the picture's lower edge."""


@dataclass(frozen=True)
class Camera:
    """A level camera looking along the street; a tilt up or down is a shift of the horizon, so verticals stay upright.

    Args:
        size: (height, width) of the working picture in pixels.
        focal: focal length in those pixels.
        horizon: row of the horizon. centre: column of the vanishing point of a straight street seen without yaw.
        x: metres to the right of the road's middle. height: metres above the asphalt.
        yaw: radians to the right. bend: curvature of the street in 1/m, positive to the right.
    """

    size: tuple[int, int]
    focal: float
    horizon: float
    centre: float
    x: float
    height: float
    yaw: float
    bend: float

    def view(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) street points as (right of, above, before) the camera, in metres."""
        points = np.asarray(points, dtype=np.float64)
        across = points[..., 0] - self.x + 0.5 * self.bend * points[..., 2] ** 2
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        right = across * cos - points[..., 2] * sin
        ahead = across * sin + points[..., 2] * cos
        viewed = np.empty_like(points)
        viewed[..., 0], viewed[..., 1], viewed[..., 2] = right, points[..., 1] - self.height, ahead
        return viewed

    def flatten(self, viewed: np.ndarray) -> np.ndarray:
        """(..., 3) points of `view`, all before the camera, as (..., 2) columns and rows."""
        factor = self.focal / viewed[..., 2]
        flat = np.empty((*viewed.shape[:-1], 2))
        flat[..., 0] = self.centre + viewed[..., 0] * factor
        flat[..., 1] = self.horizon - viewed[..., 1] * factor
        return flat

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) street points as (..., 2) columns and rows; points behind the camera are pulled to `NEAR`."""
        viewed = self.view(points)
        viewed[..., 2] = np.maximum(viewed[..., 2], NEAR)
        return self.flatten(viewed)

    def outline(self, points: np.ndarray) -> np.ndarray:
        """Return a polygon (N, 3) in the street as (M, 2) in the picture, cut at `NEAR`.

        M is 0 if all of it is behind.
        """
        return self._cut(self.view(points))

    def outlines(self, polygons: list[np.ndarray]) -> list[np.ndarray]:
        """Return the `outline` of each polygon, without those that are behind; quicker than one by one."""
        if not polygons:
            return []
        viewed = self.view(np.concatenate(polygons))
        ends = np.cumsum([len(polygon) for polygon in polygons])[:-1]
        return [cut for part in np.split(viewed, ends) if len(cut := self._cut(part))]

    def _cut(self, viewed: np.ndarray) -> np.ndarray:
        ahead = viewed[:, 2] - NEAR
        if ahead.min() > 0:
            return self.flatten(viewed)
        if ahead.max() <= 0:
            return np.empty((0, 2))
        clipped = []
        for here, there, d0, d1 in zip(viewed, np.roll(viewed, -1, 0), ahead, np.roll(ahead, -1), strict=True):
            if d0 > 0:
                clipped.append(here)
            if (d0 > 0) != (d1 > 0):
                clipped.append(here + (there - here) * d0 / (d0 - d1))
        return self.flatten(np.array(clipped))

    def scale(self, x: float, z: float) -> float:
        """Return pixels a metre across covers at (x, z)."""
        ahead = self.view(np.array([x, 0.0, z]))[2]
        return float(self.focal / max(ahead, NEAR))

    def sees(self, at: tuple[float, float, float], reach: float, nearest: float) -> bool:
        """Return whether something `reach` metres round `at` can be in the picture and is at least `nearest` metres
        ahead.
        """
        right, _, ahead = self.view(np.array(at))
        aside = (self.size[1] / 2 + abs(self.centre - self.size[1] / 2)) / self.focal
        return bool(ahead > nearest and abs(right) < ahead * aside + reach)

    def ground(self, top: int) -> tuple[np.ndarray, np.ndarray]:
        """x and z, float32 (rows, width), of the asphalt seen in each pixel from row `top` down to the lower edge."""
        height, width = self.size
        rows = np.arange(top, height, dtype=np.float64)[:, None] + 0.5
        columns = np.arange(width, dtype=np.float64)[None, :] + 0.5
        ahead = self.focal * self.height / np.maximum(rows - self.horizon, 0.5)
        right = (columns - self.centre) / self.focal * ahead
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        z = ahead * cos - right * sin
        x = right * cos + ahead * sin + self.x - 0.5 * self.bend * z * z
        return x.astype(np.float32), z.astype(np.float32)


def turned(points: np.ndarray, heading: float, at: tuple[float, float, float]) -> np.ndarray:
    """Local points (N, 3) turned by `heading` (0 looks away from the camera, positive to the right) and moved to
    `at`.
    """
    cos, sin = np.cos(heading), np.sin(heading)
    points = np.asarray(points, dtype=np.float64)
    moved = np.empty_like(points)
    moved[:, 0] = points[:, 0] * cos + points[:, 2] * sin + at[0]
    moved[:, 1] = points[:, 1] + at[1]
    moved[:, 2] = points[:, 2] * cos - points[:, 0] * sin + at[2]
    return moved
