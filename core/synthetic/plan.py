"""The plan of a street: what lies how far from the middle of the road, where it is crossed, and which season it is.

Distances are metres; `sign` is -1 for the left side and +1 for the right. A plan is only numbers; `ground`, `buildings`
and the others draw it.
"""

from dataclasses import dataclass

import numpy as np

KERB = 0.12
"""Height of the pavement above the asphalt, in metres."""

FAR = 230.0
"""How far the street is built, in metres."""


@dataclass(frozen=True)
class Side:
    """One side of the street, from the lanes outwards: lanes, parking, grass strip, walk, yard, house fronts."""

    sign: int
    lanes: int
    lane: float
    parking: float
    strip: float
    walk: float
    yard: float

    @property
    def drive(self) -> float:
        """Where the lanes end and parking, if any, begins."""
        return self.lanes * self.lane + 0.35

    @property
    def kerb(self) -> float:
        """Where the carriageway ends."""
        return self.drive + self.parking

    @property
    def path(self) -> float:
        """Where the walk begins, behind the grass strip."""
        return self.kerb + self.strip

    @property
    def edge(self) -> float:
        """Where the walk ends."""
        return self.path + self.walk

    @property
    def front(self) -> float:
        """Where the houses stand."""
        return self.edge + self.yard


@dataclass(frozen=True)
class Plan:
    """A whole street: `kind` is "old", "avenue", "suburb", "modern" or "park".

    `crossing` is the (near, far) of a side road.
    """

    kind: str
    season: str
    left: Side
    right: Side
    crossing: tuple[float, float] | None
    zebra: float | None
    rails: bool
    wet: bool

    @property
    def sides(self) -> tuple[Side, Side]:
        """Left and right."""
        return self.left, self.right

    def broken(self, z: float, margin: float = 0.0) -> bool:
        """Return whether a side road cuts the pavement at `z`, or is nearer than `margin`."""
        return self.crossing is not None and self.crossing[0] - margin < z < self.crossing[1] + margin

    def stretches(self, start: float, end: float = FAR, margin: float = 0.0) -> list[tuple[float, float]]:
        """Return the pieces (near, far) of start..end that the side road leaves."""
        if self.crossing is None:
            return [(start, end)]
        return [
            (a, b) for a, b in ((start, self.crossing[0] - margin), (self.crossing[1] + margin, end)) if b - a > 0.5
        ]


# kind: share, lanes left, lanes right, lane, parking, strip, walk, yard
_KINDS = {
    "old": (0.22, (1, 1), (1, 1), (2.7, 3.1), 0.55, 0.05, (2.0, 3.4), (0.0, 0.0)),
    "avenue": (0.20, (1, 2), (1, 2), (3.0, 3.4), 0.7, 0.7, (3.2, 5.0), (0.0, 0.5)),
    "suburb": (0.27, (1, 1), (1, 1), (2.8, 3.2), 0.35, 0.6, (1.8, 2.8), (3.5, 7.0)),
    "modern": (0.15, (1, 2), (1, 2), (3.0, 3.5), 0.4, 0.45, (3.0, 5.0), (0.0, 4.0)),
    "park": (0.16, (1, 1), (1, 2), (2.9, 3.3), 0.5, 0.4, (2.2, 3.5), (0.0, 2.0)),
}


def pick_plan(rng: np.random.Generator) -> Plan:
    """Return a random street."""
    names = list(_KINDS)
    kind = names[rng.choice(len(names), p=[_KINDS[name][0] for name in names])]
    _, left_lanes, right_lanes, lane, parking, strip, walk, yard = _KINDS[kind]
    width = rng.uniform(*lane)

    def side(sign: int, lanes: tuple[int, int]) -> Side:
        return Side(
            sign=sign,
            lanes=int(rng.integers(lanes[0], lanes[1] + 1)),
            lane=width,
            parking=2.15 if rng.random() < parking else 0.0,
            strip=float(rng.uniform(1.2, 2.4)) if rng.random() < strip else 0.0,
            walk=float(rng.uniform(*walk)),
            yard=float(rng.uniform(*yard)),
        )

    crossing = None
    if rng.random() < 0.55:
        near = rng.uniform(18, 55)
        crossing = (near, near + rng.uniform(6.5, 11))
    zebra = None
    if crossing is not None and rng.random() < 0.75:
        zebra = crossing[0] - rng.uniform(4.2, 5.5)
    elif rng.random() < 0.3:
        zebra = rng.uniform(9, 40)
    return Plan(
        kind=kind,
        season=str(rng.choice(["spring", "summer", "autumn", "winter"], p=[0.28, 0.42, 0.2, 0.1])),
        left=side(-1, left_lanes),
        right=side(1, right_lanes),
        crossing=crossing,
        zebra=zebra,
        rails=kind in ("avenue", "modern") and rng.random() < 0.25,
        wet=rng.random() < 0.12,
    )
