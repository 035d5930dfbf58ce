"""What towns put up: lamp posts, traffic lights, signs, bollards, bins, fences and walls."""

import cv2
import numpy as np

from core.data.streets import tiles
from core.data.streets.canvas import Canvas, Glow
from core.data.streets.light import Light
from core.data.streets.panels import Panel, draw_panel, first_seen
from core.data.streets.perspective import Camera
from core.data.streets.solids import Figure

_TOWARD = np.array([0.0, 0.0, -1.0])
_STEEL = (128, 130, 132)


def draw_post(
    canvas: Canvas, camera: Camera, light: Light, at: tuple[float, float, float], height: float, radius: float, sunlit: float,
    colour: tuple[float, ...] = _STEEL, arm: float = 0.0, label: str = "pole",
) -> None:  # fmt: skip
    """A post standing at `at`; with `arm` metres of boom at its head, to the right if positive."""
    if camera.view(np.array(at))[2] < 3:
        return
    figure = Figure()
    figure.add(colour, (0, 0, 0, radius * 1.15), (0, height, 0, radius * 0.8))
    figure.add(colour, (0, 0, 0, radius * 1.7), (0, 0.5, 0, radius * 1.5))
    if arm:
        figure.add(colour, (0, height, 0, radius * 0.7), (arm * 0.4, height + 0.35, 0, radius * 0.65))
        figure.add(colour, (arm * 0.4, height + 0.35, 0, radius * 0.65), (arm, height + 0.4, 0, radius * 0.6))
    with canvas.thing(label, light.air(at[2])) as thing:
        figure.draw(thing, camera, light, at, 0.0, sunlit)
        base = camera.project(np.array(at))
        top = camera.project(np.array([at[0], at[1] + height, at[2]]))
        # A post is never thinner than a pixel of the scene, as an annotator would draw it.
        if radius * camera.scale(at[0], at[2]) < 1.0:
            thing.line(np.array([base, top]), light.on(np.array(colour), _TOWARD, sunlit), 2)


def draw_lamp(canvas: Canvas, camera: Camera, light: Light, at: tuple[float, float, float], height: float, arm: float, sunlit: float) -> None:
    """A street lamp whose head hangs `arm` metres to the right of its post."""
    if camera.view(np.array(at))[2] < 4:
        return
    draw_post(canvas, camera, light, at, height, 0.075, sunlit, (96, 100, 102), arm)
    head = np.array([at[0] + arm, at[1] + height + 0.36, at[2]])
    x, y = camera.project(head)
    size = camera.scale(head[0], head[2])
    box = np.array([[-0.34, -0.08], [0.34, -0.08], [0.28, 0.1], [-0.28, 0.1]]) * size + (x, y)
    canvas.fill(box, (255, 238, 200) if light.lamps else light.on(np.array([150.0, 152, 152]), np.array([0, 0.6, -0.8])), light.air(at[2]) * (not light.lamps))
    canvas.mark("pole", box)
    if light.lamps:
        canvas.glows.append(Glow(x, y, 0.9 * size, np.array([255.0, 214, 150]) * 0.7))


def _disc(x: float, y: float, radius: float, sides: int = 20, turn: float = 0.0) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False) + turn
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)


def draw_signal(canvas: Canvas, camera: Camera, light: Light, at: tuple[float, float, float], hung: float, state: str, sunlit: float, away: bool) -> None:
    """A traffic light whose housing hangs at height `hung`; seen from behind if `away`."""
    if camera.view(np.array(at))[2] < 5:
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
        for row, (name, lit, dim) in enumerate((("red", (255, 62, 44), (70, 22, 20)), ("amber", (255, 190, 50), (72, 54, 20)), ("green", (64, 240, 150), (18, 58, 40)))):
            colour = lit if state == name else dim
            spot = (x, y + (row - 1) * 0.31 * size)
            thing.fill(_disc(*spot, max(0.105 * size, 1.2 if state == name else 0.0)), colour)
            if state == name:
                canvas.glows.append(Glow(*spot, 0.42 * size, np.array(lit) * (0.6 if light.lamps else 0.28)))


def _number(canvas: Canvas, digits: str, x: float, y: float, height: float, colour: np.ndarray) -> None:
    """Digits centred at (x, y), so many pixels high."""
    scale, thick = height / 22.0, max(1, round(height / 6))
    (wide, tall), _ = cv2.getTextSize(digits, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    place = (int(x - wide / 2), int(y + tall / 2))
    cv2.putText(canvas.rgb, digits, place, cv2.FONT_HERSHEY_SIMPLEX, scale, tuple(float(c) for c in colour), thick, cv2.LINE_AA)


SIGNS = ("stop", "give way", "limit", "no entry", "warning", "crossing", "parking", "priority", "arrow", "street", "back")


def draw_sign(canvas: Canvas, camera: Camera, light: Light, at: tuple[float, float, float], height: float, kind: str, sunlit: float) -> None:
    """A traffic sign facing the camera, its middle `height` metres above `at`."""
    if camera.view(np.array(at))[2] < 5:
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
            turn = np.pi / 2 if kind == "give way" else -np.pi / 2
            thing.fill(_disc(x, y, 0.46 * size, 3, turn), red)
            thing.fill(_disc(x, y, 0.29 * size, 3, turn), white)
            if kind == "warning":
                thing.fill(square * (0.035, 0.11) + (x, y), black)
        elif kind in ("limit", "no entry"):
            thing.fill(_disc(x, y, 0.38 * size), red)
            if kind == "limit":
                thing.fill(_disc(x, y, 0.28 * size), white)
                _number(canvas, ("30", "50", "70")[int(at[2] * 7) % 3], x, y, 0.3 * size, black)
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
            thing.fill(np.array([[0, -0.26], [0.17, 0], [0.06, 0], [0.06, 0.24], [-0.06, 0.24], [-0.06, 0], [-0.17, 0]]) * size + (x, y), white)
        elif kind == "street":
            thing.fill(square * (0.55, 0.2) + (x, y), white)
            thing.fill(square * (0.53, 0.18) + (x, y), blue if int(at[2]) % 2 else yellow)
            for dy, wide in ((-0.06, 0.4), (0.06, 0.28)):
                thing.fill(square * (wide, 0.03) + (x - 0.06 * size, y + dy * size), white if int(at[2]) % 2 else black)
        else:
            thing.fill(_disc(x, y, 0.37 * size), paint(140, 142, 144))


def draw_bollard(canvas: Canvas, camera: Camera, light: Light, at: tuple[float, float, float], sunlit: float) -> None:
    """A knee-high post."""
    draw_post(canvas, camera, light, at, 0.85, 0.06, sunlit, (70, 72, 76))


def draw_bin(canvas: Canvas, camera: Camera, light: Light, at: tuple[float, float, float], colour: np.ndarray, sunlit: float) -> None:
    """A litter bin or a box, which Cityscapes calls "static"."""
    if camera.view(np.array(at))[2] > 4:
        figure = Figure()
        figure.add(colour, (-0.14, 0.1, 0, 0.1), (0.14, 0.1, 0, 0.1), (-0.17, 0.8, 0, 0.08), (0.17, 0.8, 0, 0.08))
        figure.add(colour * 0.6, (-0.19, 0.85, 0, 0.05), (0.19, 0.85, 0, 0.05))
        with canvas.thing("static", light.air(at[2])) as thing:
            figure.draw(thing, camera, light, at, 0.0, sunlit)


def draw_fence(canvas: Canvas, camera: Camera, light: Light, x: float, z0: float, z1: float, height: float, kind: str, sunlit: float) -> None:
    """A fence along the street: "bars" and "mesh" can be seen through, "boards" can't."""
    normal = np.array([-np.sign(x), 0.0, 0.0])
    panel = Panel((x, z0), (x, z1), 0.0, height)
    if kind == "boards":

        def boards(detail: float) -> np.ndarray:
            w, h = max(int(panel.length * detail), 2), max(int(height * detail), 2)
            colour = light.on(np.array([150.0, 122, 92]), normal, sunlit)
            index = (np.arange(w) / max(0.14 * detail, 1.5)).astype(int)
            tone = np.random.default_rng(int(abs(x) * 100)).normal(1, 0.08, index.max() + 1)[index]
            tone = tone * np.where((np.arange(w) / max(0.14 * detail, 1.5)) % 1 < 0.12, 0.6, 1.0)
            return np.clip(np.broadcast_to(tone[None, :, None], (h, w, 1)) * colour, 0, 255).astype(np.uint8)

        draw_panel(canvas, camera, light, "fence", panel, boards, 40)
        return
    begin = first_seen(camera, panel)
    if begin >= 1:
        return
    start = z0 + (z1 - z0) * begin
    colour = tuple(float(c) for c in light.on(np.array([52.0, 58, 54]) if kind == "bars" else np.array([120.0, 126, 122]), normal, sunlit))
    gap = 0.14 if kind == "bars" else 0.22
    z = start + np.arange(0, min(z1 - start, 45), gap)
    low, high = np.stack([np.full_like(z, x), 0 * z + 0.1, z], 1), np.stack([np.full_like(z, x), 0 * z + height, z], 1)
    if kind == "mesh":
        low[:, 2] += 0.35
    lines = np.round((np.stack([camera.project(low), camera.project(high)], 1) - 0.5) * 16).astype(np.int32)
    thick = 2 if camera.scale(x, start) > 60 else 1
    cv2.polylines(canvas.rgb, list(lines), False, colour, thick, cv2.LINE_AA, 4)
    for y in (0.15, height * 0.94) if kind == "bars" else (height,):
        rail = camera.project(np.array([[x, y, start], [x, y, z1]]))
        cv2.polylines(canvas.rgb, [np.round((rail - 0.5) * 16).astype(np.int32)], False, colour, thick + 1, cv2.LINE_AA, 4)
    for post in np.arange(z1, start, -2.5):
        if camera.view(np.array([x, 0, post]))[2] > 3:
            ends = camera.project(np.array([[x, 0, post], [x, height * 1.04, post]]))
            cv2.polylines(canvas.rgb, [np.round((ends - 0.5) * 16).astype(np.int32)], False, colour, max(2, int(0.06 * camera.scale(x, post))), cv2.LINE_AA, 4)
    canvas.mark("fence", camera.project(panel.corners(begin)))


def draw_wall(canvas: Canvas, camera: Camera, light: Light, x: float, z0: float, z1: float, height: float, brick: bool, sunlit: float, seed: int) -> None:
    """A free-standing wall of brick or rendered stone with a coping."""
    normal = np.array([-np.sign(x), 0.0, 0.0])
    panel = Panel((x, z0), (x, z1), 0.0, height)

    def masonry(detail: float) -> np.ndarray:
        w, h = max(int(panel.length * detail), 2), max(int(height * detail), 2)
        rng = np.random.default_rng(seed)
        value = 1 + 0.05 * cv2.resize(tiles.noise(16)[:100, :300], (w, h))
        course, long = (0.16, 0.42) if brick else (0.4, 0.8)
        rows = np.arange(h) / max(course * detail, 2)
        columns = np.arange(w)[None] / max(long * detail, 3) + (rows.astype(int) % 2)[:, None] * 0.5
        value = value * rng.normal(1, 0.06, (int(rows[-1]) + 2, int(columns.max()) + 2))[rows.astype(int)[:, None], columns.astype(int)]
        value *= np.where((rows % 1 < 0.14)[:, None] | (columns % 1 < 0.06), 0.82, 1.0)
        value *= np.linspace(1.0, 0.84, h)[:, None]
        value[: max(1, int(0.1 * detail))] = 1.22
        colour = light.on(np.array([156.0, 98, 78]) if brick else np.array([182.0, 172, 154]), normal, sunlit)
        return np.clip(value[..., None] * colour, 0, 255).astype(np.uint8)

    draw_panel(canvas, camera, light, "wall", panel, masonry, 48)
