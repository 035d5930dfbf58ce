"""What makes a body a vehicle in the street: paint and materials, its shadow's outline, its lights."""

import numpy as np

from core.synthetic.canvas import Canvas
from core.synthetic.light import Light
from core.synthetic.perspective import Camera, turned
from core.synthetic.solids import Mesh

_PAINTS = [
    (228, 230, 232), (206, 208, 210), (150, 154, 160), (92, 96, 102), (44, 46, 52), (30, 32, 38), (36, 58, 104),
    (60, 92, 150), (138, 30, 34), (176, 44, 40), (48, 76, 62), (196, 178, 140), (204, 120, 40), (98, 132, 152), (232, 226, 206),
]  # fmt: skip


def palette(rng: np.random.Generator, light: Light, driven: bool) -> dict[str, tuple[tuple[float, ...], float]]:
    """Return materials of one vehicle: (albedo, gloss), with lamps on if it is driven in the dark."""
    paint = np.array(_PAINTS[rng.integers(len(_PAINTS))], dtype=float) * rng.uniform(0.9, 1.05)
    on = driven and light.lamps
    return {
        "paint": (tuple(np.clip(paint, 0, 250)), 0.55),
        "glass": ((30, 35, 40), 0.85),
        "dark": ((36, 36, 38), 0.12),
        "under": ((16, 16, 18), 0.0),
        "seam": (tuple(paint * 0.45), 0.2),
        "mirror": ((70, 76, 84), 0.6),
        "tyre": ((30, 30, 32), 0.0),
        "rim": ((158, 160, 164), 0.3),
        "tail": ((255, 70, 50), -1.0) if on else ((168, 20, 24), 0.25),
        "lamp": ((255, 250, 232), -1.0) if on or (driven and rng.random() < 0.35) else ((214, 220, 224), 0.6),
        "plate": ((232, 230, 218), 0.0),
        "second": (tuple(np.array([226.0, 226, 222]) * rng.uniform(0.6, 1.0)), 0.15),
        "sign": ((250, 178, 40), -1.0),
    }


def footprint(length: float, width: float, height: float, at: tuple[float, float, float], heading: float) -> np.ndarray:
    """(8, 3) corners of a box, narrower at its roof, for shadows."""
    half, w = length / 2, width / 2
    box = [
        (sx * w * k, y, sz * half * k)
        for y, k in ((0.02, 1.0), (height * 0.62, 1.0), (height, 0.7))
        for sx in (-1, 1)
        for sz in (-1, 1)
    ]
    return turned(np.array(box), heading, at)


def draw_vehicle(
    rng: np.random.Generator,
    canvas: Canvas,
    camera: Camera,
    light: Light,
    label: str,
    mesh: Mesh,
    at: tuple[float, float, float],
    heading: float,
    sunlit: float,
    driven: bool,
    lamps: tuple[float, float, float],
) -> None:
    """Paint and label one vehicle.

    `lamps` (half distance, height, half length) is where its lights glow in the dark.
    """
    colors = palette(rng, light, driven)
    if label == "truck":
        colors["paint"] = (colors["paint"][0], 0.3)
    with canvas.thing(label, light.air(at[2])) as thing:
        mesh.draw(thing, camera, light, colors, at, heading, sunlit)
    if driven and light.lamps:
        apart, high, half = lamps
        coming = np.cos(heading) < 0
        for sign in (-1, 1):
            spot = turned(np.array([[sign * apart, high, half if coming else -half]]), heading, at)[0]
            if camera.view(spot)[2] > 3:
                x, y = camera.project(spot)
                size = camera.scale(spot[0], spot[2])
                color = np.array([255.0, 236, 200]) if coming else np.array([235.0, 40, 24])
                canvas.shine(x, y, size * (0.55 if coming else 0.28), color * (0.8 if coming else 0.55))
