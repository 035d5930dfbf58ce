"""What a person clicks to say which object is meant, as a browser sends it.

    {"points": [[u, v, is_in], ...], "box": [left, top, right, bottom]}

Coordinates are 0..1 from the left and from the top of the photograph; `is_in` is 1 on the object and 0 beside it.
"""

import math
from dataclasses import dataclass
from typing import Any

from core.errors import LabError

MAX_POINTS = 32
"""More clicks than an object takes: by then the brush is quicker."""
MIN_SIDE = 1e-4
"""Of the photograph, of a box."""


@dataclass(frozen=True)
class Prompts:
    """Points (u, v), for each whether it is on the object, and a box or None; all 0..1 of the image."""

    points: tuple[tuple[float, float], ...] = ()
    is_in: tuple[bool, ...] = ()
    box: tuple[float, float, float, float] | None = None


def parse_prompts(message: Any) -> Prompts | None:
    """Return the prompts of a message, checked; None where it has none, and the image is only to be looked at.

    Raises LabError where the message is of another form.
    """
    try:
        points = [(_share(u), _share(v), int(is_in)) for u, v, is_in in message["points"]]
        box = tuple(_share(each) for each in message["box"]) if message["box"] is not None else None
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise LabError(f"This is no click ({type(error).__name__}). Reload the page.") from None
    if len(points) > MAX_POINTS:
        raise LabError(f"An object has {MAX_POINTS} clicks at most. Mend the rest with the brush.")
    if any(is_in not in (0, 1) for _, _, is_in in points):
        raise LabError("A click is on the object or beside it, 1 or 0. Reload the page.")
    if box is not None and (len(box) != 4 or box[2] - box[0] < MIN_SIDE or box[3] - box[1] < MIN_SIDE):
        raise LabError("The box has no inside. Draw it from one corner of the object to the opposite one.")
    if not points and box is None:
        return None
    return Prompts(tuple((u, v) for u, v, _ in points), tuple(bool(is_in) for _, _, is_in in points), box)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no number")
    return min(1.0, max(0.0, float(value)))
