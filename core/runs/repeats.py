"""Repeats: runs with the same settings but for the seed, or but for the fold that they are scored on, and what they say
together.

One run is one draw. The mean of several has an interval, by Student's t (The probable error of a mean, Biometrika 6,
1908). Over seeds it covers what the seed of the training changes and not what other frames would; over folds it is too
narrow, since any two learn from most of the same frames (Bengio and Grandvalet: No unbiased estimator of the variance
of k-fold cross-validation, JMLR 5, 2004).
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.config import ModelConfig
from core.runs.metrics_log import best_evaluation, evaluations
from core.runs.store import Run

T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Quantile 0.975 of Student's t for 1 to 30 degrees of freedom; beyond, the last one errs on the safe side."""

OF_MACHINE = ("device", "threads", "workers", "compile", "checkpoint_seconds")
"""Training fields beside the seed in which repeats of so many epochs may differ. With so many minutes they decide how
many steps these hold.
"""
PLANNED = ("pretrained", "space", "data")
"""What repeats have in common of their plans too: auto weights may be there or not, and a folder's files change."""
NO_FOLD_LEFT = "Each fold has a run already. Resume those that stopped, or delete those that failed."
By = Literal["seed", "fold"]
"""What repeats differ in."""


@dataclass(frozen=True)
class Spread:
    """The mean of some values, their standard deviation (of a sample), and the 95 % interval of the mean.

    All NaN but the mean where there is one value.
    """

    count: int
    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Repeats:
    """What repeats come to.

    Attributes:
        by: what the runs differ in.
        runs: the finished ones, by seed or fold.
        miou: of their best validation scores, 0..1.
        iou: of each class, None where a run has no score of it.
    """

    by: By
    runs: tuple[Run, ...]
    miou: Spread
    iou: tuple[Spread | None, ...]

    @property
    def sentence(self) -> str:
        """The score to quote, in percent: "0.43 ± 0.01 over three seeds" and its interval."""
        spread = self.miou
        if spread.count < 2:
            return f"Mean IoU {100 * spread.mean:.1f} % with one {self.by}. Others show how much of it is chance."
        return (
            f"Mean IoU {100 * spread.mean:.1f} ± {100 * spread.deviation:.1f} % over {spread.count} {self.by}s (mean"
            f" and standard deviation); 95 % interval of the mean {100 * spread.low:.1f} to {100 * spread.high:.1f} %."
        )


def spread_of(values: Sequence[float]) -> Spread:
    """Return the spread of one value or more. Raises ValueError for none."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Spread(len(values), mean, math.nan, math.nan, math.nan)
    deviation = statistics.stdev(values)
    half = T_975[min(len(values) - 1, len(T_975)) - 1] * deviation / math.sqrt(len(values))
    return Spread(len(values), mean, deviation, mean - half, mean + half)


def are_repeats(one: Run, other: Run, by: By = "seed") -> bool:
    """Return whether two runs differ in the seed alone, or in the fold, or in what changes no result: settings, and
    data and weights as far as their plans name them. By the fold the first may have no folds, or others.
    """
    if one.config is None or other.config is None or (by == "fold" and not other.config.dataset.folds):
        return False
    mine, theirs = one.config, other.config
    dataset = mine.dataset
    planned: Sequence[str] = PLANNED
    apart = () if mine.training.minutes else OF_MACHINE
    if by == "seed":
        apart = ("seed", *apart)
    else:
        # Which frames these are is a plan's `data` too, and each fold has others.
        folds = {name: getattr(theirs.dataset, name) for name in ("folds", "fold")}
        dataset, planned = dataset.model_copy(update=folds), PLANNED[:-1]
    training = mine.training.model_copy(update={name: getattr(theirs.training, name) for name in apart})
    if (dataset, mine.model, training) != (theirs.dataset, theirs.model, theirs.training):
        return False
    return all(one.plan[name] == other.plan[name] for name in planned if name in one.plan and name in other.plan)


def number_of(run: Run, by: By) -> int:
    """Return a run's seed, or its fold."""
    if run.config is None:
        return 0
    return run.config.training.seed if by == "seed" else run.config.dataset.fold


def repeats_of(run: Run, runs: Sequence[Run], by: By = "seed") -> list[Run]:
    """Return the runs of a run's recipe, whatever their state, in the order of their seeds or folds."""
    same = [other for other in runs if are_repeats(run, other, by)]
    return sorted(same, key=lambda other: (number_of(other, by), other.id))


def groups_of_repeats(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs that are repeats with several seeds, each recipe's together."""
    groups: dict[ModelConfig, list[list[Run]]] = {}
    for run in runs:
        if run.config is None:
            continue
        alike = groups.setdefault(run.config.model, [])
        group = next((group for group in alike if are_repeats(group[0], run)), None)
        if group is None:
            alike.append([run])
        else:
            group.append(run)
    return [group for alike in groups.values() for group in alike if len({number_of(run, "seed") for run in group}) > 1]


def folds_of(run: Run, runs: Sequence[Run]) -> dict[int, list[Run]]:
    """Return the runs of a run's recipe that were scored on folds, by how many there are."""
    result: dict[int, list[Run]] = {}
    for other in repeats_of(run, runs, "fold"):
        result.setdefault(other.config.dataset.folds if other.config else 0, []).append(other)
    return dict(sorted(result.items()))


def summarize_repeats(runs: Sequence[Run], by: By = "seed") -> Repeats | None:
    """Return what the finished ones of some repeats come to by their own validation scores, the newest of each seed or
    fold; None where none of them has one.
    """
    newest = {number_of(run, by): run for run in runs if run.config and run.state == "finished"}
    rows = [(run, best_evaluation(evaluations(run.path))) for run in newest.values()]
    scored = [(run, row) for run, row in rows if row is not None and len(row["iou"]) == len(run.class_names)]
    scored = [(run, row) for run, row in scored if run.class_names == scored[0][0].class_names]
    if not scored:
        return None
    columns = zip(*(row["iou"] for _, row in scored), strict=True)
    return Repeats(
        by,
        tuple(run for run, _ in scored),
        spread_of([row["miou"] for _, row in scored]),
        tuple(_spread_or_none(column) for column in columns),
    )


def _spread_or_none(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return spread_of(known) if len(known) == len(values) else None
