"""What stands along the street: plants by `planting`, then lamps, traffic lights, signs, bollards, bins."""

from functools import partial

import numpy as np

from core.synthetic import furniture, planting, signs
from core.synthetic.plan import KERB, Side
from core.synthetic.stage import Stage

# How often each of `signs.SIGNS` is met, without the last: entry is rarely forbidden.
_COMMON = np.array([2, 4, 5, 1, 4, 5, 6, 5, 4, 4]) / 40


def set_roadside(stage: Stage) -> None:
    """Furnish both sides."""
    for side in stage.plan.sides:
        open_plots = not any(house.sign == side.sign for house in stage.houses)
        if open_plots:
            planting.set_park(stage, side)
        elif side.yard > 2.5:
            planting.set_yards(stage, side)
        if side.strip or stage.rng.random() < 0.45:
            planting.set_avenue(stage, side)
        _lamps(stage, side)
        _signs(stage, side)
        _small(stage, side)
    _signals(stage)


def _post(stage: Stage, x: float, z: float, height: float, radius: float, **options: object) -> None:
    at = (x, KERB, z)
    stage.cast(
        np.array([[x - radius, KERB, z], [x + radius, KERB, z], [x + radius, height, z], [x - radius, height, z]]), KERB
    )
    stage.touch(x, z, 0.16, 0.16, KERB)
    stage.later(
        z,
        partial(
            furniture.draw_post, stage.canvas, stage.camera, stage.light, at, height, radius, stage.sun(x, z), **options
        ),
    )


def _lamps(stage: Stage, side: Side) -> None:
    rng = stage.rng
    height, step, x = rng.uniform(5.5, 8.5), rng.uniform(18, 32), side.sign * (side.kerb + 0.45)
    if rng.random() < 0.2:
        return
    for z in np.arange(rng.uniform(8, 26), 110, step):
        if not stage.plan.broken(z, 1):
            arm = -side.sign * rng.uniform(1.0, 1.6)
            stage.cast(
                np.array([[x - 0.08, KERB, z], [x + 0.08, KERB, z], [x + 0.08, height, z], [x - 0.08, height, z]]), KERB
            )
            stage.touch(x, z, 0.18, 0.18, KERB)
            stage.later(
                z,
                partial(
                    furniture.draw_lamp,
                    stage.canvas,
                    stage.camera,
                    stage.light,
                    (x, KERB, z),
                    height,
                    arm,
                    stage.sun(x, z),
                ),
            )


def _signs(stage: Stage, side: Side) -> None:
    rng = stage.rng
    for _ in range(rng.poisson(2.2)):
        z, x = 11 + 45 * rng.random() ** 1.2, side.sign * (side.kerb + rng.uniform(0.3, 0.6))
        if stage.plan.broken(z, 1):
            continue
        height = rng.uniform(2.2, 2.7)
        _post(stage, x, z, height + 0.35, 0.038)
        # Traffic on the left comes towards us, so most of its signs show us their backs.
        kind = "back" if side.sign < 0 and rng.random() < 0.5 else str(rng.choice(signs.SIGNS[:-1], p=_COMMON))
        lit = stage.sun(x, z)
        stage.later(
            z - 0.02,
            partial(signs.draw_sign, stage.canvas, stage.camera, stage.light, (x, KERB, z - 0.05), height, kind, lit),
        )
        if rng.random() < 0.3:
            other = str(rng.choice(signs.SIGNS[:-2]))
            stage.later(
                z - 0.03,
                partial(
                    signs.draw_sign,
                    stage.canvas,
                    stage.camera,
                    stage.light,
                    (x, KERB, z - 0.05),
                    height - 0.75,
                    other,
                    lit,
                ),
            )


def _signals(stage: Stage) -> None:
    """Traffic lights at the side road, or at a zebra now and then."""
    rng, plan = stage.rng, stage.plan
    position = plan.zebra if plan.zebra else (plan.crossing[0] - 1.5 if plan.crossing else None)
    if position is None or position < 7 or rng.random() < 0.25:
        return
    state = str(rng.choice(["red", "amber", "green"], p=[0.42, 0.12, 0.46]))
    common = (stage.canvas, stage.camera, stage.light)
    spots = [(1, position - 0.6, False), (-1, position - 0.3, rng.random() < 0.5)]
    if plan.crossing:
        spots += [(1, plan.crossing[1] + 0.8, False), (-1, plan.crossing[1] + 0.8, True)]
    for sign, z, away in spots:
        side = plan.right if sign > 0 else plan.left
        x = sign * (side.kerb + 0.5)
        lit = stage.sun(x, z)
        tall = sign > 0 and rng.random() < 0.5
        arm = -min(side.lane * 0.9, 3.2) if tall else 0.0
        _post(stage, x, z, 5.3 if tall else 3.3, 0.075, color=(90, 96, 94), arm=arm)
        stage.later(z - 0.05, partial(signs.draw_signal, *common, (x, KERB, z - 0.1), 2.75, state, lit, away))
        if tall:
            stage.later(z - 0.06, partial(signs.draw_signal, *common, (x + arm, KERB, z - 0.1), 5.3, state, lit, away))


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
            color = np.array([(60, 80, 62), (70, 72, 76), (150, 96, 40), (48, 60, 92)][rng.integers(4)], dtype=float)
            stage.touch(x, z, 0.35, 0.25, KERB)
            stage.later(z, partial(furniture.draw_bin, *common, (x, KERB, z), color, stage.sun(x, z)))
