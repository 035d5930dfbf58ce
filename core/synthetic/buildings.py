"""Paints houses: fronts, gables, roofs, chimneys, and the shade they throw on each other."""

import cv2
import numpy as np

from core.synthetic import tiles
from core.synthetic.canvas import Canvas
from core.synthetic.facades import facade
from core.synthetic.houses import House
from core.synthetic.light import Light
from core.synthetic.panels import Panel, draw_panel
from core.synthetic.perspective import Camera
from core.synthetic.plan import KERB


def draw_house(canvas: Canvas, camera: Camera, light: Light, house: House, others: list[House]) -> None:
    """Paint one house: the gable towards the camera, the front, the roof."""
    s, x = house.sign, house.sign * house.front
    outward = np.array([-float(s), 0.0, 0.0])
    toward = np.array([0.0, 0.0, -1.0])
    rise = {"flat": 0.0, "mansard": 2.6, "gable": house.deep * 0.36}[house.roof]
    back = x + s * house.deep

    if rise:
        lean = s * (0.9 if house.roof == "mansard" else house.deep / 2)
        slope = np.array([-s * rise, abs(lean), 0.0]) / np.hypot(rise, lean)
        roof = Panel(
            (x - s * 0.25, house.near), (x - s * 0.25, house.far), house.height - 0.1, house.height + rise, (lean, 0.0)
        )

        def tiled(detail: float) -> np.ndarray:
            return _roof(house, light, slope, roof.length, np.hypot(rise, lean), min(detail, 30))

        # From below, a flat roof's slope hides behind its eaves.
        upper, lower = camera.view(roof.corners()[1]), camera.view(roof.corners()[2])
        if upper[1] / upper[2] > lower[1] / lower[2] + 0.002:
            draw_panel(canvas, camera, light, "building", roof, tiled)
    if house.near > 4 and house.height + rise > house.over + 0.3:
        gable = Panel((x, house.near), (back, house.near), min(house.over, house.height - 0.2) + KERB, house.height)
        outline = gable.corners()
        if house.roof == "gable":
            ridge = [x + s * house.deep / 2, house.height + rise, house.near]
            outline = np.array([outline[0], ridge, outline[1], outline[2], outline[3]])
        elif house.roof == "mansard":
            top = np.array(
                [[x + s * 0.9, house.height + rise, house.near], [back - s * 0.9, house.height + rise, house.near]]
            )
            outline = np.concatenate([outline[:1], top, outline[1:]])
        deep = house.deep

        def side_wall(detail: float) -> np.ndarray:
            if house.over:  # a fire wall over the neighbour's roof: no windows
                return np.full((4, 4, 3), light.on(house.style.wall * 0.9, toward), np.uint8)
            return facade(house.style, light, toward, deep, house.height, min(detail, 26))

        draw_panel(canvas, camera, light, "building", gable, side_wall, outline=outline)

    panel = Panel((x, house.near), (x, house.far), KERB, house.height)

    def front(detail: float) -> np.ndarray:
        image = facade(house.style, light, outward, panel.length, house.height, detail)
        return _shaded(image, light, house, others, outward)

    draw_panel(canvas, camera, light, "building", panel, front)
    _chimneys(canvas, camera, light, house, rise)


def _shaded(image: np.ndarray, light: Light, house: House, others: list[House], outward: np.ndarray) -> np.ndarray:
    """Take the sun off the part of a front that houses across the street stand before."""
    facing = float(outward @ light.to_sun)
    if facing < 0.05:
        return image
    h, w = image.shape[:2]
    mask = np.zeros((h, w), np.uint8)
    across = light.to_sun[0]
    for other in others:
        if other.sign == house.sign:
            continue
        run = (other.sign * other.front - house.sign * house.front) / across
        if run <= 0:
            continue
        top = other.height + 1.0 - run * light.to_sun[1]
        z0, z1 = other.near - run * light.to_sun[2], other.far - run * light.to_sun[2]
        if top <= 0 or z1 < house.near or z0 > house.far:
            continue
        columns = [int((z - house.near) / (house.far - house.near) * w) for z in (z0, z1)]
        cv2.rectangle(mask, (columns[0], int(h * (1 - top / house.height))), (columns[1], h), 255, -1)
    weight = cv2.blur(mask, (5, 5)).astype(np.float32) / 255
    left = light.sky * 0.78 / (light.sky * 0.78 + light.sun * facing)
    return cv2.blendLinear(cv2.multiply(image, (*left, 1.0)), image, weight, 1 - weight)


def _roof(house: House, light: Light, normal: np.ndarray, length: float, run: float, detail: float) -> np.ndarray:
    """Return rows of tiles with a few dormers or skylights."""
    rng = np.random.default_rng(house.style.seed + 1)
    w, h = max(int(length * detail), 2), max(int(run * detail), 2)
    image = np.empty((h, w, 3), np.float32)
    image[:] = light.on(house.tile, normal)
    rows = (np.arange(h) / max(0.32 * detail, 2)) % 1.0
    image *= (0.84 + 0.2 * rows)[:, None, None]
    stain = cv2.resize(tiles.noise(14)[:120, :200], (w, h))
    image *= (1 + 0.06 * stain)[..., None]
    image = np.clip(image, 0, 255).astype(np.uint8)
    glass = tuple(np.clip(light.zenith * 0.5 + 10, 0, 255))
    count = int(length / 3.6)
    if count and rng.random() < 0.7:
        for i in range(count):
            x = int((i + 0.5) * w / count)
            half, top, bottom = int(0.55 * detail), int(h * 0.28), int(h * 0.82)
            cv2.rectangle(
                image,
                (x - half - max(1, int(0.1 * detail)), top - max(1, int(0.12 * detail))),
                (x + half + max(1, int(0.1 * detail)), bottom),
                tuple(float(c) for c in light.on(house.style.trim, normal)),
                -1,
            )
            cv2.rectangle(image, (x - half, top), (x + half, bottom), glass, -1)
    return image


def _chimneys(canvas: Canvas, camera: Camera, light: Light, house: House, rise: float) -> None:
    rng = np.random.default_rng(house.style.seed + 2)
    if house.near > 60 or (house.roof == "flat" and house.style.material == "glass"):
        return
    for _ in range(rng.integers(0, 3)):
        z = rng.uniform(house.near + 1, house.far - 1)
        x = house.sign * (house.front + house.deep * 0.5 * rng.uniform(0.3, 1))
        low, high = house.height + rise * 0.4, house.height + rise + rng.uniform(0.5, 1.3)
        if camera.view(np.array([x, 0, z]))[2] < 12:
            continue
        for corners, normal in (
            ([[x - 0.5, high, z], [x + 0.5, high, z], [x + 0.5, low, z], [x - 0.5, low, z]], [0.0, 0, -1]),
            (
                [
                    [x - house.sign * 0.5, high, z],
                    [x - house.sign * 0.5, high, z + 0.9],
                    [x - house.sign * 0.5, low, z + 0.9],
                    [x - house.sign * 0.5, low, z],
                ],
                [-float(house.sign), 0, 0],
            ),
        ):
            outline = camera.project(np.array(corners))
            canvas.fill(outline, light.on(house.tile * 0.9, np.array(normal)), light.air(z))
            canvas.mark("building", outline)
