"""What scores are made of: views of cards per class, as a confusion matrix, by confidence, by place, and against the
truth in coarse cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
from markupsafe import Markup

from app.frame_links import frame_links
from app.html import joined, show
from app.leaderboard import upper_bound_text
from app.score_figures import confusion_figure, distance_figure, reliability_figure
from app.tables import MISSING, Cell, class_table, dot, table
from core.escaping import escape_markdown
from core.evaluation.metrics.upper_bounds import STRIDES
from core.evaluation.published import UPPER_BOUNDS
from core.evaluation.results import EvaluationResult, EvaluationSettings
from core.runs.fitted_temperature import FittedTemperature, read_temperature
from core.runs.store import Run
from core.text import format_percent

PER_CLASS = {
    "iou": "IoU",
    "iiou": "iIoU",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "boundary_f1": "Boundary F1",
}
PER_CLASS_HELP = (
    "IoU: pixels that prediction and truth share, over the pixels that either has. iIoU: the same, each object weighed"
    " by its size, so that small ones count as much. Precision: how many predicted pixels are right. Recall: how many"
    " true pixels are found. F1: both in one. Boundary F1: the same for outlines, within 0.75 % of the"
    " frame's diagonal, as a mean over the frames that show the class; its mean over all is first over the classes that"
    " a frame shows, then over the frames. mIoU is the mean of IoU over the"
    " classes."
)
NORMALISED = {"row": "True class", "column": "Prediction", "all": "All pixels"}
FRAMES = 12
"""Frames that are listed behind a cell or a difference."""
PLAIN = {"displayModeBar": False}


@dataclass(frozen=True)
class Shown:
    """What the views look at: runs that were scored alike.

    Attributes:
        results: by the run's id.
        runs, names, colors: of every run of the lab, by id.
        settings: how they were scored.
    """

    results: dict[str, EvaluationResult]
    runs: dict[str, Run]
    names: dict[str, str]
    colors: dict[str, str]
    settings: EvaluationSettings

    @property
    def dots(self) -> dict[str, str]:
        """Return the colours by the names that stand in a table's head."""
        return {self.names[run_id]: self.colors[run_id] for run_id in self.results}

    def pick(self, label: str, key: str) -> str:
        """Draw a widget that chooses one of the runs, where there are several."""
        if len(self.results) == 1:
            return next(iter(self.results))
        return st.selectbox(label, list(self.results), format_func=self.names.get, key=key)


def classes_view(shown: Shown) -> None:
    """Show a score per class and category for each run."""
    first = next(iter(shown.results.values())).scores
    offered = [name for name in PER_CLASS if name != "iiou" or not first.iiou_reason]
    if st.session_state.get("per-class") not in offered:
        st.session_state.pop("per-class", None)  # chosen for runs that have it
    metric = st.segmented_control(
        "Score",
        offered,
        format_func=PER_CLASS.get,
        default="iou",
        required=True,
        key="per-class",
        help=PER_CLASS_HELP,
    )
    if metric == "boundary_f1" and any(result.scores.boundary_f1 is None for result in shown.results.values()):
        st.caption("Boundaries weren't looked at. Switch them on above, and score again.")
        return
    class_names = first.protocol.names
    run = shown.runs[next(iter(shown.results))]
    values = {
        shown.names[run_id]: _or_none(getattr(result.scores, metric), len(class_names))
        for run_id, result in shown.results.items()
    }
    totals = {}
    for name, column in values.items():
        known = [value for value in column if value is not None]
        totals[name] = sum(known) / len(known) if known else None
    left, right = st.columns([3, 2], gap="large")
    with left:
        class_table(class_names, run.colors, values, totals, shown.dots, f"mean {PER_CLASS[metric]}")
        st.caption("A dash: neither there nor predicted, or not defined for this class.")
    if first.protocol.categories and metric in ("iou", "iiou"):
        with right:
            names = [category.name for category in first.protocol.categories]
            columns = {
                shown.names[run_id]: _or_none(getattr(result.scores, f"category_{metric}"), len(names))
                for run_id, result in shown.results.items()
            }
            means = {
                shown.names[run_id]: getattr(result.scores, f"category_m{metric}")
                for run_id, result in shown.results.items()
            }
            class_table(names, None, columns, means, shown.dots, f"mean {PER_CLASS[metric]}")
            st.caption("The benchmark's categories: classes of one count as one.")


def confusion_view(shown: Shown) -> None:
    """Show the confusion matrix of a run, and the frames behind a cell."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        run_id = shown.pick("Run", "confusion-run")
        by = st.segmented_control(
            "Each adds up to 100 %",
            list(NORMALISED),
            format_func=NORMALISED.get,
            default="row",
            required=True,
            key="confusion-by",
        )
    scores = shown.results[run_id].scores
    rows, counts = scores.protocol.names, scores.evaluated_confusion
    shares = scores.normalized_confusion(by)
    columns = [*rows, "no class"]
    if not counts[:, -1].any():
        columns, counts, shares = list(rows), counts[:, :-1], shares[:, :-1]
    wide, narrow = st.columns([8, 5], gap="large")
    with wide:
        st.plotly_chart(
            confusion_figure(rows, columns, shares, counts),
            key="confusion",
            config=PLAIN,  # its tools would lie over the names of the columns
            on_select=lambda: _take_cell(columns),
            selection_mode="points",
            alt="Confusion matrix: true classes in rows, predicted ones in columns.",
        )
        st.caption(
            "Rows: the truth. Columns: what it was seen as. Per cent; a cell is as dark as the root of its share. Draw"
            " a box to zoom, click twice to see all; click a cell for its frames."
        )
    with narrow:
        errors = counts[:, : len(rows)] * (1 - np.eye(len(rows), dtype=np.int64))
        largest = np.unravel_index(int(errors.argmax()), errors.shape)
        for key, options, index in (("true-class", rows, largest[0]), ("seen-as", columns, largest[1])):
            if st.session_state.get(key) not in options:
                st.session_state[key] = options[index]
        left, right = st.columns(2)
        truth = left.selectbox("True class", rows, key="true-class")
        predicted = right.selectbox("Seen as", columns, key="seen-as")
        behind = scores.frames_behind(list(rows).index(truth), columns.index(predicted))
        if not behind:
            st.caption(f"No pixel of {escape_markdown(truth)} was seen as {escape_markdown(predicted)} here.")
            return
        st.caption(f"{len(behind)} of {len(scores.frames)} frames, those with most of these pixels first.")
        text = {frame: f"{pixels:,} pixels, {share:.0%}" for frame, pixels, share in behind[:FRAMES]}
        frame_links(text, [shown.runs[run_id]], shown.settings)
        st.caption(
            f"Pixels of {escape_markdown(truth)} that were seen as {escape_markdown(predicted)}, and their share of"
            " this class in the frame."
        )


def calibration_view(shown: Shown) -> None:
    """Show whether the networks are as sure as they are right."""
    results = {shown.names[run_id]: result.scores.calibration for run_id, result in shown.results.items()}
    fitted = {
        shown.names[run_id]: values for run_id in shown.results if (values := read_temperature(shown.runs[run_id].path))
    }
    wide, narrow = st.columns([3, 2], gap="large")
    with wide:
        st.plotly_chart(
            reliability_figure(results, shown.dots, fitted),
            key="reliability",
            config=PLAIN,
        )
    with narrow:
        rows = [
            (joined([dot(shown.dots[name]), name]), format_percent(calibration.error), *_temperature(fitted.get(name)))
            for name, calibration in results.items()
        ]
        table(("", "error", "temperature", "without", "with"), rows)
        st.caption(
            "Below the dotted line a network is surer than it is right. The error is the mean distance from that line,"
            " by pixels, over 15 bins of confidence: the expected calibration error (Guo et al., 2017)."
        )
        if fitted:
            st.caption(
                "A temperature divides what a network says before it becomes probabilities; it changes no label of one"
                " view. It was fitted to the validation frames of the training, and is in all that is shown here."
                " Without it and with it, the error is that of pixels of these frames, each half with the temperature"
                " of the other; the dashed lines are theirs without it."
            )


def _temperature(fitted: FittedTemperature | None) -> tuple[Cell | str, ...]:
    """Return a run's temperature, and its calibration errors without it and with it."""
    if not fitted:
        return MISSING, MISSING, MISSING
    errors = (fitted.before.ece, fitted.after.ece)
    return f"{fitted.temperature:.2f}", *(MISSING if error is None else format_percent(error) for error in errors)


def where_view(shown: Shown) -> None:
    """Show scores by city, by size of object, and by distance from a boundary."""
    scores = {shown.names[run_id]: result.scores for run_id, result in shown.results.items()}
    first = next(iter(scores.values()))
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("By distance from a boundary")
        bands = {name: by_distance.by_distance() for name, by_distance in scores.items()}
        if any(values is None for values in bands.values()):
            st.caption("Boundaries weren't looked at. Switch them on above, and score again.")
        else:
            names = [
                f"{band['from']}-{band['to']}" if band["to"] else f"{band['from']}+"
                for band in bands[next(iter(bands))]
            ]
            lines = {name: [band["miou"] for band in result] for name, result in bands.items()}
            st.plotly_chart(distance_figure(lines, names, shown.dots, "mIoU"), key="distance", config=PLAIN)
        st.subheader("By size of the object")
        sizes = {name: result.by_size() for name, result in scores.items()}
        if first.iiou_reason:
            st.caption(escape_markdown(first.iiou_reason))
        else:
            rows = [f"{row['size']}, {row['objects']:,} objects" for row in first.by_size()]
            columns = {name: [row["found"] for row in result] for name, result in sizes.items()}
            class_table(rows, None, columns, {}, shown.dots)
            st.caption(
                "Mean share of an object's pixels that are found; small up to 32 x 32 pixels, large from 96 x 96."
            )
    with right:
        st.subheader("By city or folder")
        groups = {name: result.by_group() for name, result in scores.items()}
        rows = list(first.by_group())
        counts = [len(first.by_group()[row].frames) for row in rows]
        columns = {
            name: [_or_none(np.array([result[row].miou]), 1)[0] for row in rows] for name, result in groups.items()
        }
        class_table(
            [f"{row or 'all'}, {count} frames" for row, count in zip(rows, counts, strict=True)],
            None,
            columns,
            {name: result.miou for name, result in scores.items()},
            shown.dots,
            "all together, mIoU",
        )


def upper_bounds_view(shown: Shown) -> None:
    """Show what the truth itself scores in coarse cells, on these data and in the paper."""
    result = next(iter(shown.results.values()))
    own = result.metadata.upper_bounds
    width, height = result.metadata.size[1], result.metadata.size[0]
    left, right = st.columns(2, gap="large")
    with left:
        # No best in bold: the two columns are of different frames.
        rows = [
            (
                f"x{bound.factor}",
                MISSING if own.get(bound.factor) is None else format_percent(own[bound.factor]),
                format_percent(bound.miou),
            )
            for bound in UPPER_BOUNDS
            if bound.factor in STRIDES
        ]
        table(("", f"these {result.metadata.frames} frames at {width} x {height}", "Cityscapes paper, Table 3"), rows)
        st.caption(
            "Mean IoU of the truth itself, each cell of so many pixels a side with the label of most of them. The"
            " paper's are for its own frames at 2048 x 1024; in smaller frames the same factor loses more."
        )
    with right:
        for run_id, result in shown.results.items():
            metadata = result.metadata
            bound = upper_bound_text(metadata.upper_bound, metadata.pixels_per_cell)
            score = format_percent(result.scores.miou)
            line = Markup("<p>{}{}: <b>{}</b> {}</p>")
            show(line.format(dot(shown.colors[run_id]), shown.names[run_id], score, bound))
        st.caption(
            "A cell is what one score of the network's finest map of scores covers. Here the truth is enlarged"
            " smoothly, as networks enlarge their scores, which draws better edges than the table's way. It is no"
            " limit: a network can draw things thinner than its cells."
        )


def _or_none(values: np.ndarray | None, count: int) -> list[float | None]:
    """Return an array as plain numbers, None for what is none."""
    return [None] * count if values is None else [None if value != value else float(value) for value in values]


def _take_cell(names: Sequence[str]) -> None:
    """Called when a cell of the confusion matrix was clicked."""
    points = st.session_state["confusion"]["selection"]["points"]
    if points and points[0].get("customdata"):
        row, column = points[0]["customdata"][:2]
        st.session_state["true-class"], st.session_state["seen-as"] = names[row], names[column]
