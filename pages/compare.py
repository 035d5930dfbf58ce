"""Compare: one frame, its ground truth, and any number of runs side by side."""

import streamlit as st

from app.datasets import open_again
from app.pictures import answer_addresses, map_address, photo_address, predict_all, truth_of
from app.viewer import MOST_PANELS, Panel, viewer
from app.widgets import (
    class_table,
    empty_state,
    latest_of_each_family,
    pick_runs,
    run_colors,
    run_name,
    with_equal_classes,
)
from core.places import runs_folder
from core.runs import list_runs
from core.scoring.confusion import ConfusionMatrix


def move(ids: list[str], by: int) -> None:
    """Goes to another frame, past the last one to the first."""
    st.session_state["image"] = ids[(ids.index(st.session_state["image"]) + by) % len(ids)]


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
sources = {}
for run_id in chosen:
    sources.setdefault(
        (able[run_id].config.dataset.name, able[run_id].config.dataset.root), able[run_id].config.dataset
    )
source = next(iter(sources.values()))
if len(sources) > 1:
    picked = st.selectbox("Frames from", list(sources), format_func=lambda pair: pair[1] or "generated streets")
    source = sources[picked]
dataset = open_again(source)
ids = [frame.id for frame in dataset.val]
if st.session_state.get("image") not in ids:
    st.session_state["image"] = ids[0]
picker, back, forth = st.columns([6, 1, 1], vertical_alignment="bottom")
frame_id = picker.selectbox(f"Validation frame, one of {len(ids)}", ids, key="image", bind="query-params")
back.button("Previous", icon=":material/arrow_back:", width="stretch", on_click=move, args=(ids, -1))
forth.button("Next", icon=":material/arrow_forward:", width="stretch", on_click=move, args=(ids, 1))

frame = dataset.val[ids.index(frame_id)]
image, target, digest = truth_of(frame, dataset.space)
panels = [Panel("Ground truth", map_address(target, "truth", digest), is_truth=True)]
columns, totals, dots = {}, {}, {}
answers = predict_all(chosen, image, digest)
for run_id, answer in answers.items():
    confusion = ConfusionMatrix(len(dataset.space.classes))
    confusion.update(target, answer.labels)
    name = run_name(able[run_id])
    columns[name] = [None if value != value else float(value) for value in confusion.iou()]
    totals[name], dots[name] = confusion.miou(), colors[run_id]
    labels, confidence = answer_addresses(answer, run_id, digest)
    panels.append(
        Panel(able[run_id].title, labels, confidence, subtitle=f"mIoU {confusion.miou():.1%}", color=colors[run_id])
    )
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
st.page_link("../pages/inspect.py", label="Try a photo of your own street", icon=":material/image_search:")
