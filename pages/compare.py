"""Compare: one frame, its ground truth, and any number of runs side by side.

Frames sorted by where the runs do badly or disagree.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import streamlit as st

from app.bench import open_bench, upload_expander
from app.datasets import SPLIT_LABELS, is_here, open_again
from app.filmstrip import StripFrame, filmstrip
from app.frame_order import choose_order, counted, follow_order, go_by, go_to, scores_of, sort_frames, watch
from app.images import (
    ask,
    coming_panel,
    image_address,
    map_address,
    prediction_panel,
    predictions_so_far,
    truth_of,
)
from app.run_chips import Chip, arranged, run_chips
from app.services import thumbnails
from app.viewer import MAX_PANELS, Panel, viewer
from app.widgets import (
    empty_state,
    failed_state,
    latest_of_each_family,
    pick_runs,
    recall,
    run_colors,
    run_name,
    short_names,
    with_equal_classes,
)
from core.auth import is_read_only
from core.config import DatasetConfig
from core.data.dataset import Dataset
from core.data.sources import SOURCES
from core.errors import LabError
from core.escaping import escape_markdown
from core.evaluation.metrics.confusion import ConfusionMatrix
from core.inference.prediction_cache import CachedPrediction
from core.labelling.label_set import mend_frame
from core.labels import CITYSCAPES_19
from core.paths import runs_folder
from core.runs.store import Run, list_runs
from core.text import format_percent, join_items

POLL_SECONDS = 1.0
MASKS_SECONDS = 0.3
"""How often scores of frames, and masks that are still to come, are looked for."""


def fold_of(config: DatasetConfig) -> str:
    """Return in words which part of the data a run is scored on; empty where they aren't parted."""
    return f"fold {config.fold} of {config.folds}" if config.folds else ""


def choose_source(runs: Sequence[Run]) -> Dataset:
    """Draw a widget for the data set, where the runs learned on several that are here.

    Raises:
        LabError: it can't be opened, or tells other classes apart than the runs.
    """
    sources = {}
    for run in runs:
        config = run.config.dataset
        key = (config.name, config.root, fold_of(config))
        known = sources.setdefault(key, config)
        if (
            config.val_fraction < known.val_fraction
        ):  # frames that none of the runs learned from: larger shares hold these too
            sources[key] = config
    # A run from the Hub may have learned on what isn't here; scenes with its classes may be.
    here = {key: config for key, config in sources.items() if is_here(config)}
    size = {"height": runs[0].config.dataset.height, "width": runs[0].config.dataset.width}
    streets = DatasetConfig(**size)
    if not here and runs[0].class_names == CITYSCAPES_19.class_names and is_here(streets):
        here = {(streets.name, "", ""): streets}
    sources = here or sources
    picked = next(iter(sources))
    if len(sources) > 1:
        picked = st.selectbox(
            "Frames from",
            list(sources),
            format_func=lambda key: " · ".join(filter(None, (key[1] or SOURCES[key[0]].title, key[2]))),
        )
    dataset = open_again(sources[picked], with_test=True)
    learned = [
        run_name(run)
        for run in runs
        if (run.config.dataset.name, run.config.dataset.root) == picked[:2] and fold_of(run.config.dataset) != picked[2]
    ]
    if learned:
        st.caption(
            escape_markdown(f"{join_items(learned)} learned from some of these frames, and looks better on them.")
        )
    if dataset.space.class_names != runs[0].class_names:
        raise LabError(
            f"{SOURCES[picked[0]].title} {picked[1]} tells other classes apart than {run_name(runs[0])}, so there is no"
            " truth to compare it with. Try it on pictures of your own, on the page Inspect."
        )
    return dataset


def watch_for_masks(coming: "Sequence[Future[CachedPrediction]]") -> None:
    """Draw the page again once another mask is there."""
    if any(future.done() for future in coming):
        st.rerun()


# page layout
open_bench("Compare")
everyone = list_runs(runs_folder())
able = {run.id: run for run in everyone if run.has_checkpoint("best") and run.config}
if not able:
    empty_state(
        "Nothing to compare yet",
        "A run can be compared from its first evaluation on. Train two or three networks, then lay their masks side by"
        " side here.",
        "Train networks",
        page="train",
    )
    st.stop()
colors = run_colors(everyone)
with st.sidebar:
    with st.popover("Choose runs", icon=":material/playlist_add_check:", width="stretch"):
        chosen = pick_runs("Runs", able, latest_of_each_family(able), limit=MAX_PANELS - 1)
    if not chosen:
        st.caption("Choose at least one run.")
        st.stop()
    chosen, seen = arranged(with_equal_classes(chosen, able))
    names = short_names([able[run_id] for run_id in chosen])
    scores = st.empty()
    dataset = choose_source([able[run_id] for run_id in chosen])
    splits = {"val": dataset.val, "train": dataset.train} | ({"test": dataset.test} if dataset.test else {})
    recall("split", list(splits), "val")
    split = st.segmented_control("Split", list(splits), format_func=SPLIT_LABELS.get, required=True, key="split")
    order = choose_order(chosen, names, dataset.space.class_names)
    counts = counted(order, dataset, splits[split]) if order.run_id else []
    ids, captions = sort_frames(order, counts, splits[split])
    if counts:
        is_done = all(count.is_done for count in counts)
        st.fragment(watch, run_every=None if is_done else POLL_SECONDS)(order, dataset, splits[split], is_done)
    upload_expander()
frames = {frame.id: frame for frame in splits[split]}
follow_order(order, ids, is_scored=bool(captions))
recall("image", ids, ids[0])
with st.container(horizontal=True, vertical_alignment="center", key="bench-frames"):
    st.button("Previous", icon=":material/arrow_back:", shortcut="Left", on_click=go_by, args=(ids, -1))
    frame_id = st.selectbox(f"{SPLIT_LABELS[split]} frame", ids, label_visibility="collapsed", key="image")
    st.text(f"{ids.index(frame_id) + 1} of {len(ids)}", width="content")
    st.button("Next", icon=":material/arrow_forward:", shortcut="Right", on_click=go_by, args=(ids, 1))
    mends = not is_read_only() and st.button(
        "",
        icon=":material/brush:",
        key="mend",
        help="Mend the labels of this frame, in a copy on the page Label: the data set itself stays as it is.",
    )
st.query_params.update(split=split, image=frame_id)

frame = frames[frame_id]
if mends:
    try:
        label_set, name = mend_frame(dataset, frame)
        st.switch_page("../pages/label.py", query_params={"label-set": label_set.slug, "label-frame": name})
    except LabError as error:
        failed_state(error)
image, target, digest = truth_of(frame, dataset)
panels = []
if target is not None:
    panels.append(Panel("Ground truth", map_address(target, "truth", digest), is_truth=True))
mious = {}
predictions, coming = predictions_so_far(seen, image, digest)
for run_id in seen:
    if run_id in coming:
        panels.append(coming_panel(names[run_id], colors[run_id]))
    elif run_id in predictions:
        prediction = predictions[run_id]
        subtitle = f"{prediction.confidence.mean() / 255:.0%} confident"
        iou: tuple[float | None, ...] = ()
        if target is not None:
            confusion = ConfusionMatrix(len(dataset.space.class_names))
            confusion.update(target, prediction.labels)
            iou = tuple(None if value != value else float(value) for value in confusion.iou())
            mious[run_id] = format_percent(confusion.miou())
            subtitle = f"mIoU {mious[run_id]}"
        panel = prediction_panel(
            names[run_id], run_id, prediction, image, digest, subtitle=subtitle, color=colors[run_id]
        )
        panels.append(replace(panel, iou=iou))
with scores:
    run_chips({run_id: Chip(names[run_id], colors[run_id], mious.get(run_id, "")) for run_id in chosen})
if panels:
    viewer(
        image_address(image, digest),
        panels,
        dataset.space.class_names,
        dataset.space.colors,
        key="compare-viewer",
        name=frame.id,
        aspect=image.shape[1] / image.shape[0],
    )
if coming:
    st.fragment(watch_for_masks, run_every=MASKS_SECONDS)(list(coming.values()))
numbers = {each.id: number for number, each in enumerate(splits[split])}
with st.container(key="bench-strip"):
    filmstrip(
        thumbnails().base(dataset, splits[split]),
        [
            StripFrame(numbers[each], " · ".join(filter(None, (each, captions.get(each)))), scores_of(each, counts))
            for each in ids
        ],
        ids.index(frame_id),
        {names[run_id]: colors[run_id] for run_id in (order.run_id, order.other) if run_id},
        key="filmstrip",
        aspect=image.shape[1] / image.shape[0],
        on_choose=lambda number: go_to(splits[split][number].id),
    )
# The next frame is the one that is most likely looked at next.
try:
    following = frames[ids[(ids.index(frame_id) + 1) % len(ids)]]
    image, _, digest = truth_of(following, dataset)
    image_address(image, digest)
    for run_id in seen:
        ask(run_id, image, digest, slot="next")
except LabError:
    pass  # said when it is looked at
