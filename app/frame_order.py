"""Frames in the order that is asked for: by where runs do badly, disagree or are unsure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from app.services import frame_scorer
from app.widgets import failed_state, recall
from core.data.dataset import Dataset
from core.data.frames import Frame
from core.inference.frame_scores import Count, FrameScore
from core.paths import runs_folder

SORTS = {
    "name": "By name",
    "worst": "Worst mIoU first",
    "apart": "Largest difference first",
    "disagreement": "Networks disagree most first",
    "unsure": "Least confident first",
    "class": "Most of a class first",
    "labels": "Labels to doubt first",
}
OF_TWO = ("apart", "disagreement")


@dataclass(frozen=True)
class Order:
    """How frames are sorted: by what, of which run, against which other, for which class."""

    kind: str
    run_id: str = ""
    other: str = ""
    class_index: int = 0

    def value(self, scores: dict[str, FrameScore], others: dict[str, FrameScore], frame_id: str) -> float | None:
        """Return what a frame is sorted by, smallest first; None where it isn't known."""
        score = scores.get(frame_id)
        if score is None:
            return None
        match self.kind:
            case "worst":
                return score.miou
            case "unsure":
                return score.confidence
            case "labels":
                return score.quality
            case "class":
                return -score.shares[self.class_index]
            case "disagreement":
                other = others.get(frame_id)
                return -score.disagreement(other) if other else None
            case _:
                other = others.get(frame_id)
                is_known = other is not None and score.miou is not None and other.miou is not None
                return -abs(score.miou - other.miou) if is_known else None

    def format(self, value: float) -> str:
        """Return the value of a frame as its caption says it."""
        match self.kind:
            case "worst":
                return f"mIoU {value:.1%}"
            case "unsure":
                return f"{value:.0%} confident"
            case "class":
                return f"{-value:.1%} of the picture"
            case "labels":
                return f"label quality {value:.2f}"
            case "disagreement":
                return f"{-value:.1%} seen differently"
            case _:
                return f"{abs(value):.1%} apart"


def choose_order(chosen: Sequence[str], names: dict[str, str], class_names: Sequence[str]) -> Order:
    """Return widgets for how frames are sorted. What is chosen stands in the page's address."""
    kinds = [kind for kind in SORTS if kind not in OF_TWO or len(chosen) > 1]
    recall("sort", kinds, "name")
    kind = st.selectbox("Sort frames", kinds, format_func=SORTS.get, key="sort")
    st.query_params["sort"] = kind
    if kind == "name":
        return Order(kind)
    run_id = _one_of("Run", "sort-run", list(chosen), names.__getitem__)
    if kind in OF_TWO:
        others = [other for other in chosen if other != run_id]
        return Order(kind, run_id, _one_of("Other run", "sort-other", others, names.__getitem__))
    if kind == "class":
        return Order(kind, run_id, class_index=class_names.index(_one_of("Class", "sort-class", class_names, str)))
    return Order(kind, run_id)


def _one_of(label: str, name: str, options: Sequence[str], text: Callable[[str], str]) -> str:
    """Return a widget's choice of some options, remembered and in the address."""
    recall(name, options, options[0])
    chosen = st.selectbox(label, options, format_func=text, key=name)
    st.query_params[name] = chosen
    return chosen


def follow_order(order: Order, ids: list[str], is_scored: bool) -> None:
    """Show the first frame of an order that was chosen, also while scores still come, until another frame is chosen.

    An address that names a frame has chosen it.
    """
    begin = (order, None if "image" in st.query_params else ids[0])
    before, frame = st.session_state.get("followed", begin)
    if order != before:
        frame = st.session_state.get("image")
    if is_scored and frame is not None and st.session_state.get("image", frame) == frame:
        frame = ids[0]
        go_to(frame)
    st.session_state["followed"] = (order, frame)


def counted(order: Order, dataset: Dataset, frames: Sequence[Frame]) -> list[Count]:
    """Return how far the scores are that an order needs: of its run, and of the other."""
    runs = [run_id for run_id in (order.run_id, order.other) if run_id]
    return [frame_scorer().count(runs_folder() / run_id, dataset, frames) for run_id in runs]


def sort_frames(order: Order, counts: Sequence[Count], frames: Sequence[Frame]) -> tuple[list[str], dict[str, str]]:
    """Return ids of the frames in their order, those that aren't scored yet at the end, and what is said of each."""
    if not counts:
        return [frame.id for frame in frames], {}
    first, last = counts[0].rows, counts[-1].rows
    values = {frame.id: order.value(first, last, frame.id) for frame in frames}
    known = {name: value for name, value in values.items() if value is not None}
    rest = [name for name in values if name not in known]
    return sorted(known, key=lambda name: known[name]) + rest, {name: order.format(v) for name, v in known.items()}


def scores_of(frame_id: str, counts: Sequence[Count]) -> tuple[float | None, ...]:
    """Return the mean IoU of each counted run on a frame, 0..1; None where it isn't scored yet, or has no labels."""
    rows = [count.rows.get(frame_id) for count in counts]
    return tuple(row.miou if row else None for row in rows)


def watch(order: Order, dataset: Dataset, frames: Sequence[Frame], was_done: bool) -> None:
    """Show how far the scores are, drawn again while they are counted."""
    counts = counted(order, dataset, frames)
    for problem in {count.problem for count in counts if count.problem}:
        failed_state(problem)
    done, count = sum(len(count.rows) for count in counts), sum(count.frames for count in counts)
    if done == count and not was_done:
        st.rerun()
    if done < count:
        st.progress(
            done / count, f"Scoring frames in the background: {done} of {count}. The order follows as they come."
        )


def go_to(frame_id: str) -> None:
    """Show a frame."""
    st.session_state["image"] = frame_id


def go_by(ids: list[str], by: int) -> None:
    """Go to another frame, past the last one to the first."""
    go_to(ids[(ids.index(st.session_state["image"]) + by) % len(ids)])
