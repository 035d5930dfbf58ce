"""What grows along the street, and what bounds the plots: street trees, front gardens, parks."""

from functools import partial

import numpy as np

from core.synthetic import barriers, nature
from core.synthetic.plan import KERB, Side
from core.synthetic.stage import Stage


def _tree(stage: Stage, x: float, z: float, height: float, shape: str, behind: float = 0.0) -> None:
    """Plant a tree; `behind` is where the fence before it ends, which is painted after the tree."""
    rng, ground = stage.rng, KERB
    lit = stage.sun(x, z)
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    wide = {"round": 0.34, "wide": 0.42, "tall": 0.16, "cone": 0.26, "loose": 0.34, "bare": 0.2}[shape] * height
    for low, reach in ((0.35, 0.7), (0.55, 1.0), (0.8, 0.75)):
        ring = np.stack(
            [x + wide * reach * np.cos(angles), np.full(9, height * low), z + wide * reach * np.sin(angles)], 1
        )
        stage.cast(ring + rng.normal(0, 0.25, ring.shape), ground)
    stage.cast(
        np.array(
            [[x - 0.15, ground, z], [x + 0.15, ground, z], [x + 0.15, height * 0.5, z], [x - 0.15, height * 0.5, z]]
        ),
        ground,
    )
    stage.touch(x, z, 0.4, 0.4, ground)
    common = (stage.canvas, stage.camera, stage.light, (x, ground, z))
    stage.later(
        max(z, behind + 0.5 + z * 1e-3),
        partial(nature.draw_tree, *common, height, shape, int(rng.integers(3)), stage.table, lit),
    )


def _shape(stage: Stage) -> str:
    if stage.plan.season == "winter" and stage.rng.random() < 0.65:
        return "bare"
    return str(stage.rng.choice(["round", "wide", "tall", "loose", "cone"], p=[0.4, 0.22, 0.13, 0.2, 0.05]))


def set_avenue(stage: Stage, side: Side) -> None:
    """A row of street trees between carriageway and walk."""
    rng = stage.rng
    x = side.sign * (side.kerb + max(side.strip / 2, 0.55))
    shape, height, step = _shape(stage), rng.uniform(5, 9.5), rng.uniform(8, 17)
    for z in np.arange(rng.uniform(9, 20), 115, step):
        if not stage.plan.broken(z, 3) and rng.random() < 0.88:
            _tree(stage, x + rng.normal(0, 0.08), z + rng.normal(0, 0.4), height * rng.uniform(0.85, 1.15), shape)


def _boundary(stage: Stage, side: Side, x: float, z0: float, z1: float) -> None:
    """Hedge, fence or wall from z0 to z1."""
    rng = stage.rng
    common = (stage.canvas, stage.camera, stage.light, x)
    lit = stage.sun(x - side.sign * 0.3, (z0 + z1) / 2)
    kind = rng.choice(
        ["hedge", "bars", "boards", "mesh", "wall", "brick", "none"], p=[0.26, 0.17, 0.1, 0.1, 0.16, 0.13, 0.08]
    )
    high = rng.uniform(0.9, 1.9)
    if kind == "hedge":
        draw = partial(nature.draw_hedge, rng, *common, z0, z1, high, stage.table)
    elif kind in ("wall", "brick"):
        draw = partial(barriers.draw_wall, *common, z0, z1, high, kind == "brick", lit, int(rng.integers(1 << 30)))
    elif kind != "none":
        draw = partial(barriers.draw_fence, *common, z0, z1, high, str(kind), lit)
    else:
        return
    if kind not in ("bars", "mesh"):
        stage.cast(
            np.array(
                [[x, y, z] for y in (KERB, high) for z in (z0, z1)]
                + [[x + side.sign * 0.4, KERB, z0], [x + side.sign * 0.4, KERB, z1]]
            ),
            KERB,
        )
    stage.later(z1, draw)


def set_yards(stage: Stage, side: Side) -> None:
    """Front gardens: one boundary for each plot, bushes and small trees behind it."""
    rng = stage.rng
    for a, b in stage.plan.stretches(2.0, 130.0, side.walk + 0.3):
        z = a
        while z < b - 2:
            end = min(z + rng.uniform(9, 20), b)
            _boundary(stage, side, side.sign * (side.edge + 0.15), z, end)
            for _ in range(rng.poisson(1.2)):
                where = rng.uniform(z, end)
                x = side.sign * rng.uniform(side.edge + 1.2, max(side.front - 0.8, side.edge + 1.6))
                _tree(stage, x, where, rng.uniform(2.2, 7), _shape(stage), end)
            z = end + (rng.uniform(1.0, 3.0) if rng.random() < 0.6 else 0)


def set_park(stage: Stage, side: Side) -> None:
    """No houses: a boundary, lawns and many trees."""
    rng = stage.rng
    for a, b in stage.plan.stretches(2.0, 150.0, side.walk + 0.3):
        _boundary(stage, side, side.sign * (side.edge + 0.2), a, b)
        count = int((b - a) * rng.uniform(0.18, 0.4))
        for z in rng.uniform(a + 4, max(b - 2, a + 5), count):
            x = side.sign * (side.edge + 1.5 + 24 * rng.random() ** 1.4)
            _tree(stage, x, z, rng.uniform(5, 13), _shape(stage), b)
    for x in np.arange(side.edge + 4, 46, 3.0):
        _tree(stage, side.sign * (x + rng.normal(0, 0.6)), rng.uniform(70, 150), rng.uniform(8, 15), _shape(stage))
