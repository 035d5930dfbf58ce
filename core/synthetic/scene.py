"""One street scene: choose plan, light and camera, set everything, paint it, and read its labels off the polygons."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from core.synthetic import buildings, houses, nature, sky
from core.synthetic.canvas import OVERSAMPLING, Canvas, Mark
from core.synthetic.coarse import coarsen, paint
from core.synthetic.ground import Ground
from core.synthetic.lens import expose
from core.synthetic.light import pick_light
from core.synthetic.paint import paint_road
from core.synthetic.perspective import Camera
from core.synthetic.plan import KERB, Plan, pick_plan
from core.synthetic.roadside import set_roadside
from core.synthetic.stage import Stage
from core.synthetic.traffic import set_traffic


@dataclass(frozen=True)
class Scene:
    """A street in the form Cityscapes stores it.

    Args:
        image: uint8 (H, W, 3), red green blue.
        label_ids: uint8 (H, W), Cityscapes ids 0..33.
        instance_ids: uint16 (H, W): the id, or id * 1000 + k for the k-th thing of a class that is counted.
        coarse_ids: uint8 (H, W): the coarse twin, 0 where a hurried annotator would have left the picture unlabelled.
        polygons: {"label": name, "polygon": [[x, y], ...]} in painting order; painting them gives `label_ids`.
        coarse_polygons: the same for `coarse_ids`.
    """

    image: np.ndarray
    label_ids: np.ndarray
    instance_ids: np.ndarray
    coarse_ids: np.ndarray
    polygons: list[dict]
    coarse_polygons: list[dict]


def draw_scene(seed: int, index: int, size: tuple[int, int] = (256, 512)) -> Scene:
    """Draw scene `index` of the series `seed` at `size` (height, width); the same arguments give the same bytes."""
    rng = np.random.default_rng([seed, index])
    plan, light = pick_plan(rng), pick_light(rng)
    canvas = Canvas(size)
    camera = _camera(rng, plan, canvas)
    stage = Stage(rng, canvas, camera, light, plan, table=nature.tints(rng, light, plan.season))
    _set_houses(stage)
    set_traffic(stage)
    set_roadside(stage)

    leaf = np.array(nature.LEAF[plan.season][0], dtype=float).mean(0)
    sky.draw_sky(rng, canvas, camera, light)
    sky.draw_horizon(rng, canvas, camera, light, leaf)
    ground = Ground(rng, canvas, camera, light, plan)
    ground.lay()
    paint_road(ground)
    ground.darken(stage.shadows, stage.contacts)
    stage.paint()
    if rng.random() < 0.4:
        _hood(stage)

    label_ids, instance_ids = paint(canvas.marks, size)
    coarse_marks = coarsen(canvas.marks, label_ids)
    return Scene(
        image=expose(rng, canvas, light),
        label_ids=label_ids,
        instance_ids=instance_ids,
        coarse_ids=paint(coarse_marks, size)[0],
        polygons=_listed(canvas.marks),
        coarse_polygons=_listed(coarse_marks),
    )


def _listed(marks: list[Mark]) -> list[dict]:
    return [{"label": mark.label, "polygon": mark.polygon.tolist()} for mark in marks]


def _camera(rng: np.random.Generator, plan: Plan, canvas: Canvas) -> Camera:
    """Behind the windscreen of a car in one of the right-hand lanes."""
    height, width = canvas.air.shape
    lane = int(rng.integers(plan.right.lanes))
    return Camera(
        size=(height, width),
        focal=width * rng.uniform(0.72, 0.95),
        horizon=height * rng.uniform(0.40, 0.50),
        centre=width * rng.uniform(0.44, 0.56),
        x=(lane + 0.5) * plan.right.lane + rng.normal(0, 0.15),
        height=rng.uniform(1.2, 1.5),
        yaw=rng.normal(0, 0.02),
        bend=rng.normal(0, 1 / 900) if rng.random() < 0.6 else 0.0,
    )


def _set_houses(stage: Stage) -> None:
    rng, plan, light = stage.rng, stage.plan, stage.light
    open_side = rng.choice([-1, 1]) if plan.kind == "park" else 0
    for sign in (-1, 1):
        if sign != open_side:
            stage.houses += houses.build_row(rng, plan, sign, rng.uniform(-8, 2), 138.0)
    closing = houses.end_blocks(rng, plan, stage.camera)
    for house in stage.houses + closing:
        if house.far > 3:
            # Front gardens, up to 20 m long, are painted whole and after the houses behind them.
            garden = 24.0 if (plan.left if house.sign < 0 else plan.right).yard > 2.5 else 0.0
            draw = partial(buildings.draw_house, stage.canvas, stage.camera, light, house, stage.houses)
            stage.later(house.far + garden, draw)
    for house in stage.houses:
        if house.sign * light.to_sun[0] > 0:
            stage.cast(house.box, 0.0)
            stage.cast(house.box, KERB)


def _hood(stage: Stage) -> None:
    """The bonnet of the camera's own car along the lower edge."""
    rng, canvas, light = stage.rng, stage.canvas, stage.light
    height, width = canvas.air.shape
    rise = height * rng.uniform(0.035, 0.075)
    x = np.linspace(0, width, 33)
    side = (x / width - 0.5) * 2
    edge = height - rise * (1 - 0.55 * np.abs(side) ** 2.6)
    base = np.array(rng.choice([(34, 36, 40), (60, 64, 70), (120, 122, 126), (40, 50, 70)]), dtype=float)
    up = np.array([0.0, 0.97, -0.24])
    matt = light.on(base, up)
    steps = 9
    for k in range(steps):
        drop = edge + (height - edge) * (k / steps)
        outline = np.concatenate([np.stack([x, drop], 1), [[width, height + 2], [0, height + 2]]])
        mirror = (1 - k / steps) ** 1.5 * 0.6
        canvas.fill(outline, np.clip(matt * (1 - mirror) + light.horizon * 0.8 * mirror, 0, 255), 0.0)
    rim = np.concatenate([np.stack([x, edge], 1), np.stack([x, edge + OVERSAMPLING], 1)[::-1]])
    canvas.fill(rim, np.clip(light.horizon * 0.9, 0, 255), 0.0)
    canvas.mark("ego vehicle", np.concatenate([np.stack([x, edge], 1), [[width, height], [0, height]]]))
