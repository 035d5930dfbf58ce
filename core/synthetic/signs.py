"""Traffic lights and traffic signs, seen from before or behind."""

import cv2
import numpy as np

from core.synthetic.canvas import Canvas
from core.synthetic.light import Light
from core.synthetic.perspective import Camera

_TOWARD = np.array([0.0, 0.0, -1.0])


def _disc(x: float, y: float, radius: float, sides: int = 20, start: float = 0.0) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False) + start
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)


def draw_signal(
    canvas: Canvas,
    camera: Camera,
    light: Light,
    at: tuple[float, float, float],
    hung: float,
    state: str,
    sunlit: float,
    away: bool,
) -> None:
    """Draw a traffic light whose housing hangs at height `hung`; seen from behind if `away`."""
    if not camera.sees(at, 0.8, 5):
        return
    size = camera.scale(at[0], at[2])
    x, y = camera.project(np.array([at[0], at[1] + hung, at[2]]))
    board = np.array([[-0.3, -0.62], [0.3, -0.62], [0.3, 0.62], [-0.3, 0.62]]) * size + (x, y)
    case = np.array([[-0.17, -0.48], [0.17, -0.48], [0.17, 0.48], [-0.17, 0.48]]) * size + (x, y)
    with canvas.thing("traffic light", light.air(at[2])) as thing:
        if int(at[2] * 10) % 2:
            thing.fill(board, light.on(np.array([40.0, 42, 44]), _TOWARD, sunlit))
        thing.fill(case, light.on(np.array([34.0, 36, 36]) if not away else np.array([52.0, 58, 54]), _TOWARD, sunlit))
        if away:
            return
        for row, (name, lit, dim) in enumerate(
            (
                ("red", (255, 62, 44), (70, 22, 20)),
                ("amber", (255, 190, 50), (72, 54, 20)),
                ("green", (64, 240, 150), (18, 58, 40)),
            )
        ):
            color = lit if state == name else dim
            spot = (x, y + (row - 1) * 0.31 * size)
            thing.fill(_disc(*spot, max(0.105 * size, 1.2 if state == name else 0.0)), color)
            if state == name:
                canvas.shine(*spot, 0.42 * size, np.array(lit) * (0.6 if light.lamps else 0.28))


def _digits(canvas: Canvas, digits: str, x: float, y: float, height: float, color: np.ndarray) -> None:
    """Digits centred at (x, y), so many pixels high."""
    scale, thick = height / 22.0, max(1, round(height / 6))
    (wide, tall), _ = cv2.getTextSize(digits, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    origin = (int(x - wide / 2), int(y + tall / 2))
    cv2.putText(
        canvas.rgb, digits, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, tuple(float(c) for c in color), thick, cv2.LINE_AA
    )


SIGNS = (
    "stop",
    "give way",
    "limit",
    "no entry",
    "warning",
    "crossing",
    "parking",
    "priority",
    "arrow",
    "street",
    "back",
)


def draw_sign(
    canvas: Canvas,
    camera: Camera,
    light: Light,
    at: tuple[float, float, float],
    height: float,
    kind: str,
    sunlit: float,
) -> None:
    """Draw a traffic sign facing the camera, its middle `height` metres above `at`."""
    if not camera.sees(at, 0.8, 5):
        return
    size = camera.scale(at[0], at[2]) * 0.84
    x, y = camera.project(np.array([at[0], at[1] + height, at[2]]))
    if size * 0.35 < 1.6:
        return
    facing = _TOWARD + np.array([0.0, 0.25, 0.0])

    def paint(r: float, g: float, b: float) -> np.ndarray:
        return light.on(np.array([r, g, b]), facing, sunlit) * 0.9 + np.array([r, g, b]) * 0.12

    white, red, blue = paint(235, 235, 232), paint(200, 28, 30), paint(24, 78, 160)
    black, yellow = paint(26, 26, 26), paint(246, 196, 36)
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size
    with canvas.thing("traffic sign", light.air(at[2])) as thing:
        if kind == "stop":
            thing.fill(_disc(x, y, 0.42 * size, 8, np.pi / 8), white)
            thing.fill(_disc(x, y, 0.38 * size, 8, np.pi / 8), red)
            thing.fill(square * (0.24, 0.055) + (x, y), white)
        elif kind in ("give way", "warning"):
            angle = np.pi / 2 if kind == "give way" else -np.pi / 2
            thing.fill(_disc(x, y, 0.46 * size, 3, angle), red)
            thing.fill(_disc(x, y, 0.29 * size, 3, angle), white)
            if kind == "warning":
                thing.fill(square * (0.035, 0.11) + (x, y), black)
        elif kind in ("limit", "no entry"):
            thing.fill(_disc(x, y, 0.38 * size), red)
            if kind == "limit":
                thing.fill(_disc(x, y, 0.28 * size), white)
                _digits(canvas, ("30", "50", "70")[int(at[2] * 7) % 3], x, y, 0.3 * size, black)
            else:
                thing.fill(square * (0.26, 0.07) + (x, y), white)
        elif kind in ("crossing", "parking"):
            thing.fill(square * 0.38 + (x, y), white)
            thing.fill(square * 0.345 + (x, y), blue)
            if kind == "crossing":
                thing.fill(np.array([[0, -0.27], [0.26, 0.22], [-0.26, 0.22]]) * size + (x, y), white)
                thing.fill(square * (0.035, 0.12) + (x, y + 0.06 * size), black)
            else:
                thing.fill(square * (0.05, 0.22) + (x - 0.07 * size, y), white)
                thing.fill(_disc(x + 0.04 * size, y - 0.09 * size, 0.13 * size), white)
        elif kind == "priority":
            thing.fill(_disc(x, y, 0.44 * size, 4), white)
            thing.fill(_disc(x, y, 0.34 * size, 4), yellow)
        elif kind == "arrow":
            thing.fill(_disc(x, y, 0.37 * size), white)
            thing.fill(_disc(x, y, 0.345 * size), blue)
            thing.fill(
                np.array([[0, -0.26], [0.17, 0], [0.06, 0], [0.06, 0.24], [-0.06, 0.24], [-0.06, 0], [-0.17, 0]]) * size
                + (x, y),
                white,
            )
        elif kind == "street":
            thing.fill(square * (0.55, 0.2) + (x, y), white)
            thing.fill(square * (0.53, 0.18) + (x, y), blue if int(at[2]) % 2 else yellow)
            for dy, wide in ((-0.06, 0.4), (0.06, 0.28)):
                thing.fill(square * (wide, 0.03) + (x - 0.06 * size, y + dy * size), white if int(at[2]) % 2 else black)
        else:
            thing.fill(_disc(x, y, 0.37 * size), paint(140, 142, 144))
