"""What a tracker is told: the numbers of a run's rows, under names that are the same in every tracker."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

KINDS = {"train": "train", "eval": "val"}
"""Rows that are passed on, and what their numbers' names begin with."""
PASSED_OVER = frozenset({"kind", "step", "seconds_left", "iou", "predicted", "truth"})


@dataclass(frozen=True)
class Point:
    """The numbers of one row.

    Attributes:
        kind: of the row, `train` or `eval`.
        step: of the run.
        time: seconds since 1970; the same whenever the row is read, so that a point that is sent twice is the same
            point.
        values: by name, like `train/loss` or `val/iou/road`.
    """

    kind: str
    step: int
    time: float
    values: dict[str, float]


def points_of(rows: Iterable[dict[str, Any]], class_names: Sequence[str], started: float) -> list[Point]:
    """Return the points of some rows of a metrics.jsonl, in their order.

    Args:
        rows: as `core.runs.metrics_log.read_metrics` gives them; what is no number in them is left out.
        class_names: names of the classes, in the order of an eval row's IoUs.
        started: when the run began, seconds since 1970; rows count minutes from there.
    """
    results = []
    for row in rows:
        prefix = KINDS.get(row.get("kind", ""))
        if prefix is None:
            continue
        values = {
            f"{prefix}/{name}": float(value)
            for name, value in row.items()
            if name not in PASSED_OVER and _is_number(value)
        }
        if row["kind"] == "eval" and isinstance(row.get("iou"), list):
            pairs = zip(class_names, row["iou"], strict=False)
            values |= {f"{prefix}/iou/{name}": float(value) for name, value in pairs if _is_number(value)}
        minutes = row.get("minutes")
        moment = started + 60 * (minutes if _is_number(minutes) else 0)
        if values:
            results.append(Point(row["kind"], row["step"], moment, values))
    return results


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
