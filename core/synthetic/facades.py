"""House fronts as flat pictures: walls, windows, shops, cornices. `buildings` stands them up along the street."""

import cv2
import numpy as np

from core.synthetic import tiles
from core.synthetic.light import Light
from core.synthetic.styles import Style
from core.synthetic.windows import Lit, draw_balcony, windows_of

STOREY = 3.15
"""Metres from floor to floor."""


def facade(style: Style, light: Light, normal: np.ndarray, length: float, height: float, detail: float) -> np.ndarray:
    """Return the lit front, uint8 (h, w, 3), of a house `length` by `height` metres at `detail` pixels per metre."""
    rng = np.random.default_rng(style.seed)
    w, h = max(int(length * detail), 2), max(int(height * detail), 2)

    upright = light.strength(normal)
    leaning = light.strength((normal + (0.0, 0.5, 0.0)) / np.sqrt(1.25))

    def lit(albedo: np.ndarray, leans: bool = False) -> tuple[float, ...]:
        return tuple(np.minimum(albedo * (leaning if leans else upright), 255.0).tolist())

    wall = lit(style.wall)
    image = np.empty((h, w, 3), np.uint8)
    image[:] = np.clip(wall, 0, 255)
    floors = max(int(round(height / STOREY)), 1)
    step = h / floors
    ground = step * (1.12 if floors > 1 else 1.0)
    if detail > 5:
        _roughen(image, style, detail)
    trim, shade = lit(style.trim), tuple(0.62 * c for c in wall)
    thin = max(1, round(0.05 * detail))
    bays = max(int(round(length / style.bay)), 1)
    pane = windows_of(rng, style, light, lit, step, w / bays, detail)
    for floor in range(1, floors):
        bottom = int(h - ground - (floor - 1) * (h - ground) / max(floors - 1, 1))
        top = int(h - ground - floor * (h - ground) / max(floors - 1, 1))
        if style.material != "glass" and style.seed % 3:
            cv2.rectangle(image, (0, bottom - 2 * thin), (w, bottom - thin), trim if style.seed % 2 else wall, -1)
            cv2.rectangle(image, (0, bottom - thin + 1), (w, bottom), shade, -1)
        for bay in range(bays):
            sample = pane[rng.integers(len(pane))]
            ph, pw = sample.shape[:2]
            x = int((bay + 0.5) * w / bays - pw / 2)
            y = int(top + (bottom - top - ph) * (0.45 if style.material != "glass" else 0.5))
            x, y = max(x, 0), max(y, 0)
            spot = image[y : y + ph, x : x + pw]
            spot[:] = sample[: spot.shape[0], : spot.shape[1]]
            if style.balconies and (bay + style.seed) % 2 == 0 and detail > 5:
                draw_balcony(image, x, y, pw, ph, lit(style.accent * 0.3 + 30), shade, detail)
    _ground_floor(image, rng, style, light, lit, ground, bays, pane, detail)
    if floors > 1 or style.material != "glass":
        cv2.rectangle(image, (0, 0), (w, int(0.28 * detail)), lit(style.trim * 0.94, True), -1)
        cv2.rectangle(image, (0, int(0.28 * detail)), (w, int(0.5 * detail)), shade, -1)
    return image


def _roughen(image: np.ndarray, style: Style, detail: float) -> None:
    """Stains on plaster, courses on brick and stone, and a little less light towards the foot."""
    h, w = image.shape[:2]
    kind = style.material if style.material in ("brick", "stone") else "plaster"
    value = tiles.courses(kind, w, h, detail, style.seed)
    fade = np.interp(np.arange(h), [0, h * 0.4, h - 1], [128.0, 128.0, 108.0]).astype(np.uint8)
    value = cv2.multiply(value, np.repeat(fade[:, None], w, axis=1), scale=1 / 128.0)
    cv2.multiply(image, cv2.merge([value] * 3), image, 1 / 128.0)


def _ground_floor(
    image: np.ndarray,
    rng: np.random.Generator,
    style: Style,
    light: Light,
    lit: Lit,
    ground: float,
    bays: int,
    pane: list[np.ndarray],
    detail: float,
) -> None:
    """A shop with window, sign and awning, or a plinth with windows and a door."""
    h, w = image.shape[:2]
    top = int(h - ground)
    door = int(rng.integers(bays))
    if not style.shop:
        cv2.rectangle(image, (0, int(h - 0.7 * detail)), (w, h), lit(style.wall * 0.72), -1)
    else:
        cv2.rectangle(image, (0, top), (w, h), lit(style.accent * 0.35 + style.wall * 0.4), -1)
    for bay in range(bays):
        x0, x1 = int((bay + 0.1) * w / bays), int((bay + 0.9) * w / bays)
        if bay == door and not (style.shop and bays > 2 and rng.random() < 0.4):
            middle, half = (x0 + x1) // 2, max(int(0.6 * detail), 1)
            cv2.rectangle(
                image, (middle - half - 2, int(h - 2.5 * detail)), (middle + half + 2, h), lit(style.trim), -1
            )
            cv2.rectangle(
                image, (middle - half, int(h - 2.4 * detail)), (middle + half, h), lit(style.accent * 0.7), -1
            )
            cv2.rectangle(
                image,
                (middle - half, int(h - 2.4 * detail)),
                (middle + half, int(h - 2.0 * detail)),
                tuple(light.zenith * 0.35),
                -1,
            )
        elif style.shop:
            warm = np.array([255.0, 214, 150]) * (1.0 if light.lamps else 0.36)
            inside = warm * rng.uniform(0.55, 0.85) + light.horizon * (0.0 if light.lamps else 0.12)
            y0, y1 = int(top + 0.75 * detail), int(h - 0.35 * detail)
            cv2.rectangle(image, (x0, y0), (x1, y1), tuple(np.clip(inside, 0, 255)), -1)
            for _ in range(6 if detail > 6 else 0):
                gx, gw, gh = (
                    rng.integers(x0, max(x1, x0 + 1)),
                    rng.uniform(0.15, 0.5) * detail,
                    rng.uniform(0.3, 1.3) * detail,
                )
                goods = np.clip(inside * rng.uniform(0.3, 0.9) + rng.normal(0, 22, 3), 0, 255)
                cv2.rectangle(image, (int(gx), int(y1 - gh)), (int(min(gx + gw, x1)), y1), tuple(goods), -1)
            if detail > 6:
                gleam = np.array(
                    [[x0 + (x1 - x0) * 0.2, y0], [x0 + (x1 - x0) * 0.45, y0], [x0 + (x1 - x0) * 0.2, y1], [x0, y1]],
                    np.int32,
                )
                layer = image[y0:y1, x0:x1].copy()
                cv2.fillPoly(image, [gleam], tuple(light.horizon * 0.8))
                image[y0:y1, x0:x1] = cv2.addWeighted(image[y0:y1, x0:x1], 0.25, layer, 0.75, 0)
        else:
            sample = pane[rng.integers(len(pane))]
            ph, pw = sample.shape[:2]
            y, x = max(int(h - ground * 0.88), 0), max((x0 + x1 - pw) // 2, 0)
            spot = image[y : y + ph, x : x + pw]
            spot[:] = sample[: spot.shape[0], : spot.shape[1]]
    if style.shop:
        board = np.array(lit(style.accent))
        cv2.rectangle(image, (0, top + int(0.05 * detail)), (w, top + int(0.62 * detail)), tuple(board), -1)
        cv2.line(image, (0, top), (w, top), lit(style.trim), max(1, int(0.06 * detail)))
        if detail > 8:
            letters = np.clip(board + (110 if board.sum() < 380 else -110), 0, 255)
            x = 0.12 * w
            while x < 0.8 * w:
                wide = rng.uniform(0.1, 0.3) * detail
                cv2.rectangle(
                    image,
                    (int(x), top + int(0.2 * detail)),
                    (int(x + wide * 0.72), top + int(0.46 * detail)),
                    tuple(letters),
                    -1,
                )
                x += wide + (rng.random() < 0.2) * 0.4 * detail
