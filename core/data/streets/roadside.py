"""What stands along the street: trees, hedges, fences, walls, lamps, traffic lights, signs, bollards, bins."""

from functools import partial

import numpy as np

from core.data.streets import furniture, nature
from core.data.streets.plan import KERB, Side
from core.data.streets.stage import Stage


def set_roadside(stage: Stage) -> None:
    """Furnish both sides."""
    for side in stage.plan.sides:
        open_plots = not any(house.sign == side.sign for house in stage.houses)
        if open_plots:
            _park(stage, side)
        elif side.yard > 2.5:
            _yards(stage, side)
        if side.strip or stage.rng.random() < 0.3:
            _avenue(stage, side)
        _lamps(stage, side)
        _signs(stage, side)
        _small(stage, side)
    _signals(stage)


def _tree(stage: Stage, x: float, z: float, height: float, shape: str, ground: float = KERB) -> None:
    rng = stage.rng
    lit = stage.sun(x, z)
    turn = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    wide = {"round": 0.34, "wide": 0.42, "tall": 0.16, "cone": 0.26, "loose": 0.34, "bare": 0.2}[shape] * height
    for low, reach in ((0.35, 0.7), (0.55, 1.0), (0.8, 0.75)):
        ring = np.stack([x + wide * reach * np.cos(turn), np.full(9, height * low), z + wide * reach * np.sin(turn)], 1)
        stage.cast(ring + rng.normal(0, 0.25, ring.shape), ground)
    stage.cast(np.array([[x - 0.15, ground, z], [x + 0.15, ground, z], [x + 0.15, height * 0.5, z], [x - 0.15, height * 0.5, z]]), ground)
    stage.touch(x, z, 0.4, 0.4, ground)
    table = stage.table
    stage.later(z, partial(nature.draw_tree, rng, stage.canvas, stage.camera, stage.light, (x, ground, z), height, shape, table, lit))


def _shape(stage: Stage) -> str:
    if stage.plan.season == "winter" and stage.rng.random() < 0.65:
        return "bare"
    return str(stage.rng.choice(["round", "wide", "tall", "loose", "cone"], p=[0.4, 0.22, 0.13, 0.2, 0.05]))


def _avenue(stage: Stage, side: Side) -> None:
    """A row of street trees between carriageway and walk."""
    rng = stage.rng
    x = side.sign * (side.kerb + max(side.strip / 2, 0.55))
    shape, height, step = _shape(stage), rng.uniform(5, 9.5), rng.uniform(8, 17)
    for z in np.arange(rng.uniform(9, 20), 130, step):
        if not stage.plan.broken(z, 3) and rng.random() < 0.88:
            _tree(stage, x + rng.normal(0, 0.08), z + rng.normal(0, 0.4), height * rng.uniform(0.85, 1.15), shape)


def _boundary(stage: Stage, side: Side, x: float, z0: float, z1: float) -> None:
    """Hedge, fence or wall from z0 to z1."""
    rng = stage.rng
    common = (stage.canvas, stage.camera, stage.light, x)
    lit = stage.sun(x - side.sign * 0.3, (z0 + z1) / 2)
    kind = rng.choice(["hedge", "bars", "boards", "mesh", "wall", "brick", "none"], p=[0.26, 0.17, 0.1, 0.1, 0.16, 0.13, 0.08])
    high = rng.uniform(0.9, 1.9)
    if kind == "hedge":
        draw = partial(nature.draw_hedge, rng, *common, z0, z1, high, stage.table)
    elif kind in ("wall", "brick"):
        draw = partial(furniture.draw_wall, *common, z0, z1, high, kind == "brick", lit, int(rng.integers(1 << 30)))
    elif kind != "none":
        draw = partial(furniture.draw_fence, *common, z0, z1, high, str(kind), lit)
    else:
        return
    if kind not in ("bars", "mesh"):
        stage.cast(np.array([[x, y, z] for y in (KERB, high) for z in (z0, z1)] + [[x + side.sign * 0.4, KERB, z0], [x + side.sign * 0.4, KERB, z1]]), KERB)
    stage.later(z1, draw)


def _yards(stage: Stage, side: Side) -> None:
    """Front gardens: one boundary for each plot, bushes and small trees behind it."""
    rng = stage.rng
    for a, b in stage.plan.stretches(2.0, 130.0, side.walk + 0.3):
        z = a
        while z < b - 2:
            end = min(z + rng.uniform(9, 20), b)
            _boundary(stage, side, side.sign * (side.edge + 0.15), z, end)
            for _ in range(rng.poisson(1.2)):
                where = rng.uniform(z, end)
                _tree(stage, side.sign * rng.uniform(side.edge + 1.2, max(side.front - 0.8, side.edge + 1.6)), where, rng.uniform(2.2, 7), _shape(stage))
            z = end + (rng.uniform(1.0, 3.0) if rng.random() < 0.6 else 0)


def _park(stage: Stage, side: Side) -> None:
    """No houses: a boundary, lawns and many trees."""
    rng = stage.rng
    for a, b in stage.plan.stretches(2.0, 150.0, side.walk + 0.3):
        _boundary(stage, side, side.sign * (side.edge + 0.2), a, b)
        count = int((b - a) * rng.uniform(0.18, 0.4))
        for z in rng.uniform(a + 4, b + 10, count):
            _tree(stage, side.sign * (side.edge + 1.5 + 24 * rng.random() ** 1.4), z, rng.uniform(5, 13), _shape(stage))
    for x in np.arange(side.edge + 4, 46, 3.0):
        _tree(stage, side.sign * (x + rng.normal(0, 0.6)), rng.uniform(70, 150), rng.uniform(8, 15), _shape(stage))


def _post(stage: Stage, x: float, z: float, height: float, radius: float, **options: object) -> None:
    at = (x, KERB, z)
    stage.cast(np.array([[x - radius, KERB, z], [x + radius, KERB, z], [x + radius, height, z], [x - radius, height, z]]), KERB)
    stage.touch(x, z, 0.16, 0.16, KERB)
    stage.later(z, partial(furniture.draw_post, stage.canvas, stage.camera, stage.light, at, height, radius, stage.sun(x, z), **options))


def _lamps(stage: Stage, side: Side) -> None:
    rng = stage.rng
    height, step, x = rng.uniform(5.5, 8.5), rng.uniform(18, 32), side.sign * (side.kerb + 0.45)
    if rng.random() < 0.2:
        return
    for z in np.arange(rng.uniform(8, 26), 150, step):
        if not stage.plan.broken(z, 1):
            arm = -side.sign * rng.uniform(1.0, 1.6)
            stage.cast(np.array([[x - 0.08, KERB, z], [x + 0.08, KERB, z], [x + 0.08, height, z], [x - 0.08, height, z]]), KERB)
            stage.touch(x, z, 0.18, 0.18, KERB)
            stage.later(z, partial(furniture.draw_lamp, stage.canvas, stage.camera, stage.light, (x, KERB, z), height, arm, stage.sun(x, z)))


def _signs(stage: Stage, side: Side) -> None:
    rng = stage.rng
    for _ in range(rng.poisson(2.2)):
        z, x = 11 + 45 * rng.random() ** 1.2, side.sign * (side.kerb + rng.uniform(0.3, 0.6))
        if stage.plan.broken(z, 1):
            continue
        height = rng.uniform(2.2, 2.7)
        _post(stage, x, z, height + 0.35, 0.038)
        # Traffic on the left comes towards us, so most of its signs show us their backs.
        kind = "back" if side.sign < 0 and rng.random() < 0.5 else str(rng.choice(furniture.SIGNS[:-1]))
        lit = stage.sun(x, z)
        stage.later(z - 0.02, partial(furniture.draw_sign, stage.canvas, stage.camera, stage.light, (x, KERB, z - 0.05), height, kind, lit))
        if rng.random() < 0.3:
            other = str(rng.choice(furniture.SIGNS[:-2]))
            stage.later(z - 0.03, partial(furniture.draw_sign, stage.canvas, stage.camera, stage.light, (x, KERB, z - 0.05), height - 0.75, other, lit))


def _signals(stage: Stage) -> None:
    """Traffic lights at the side road, or at a zebra now and then."""
    rng, plan = stage.rng, stage.plan
    place = plan.zebra if plan.zebra else (plan.crossing[0] - 1.5 if plan.crossing else None)
    if place is None or place < 7 or rng.random() < 0.25:
        return
    state = str(rng.choice(["red", "amber", "green"], p=[0.42, 0.12, 0.46]))
    common = (stage.canvas, stage.camera, stage.light)
    spots = [(1, place - 0.6, False), (-1, place - 0.3, rng.random() < 0.5)]
    if plan.crossing:
        spots += [(1, plan.crossing[1] + 0.8, False), (-1, plan.crossing[1] + 0.8, True)]
    for sign, z, away in spots:
        side = plan.right if sign > 0 else plan.left
        x = sign * (side.kerb + 0.5)
        lit = stage.sun(x, z)
        tall = sign > 0 and rng.random() < 0.5
        arm = -min(side.lane * 0.9, 3.2) if tall else 0.0
        _post(stage, x, z, 5.3 if tall else 3.3, 0.075, colour=(90, 96, 94), arm=arm)
        stage.later(z - 0.05, partial(furniture.draw_signal, *common, (x, KERB, z - 0.1), 2.75, state, lit, away))
        if tall:
            stage.later(z - 0.06, partial(furniture.draw_signal, *common, (x + arm, KERB, z - 0.1), 5.3, state, lit, away))


def _small(stage: Stage, side: Side) -> None:
    """Bollards along the kerb and a few bins."""
    rng = stage.rng
    common = (stage.canvas, stage.camera, stage.light)
    if not side.parking and rng.random() < 0.3:
        start = rng.uniform(7, 30)
        for z in np.arange(start, start + rng.uniform(8, 26), 1.8):
            if not stage.plan.broken(z, 1):
                x = side.sign * (side.kerb + 0.3)
                stage.touch(x, z, 0.14, 0.14, KERB)
                stage.later(z, partial(furniture.draw_bollard, *common, (x, KERB, z), stage.sun(x, z)))
    for _ in range(rng.poisson(0.6)):
        z, x = rng.uniform(8, 40), side.sign * (side.edge - 0.5)
        if not stage.plan.broken(z, 1):
            colour = np.array([(60, 80, 62), (70, 72, 76), (150, 96, 40), (48, 60, 92)][rng.integers(4)], dtype=float)
            stage.touch(x, z, 0.35, 0.25, KERB)
            stage.later(z, partial(furniture.draw_bin, *common, (x, KERB, z), colour, stage.sun(x, z)))
