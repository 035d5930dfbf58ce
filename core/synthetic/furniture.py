"""Posts of all kinds: street lamps, sign posts, bollards, and the bins between them."""

import numpy as np

from core.synthetic.canvas import Canvas
from core.synthetic.light import Light
from core.synthetic.perspective import Camera
from core.synthetic.solids import Figure

_TOWARD = np.array([0.0, 0.0, -1.0])
_STEEL = (128, 130, 132)


def draw_post(
    canvas: Canvas, camera: Camera, light: Light, at: tuple[float, float, float], height: float, radius: float, sunlit: float,
    color: tuple[float, ...] = _STEEL, arm: float = 0.0, label: str = "pole",
) -> None:  # fmt: skip
    """Draw a post standing at `at`; with `arm` metres of boom at its head, to the right if positive."""
    if not camera.sees(at, abs(arm) + 0.4, 3):
        return
    figure = Figure()
    figure.add(color, (0, 0, 0, radius * 1.15), (0, height, 0, radius * 0.8))
    figure.add(color, (0, 0, 0, radius * 1.7), (0, 0.5, 0, radius * 1.5))
    if arm:
        figure.add(color, (0, height, 0, radius * 0.7), (arm * 0.4, height + 0.35, 0, radius * 0.65))
        figure.add(color, (arm * 0.4, height + 0.35, 0, radius * 0.65), (arm, height + 0.4, 0, radius * 0.6))
    with canvas.thing(label, light.air(at[2])) as thing:
        figure.draw(thing, camera, light, at, 0.0, sunlit)
        base = camera.project(np.array(at))
        top = camera.project(np.array([at[0], at[1] + height, at[2]]))
        # A post is never thinner than a pixel of the scene, as an annotator would draw it.
        if radius * camera.scale(at[0], at[2]) < 1.0:
            thing.line(np.array([base, top]), light.on(np.array(color), _TOWARD, sunlit), 2)


def draw_lamp(
    canvas: Canvas,
    camera: Camera,
    light: Light,
    at: tuple[float, float, float],
    height: float,
    arm: float,
    sunlit: float,
) -> None:
    """Draw a street lamp whose head hangs `arm` metres to the right of its post."""
    if not camera.sees(at, abs(arm) + 0.6, 4):
        return
    draw_post(canvas, camera, light, at, height, 0.075, sunlit, (96, 100, 102), arm)
    head = np.array([at[0] + arm, at[1] + height + 0.36, at[2]])
    x, y = camera.project(head)
    size = camera.scale(head[0], head[2])
    box = np.array([[-0.34, -0.08], [0.34, -0.08], [0.28, 0.1], [-0.28, 0.1]]) * size + (x, y)
    canvas.fill(
        box,
        (255, 238, 200) if light.lamps else light.on(np.array([150.0, 152, 152]), np.array([0, 0.6, -0.8])),
        light.air(at[2]) * (not light.lamps),
    )
    canvas.mark("pole", box)
    if light.lamps:
        canvas.shine(x, y, 0.9 * size, np.array([255.0, 214, 150]) * 0.7)


def draw_bollard(canvas: Canvas, camera: Camera, light: Light, at: tuple[float, float, float], sunlit: float) -> None:
    """Draw a knee-high post."""
    draw_post(canvas, camera, light, at, 0.85, 0.06, sunlit, (70, 72, 76))


def draw_bin(
    canvas: Canvas, camera: Camera, light: Light, at: tuple[float, float, float], color: np.ndarray, sunlit: float
) -> None:
    """Draw a litter bin or a box, which Cityscapes calls "static"."""
    if camera.sees(at, 0.5, 4):
        figure = Figure()
        figure.add(color, (-0.14, 0.1, 0, 0.1), (0.14, 0.1, 0, 0.1), (-0.17, 0.8, 0, 0.08), (0.17, 0.8, 0, 0.08))
        figure.add(color * 0.6, (-0.19, 0.85, 0, 0.05), (0.19, 0.85, 0, 0.05))
        with canvas.thing("static", light.air(at[2])) as thing:
            figure.draw(thing, camera, light, at, 0.0, sunlit)
