"""What is painted on or let into the asphalt: lanes, zebras, arrows, rails, patches, cracks, manholes."""

import cv2
import numpy as np

from core.synthetic import tiles
from core.synthetic.canvas import fixed
from core.synthetic.ground import UP, Ground, band
from core.synthetic.plan import FAR


def _box(x0: float, x1: float, z0: float, z1: float) -> np.ndarray:
    return np.array([[x0, 0, z0], [x1, 0, z0], [x1, 0, z1], [x0, 0, z1]], dtype=float)


def paint_road(ground: Ground) -> None:
    """Patches and cracks first, then the markings over them."""
    _wear(ground)
    _markings(ground)
    if ground.plan.rails:
        _rails(ground)


def _blend(ground: Ground, polygons: list[np.ndarray], color: np.ndarray, strength: float, patchy: float) -> None:
    """Mix a lit `colour` into street polygons, thinned by noise where `patchy` is above 0."""
    outlines = [outline - (0, ground.top) for outline in ground.camera.outlines(polygons)]
    if not outlines:
        return
    height, width = ground.zone.shape  # type: ignore[misc]
    x0, y0 = np.maximum(np.min([outline.min(0) for outline in outlines], 0), 0).astype(int)
    x1, y1 = np.minimum(np.max([outline.max(0) for outline in outlines], 0) + 2, (width, height)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return
    window = (slice(y0, y1), slice(x0, x1))
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [fixed(outline - (x0, y0))], 255, shift=4)
    mask = cv2.bitwise_and(mask, cv2.inRange(ground.zone[window], 4, 5))
    image = ground.canvas.rgb[ground.top :][window]
    tint = np.empty_like(image)
    tint[:] = np.clip(color, 0, 255).astype(np.uint8)
    if not patchy:
        cv2.copyTo(cv2.addWeighted(tint, strength, image, 1 - strength, 0), mask, image)
        return
    worn = ground.read_wide(tiles.noise(9, 16, 128), window, 40.0, 2)
    weight = mask * (np.float32(strength / 255) * np.clip(1 - patchy * (0.6 + 0.5 * worn), 0.15, 1))
    image[:] = cv2.blendLinear(tint, np.ascontiguousarray(image), weight, 1 - weight)


def _wear(ground: Ground) -> None:
    rng, plan = ground.rng, ground.plan
    low, high = -plan.left.kerb, plan.right.kerb
    patches = []
    for _ in range(rng.integers(1, 7)):
        x, z = rng.uniform(low, high), 4 + 30 * rng.random() ** 1.6
        patches.append(_box(x, x + rng.uniform(0.5, 2.2), z, z + rng.uniform(0.8, 7)))
    tone = ground.light.on(np.full(3, rng.choice([76.0, 86.0, 124.0])), UP)
    _blend(ground, patches, tone, 0.5, 0.0)
    cracks = []
    for _ in range(rng.integers(0, 5)):
        point = np.array([rng.uniform(low, high), rng.uniform(3.5, 22)])
        heading = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.3)
        for _ in range(rng.integers(4, 16)):
            heading += rng.normal(0, 0.3)
            step = np.array([np.sin(heading), np.cos(heading)]) * rng.uniform(0.15, 0.5)
            aside = np.array([step[1], -step[0]]) / np.linalg.norm(step) * rng.uniform(0.006, 0.015)
            corners = np.array([point - aside, point + aside, point + step + aside, point + step - aside])
            cracks.append(np.stack([corners[:, 0], np.zeros(4), corners[:, 1]], 1))
            point = point + step
    seam = low + plan.left.lanes * plan.left.lane
    cracks.append(_box(seam + 0.3, seam + 0.325, 2, 60))
    _blend(ground, cracks, ground.light.on(np.full(3, 42.0), UP), 0.7, 0.0)
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for _ in range(rng.integers(0, 4)):
        lid_x, lid_z = rng.uniform(low + 0.6, high - 0.6), rng.uniform(5, 34)
        for size, gray in ((0.36, 60.0), (0.3, 96.0), (0.26, 72.0)):
            ring = np.stack([lid_x + size * np.cos(angles), 0 * angles, lid_z + size * np.sin(angles)], 1)
            _blend(ground, [ring], ground.light.on(np.full(3, gray), UP), 0.8, 0.0)


def _markings(ground: Ground) -> None:
    rng, plan = ground.rng, ground.plan
    white: list[np.ndarray] = []
    stop = plan.zebra - 1.2 if plan.zebra else (plan.crossing[0] - 1.5 if plan.crossing else None)
    if plan.kind in ("avenue", "modern", "park") or rng.random() < 0.7:
        start = rng.uniform(0, 6)
        for side in plan.sides:
            for lane in range(0 if side.sign > 0 else 1, side.lanes):
                x = side.sign * lane * side.lane
                if lane == 0 and rng.random() < 0.3:
                    white += [band(x - 0.07, x + 0.07, a, b) for a, b in plan.stretches(0.5, margin=4)]
                    continue
                for z in np.arange(start, FAR * 0.6, 9.0 if lane else 7.5):
                    if not plan.broken(z, 6.5):
                        white.append(_box(x - 0.07, x + 0.07, z, z + 3.2))
    if rng.random() < 0.5:
        for side in plan.sides:
            for a, b in plan.stretches(0.5, margin=1):
                x = side.sign * (side.drive - 0.1)
                white.append(band(x, x - side.sign * 0.12, a, b))
    if plan.zebra:
        low, high = -plan.left.kerb + 0.4, plan.right.kerb - 0.4
        for x in np.arange(low, high - 0.3, 1.0):
            white.append(_box(x, x + 0.5, plan.zebra, plan.zebra + 3.2))
    if stop and stop > 5 and rng.random() < 0.8:
        white.append(_box(0.1, plan.right.drive - 0.2, stop - 0.4, stop))
    if plan.right.lanes > 1 and rng.random() < 0.7:
        for lane in range(plan.right.lanes):
            white += _arrow((lane + 0.5) * plan.right.lane, rng.uniform(9, 17))
    if plan.right.parking and rng.random() < 0.5:
        for z in np.arange(3, 90, 5.6):
            if not plan.broken(z, 5):
                white.append(_box(plan.right.drive, plan.right.kerb - 0.1, z, z + 0.1))
    _blend(ground, white, ground.light.on(np.array([226.0, 226, 220]), UP), 0.92, rng.uniform(0.1, 0.55))


def _arrow(x: float, z: float) -> list[np.ndarray]:
    head = np.array([[x - 0.45, 0, z + 2.6], [x + 0.45, 0, z + 2.6], [x, 0, z + 4.4]])
    return [_box(x - 0.08, x + 0.08, z, z + 2.6), head]


def _rails(ground: Ground) -> None:
    plan = ground.plan
    bed, steel = [], []
    for side in plan.sides:
        middle = side.sign * side.lane * 0.5
        for offset in (-0.72, 0.72):
            x = middle + offset
            bed.append(band(x - 0.11, x + 0.11, 0.5, FAR))
            steel.append(band(x - 0.035, x + 0.035, 0.5, FAR))
    _blend(ground, bed, ground.light.on(np.full(3, 70.0), UP), 0.6, 0.0)
    _blend(ground, steel, ground.light.horizon * 0.8, 0.75, 0.0)
