"""House fronts as flat pictures: walls, windows, shops, balconies, cornices. `buildings` stands them up along the street."""

from dataclasses import dataclass

import cv2
import numpy as np

from core.data.streets import tiles
from core.data.streets.light import Light

STOREY = 3.15
"""Metres from floor to floor."""

_WALLS = {
    "plaster": [(226, 208, 170), (214, 186, 150), (232, 224, 208), (206, 172, 146), (196, 188, 170), (220, 196, 160), (184, 196, 190), (222, 176, 140)],
    "stone": [(200, 190, 172), (184, 176, 164), (212, 202, 182)],
    "brick": [(150, 88, 70), (164, 104, 80), (132, 84, 72), (176, 130, 100)],
    "concrete": [(178, 176, 170), (196, 192, 186), (160, 160, 160), (210, 206, 200)],
    "glass": [(96, 110, 122), (120, 128, 134), (80, 92, 106)],
}  # fmt: skip

_STYLES = {
    "old": (["plaster", "stone", "brick"], [0.6, 0.25, 0.15]),
    "avenue": (["plaster", "stone", "brick", "concrete"], [0.4, 0.35, 0.1, 0.15]),
    "suburb": (["plaster", "brick"], [0.75, 0.25]),
    "modern": (["concrete", "glass", "brick", "plaster"], [0.35, 0.35, 0.15, 0.15]),
    "park": (["plaster", "stone", "brick", "concrete"], [0.4, 0.25, 0.15, 0.2]),
}


@dataclass(frozen=True)
class Look:
    """How a house looks: material, colours 0..255 of wall, trim and sign, window size and spacing in metres, what it carries."""

    material: str
    wall: np.ndarray
    trim: np.ndarray
    accent: np.ndarray
    bay: float
    window: tuple[float, float]
    bars: int
    shop: bool
    balconies: bool
    shutters: bool
    seed: int


def pick_look(rng: np.random.Generator, kind: str) -> Look:
    """A random look that suits the kind of street."""
    names, shares = _STYLES[kind]
    material = str(rng.choice(names, p=shares))
    walls = _WALLS[material]
    wall = np.array(walls[rng.integers(len(walls))], dtype=float) * rng.uniform(0.86, 1.04) + rng.normal(0, 5, 3)
    modern = material in ("concrete", "glass")
    trims = [(236, 230, 218), (206, 196, 180), (120, 112, 104)] if not modern else [(70, 74, 80), (210, 210, 206), (44, 48, 54)]
    accents = [(150, 40, 36), (36, 84, 66), (30, 62, 110), (196, 150, 52), (72, 44, 60), (40, 44, 50), (190, 96, 44)]
    return Look(
        material=material,
        wall=np.clip(wall, 20, 245),
        trim=np.array(trims[rng.integers(3)], dtype=float),
        accent=np.array(accents[rng.integers(len(accents))], dtype=float),
        bay=float(rng.uniform(2.3, 3.4) if not modern else rng.uniform(2.0, 4.0)),
        window=(float(rng.uniform(0.4, 0.52) if not modern else rng.uniform(0.6, 0.92)), float(rng.uniform(0.54, 0.66))),
        bars=int(rng.integers(1, 4)),
        shop=kind in ("old", "avenue", "modern", "park") and rng.random() < 0.62,
        balconies=bool(rng.random() < 0.28),
        shutters=kind in ("old", "suburb") and rng.random() < 0.3,
        seed=int(rng.integers(1 << 31)),
    )


def facade(look: Look, light: Light, normal: np.ndarray, length: float, height: float, detail: float) -> np.ndarray:
    """The lit front, uint8 (h, w, 3), of a house `length` by `height` metres at `detail` pixels per metre."""
    rng = np.random.default_rng(look.seed)
    w, h = max(int(length * detail), 2), max(int(height * detail), 2)

    def lit(albedo: np.ndarray | tuple[float, ...], tilt: float = 0.0) -> tuple[float, ...]:
        facing = normal + np.array([0.0, tilt, 0.0])
        return tuple(float(c) for c in light.on(np.asarray(albedo, dtype=float), facing / np.linalg.norm(facing)))

    wall = lit(look.wall)
    picture = np.empty((h, w, 3), np.uint8)
    picture[:] = np.clip(wall, 0, 255)
    floors = max(int(round(height / STOREY)), 1)
    step = h / floors
    ground = step * (1.12 if floors > 1 else 1.0)
    if detail > 5:
        _roughen(picture, rng, look, detail)
    trim, shade = lit(look.trim), tuple(0.62 * c for c in wall)
    thin = max(1, round(0.05 * detail))
    bays = max(int(round(length / look.bay)), 1)
    pane = _panes(rng, look, light, lit, step, w / bays, detail)
    for floor in range(1, floors):
        bottom = int(h - ground - (floor - 1) * (h - ground) / max(floors - 1, 1))
        top = int(h - ground - floor * (h - ground) / max(floors - 1, 1))
        if look.material != "glass" and look.seed % 3:
            cv2.rectangle(picture, (0, bottom - 2 * thin), (w, bottom - thin), trim if look.seed % 2 else wall, -1)
            cv2.rectangle(picture, (0, bottom - thin + 1), (w, bottom), shade, -1)
        for bay in range(bays):
            sample = pane[rng.integers(len(pane))]
            ph, pw = sample.shape[:2]
            x = int((bay + 0.5) * w / bays - pw / 2)
            y = int(top + (bottom - top - ph) * (0.45 if look.material != "glass" else 0.5))
            x, y = max(x, 0), max(y, 0)
            spot = picture[y : y + ph, x : x + pw]
            spot[:] = sample[: spot.shape[0], : spot.shape[1]]
            if look.balconies and (bay + look.seed) % 2 == 0 and detail > 5:
                _balcony(picture, x, y, pw, ph, lit(look.accent * 0.3 + 30), shade, detail)
    _ground_floor(picture, rng, look, light, lit, ground, bays, pane, detail)
    if floors > 1 or look.material != "glass":
        cv2.rectangle(picture, (0, 0), (w, int(0.28 * detail)), lit(look.trim * 0.94, 0.3), -1)
        cv2.rectangle(picture, (0, int(0.28 * detail)), (w, int(0.5 * detail)), shade, -1)
    fade = np.interp(np.arange(h), [0, h * 0.4, h - 1], [1.0, 1.0, 0.86])[:, None, None]
    return (picture * fade).astype(np.uint8)


def _roughen(picture: np.ndarray, rng: np.random.Generator, look: Look, detail: float) -> None:
    """Stains and streaks on plaster, courses on brick and stone."""
    h, w = picture.shape[:2]
    y0, x0 = rng.integers(0, tiles.SIDE // 2, 2)
    stain = cv2.resize(tiles.noise(13)[y0 : y0 + 200, x0 : x0 + 250], (w, h), interpolation=cv2.INTER_LINEAR)
    value = 1.0 + 0.035 * stain
    if look.material in ("brick", "stone") and detail > 9:
        course = (0.24 if look.material == "brick" else 0.42) * detail
        rows = np.arange(h) / course
        joints = (rows % 1.0) < 0.16
        value[joints] *= 0.88
        long = course * 2.4
        columns = (np.arange(w)[None] / long + (rows.astype(int) % 2)[:, None] * 0.5) % 1.0
        value *= np.where(columns < 0.08, 0.93, 1.0)
        blocks = rng.normal(1.0, 0.045, (int(rows[-1]) + 2, int(w / long) + 3))
        value *= blocks[rows.astype(int)[:, None], (np.arange(w)[None] / long + (rows.astype(int) % 2)[:, None] * 0.5).astype(int)]
    picture[:] = np.clip(picture * value[..., None], 0, 255)


def _panes(rng: np.random.Generator, look: Look, light: Light, lit, step: float, bay: float, detail: float) -> list[np.ndarray]:  # noqa: ANN001
    """A few windows, each uint8 (h, w, 3), with frame, sky in the glass, curtains, sill; some lit from inside."""
    w = max(int(bay * look.window[0]), 1)
    h = max(int(step * (look.window[1] if look.material != "glass" else 0.8)), 1)
    rim = max(1, round(0.09 * detail)) if detail > 7 else 0
    frame = lit(look.trim)
    panes = []
    for _ in range(4 if detail > 5 else 2):
        glass = light.zenith * 0.34 + light.horizon * rng.uniform(0.04, 0.26) - 18
        ramp = np.linspace(1.15, 0.62, h)[:, None, None] * np.ones((1, w, 1))
        pane = ramp * np.clip(glass, 10, 255)
        if rng.random() < 0.55 and detail > 4:
            cloth = np.array([220.0, 214, 200]) * light.sky.mean() * rng.uniform(0.5, 0.8)
            width = max(int(w * rng.uniform(0.15, 0.34)), 1)
            pane[:, :width] = pane[:, :width] * 0.45 + cloth * 0.55
            pane[:, -width:] = pane[:, -width:] * 0.45 + cloth * 0.55
        if light.lamps and rng.random() < 0.5:
            pane = pane * 0.25 + np.array([250.0, 196, 112]) * rng.uniform(0.5, 0.9) * np.linspace(0.8, 1.05, h)[:, None, None]
        pane = np.clip(pane, 0, 255).astype(np.uint8)
        pane[: max(1, int(0.07 * h))] = pane[: max(1, int(0.07 * h))] // 2
        if rim:
            for bar in range(1, look.bars + 1):
                x = int(w * bar / (look.bars + 1))
                cv2.line(pane, (x, 0), (x, h), frame, max(1, rim // 2))
            if look.material != "glass":
                cv2.line(pane, (0, int(h * 0.36)), (w, int(h * 0.36)), frame, max(1, rim // 2))
        if look.shutters and detail > 5:
            wing = max(int(w * 0.42), 1)
            board = np.empty((h, wing, 3), np.uint8)
            board[:] = np.clip(lit(look.accent * 0.6 + 50), 0, 255)
            board[:: max(2, round(0.12 * detail))] = board[:: max(2, round(0.12 * detail))] // 4 * 3
            pane = np.hstack([board, pane, board])
        if rim:
            pane = cv2.copyMakeBorder(pane, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=frame)
            sill = np.empty((max(2, rim), pane.shape[1], 3), np.uint8)
            sill[:] = np.clip(lit(look.trim, 0.8), 0, 255)
            under = np.empty((max(1, rim // 2), pane.shape[1], 3), np.uint8)
            under[:] = np.clip(np.array(lit(look.wall)) * 0.6, 0, 255)
            pane = np.vstack([pane, sill, under])
        panes.append(pane)
    return panes


def _balcony(picture: np.ndarray, x: int, y: int, w: int, h: int, rail: tuple, shade: tuple, detail: float) -> None:
    """A slab and railing before a window."""
    side = int(0.25 * detail)
    top, bottom = y + int(h * 0.52), y + h
    cv2.rectangle(picture, (x - side, bottom), (x + w + side, bottom + max(1, int(0.14 * detail))), tuple(1.25 * c for c in shade), -1)
    cv2.rectangle(picture, (x - side, bottom + int(0.14 * detail)), (x + w + side, bottom + int(0.45 * detail)), shade, -1)
    for bar in np.arange(x - side, x + w + side, max(2.0, 0.14 * detail)):
        cv2.line(picture, (int(bar), top), (int(bar), bottom), rail, 1)
    cv2.line(picture, (x - side, top), (x + w + side, top), rail, max(1, int(0.05 * detail)))


def _ground_floor(picture: np.ndarray, rng: np.random.Generator, look: Look, light: Light, lit, ground: float, bays: int, pane: list[np.ndarray], detail: float) -> None:  # noqa: ANN001
    """A shop with window, sign and awning, or a plinth with windows and a door."""
    h, w = picture.shape[:2]
    top = int(h - ground)
    door = int(rng.integers(bays))
    if not look.shop:
        cv2.rectangle(picture, (0, int(h - 0.7 * detail)), (w, h), lit(look.wall * 0.72), -1)
    else:
        cv2.rectangle(picture, (0, top), (w, h), lit(look.accent * 0.35 + look.wall * 0.4), -1)
    for bay in range(bays):
        x0, x1 = int((bay + 0.1) * w / bays), int((bay + 0.9) * w / bays)
        if bay == door and not (look.shop and bays > 2 and rng.random() < 0.4):
            middle, half = (x0 + x1) // 2, max(int(0.6 * detail), 1)
            cv2.rectangle(picture, (middle - half - 2, int(h - 2.5 * detail)), (middle + half + 2, h), lit(look.trim), -1)
            cv2.rectangle(picture, (middle - half, int(h - 2.4 * detail)), (middle + half, h), lit(look.accent * 0.7), -1)
            cv2.rectangle(picture, (middle - half, int(h - 2.4 * detail)), (middle + half, int(h - 2.0 * detail)), tuple(light.zenith * 0.35), -1)
        elif look.shop:
            warm = np.array([255.0, 214, 150]) * (1.0 if light.lamps else 0.36)
            inside = warm * rng.uniform(0.55, 0.85) + light.horizon * (0.0 if light.lamps else 0.12)
            y0, y1 = int(top + 0.75 * detail), int(h - 0.35 * detail)
            cv2.rectangle(picture, (x0, y0), (x1, y1), tuple(np.clip(inside, 0, 255)), -1)
            for _ in range(6 if detail > 6 else 0):
                gx, gw, gh = rng.integers(x0, max(x1, x0 + 1)), rng.uniform(0.15, 0.5) * detail, rng.uniform(0.3, 1.3) * detail
                goods = np.clip(inside * rng.uniform(0.3, 0.9) + rng.normal(0, 22, 3), 0, 255)
                cv2.rectangle(picture, (int(gx), int(y1 - gh)), (int(min(gx + gw, x1)), y1), tuple(goods), -1)
            if detail > 6:
                gleam = np.array([[x0 + (x1 - x0) * 0.2, y0], [x0 + (x1 - x0) * 0.45, y0], [x0 + (x1 - x0) * 0.2, y1], [x0, y1]], np.int32)
                layer = picture[y0:y1, x0:x1].copy()
                cv2.fillPoly(picture, [gleam], tuple(light.horizon * 0.8))
                picture[y0:y1, x0:x1] = cv2.addWeighted(picture[y0:y1, x0:x1], 0.25, layer, 0.75, 0)
        else:
            sample = pane[rng.integers(len(pane))]
            ph, pw = sample.shape[:2]
            y, x = max(int(h - ground * 0.88), 0), max((x0 + x1 - pw) // 2, 0)
            spot = picture[y : y + ph, x : x + pw]
            spot[:] = sample[: spot.shape[0], : spot.shape[1]]
    if look.shop:
        board = np.array(lit(look.accent))
        cv2.rectangle(picture, (0, top + int(0.05 * detail)), (w, top + int(0.62 * detail)), tuple(board), -1)
        cv2.line(picture, (0, top), (w, top), lit(look.trim), max(1, int(0.06 * detail)))
        if detail > 8:
            letters = np.clip(board + (110 if board.sum() < 380 else -110), 0, 255)
            x = 0.12 * w
            while x < 0.8 * w:
                wide = rng.uniform(0.1, 0.3) * detail
                cv2.rectangle(picture, (int(x), top + int(0.2 * detail)), (int(x + wide * 0.72), top + int(0.46 * detail)), tuple(letters), -1)
                x += wide + (rng.random() < 0.2) * 0.4 * detail
