"""Compare: one frame, its ground truth, and any number of runs side by side; frames sorted by where the runs do badly or disagree."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app.datasets import TITLES, open_again
from app.pictures import (
    answer_panel,
    ask,
    map_address,
    photo_address,
    predict_all,
    thumbnail_address,
    truth_of,
)
from app.services import frame_scorer
from app.viewer import MOST_PANELS, Panel, viewer
from app.widgets import (
    class_table,
    empty_state,
    failed_state,
    latest_of_each_family,
    pick_runs,
    run_colors,
    run_name,
    with_equal_classes,
)
from core.data.dataset import Dataset
from core.data.frames import Frame
from core.errors import LabError
from core.inference.frame_scores import Count, FrameScore
from core.places import runs_folder
from core.runs import Run, list_runs
from core.scoring.confusion import ConfusionMatrix

SORTS = {
    "name": "By name",
    "worst": "Worst mIoU first",
    "apart": "Largest difference first",
    "unsure": "Least confident first",
    "class": "Most of a class first",
}
SHEET = 12
"""Frames on one sheet."""
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Order:
    """How frames are sorted: by what, of which run, against which other, for which class."""

    kind: str
    run_id: str = ""
    other: str = ""
    number: int = 0

    def value(self, scores: dict[str, FrameScore], others: dict[str, FrameScore], frame_id: str) -> float | None:
        """What a frame is sorted by, smallest first; None where it isn't known."""
        score = scores.get(frame_id)
        if score is None:
            return None
        match self.kind:
            case "worst":
                return score.miou
            case "unsure":
                return score.confidence
            case "class":
                return -score.shares[self.number]
            case _:
                other = others.get(frame_id)
                is_known = other is not None and score.miou is not None and other.miou is not None
                return -abs(score.miou - other.miou) if is_known else None

    def words(self, value: float) -> str:
        """The value of a frame as its caption says it."""
        match self.kind:
            case "worst":
                return f"mIoU {value:.1%}"
            case "unsure":
                return f"{value:.0%} confident"
            case "class":
                return f"{-value:.1%} of the picture"
            case _:
                return f"{abs(value):.1%} apart"


def choose_source(runs: Sequence[Run]) -> Dataset:
    """A widget for the data set, where the runs learned on several. Raises LabError when it can't be opened."""
    sources = {}
    for run in runs:
        sources.setdefault((run.config.dataset.name, run.config.dataset.root), run.config.dataset)
    picked = next(iter(sources))
    if len(sources) > 1:
        picked = st.selectbox("Frames from", list(sources), format_func=lambda pair: pair[1] or TITLES[pair[0]])
    return open_again(sources[picked])


def choose_order(chosen: Sequence[str], names: dict[str, str], classes: Sequence[str]) -> Order:
    """Widgets for how frames are sorted."""
    kinds = [kind for kind in SORTS if kind != "apart" or len(chosen) > 1]
    left, middle, right = st.columns([2, 2, 2], vertical_alignment="bottom")
    if st.session_state.get("sort") not in kinds:
        st.session_state["sort"] = "name"
    kind = left.selectbox("Sort frames", kinds, format_func=SORTS.get, key="sort")
    if kind == "name":
        return Order(kind)
    run_id = middle.selectbox("Run", list(chosen), format_func=names.get, key="sort-run")
    if kind == "apart":
        others = [other for other in chosen if other != run_id]
        return Order(kind, run_id, right.selectbox("Other run", others, format_func=names.get, key="sort-other"))
    if kind == "class":
        number = right.selectbox(
            "Class", range(len(classes)), format_func=lambda place: classes[place], key="sort-class"
        )
        return Order(kind, run_id, number=number)
    return Order(kind, run_id)


def counted(order: Order, dataset: Dataset, frames: Sequence[Frame]) -> list[Count]:
    """How far the scores are that an order needs: of its run, and of the other."""
    runs = [run_id for run_id in (order.run_id, order.other) if run_id]
    return [frame_scorer().count(runs_folder() / run_id, dataset, frames) for run_id in runs]


def sort_frames(order: Order, counts: Sequence[Count], frames: Sequence[Frame]) -> tuple[list[str], dict[str, str]]:
    """Ids of the frames in their order, those that aren't scored yet at the end, and what is said of each."""
    if not counts:
        return [frame.id for frame in frames], {}
    first, last = counts[0].rows, counts[-1].rows
    values = {frame.id: order.value(first, last, frame.id) for frame in frames}
    known = {name: value for name, value in values.items() if value is not None}
    rest = [name for name in values if name not in known]
    return sorted(known, key=lambda name: known[name]) + rest, {name: order.words(v) for name, v in known.items()}


def watch(order: Order, dataset: Dataset, frames: Sequence[Frame], was_done: bool) -> None:
    """How far the scores are, drawn again while they are counted."""
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
    """Shows a frame."""
    st.session_state["image"] = frame_id


def move(ids: list[str], by: int) -> None:
    """Goes to another frame, past the last one to the first."""
    go_to(ids[(ids.index(st.session_state["image"]) + by) % len(ids)])


def contact_sheet(ids: list[str], said: dict[str, str], frames: dict[str, Frame], dataset: Dataset) -> None:
    """Small pictures of the frames in their order, a button under each that shows it."""
    pages = -(-len(ids) // SHEET)
    page = 0
    if pages > 1:
        numbers = range(1, pages + 1)
        if st.session_state.get("sheet", 1) not in numbers:
            st.session_state["sheet"] = 1
        page = st.selectbox(f"Sheet, one of {pages}", numbers, key="sheet", width=160) - 1
    shown = ids[page * SHEET : (page + 1) * SHEET]
    for start in range(0, len(shown), 4):
        for column, frame_id in zip(st.columns(4), shown[start : start + 4], strict=False):
            image, _, digest = truth_of(frames[frame_id], dataset.space)
            column.html(
                f'<div class="lab-thumb"><img src="{thumbnail_address(image, digest)}" alt="" width="100%"></div>'
            )
            column.button(
                said.get(frame_id, frame_id.rpartition("/")[2]),
                key=f"show-{frame_id}",
                help=frame_id,
                width="stretch",
                type="primary" if frame_id == st.session_state["image"] else "secondary",
                on_click=go_to,
                args=(frame_id,),
            )


# page layout
st.title("Compare")
everyone = list_runs(runs_folder())
able = {run.id: run for run in everyone if run.has_checkpoint("best") and run.config}
if not able:
    empty_state(
        "Nothing to compare yet",
        "A run can be compared from its first evaluation on. Train two or three networks, then lay their masks side by side here.",
    )
    _, middle, _ = st.columns([2, 2, 2])
    if middle.button("Train networks", type="primary", width="stretch", icon=":material/model_training:"):
        st.switch_page("../pages/train.py")
    st.stop()
colors = run_colors(everyone)
chosen = pick_runs("Runs", able, latest_of_each_family(able), most=MOST_PANELS - 1)
if not chosen:
    st.caption("Choose at least one run.")
    st.stop()
chosen = with_equal_classes(chosen, able)
names = {run_id: run_name(able[run_id]) for run_id in chosen}
dataset = choose_source([able[run_id] for run_id in chosen])
splits = {"val": dataset.val, "train": dataset.train}
split = st.segmented_control(
    "Split",
    list(splits),
    format_func={"val": "Validation", "train": "Training"}.get,
    default="val",
    required=True,
    key="split",
)
frames = {frame.id: frame for frame in splits[split]}
order = choose_order(chosen, names, dataset.space.classes)
counts = counted(order, dataset, splits[split]) if order.run_id else []
ids, said = sort_frames(order, counts, splits[split])
if counts:
    is_done = all(count.is_done for count in counts)
    st.fragment(watch, run_every=None if is_done else POLL_SECONDS)(order, dataset, splits[split], is_done)
if st.session_state.get("image") not in frames:
    st.session_state["image"] = ids[0]
picker, back, forth = st.columns([6, 1, 1], vertical_alignment="bottom")
frame_id = picker.selectbox(
    f"{'Validation' if split == 'val' else 'Training'} frame, one of {len(ids)}", ids, key="image", bind="query-params"
)
arguments = {"width": "stretch", "on_click": move}
back.button("Previous", icon=":material/arrow_back:", shortcut="Left", args=(ids, -1), **arguments)
forth.button("Next", icon=":material/arrow_forward:", shortcut="Right", args=(ids, 1), **arguments)

frame = frames[frame_id]
image, target, digest = truth_of(frame, dataset.space)
panels = []
if target is not None:
    panels.append(Panel("Ground truth", map_address(target, "truth", digest), is_truth=True))
columns, totals, dots = {}, {}, {}
answers = predict_all(chosen, image, digest)
for run_id, answer in answers.items():
    subtitle = f"{answer.confidence.mean() / 255:.0%} confident"
    if target is not None:
        confusion = ConfusionMatrix(len(dataset.space.classes))
        confusion.update(target, answer.labels)
        columns[names[run_id]] = [None if value != value else float(value) for value in confusion.iou()]
        totals[names[run_id]], dots[names[run_id]] = confusion.miou(), colors[run_id]
        subtitle = f"mIoU {confusion.miou():.1%}"
    panels.append(
        answer_panel(able[run_id].title, run_id, answer, image, digest, subtitle=subtitle, color=colors[run_id])
    )
masks, table = st.columns([5, 2]) if columns else (st.container(), None)
if panels:
    with masks:
        viewer(
            photo_address(image, digest),
            panels,
            dataset.space.classes,
            dataset.space.colors,
            key="compare-viewer",
            name=frame.id,
            aspect=image.shape[1] / image.shape[0],
        )
if columns:
    with table:
        st.subheader("Per class, on this frame")
        present = [
            number
            for number in range(len(dataset.space.classes))
            if any(column[number] is not None for column in columns.values())
        ]
        class_table(
            [dataset.space.classes[number] for number in present],
            [dataset.space.colors[number] for number in present],
            {name: [column[number] for number in present] for name, column in columns.items()},
            totals,
            dots,
        )
        st.caption("Intersection over union on this one frame; over the whole validation set it is on the page Runs.")
with st.expander(
    "Contact sheet", icon=":material/grid_view:", expanded=order.kind != "name", on_change="rerun"
) as sheet:
    if sheet.open:
        contact_sheet(ids, said, frames, dataset)
st.page_link("../pages/inspect.py", label="Try a photo of your own street", icon=":material/image_search:")

# Whoever looks through the frames most likely goes to the next one.
try:
    following = frames[ids[(ids.index(frame_id) + 1) % len(ids)]]
    image, _, digest = truth_of(following, dataset.space)
    photo_address(image, digest)
    for run_id in chosen:
        ask(run_id, image, digest, place="next")
except LabError:
    pass  # said when it is looked at
