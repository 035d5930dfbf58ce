"""What looks wrong in a run's metrics, in the order in which to worry, each with what to try.

Pure and quick: rows in, remarks out. A rule stays silent until it has seen enough rows, and a healthy run gets no
remark at all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from core.config import setting_of
from core.runs.metrics_log import valid_rows
from core.text import join_first

Row = Mapping[str, Any]

SWALLOWS, SWALLOWED = 0.9, 0.7
"""A class that takes more than the first share of all predictions and less than the second of the truth swallows the
others.
"""

EARLY, THIRD = 0.1, 1 / 3
"""Shares of a run before which the one-class and the zero-class rule say nothing: every network begins like that."""

MIN_LOSSES = 40
BLOCKS = 20
"""Medians of so many blocks stand for the last half of the losses."""

HARDLY = 0.75
"""A loss that ever fell below this share of its beginning did fall, even where it no longer does."""

MIN_EVALUATIONS = 5
RISEN = 1.05
"""A validation loss rises where the middle of its last three exceeds its best by this factor."""

WAITING = 0.2
WAITING_ROWS = 50
MIN_WAITS = 10

LONG_AGO = 0.4
LOST_SCORE = 0.005
"""The best mIoU was long ago where so great a share of the evaluations came after it, and none since came closer than
this.
"""

JUMP, JUMPS, BEFORE = 3.0, 3, 20
"""So many losses of more than three times the median of the twenty before them are no chance."""

SHOWN_AS_ZERO = 0.0005
"""A table shows what is below this as 0.0 %."""

NAMES = 4
"""Classes that a sentence names before it says "and more"."""


@dataclass(frozen=True)
class Remark:
    """Something that looks wrong: a word for programs, how bad it is, what was seen, and what to try."""

    code: Literal[
        "diverged", "one-class", "flat-loss", "jumping-loss", "overfitting", "zero-classes", "best-long-ago", "waiting"
    ]
    severity: Literal["error", "warning", "hint"]
    sentence: str
    fix: str


def diagnose(rows: Sequence[dict[str, Any]], class_names: Sequence[str], plan: Mapping[str, Any]) -> list[Remark]:
    """Look at the metrics of a run so far.

    Args:
        rows: of its metrics.jsonl, oldest first, those that a resume made void included.
        class_names: K names.
        plan: its plan.json; empty before there is one.
    """
    valid = valid_rows(list(rows))
    trained = [row for row in valid if row.get("kind") == "train"]
    scored = [row for row in valid if row.get("kind") == "eval"]
    total = plan.get("steps_total") or max((row["step"] for row in valid), default=0)
    done = max((row["step"] for row in valid), default=0) / total if total else 0.0
    rules: tuple[Callable[[], Iterator[Remark]], ...] = (
        lambda: _diverged(valid),
        lambda: _one_class(scored, class_names, plan, total),
        lambda: _flat_loss(trained, done),
        lambda: _jumping_loss(trained),
        lambda: _overfitting(trained, scored),
        lambda: _zero_classes(scored, class_names, total),
        lambda: _best_long_ago(scored),
        lambda: _waiting(trained),
    )
    return [remark for rule in rules for remark in rule()]


def _diverged(rows: Sequence[Row]) -> Iterator[Remark]:
    for row in rows:
        if row.get("kind") == "diverged":
            yield Remark(
                "diverged",
                "error",
                f"The training diverged at step {row['step']}. {row.get('where', '')}".strip(),
                "Lower the learning rate (a third is a good try). On the page Train there are also"
                f" {on_form('grad_clip_norm')} (1 is a good try), and {on_form('precision')} (fp32).",
            )


def _one_class(
    scored: Sequence[Row], class_names: Sequence[str], plan: Mapping[str, Any], total: int
) -> Iterator[Remark]:
    if not scored or scored[-1]["step"] < EARLY * total:
        return
    predicted = scored[-1].get("predicted") or []
    truth = scored[-1].get("truth") or _shares(plan.get("class_pixels") or [])
    if not len(predicted) == len(truth) == len(class_names):
        return
    index = int(np.argmax(predicted))
    if predicted[index] > SWALLOWS and truth[index] < SWALLOWED:
        yield Remark(
            "one-class",
            "error",
            f"Almost everything is called {class_names[index]}: {predicted[index]:.0%} of the pixels, though it has"
            f" {truth[index]:.0%} of them.",
            "Lower the learning rate: one that is too high ends like this. Or weigh the classes: on the page Train,"
            f" set {on_form('class_weights')}, to sqrt or median.",
        )


def _flat_loss(trained: Sequence[Row], done: float) -> Iterator[Remark]:
    losses = _series(trained, "loss")
    if len(losses) < MIN_LOSSES or done < THIRD:
        return
    second_half = losses[len(losses) // 2 :]
    if np.median(second_half) < HARDLY * np.median(losses[:BEFORE]):
        return
    # Theil and Sen: the median of all slopes between two blocks, which no single block can bend.
    blocks = np.array([np.median(part) for part in np.array_split(second_half, BLOCKS)])
    first, second = np.triu_indices(BLOCKS, k=1)
    slope = float(np.median((blocks[second] - blocks[first]) / (second - first)))
    residuals = blocks - slope * np.arange(BLOCKS)
    noise = 1.4826 * float(np.median(np.abs(residuals - np.median(residuals))))
    if -slope * (BLOCKS - 1) <= noise:
        yield Remark(
            "flat-loss",
            "warning",
            f"The training loss doesn't fall: it was about {np.median(losses[:BEFORE]):.2f} at first and is"
            f" {np.median(second_half):.2f} now.",
            "On the page Train, press Find a learning rate under Try first. And look at the masks on the page Data: do"
            " they lie over their photographs?",
        )


def _jumping_loss(trained: Sequence[Row]) -> Iterator[Remark]:
    losses = _series(trained, "loss")
    if len(losses) <= BEFORE + JUMPS:
        return
    medians = np.median(np.lib.stride_tricks.sliding_window_view(losses[:-1], BEFORE), axis=1)
    jumps = int((losses[BEFORE:] > JUMP * medians).sum())
    if jumps >= JUMPS:
        yield Remark(
            "jumping-loss",
            "warning",
            f"The training loss jumped to more than {JUMP:.0f} times its usual value {jumps} times: the learning rate"
            " is too high.",
            "Take a third of the learning rate, or a larger batch.",
        )


def _overfitting(trained: Sequence[Row], scored: Sequence[Row]) -> Iterator[Remark]:
    known = [row for row in scored if _is_number(row.get("loss"))]
    if len(known) < MIN_EVALUATIONS:
        return
    losses = [row["loss"] for row in known]
    best = int(np.argmin(losses))
    since = losses[best + 1 :]
    if (
        len(since) < 3
        or np.median(losses[-3:]) < RISEN * losses[best]
        or np.polyfit(range(len(since)), since, 1)[0] <= 0
    ):
        return
    step = known[best]["step"]
    before = _series([row for row in trained if row["step"] <= step][-WAITING_ROWS:], "loss")
    after = _series([row for row in trained if row["step"] > step][-WAITING_ROWS:], "loss")
    if len(before) and len(after) and np.median(after) < np.median(before):
        yield Remark(
            "overfitting",
            "warning",
            f"From epoch {known[best].get('epoch', '?')} on the loss rises on the validation frames and falls on the"
            " training frames: the network learns them by heart (overfitting).",
            f"On the page Train, vary the crops more (under {setting_of('training', 'rotation').group}), raise"
            f" {on_form('weight_decay')}, or take more frames. The best checkpoint is kept.",
        )


def _zero_classes(scored: Sequence[Row], class_names: Sequence[str], total: int) -> Iterator[Remark]:
    if not scored or scored[-1]["step"] < THIRD * total:
        return
    iou = scored[-1].get("iou") or []
    truth = scored[-1].get("truth") or [1.0] * len(iou)
    if not len(iou) == len(truth) == len(class_names):
        return
    shown = [(name, score) for name, score, share in zip(class_names, iou, truth, strict=True) if share > 0]
    missed = [name for name, score in shown if score is not None and score < SHOWN_AS_ZERO]
    if missed and len(missed) < len(class_names):
        names = join_first(missed, NAMES)
        yield Remark(
            "zero-classes",
            "hint",
            f"{'One class is' if len(missed) == 1 else f'{len(missed)} classes are'} never found on the validation"
            f" frames: {names}.",
            f"Train for longer. Or, on the page Train, set {on_form('rare_crops')}, to 0.5, or"
            f" {on_form('class_weights')}, to median.",
        )


def _best_long_ago(scored: Sequence[Row]) -> Iterator[Remark]:
    known = [row for row in scored if _is_number(row.get("miou"))]
    if len(known) <= MIN_EVALUATIONS:
        return
    scores = [row["miou"] for row in known]
    best = int(np.argmax(scores))
    since = scores[best + 1 :]
    if len(since) >= max(3, LONG_AGO * len(scores)) and max(since) < scores[best] - LOST_SCORE:
        yield Remark(
            "best-long-ago",
            "hint",
            f"The mean IoU was at its best at step {known[best]['step']} ({scores[best]:.1%}); {len(since)} evaluations"
            " since brought nothing better.",
            f"On the page Train, {on_form('stop_early')}, lets a run end by itself. The best checkpoint is kept.",
        )


def _waiting(trained: Sequence[Row]) -> Iterator[Remark]:
    shares = _series(trained[-WAITING_ROWS:], "waiting")
    if len(shares) >= MIN_WAITS and np.median(shares) > WAITING:
        yield Remark(
            "waiting",
            "hint",
            f"The network waits for its frames during {np.median(shares):.0%} of the time.",
            f"On the page Train, keep decoded frames on disk ({on_form('cache', 'dataset')}: raw), or let more"
            f" processes load them ({on_form('workers')}).",
        )


def _series(rows: Sequence[Row], name: str) -> np.ndarray:
    """Return a field's values where there are any, float64 (N,)."""
    return np.array([row[name] for row in rows if _is_number(row.get(name))], np.float64)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total for count in counts] if total else []


def on_form(name: str, part: str = "training") -> str:
    """Return where a field stands on the page Train: "Class weights, under Loss"."""
    setting = setting_of(part, name)
    return f"{setting.title}, under {setting.group}"
