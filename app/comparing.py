"""One run against others: is A better than B and on which frames, and who is worth what it costs."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from app.figures import ACCENT
from app.frame_links import frame_links
from app.score_figures import frames_figure, interval_figure, pareto_figure
from app.score_views import FRAMES, PLAIN, Shown
from app.scoring import start
from app.tables import table
from app.widgets import failed_state
from core.config import differences, setting_of
from core.errors import LabError
from core.escaping import escape_markdown
from core.evaluation.bootstrap import Comparison, compare
from core.evaluation.leaderboard import COSTS, METRICS, Board, frontier, key_of_result
from core.evaluation.results import EvaluationResult
from core.models.families import NOT_TRAINED
from core.runs.repeats import are_repeats, number_of
from core.text import plural


def compare_view(shown: Shown) -> None:
    """Show whether A is better than B, and on which frames."""
    if len(shown.results) < 2:
        st.caption("Choose two runs or more above, and score them alike.")
        return
    ids = list(shown.results)
    ids.sort(key=lambda run_id: -np.nan_to_num(shown.results[run_id].scores.miou))
    left, right = st.columns(2)
    one = left.selectbox("A", ids, format_func=shown.names.get, key="compare-a")
    rest = [run_id for run_id in ids if run_id != one]
    other = right.selectbox("B", rest, format_func=shown.names.get, key="compare-b")
    results = {
        run_id: _compared(
            _identity(shown.results[one]),
            _identity(shown.results[run_id]),
            (shown.names[one], shown.names[run_id]),
            shown.results[one],
            shown.results[run_id],
        )
        for run_id in [other, *(run_id for run_id in rest if run_id != other)]
    }
    between = results[other]
    if isinstance(between, str):
        failed_state(between)
        return
    st.markdown(f"**{escape_markdown(between.sentence)}**")
    _over_seeds(shown, one, other)
    wide, narrow = st.columns([3, 2], gap="large")
    with wide:
        st.subheader("Difference, with its 95 % interval")
        lines = {run_id: result for run_id, result in results.items() if not isinstance(result, str)}
        titled = {f"A against {shown.names[run_id]}": result for run_id, result in lines.items()}
        dots = {f"A against {shown.names[run_id]}": shown.colors[run_id] for run_id in lines}
        st.plotly_chart(interval_figure(titled, dots), key="interval", config=PLAIN)
        st.caption(
            f"{_drawn(between)} 2000 times, the same ones for A and B. The interval shows how much the difference"
            " depends on the frames, and ± is the standard deviation of these draws; what another seed of the training,"
            " or other recordings, would change isn't in it."
        )
        st.subheader("Settings that differ")
        changed = differences(shown.runs[one].config, shown.runs[other].config)
        if changed:
            rows = []
            for name, (mine, theirs) in changed.items():
                part, field = name.split(".", 1)
                rows.append((f"{setting_of(part, field).title} ({part})", str(mine), str(theirs)))
            table(("", "A", "B"), rows)
        else:
            st.caption("None: the two were trained with the same settings.")
    with narrow:
        st.subheader("Frame by frame")
        pairs = zip(shown.results[one].scores.per_image(), shown.results[other].scores.per_image(), strict=True)
        values = {mine["id"]: (mine["miou"], theirs["miou"]) for mine, theirs in pairs}
        values = {frame: pair for frame, pair in values.items() if None not in pair}
        st.plotly_chart(
            frames_figure(
                list(values),
                [pair[0] for pair in values.values()],
                [pair[1] for pair in values.values()],
                (f"A: {shown.names[one]}", f"B: {shown.names[other]}"),
                f"rgb{ACCENT}",
            ),
            key="frames-plot",
            on_select=_take_frames,
            selection_mode=("points", "box"),
            config=PLAIN,
        )
        st.caption("Each point is a frame, above the line where A is better. Click one to look at it.")
    clicked = [frame for frame in st.session_state.get("compared-frames", ()) if frame in values]
    order = sorted(values, key=lambda frame: values[frame][0] - values[frame][1])
    listed = clicked or [*order[-FRAMES // 2 :][::-1], *order[: FRAMES // 2]]
    st.subheader("Frames" if clicked else "Frames that tell them apart")
    st.caption("Points of mean IoU by which A is above B there. A picture opens the page Compare.")
    text = {frame: f"{100 * (values[frame][0] - values[frame][1]):+.1f} points" for frame in dict.fromkeys(listed)}
    frame_links(dict(list(text.items())[:FRAMES]), [shown.runs[one], shown.runs[other]], shown.settings)


def _over_seeds(shown: Shown, one: str, other: str) -> None:
    """Show how two recipes compare over the seeds of theirs that are chosen, or how these would be."""
    pair = shown.runs[one], shown.runs[other]
    if are_repeats(*pair) or any(run.config is None or run.config.model.family in NOT_TRAINED for run in pair):
        return
    seeds = [
        {
            number_of(shown.runs[run_id], "seed"): result
            for run_id, result in sorted(shown.results.items())
            if are_repeats(shown.runs[run_id], run)
        }
        for run in pair
    ]
    if min(map(len, seeds)) < 2:
        st.caption("Choose other seeds of both above, too, to have in the interval what another seed changes.")
        return
    try:
        scores = [[each.scores for each in some.values()] for some in seeds]
        result = compare(scores[0], scores[1], (shown.names[one], shown.names[other]))
    except LabError as error:
        failed_state(error)
        return
    st.markdown(f"**Over their seeds:** {escape_markdown(result.sentence)}")


def cost_view(boards: Sequence[Board], shown: Shown) -> None:
    """Show scores against costs, over every run that was scored alike."""
    scored = [board for board in boards if board.is_scored]
    if not scored:
        st.caption("No run is scored yet.")
        return
    keys = {key_of_result(result) for result in shown.results.values()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cost = st.segmented_control(
            "Cost",
            list(COSTS),
            format_func=lambda key: f"{COSTS[key].title[0].upper()}{COSTS[key].title[1:]}",
            default="parameters",
            required=True,
            key="cost",
        )
        metric = st.selectbox(
            "Score", list(METRICS), format_func=lambda key: METRICS[key].title, key="cost-score", width=200
        )
        choice = st.selectbox(
            "Scored",
            range(len(scored)),
            index=next((index for index, board in enumerate(scored) if board.key in keys), 0),
            format_func=lambda position: scored[position].protocol,
            key="cost-board",
        )
    board = scored[choice]
    sign = 1 if METRICS[metric].best is max else -1
    points = {
        entry.run: (entry.costs[cost], entry.scores[metric])
        for entry in board.entries
        if entry.costs[cost] is not None and entry.scores[metric] is not None
    }
    if not points:
        st.caption("None of these runs has both. Take another score or another cost.")
        return
    can_rank = cost != "milliseconds" or board.is_timed_alike
    front = frontier({run: (price, sign * score) for run, (price, score) in points.items()}) if can_rank else []
    titles = (f"{COSTS[cost].title}{f', {COSTS[cost].unit}' * bool(COSTS[cost].unit)}", METRICS[metric].title)
    st.plotly_chart(pareto_figure(points, front, shown.names, shown.colors, titles), key="pareto", config=PLAIN)
    untimed = [entry for entry in board.entries if entry.metadata and not entry.metadata.is_timed_well]
    if cost == "milliseconds" and untimed:
        st.button(
            f"Time {plural(len(untimed), 'run')} again",
            icon=":material/timer:",
            key="time-again",
            on_click=start,
            args=([entry.run for entry in untimed], untimed[0].metadata.settings),
            help="A few predictions each, best while nothing else runs. Scores stay as they are.",
        )
    st.caption(
        (
            f"Every run that was scored alike is here. {_front_of(front)} "
            if can_rank
            else "These runs were timed on different hardware, beside other work or too few times, so that none is"
            " called the best for its latency. Time them again while nothing else runs. "
        )
        + "Latency is the median of several pictures, one at a time; a multiply-add counts as"
        " two operations."
    )


def _front_of(front: Sequence[str]) -> str:
    """Return what the strong points of the plot stand for."""
    if len(front) == 1:
        return "The strong point is the best for its cost: the pale ones score no higher and cost no less."
    return (
        "The strong points, on the dotted line, are the best for their cost; a pale one scores no higher than one of"
        " them, and costs no less."
    )


def _drawn(comparison: Comparison) -> str:
    """Return how frames were drawn, as the start of a sentence."""
    if not comparison.blocks:
        return "As many single frames as there are were drawn with replacement,"
    return (
        f"Neighbouring frames are alike here, as in a video, so that they were drawn together: from {comparison.unit}"
        " as many as there are, with replacement,"
    )


@st.cache_data(max_entries=64, show_spinner="Drawing frames anew, two thousand times")
def _compared(
    one: tuple, other: tuple, names: tuple[str, str], _one: EvaluationResult, _other: EvaluationResult
) -> Comparison | str:
    """Return the paired bootstrap of two results, or the sentence why there is none."""
    try:
        return compare(_one.scores, _other.scores, names)
    except LabError as error:
        return str(error)


def _identity(result: EvaluationResult) -> tuple:
    """Return what names a result for the cache."""
    return result.metadata.run, result.metadata.weights, *key_of_result(result)


def _take_frames() -> None:
    """Called when points of the frames' plot were clicked."""
    points = st.session_state["frames-plot"]["selection"]["points"]
    st.session_state["compared-frames"] = [point["customdata"][0] for point in points if point.get("customdata")]
