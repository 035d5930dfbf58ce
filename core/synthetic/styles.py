"""How houses look: materials, colours, windows and what they carry, by kind of street."""

from dataclasses import dataclass

import numpy as np

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
class Style:
    """How a house looks: material, colours 0..255 of wall, trim and sign, window size and spacing in metres, what it
    carries.
    """

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


def pick_style(rng: np.random.Generator, kind: str) -> Style:
    """Return a random look that suits the kind of street."""
    names, shares = _STYLES[kind]
    material = str(rng.choice(names, p=shares))
    walls = _WALLS[material]
    wall = np.array(walls[rng.integers(len(walls))], dtype=float) * rng.uniform(0.86, 1.04) + rng.normal(0, 5, 3)
    modern = material in ("concrete", "glass")
    trims = (
        [(236, 230, 218), (206, 196, 180), (120, 112, 104)]
        if not modern
        else [(70, 74, 80), (210, 210, 206), (44, 48, 54)]
    )
    accents = [(150, 40, 36), (36, 84, 66), (30, 62, 110), (196, 150, 52), (72, 44, 60), (40, 44, 50), (190, 96, 44)]
    return Style(
        material=material,
        wall=np.clip(wall, 20, 245),
        trim=np.array(trims[rng.integers(3)], dtype=float),
        accent=np.array(accents[rng.integers(len(accents))], dtype=float),
        bay=float(rng.uniform(2.3, 3.4) if not modern else rng.uniform(2.0, 4.0)),
        window=(
            float(rng.uniform(0.4, 0.52) if not modern else rng.uniform(0.6, 0.92)),
            float(rng.uniform(0.54, 0.66)),
        ),
        bars=int(rng.integers(1, 4)),
        shop=kind in ("old", "avenue", "modern", "park") and rng.random() < 0.62,
        balconies=bool(rng.random() < 0.28),
        shutters=kind in ("old", "suburb") and rng.random() < 0.3,
        seed=int(rng.integers(1 << 31)),
    )
