"""Data: frames with their labels, and how much of the pixels each class takes."""

from dataclasses import replace

import streamlit as st

from app.datasets import choose_dataset, opened
from app.figures import class_shares_figure
from app.pictures import map_address, photo_address, read_frame, truth_of
from app.viewer import Panel, viewer
from core.data.dataset import Dataset
from core.data.frames import Frame
from core.data.statistics import ClassCounts, count_classes
from core.errors import LabError


def coarse_twin(dataset: Dataset, frame: Frame) -> Frame | None:
    """The same frame with its coarse labels, where the data set has them."""
    path = dataset.root / "gtCoarse" / frame.split / frame.city / f"{frame.id}_gtCoarse_labelIds.png"
    return replace(frame, labels=path) if path.is_file() else None


def look_at(dataset: Dataset, frame: Frame) -> None:
    """The frame in the viewer, under its fine and, where there are any, its coarse labels."""
    image, target, digest = truth_of(frame, dataset.space)
    panels = [Panel("Fine labels", map_address(target, "truth", digest), is_truth=True)]
    coarse = coarse_twin(dataset, frame)
    if coarse:
        _, coarse_target = read_frame(coarse.image, coarse.labels, f"{digest}-coarse", dataset.space.name)
        panels.append(Panel("Coarse labels", map_address(coarse_target, "coarse", digest)))
    viewer(
        photo_address(image, digest),
        panels,
        dataset.space.classes,
        dataset.space.colors,
        key="data-viewer",
        name=frame.id,
        aspect=image.shape[1] / image.shape[0],
    )


@st.cache_data(ttl=600, max_entries=8, show_spinner="Counting the classes of the training frames")
def counted(root: str, _dataset: Dataset) -> ClassCounts:
    """Class counts of the training frames; `root` names the data set for the cache."""
    return count_classes(_dataset, _dataset.train)


def shares(dataset: Dataset) -> None:
    """Class shares as bars, and what never occurs."""
    counts = counted(f"{dataset.root}-{dataset.size}-{len(dataset.train)}", dataset)
    st.subheader("Share of each class", help=f"Of the labelled pixels of {counts.frames} training frames.")
    figure = class_shares_figure(dataset.space.classes, dataset.space.colors, counts.shares.tolist())
    st.plotly_chart(figure, config={"displayModeBar": False}, key="shares")
    ignored = counts.ignored / max(1, counts.ignored + counts.pixels.sum())
    st.caption(f"{ignored:.1%} of the pixels carry no class: they are neither learned from nor scored.")
    missing = [name for name, count in zip(dataset.space.classes, counts.pixels, strict=True) if not count]
    if missing:
        st.caption(f"Never there: {', '.join(missing)}. A network can't learn what it never sees.")


def next_frame(split: str, ids: list[str]) -> None:
    """Goes to the next frame of a split, past the last one to the first."""
    key = f"frame-{split}"
    st.session_state[key] = ids[(ids.index(st.session_state[key]) + 1) % len(ids)]


# page layout
st.title("Data")
values = choose_dataset("data")
dataset = opened(values)
if dataset:
    left, middle, right = st.columns([2, 6, 2], vertical_alignment="bottom")
    split = left.segmented_control("Split", ["train", "val"], default="train", required=True, key="split")
    frames = dataset.train if split == "train" else dataset.val
    ids = [frame.id for frame in frames]
    frame_id = middle.selectbox(f"Frame, one of {len(ids)}", ids, key=f"frame-{split}")
    right.button("Next frame", icon=":material/arrow_forward:", width="stretch", on_click=next_frame, args=(split, ids))
    try:
        look_at(dataset, frames[ids.index(frame_id)])
    except LabError as error:
        st.error(str(error), icon=":material/error:")
    st.html(
        f'<p class="lab-numbers lab-quiet">{len(dataset.train)} training and {len(dataset.val)} validation frames in '
        f"{dataset.root}</p>"
    )
    shares(dataset)
    st.page_link("../pages/train.py", label="Train on this data", icon=":material/model_training:")
