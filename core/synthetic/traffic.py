"""Who is under way: cars in lanes and along the kerb, buses, trucks, trams, cyclists, motorcyclists and people on
foot.
"""

from functools import cache, partial

import numpy as np

from core.synthetic import cars, coaches, people, vehicles
from core.synthetic.plan import KERB, Side
from core.synthetic.solids import Mesh
from core.synthetic.stage import Stage


@cache
def _car(kind: str) -> Mesh:
    return cars.car_mesh(cars.CARS[kind])


@cache
def _coach(kind: str) -> Mesh:
    return {"bus": coaches.bus_mesh, "truck": coaches.truck_mesh, "train": coaches.tram_mesh}[kind]()


_COACHES = {"bus": (11.5, 2.5, 3.0), "truck": (7.5, 2.45, 3.3), "train": (22.0, 2.4, 3.4)}


def _add(stage: Stage, label: str, x: float, z: float, heading: float, driven: bool) -> None:
    """Put one vehicle with its shadow on the road."""
    rng = stage.rng
    if label == "car":
        kind = str(rng.choice(list(cars.CARS), p=[0.27, 0.2, 0.17, 0.19, 0.08, 0.09]))
        body = cars.CARS[kind]
        mesh, size = _car(kind), (body.length, body.width, body.roof)
        lamps = (body.width * 0.36, 0.64, body.length / 2)
    else:
        mesh, size = _coach(label), _COACHES[label]
        lamps = (0.95, 0.75, size[0] / 2)
    at = (x, 0.0, z)
    stage.cast(vehicles.footprint(*size, at, heading), 0.0)
    stage.touch(x, z, size[1] * 0.52, size[0] * 0.5, 0.0)
    sunlit = stage.sun(x, z)
    draw = partial(
        vehicles.draw_vehicle,
        rng,
        stage.canvas,
        stage.camera,
        stage.light,
        label,
        mesh,
        at,
        heading,
        sunlit,
        driven,
        lamps,
    )
    stage.later(z - size[0] / 2 * abs(np.cos(heading)), draw)


def set_traffic(stage: Stage) -> None:
    """Fill the lanes, the kerbs, the cycle line and the walks."""
    rng, plan = stage.rng, stage.plan
    busy = rng.uniform(0.25, 1.0)
    for side in plan.sides:
        for lane in range(side.lanes):
            _lane(stage, side, lane, busy)
        if side.parking:
            _parked(stage, side)
        _wheels(stage, side)
        _walkers(stage, side)
    if plan.crossing and rng.random() < 0.3:
        near, far = plan.crossing
        heading = float(rng.choice([-np.pi / 2, np.pi / 2]))
        x = rng.uniform(3, 9) * -np.sign(heading)
        _add(stage, "car", x, near + (far - near) * (0.3 if heading > 0 else 0.7), heading, True)
    if plan.zebra and rng.random() < 0.5 and plan.zebra > 8:
        for _ in range(rng.integers(1, 5)):
            x = rng.uniform(-plan.left.kerb, plan.right.kerb)
            _walker(
                stage, x, plan.zebra + rng.uniform(0.5, 2.8), float(rng.choice([-1.5, 1.5]) + rng.normal(0, 0.1)), 0.0
            )


def _lane(stage: Stage, side: Side, lane: int, busy: float) -> None:
    rng, plan = stage.rng, stage.plan
    x = side.sign * (lane + 0.5) * side.lane
    ahead = side.sign > 0
    own = ahead and abs(x - stage.camera.x) < 1.2
    z = rng.uniform(9, 26) if own else rng.uniform(6, 30)
    heading = 0.0 if ahead else np.pi
    if plan.zebra and own and rng.random() < 0.5:
        z = max(z, plan.zebra + 8)
    while z < 100:
        kind, draw = "car", rng.random()
        if draw < 0.045:
            kind = "truck"
        elif draw < 0.13:
            kind = "bus"
        if plan.rails and lane == 0 and rng.random() < 0.4:
            kind = "train"
        long = 4.6 if kind == "car" else _COACHES[kind][0]
        z += long / 2
        if kind == "truck" and z < 16 and not own:
            kind = "car"
        if z - long / 2 > 5 and not (plan.zebra and abs(z - plan.zebra - 1.6) < long / 2 + 2.5):
            drift = 0.0 if kind == "train" else rng.normal(0, 0.12)
            _add(stage, kind, x + drift, z, heading + rng.normal(0, 0.012), True)
        z += long / 2 + rng.uniform(3, 16) / busy


def _parked(stage: Stage, side: Side) -> None:
    rng, plan = stage.rng, stage.plan
    x = side.sign * (side.drive + side.parking / 2 - 0.05)
    full = rng.uniform(0.45, 0.95)
    z = rng.uniform(4, 8)
    while z < 80:
        if rng.random() < full and not plan.broken(z, 5.5) and not (plan.zebra and abs(z - plan.zebra) < 6):
            backwards = rng.random() < 0.12
            kind = "truck" if rng.random() < 0.03 else "car"
            z += 1.6 * (kind == "truck")
            _add(
                stage,
                kind,
                x + rng.normal(0, 0.08),
                z,
                (0.0 if (side.sign > 0) != backwards else np.pi) + rng.normal(0, 0.02),
                False,
            )
        z += rng.uniform(5.2, 6.4)


def _wheels(stage: Stage, side: Side) -> None:
    """Cyclists and motorcyclists near the kerb, and bicycles leaning about on the walk."""
    rng = stage.rng
    for _ in range(rng.poisson(0.75)):
        z = 7 + 34 * rng.random() ** 1.3
        motor = rng.random() < 0.3
        x = side.sign * (side.drive - (rng.uniform(0.4, 0.9) if not motor else rng.uniform(0.9, 2.0)))
        heading = (0.0 if side.sign > 0 else np.pi) + rng.normal(0, 0.1)
        machine = people.motorcycle(rng) if motor else people.bicycle(rng)
        rider = people.biker(rng) if motor else people.cyclist(rng)
        _ride(stage, "motorcycle" if motor else "bicycle", machine, rider, (x, 0.0, z), heading)
    for _ in range(rng.poisson(0.9)):
        z = rng.uniform(7, 40)
        if not stage.plan.broken(z, 2):
            motor = rng.random() < 0.3
            x = side.sign * (side.path + rng.uniform(0.3, 0.6))
            machine = people.motorcycle(rng) if motor else people.bicycle(rng)
            _ride(
                stage,
                "motorcycle" if motor else "bicycle",
                machine,
                None,
                (x, KERB, z),
                rng.uniform(-0.6, 0.6) + rng.choice([0, np.pi / 2, np.pi]),
            )


def _ride(
    stage: Stage,
    label: str,
    machine: people.Figure,
    rider: people.Figure | None,
    at: tuple[float, float, float],
    heading: float,
) -> None:
    lit = stage.sun(at[0], at[2])
    high = 1.75 if rider else 1.0
    stage.cast(vehicles.footprint(1.7, 0.4, high, at, heading), at[1])
    stage.touch(at[0], at[2], 0.25 + 0.5 * abs(np.sin(heading)), 0.25 + 0.6 * abs(np.cos(heading)), at[1])
    common = (stage.canvas, stage.camera, stage.light)
    stage.later(at[2], partial(people.draw_figure, *common, label, machine, at, heading, lit))
    if rider:
        stage.later(at[2] - 0.01, partial(people.draw_figure, *common, "rider", rider, at, heading, lit))


def _walkers(stage: Stage, side: Side) -> None:
    rng = stage.rng
    for _ in range(rng.poisson(4.2 if stage.plan.kind != "suburb" else 2.0)):
        z = 8 + 55 * rng.random() ** 1.4
        if stage.plan.broken(z, 1):
            continue
        x = side.sign * rng.uniform(side.path + 0.35, max(side.edge - 0.3, side.path + 0.5))
        heading = float(rng.choice([0.0, np.pi], p=[0.45, 0.55]) + rng.normal(0, 0.3))
        if rng.random() < 0.12:
            heading = float(rng.uniform(0, 2 * np.pi))
        for mate in range(1 + int(rng.random() < 0.3)):
            _walker(stage, x + 0.6 * mate * -side.sign, z + 0.15 * mate, heading, KERB)


def _walker(stage: Stage, x: float, z: float, heading: float, ground: float) -> None:
    figure, tall = people.walker(stage.rng)
    at = (x, ground, z)
    stage.cast(vehicles.footprint(0.5, 0.42, tall, at, heading), ground)
    stage.touch(x, z, 0.27, 0.27, ground)
    stage.later(
        z,
        partial(
            people.draw_figure, stage.canvas, stage.camera, stage.light, "person", figure, at, heading, stage.sun(x, z)
        ),
    )
