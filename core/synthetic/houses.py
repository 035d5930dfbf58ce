"""The plots along a street and the houses on them, as numbers; `buildings` draws them."""

from dataclasses import dataclass

import numpy as np

from core.synthetic.facades import STOREY
from core.synthetic.light import Light
from core.synthetic.perspective import Camera
from core.synthetic.plan import Plan
from core.synthetic.styles import Style, pick_style

_TILES = [(150, 84, 62), (126, 74, 60), (92, 88, 90), (108, 100, 98), (164, 104, 76)]


@dataclass(frozen=True)
class House:
    """One house: its side of the street, front distance, near and far end, wall height, roof and looks; metres.

    `over` is the height of the nearer neighbour, which hides that much of the gable; 0 where there is a gap.
    """

    sign: int
    front: float
    near: float
    far: float
    height: float
    deep: float
    roof: str
    tile: np.ndarray
    style: Style
    over: float

    @property
    def box(self) -> np.ndarray:
        """(8, 3) corners up to the roof's ridge, for shadows."""
        top = self.height + (2.4 if self.roof != "flat" else 0.4)
        xs = (self.sign * self.front, self.sign * (self.front + self.deep))
        return np.array([[x, y, z] for x in xs for y in (0.0, top) for z in (self.near, self.far)])


def build_row(rng: np.random.Generator, plan: Plan, sign: int, start: float, end: float) -> list[House]:
    """Return houses along one side from `start` to `end`, leaving the side road free."""
    side = plan.left if sign < 0 else plan.right
    houses = []
    suburb = plan.kind == "suburb"
    tall = {"old": (3, 6), "avenue": (4, 7), "suburb": (1, 3), "modern": (4, 10), "park": (3, 6)}[plan.kind]
    base = rng.integers(tall[0], tall[1] + 1)
    z, over = start, 0.0
    while z < end - 4:
        wide = rng.uniform(8, 15) if plan.kind in ("old", "suburb") else rng.uniform(12, 26)
        wide *= 1.0 if z < 75 else 1.8  # far away single houses can't be told apart
        gap = rng.uniform(3, 9) if suburb else (rng.uniform(4, 9) if rng.random() < 0.12 else 0.0)
        near, far = z, z + wide
        if plan.crossing:
            walk = side.walk + 0.3
            if near < plan.crossing[1] + walk and far > plan.crossing[0] - walk:
                far = plan.crossing[0] - walk
                if far - near < 5:
                    z, over = plan.crossing[1] + walk, 0.0
                    continue
                gap = plan.crossing[1] + walk - far
        floors = int(np.clip(base + rng.integers(-1, 2), *tall))
        height = floors * STOREY * rng.uniform(0.97, 1.06) + (0.7 if floors > 2 else 0.0)
        roofs = (
            ["flat"]
            if plan.kind == "modern"
            else ["gable", "gable", "mansard"]
            if suburb
            else ["mansard", "gable", "flat"]
        )
        houses.append(
            House(
                sign=sign,
                front=side.front + rng.uniform(0, 1.5) * suburb + 0.02,
                near=near,
                far=far,
                height=height,
                deep=rng.uniform(9, 12) if suburb else rng.uniform(12, 22),
                roof=str(rng.choice(roofs)),
                tile=np.array(_TILES[rng.integers(len(_TILES))]) * rng.uniform(0.85, 1.1),
                style=pick_style(rng, plan.kind),
                over=over,
            )
        )
        z, over = far + gap, 0.0 if gap else height
    return houses


def sunlit(houses: list[House], light: Light, x: float, z: float, y: float = 0.8) -> float:
    """1 where the sun reaches the point, 0 where a house stands in its way."""
    across = light.to_sun[0]
    for house in houses:
        if house.sign * across <= 0.02:
            continue
        run = (house.sign * house.front - x) / across
        if (
            run > 0
            and house.near < z + run * light.to_sun[2] < house.far
            and y + run * light.to_sun[1] < house.height + 1
        ):
            return 0.0
    return 1.0


def end_blocks(rng: np.random.Generator, plan: Plan, camera: Camera) -> list[House]:
    """Return houses across the end of the street and along the far side of the side road, which close the view."""
    houses = []
    if abs(camera.bend) < 1 / 900 and rng.random() < 0.35:
        style = pick_style(rng, plan.kind)
        height = rng.uniform(9, 20)
        houses.append(House(1, -30.0, 142.0, 154.0, height, 60.0, "flat", np.array(_TILES[0], float), style, 0.0))
    return houses
