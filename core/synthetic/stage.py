"""The stage on which a street is set: canvas, camera, light and plan, and the things waiting to be painted far to
near.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from core.synthetic.canvas import Canvas
from core.synthetic.houses import House, sunlit
from core.synthetic.light import Light
from core.synthetic.perspective import Camera
from core.synthetic.plan import Plan


@dataclass
class Stage:
    """Everything the parts of a street share while it is being set."""

    rng: np.random.Generator
    canvas: Canvas
    camera: Camera
    light: Light
    plan: Plan
    houses: list[House] = field(default_factory=list)
    table: np.ndarray = field(default_factory=lambda: np.zeros((256, 1, 3), np.uint8))
    queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    shadows: list[np.ndarray] = field(default_factory=list)
    contacts: list[np.ndarray] = field(default_factory=list)

    def later(self, z: float, draw: Callable[[], None]) -> None:
        """Paint something at distance `z` when its turn comes."""
        self.queue.append((z, len(self.queue), draw))

    def sun(self, x: float, z: float) -> float:
        """1 where the sun shines at chest height, 0 in the shade of a house."""
        return sunlit(self.houses, self.light, x, z)

    def cast(self, points: np.ndarray, ground: float) -> None:
        """Throw the shadow of the hull of `points` (N, 3) on the ground at this height."""
        if self.light.sun.max() > 0.15:
            self.shadows.append(self.light.shadow(points, ground))

    def touch(self, x: float, z: float, across: float, along: float, ground: float) -> None:
        """A soft dark patch where something stands; half sizes in metres."""
        angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        self.contacts.append(
            np.stack([x + across * np.cos(angles), np.full(14, ground), z + along * np.sin(angles)], 1)
        )

    def paint(self) -> None:
        """Paint all that waits, far to near."""
        for _, _, draw in sorted(self.queue, key=lambda item: (-item[0], item[1])):
            draw()
