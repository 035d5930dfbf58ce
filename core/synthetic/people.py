"""People on foot, cyclists with their bicycles and motorcyclists, built from rounded limbs."""

import numpy as np

from core.synthetic.canvas import Canvas
from core.synthetic.light import Light
from core.synthetic.perspective import Camera
from core.synthetic.solids import Figure

_SKIN = [(232, 190, 160), (214, 166, 132), (176, 126, 94), (120, 82, 60), (86, 58, 44)]
_HAIR = [(40, 30, 24), (70, 48, 32), (120, 88, 54), (186, 150, 96), (150, 148, 146), (24, 22, 22)]
_TOPS = [
    (40, 46, 62), (30, 30, 34), (120, 40, 44), (188, 62, 48), (58, 86, 128), (90, 110, 88), (206, 196, 178), (224, 224, 220),
    (196, 150, 60), (110, 80, 110), (72, 74, 78), (44, 84, 84), (214, 120, 90), (146, 128, 104),
]  # fmt: skip
_TROUSERS = [(38, 44, 62), (30, 32, 36), (66, 74, 92), (96, 86, 72), (150, 138, 116), (54, 50, 48), (84, 100, 124)]


def _pick(rng: np.random.Generator, colors: list[tuple[int, int, int]]) -> np.ndarray:
    return np.clip(np.array(colors[rng.integers(len(colors))]) * rng.uniform(0.85, 1.12), 8, 240)


def walker(rng: np.random.Generator) -> tuple[Figure, float]:
    """Someone standing or walking, and their height in metres; they look along z."""
    figure = Figure()
    tall = float(rng.normal(1.71, 0.09)) if rng.random() > 0.1 else float(rng.uniform(1.1, 1.4))
    k = tall / 1.74
    build = rng.uniform(0.9, 1.18)
    skin, hair, top, legs = _pick(rng, _SKIN), _pick(rng, _HAIR), _pick(rng, _TOPS), _pick(rng, _TROUSERS)
    shoe = _pick(rng, [(30, 28, 28), (70, 52, 40), (210, 210, 206)])
    stride = float(rng.choice([0.0, 1.0], p=[0.25, 0.75])) * rng.uniform(0.6, 1.0) * rng.choice([-1.0, 1.0])
    skirt, coat = rng.random() < 0.2, rng.random() < 0.28
    for side in (-1, 1):
        s = side * stride
        hip, foot = (0.09 * build * side, 0.9, 0.0), (0.09 * side, 0.07 + max(-s, 0) * 0.09, 0.34 * s)
        knee = (0.095 * side, 0.49 + max(-s, 0) * 0.03, 0.18 * s + 0.05)
        leg = skin if skirt else legs
        figure.add(leg, (*hip, 0.09 * build), (*knee, 0.062 * build))
        figure.add(leg, (*knee, 0.06 * build), (*foot, 0.043))
        figure.add(
            shoe, (foot[0], foot[1] - 0.02, foot[2] - 0.03, 0.05), (foot[0], foot[1] - 0.035, foot[2] + 0.15, 0.037)
        )
        hand = (0.25 * build * side, 0.83, -0.26 * s + 0.06)
        elbow = (0.25 * build * side, 1.12, -0.12 * s - 0.02)
        figure.add(top, (0.185 * build * side, 1.4, 0.0, 0.058), (*elbow, 0.047))
        figure.add(top, (*elbow, 0.045), (*hand, 0.036))
        figure.add(skin, (*hand, 0.042), (hand[0], hand[1] - 0.07, hand[2] + 0.02, 0.03))
    body = [
        (0.15 * build, 1.39, 0, 0.075),
        (-0.15 * build, 1.39, 0, 0.075),
        (0.1 * build, 0.95, 0, 0.1),
        (-0.1 * build, 0.95, 0, 0.1),
    ]
    figure.add(top, *body)
    if coat or skirt:
        low = 0.55 if coat else 0.6
        figure.add(
            top if coat else legs,
            (0.09 * build, 0.98, 0, 0.1),
            (-0.09 * build, 0.98, 0, 0.1),
            (0.13, low, 0.04, 0.1),
            (-0.13, low, -0.04, 0.1),
        )
    figure.add(skin, (0, 1.44, 0, 0.05), (0, 1.52, 0.01, 0.05))
    figure.add(skin, (0, 1.6, 0.02, 0.092), (0, 1.66, 0.01, 0.095))
    figure.add(
        hair,
        (0, 1.68, -0.02, 0.1),
        (0, 1.63, -0.045, 0.085),
        *([(0.0, 1.5, -0.06, 0.08)] if rng.random() < 0.35 else []),
    )
    if rng.random() < 0.3:
        bag = _pick(rng, _TOPS)
        figure.add(
            bag, (0.1, 1.32, -0.16, 0.08), (-0.1, 1.32, -0.16, 0.08), (0.1, 1.05, -0.17, 0.1), (-0.1, 1.05, -0.17, 0.1)
        )
    elif rng.random() < 0.3:
        figure.add(_pick(rng, _TOPS), (0.3, 0.72, 0.02, 0.05), (0.3, 0.5, -0.1, 0.07), (0.3, 0.5, 0.14, 0.07))
    for balls in figure.balls:
        balls *= k
    return figure, tall


def bicycle(rng: np.random.Generator) -> Figure:
    """Return a bicycle whose wheels stand at the origin, looking along z."""
    figure = Figure()
    paint = _pick(rng, [(30, 30, 34), (150, 40, 40), (44, 84, 130), (60, 110, 80), (200, 200, 200), (210, 150, 50)])
    dark = np.array([34.0, 34, 36])
    for z in (-0.52, 0.53):
        figure.ring((26, 26, 28), z, 0.34, 0.05)
        figure.add(dark, (0, 0.34, z, 0.035))
    saddle, crank, head = (0, 0.82, -0.2), (0, 0.3, -0.04), (0, 0.86, 0.36)
    for a, b in (
        (saddle, crank),
        (crank, head),
        (saddle, head),
        (crank, (0, 0.34, -0.52)),
        (saddle, (0, 0.34, -0.52)),
        (head, (0, 0.34, 0.53)),
    ):
        figure.add(paint, (*a, 0.022), (*b, 0.022))
    figure.add(dark, (0, 0.9, -0.3, 0.045), (0, 0.92, -0.08, 0.03))
    figure.add(dark, (-0.27, 1.02, 0.33, 0.02), (0.27, 1.02, 0.33, 0.02))
    figure.add(dark, (0, 0.86, 0.36, 0.02), (0, 1.02, 0.34, 0.02))
    return figure


def cyclist(rng: np.random.Generator) -> Figure:
    """Return the rider of a `bicycle`."""
    figure = Figure()
    skin, hair, top, legs = _pick(rng, _SKIN), _pick(rng, _HAIR), _pick(rng, _TOPS), _pick(rng, _TROUSERS)
    angle = rng.uniform(0, 2 * np.pi)
    for side in (-1, 1):
        pedal = (0.12 * side, 0.3 + side * 0.17 * np.sin(angle), -0.04 + side * 0.17 * np.cos(angle))
        knee = (0.13 * side, 0.62 + side * 0.12 * np.sin(angle), 0.28 + side * 0.06 * np.cos(angle))
        figure.add(legs, (0.09 * side, 0.95, -0.2, 0.1), (*knee, 0.065))
        figure.add(legs, (*knee, 0.06), (*pedal, 0.045))
        figure.add((34, 32, 32), (*pedal, 0.045), (pedal[0], pedal[1] - 0.02, pedal[2] + 0.14, 0.036))
        figure.add(top, (0.18 * side, 1.42, 0.12, 0.06), (0.26 * side, 1.18, 0.2, 0.045))
        figure.add(
            skin if rng.random() < 0.4 else top, (0.26 * side, 1.18, 0.2, 0.042), (0.24 * side, 1.04, 0.36, 0.036)
        )
    figure.add(
        top, (0.14, 1.42, 0.1, 0.085), (-0.14, 1.42, 0.1, 0.085), (0.1, 0.98, -0.2, 0.11), (-0.1, 0.98, -0.2, 0.11)
    )
    figure.add(skin, (0, 1.5, 0.14, 0.05), (0, 1.64, 0.2, 0.092))
    helmet = _pick(rng, [(220, 220, 218), (40, 42, 46), (190, 50, 44), (60, 110, 160)]) if rng.random() < 0.55 else hair
    figure.add(helmet, (0, 1.7, 0.18, 0.1), (0, 1.7, 0.1, 0.09))
    if rng.random() < 0.35:
        bag = _pick(rng, _TOPS)
        figure.add(
            bag, (0.1, 1.38, -0.06, 0.08), (-0.1, 1.38, -0.06, 0.08), (0.1, 1.1, -0.24, 0.09), (-0.1, 1.1, -0.24, 0.09)
        )
    return figure


def motorcycle(rng: np.random.Generator) -> Figure:
    """Return a motorcycle looking along z."""
    figure = Figure()
    paint = _pick(rng, [(30, 30, 34), (160, 34, 36), (40, 70, 130), (210, 210, 208), (60, 64, 70)])
    dark = np.array([32.0, 32, 34])
    for z in (-0.68, 0.7):
        figure.ring((24, 24, 26), z, 0.31, 0.14)
        figure.add((120, 122, 126), (0, 0.31, z, 0.12))
    figure.add(dark, (0, 0.42, -0.2, 0.16), (0, 0.42, 0.22, 0.15))
    figure.add(paint, (0, 0.78, 0.05, 0.15), (0, 0.82, 0.32, 0.12), (0, 0.62, 0.3, 0.1))
    figure.add(dark, (0, 0.8, -0.15, 0.12), (0, 0.88, -0.7, 0.09))
    figure.add(paint, (0, 0.78, -0.6, 0.1), (0, 0.82, -0.85, 0.06))
    figure.add((190, 30, 28), (0, 0.76, -0.92, 0.05))
    figure.add((150, 152, 156), (0.16, 0.3, -0.1, 0.05), (0.18, 0.36, -0.85, 0.06))
    for side in (-0.06, 0.06):
        figure.add((140, 142, 146), (side, 0.34, 0.7, 0.03), (side, 0.95, 0.42, 0.03))
    figure.add(dark, (-0.36, 1.05, 0.36, 0.025), (0.36, 1.05, 0.36, 0.025))
    figure.add((236, 232, 214), (0, 0.88, 0.52, 0.1))
    return figure


def biker(rng: np.random.Generator) -> Figure:
    """Return the rider of a `motorcycle`."""
    figure = Figure()
    suit, helmet = (
        _pick(rng, [(30, 30, 34), (52, 54, 60), (110, 36, 36), (40, 50, 70)]),
        _pick(rng, [(220, 220, 218), (30, 30, 34), (180, 40, 40)]),
    )
    for side in (-1, 1):
        knee, foot = (0.24 * side, 0.68, 0.18), (0.22 * side, 0.34, -0.06)
        figure.add(suit, (0.12 * side, 0.92, -0.28, 0.12), (*knee, 0.08))
        figure.add(suit * 0.8, (*knee, 0.075), (*foot, 0.06))
        figure.add(suit, (0.2 * side, 1.4, 0.0, 0.075), (0.32 * side, 1.2, 0.14, 0.06))
        figure.add(suit, (0.32 * side, 1.2, 0.14, 0.056), (0.33 * side, 1.06, 0.34, 0.05))
    figure.add(
        suit, (0.16, 1.4, -0.02, 0.1), (-0.16, 1.4, -0.02, 0.1), (0.11, 0.95, -0.3, 0.13), (-0.11, 0.95, -0.3, 0.13)
    )
    figure.add(helmet, (0, 1.63, 0.04, 0.14), (0, 1.58, 0.07, 0.12))
    figure.add((24, 26, 30), (0.05, 1.62, 0.15, 0.05), (-0.05, 1.62, 0.15, 0.05))
    return figure


def draw_figure(
    canvas: Canvas,
    camera: Camera,
    light: Light,
    label: str,
    figure: Figure,
    at: tuple[float, float, float],
    heading: float,
    sunlit: float,
) -> None:
    """Paint and label one figure standing at `at`."""
    if camera.sees(at, 1.2, 3.2):
        with canvas.thing(label, light.air(at[2])) as thing:
            figure.draw(thing, camera, light, at, heading, sunlit)
