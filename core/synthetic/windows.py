"""Windows and balconies of a house front, as small pictures to be pasted into it."""

from collections.abc import Callable

import cv2
import numpy as np

from core.synthetic.light import Light
from core.synthetic.styles import Style

Lit = Callable[..., tuple[float, ...]]
"""From an albedo (3,), and whether the surface leans upwards as sills do, to its lit colour."""


def windows_of(
    rng: np.random.Generator, style: Style, light: Light, lit: Lit, step: float, bay: float, detail: float
) -> list[np.ndarray]:
    """Return a few windows, each uint8 (h, w, 3), with frame, sky in the glass, curtains, sill.

    Some lit from inside.
    """
    w = max(int(bay * style.window[0]), 1)
    h = max(int(step * (style.window[1] if style.material != "glass" else 0.8)), 1)
    rim = max(1, round(0.09 * detail)) if detail > 7 else 0
    frame = lit(style.trim)
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
            pane = (
                pane * 0.25
                + np.array([250.0, 196, 112]) * rng.uniform(0.5, 0.9) * np.linspace(0.8, 1.05, h)[:, None, None]
            )
        pane = np.clip(pane, 0, 255).astype(np.uint8)
        pane[: max(1, int(0.07 * h))] = pane[: max(1, int(0.07 * h))] // 2
        if rim:
            for bar in range(1, style.bars + 1):
                x = int(w * bar / (style.bars + 1))
                cv2.line(pane, (x, 0), (x, h), frame, max(1, rim // 2))
            if style.material != "glass":
                cv2.line(pane, (0, int(h * 0.36)), (w, int(h * 0.36)), frame, max(1, rim // 2))
        if style.shutters and detail > 5:
            wing = max(int(w * 0.42), 1)
            board = np.empty((h, wing, 3), np.uint8)
            board[:] = np.clip(lit(style.accent * 0.6 + 50), 0, 255)
            board[:: max(2, round(0.12 * detail))] = board[:: max(2, round(0.12 * detail))] // 4 * 3
            pane = np.hstack([board, pane, board])
        if rim:
            pane = cv2.copyMakeBorder(pane, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=frame)
            sill = np.empty((max(2, rim), pane.shape[1], 3), np.uint8)
            sill[:] = np.clip(lit(style.trim, True), 0, 255)
            under = np.empty((max(1, rim // 2), pane.shape[1], 3), np.uint8)
            under[:] = np.clip(np.array(lit(style.wall)) * 0.6, 0, 255)
            pane = np.vstack([pane, sill, under])
        panes.append(pane)
    return panes


def draw_balcony(image: np.ndarray, x: int, y: int, w: int, h: int, rail: tuple, shade: tuple, detail: float) -> None:
    """Draw a slab and railing before a window."""
    side = int(0.25 * detail)
    top, bottom = y + int(h * 0.52), y + h
    cv2.rectangle(
        image,
        (x - side, bottom),
        (x + w + side, bottom + max(1, int(0.14 * detail))),
        tuple(1.25 * c for c in shade),
        -1,
    )
    cv2.rectangle(
        image, (x - side, bottom + int(0.14 * detail)), (x + w + side, bottom + int(0.45 * detail)), shade, -1
    )
    for bar in np.arange(x - side, x + w + side, max(2.0, 0.14 * detail)):
        cv2.line(image, (int(bar), top), (int(bar), bottom), rail, 1)
    cv2.line(image, (x - side, top), (x + w + side, top), rail, max(1, int(0.05 * detail)))
