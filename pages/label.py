"""Label: paint masks on photographs of one's own, take what a network sees, mend it, and train again."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

import numpy as np
import streamlit as st

from app.bench import open_bench
from app.figures import labelling_figure
from app.html import joined
from app.images import image_address, saved_sample
from app.job_panel import show_job, try_start
from app.labelling import (
    ORDERS,
    Learned,
    counted,
    edit_of,
    in_order,
    knows,
    learned_from,
    mask_panel,
    network_panels,
    strokes_panel,
    watch,
)
from app.tables import swatch, table
from app.uploads import uploaded_samples
from app.viewer import MAX_PANELS, viewer
from app.widgets import RUN_COLORS, failed_state, pick_also, recall, run_colors, run_name, short_names
from core import runner
from core.auth import is_read_only, may_change, read_owner
from core.config import OF_RUN, RGB, read_config, with_preset
from core.errors import LabError
from core.escaping import escape_markdown
from core.inference.prediction_cache import CachedPrediction
from core.inference.uploads import IMAGE_EXTENSIONS
from core.jobs.kinds import latest
from core.labelling.effort import Effort, LabellingHistory, read_labelling
from core.labelling.label_set import (
    ImageSource,
    LabelSet,
    create_label_set,
    delete_label_set,
    list_label_sets,
    open_label_set,
)
from core.labelling.label_set_job import start_label_set
from core.labelling.masks import Mask, class_pixels, read_history, read_mask, restore_mask
from core.models.families import NOT_TRAINED
from core.models.mobile_sam_job import has_packages, mobile_sam_weights, start_mobile_sam
from core.paths import runs_folder
from core.runs.store import Run, best_miou, list_runs
from core.text import format_percent, plural

POLL_SECONDS = 1.0
FEW = (
    "Label two photographs first: one is learned from, one is scored on. Frames of a data set that are mended here stay"
    " what they were for there: mend some of its training and some of its validation frames."
)
MAX_HISTORY = 30
TRAIN_EVERY = (0, 5, 10, 25)
"""Photographs after which a network is trained again; 0 for only when asked."""


def begin(has_some: bool) -> None:
    """Ask for photographs and classes, and make a label set of them.

    Args:
        has_some: there is a label set already, and the form stands beside it.
    """
    job = latest("label-set")
    if show_job("label-set", job):
        return
    if job and job.state == "finished" and st.session_state.get("copying") == job.id:
        del st.session_state["copying"]
        show_set(job.result["slug"])
    with st.form("new-label-set", border=has_some):
        title = st.text_input("Name", placeholder="My street", max_chars=60)
        classes = st.text_area(
            "Classes, one a line",
            "road\nbuilding\nvegetation\nsky\nperson\ncar",
            height=160,
            help="Named as a network names them, its answers can be taken. Two or more.",
        ).splitlines()
        files = st.file_uploader("Photographs", type=list(IMAGE_EXTENSIONS), accept_multiple_files=True)
        folder = st.text_input(
            "Or a folder with photographs",
            placeholder="/data/photographs",
            help="Those that have no mask are copied into the lab.",
        )
        if not st.form_submit_button("Begin", type="primary", icon=":material/brush:"):
            return
    if not files and folder.strip():
        started = try_start("label-set", lambda: start_label_set(title, folder, classes))
        st.session_state["copying"] = started.id if started else ""
        st.rerun()
    try:
        if not files:
            raise LabError("There are no photographs yet. Choose some, or type the folder that holds them.")
        samples = uploaded_samples(files, RGB)
        images = [ImageSource(sample.name, partial(_given, sample.image)) for sample in samples]
        with st.spinner("Copying photographs"):
            made = create_label_set(title, images, classes)
    except LabError as error:
        failed_state(error)
        return
    show_set(made.slug)


def show_set(slug: str) -> None:
    """Show another label set, although the widget that chooses one was drawn already."""
    st.session_state.pop("label-set", None)
    st.query_params["label-set"] = slug
    st.rerun()


def _given(pixels: np.ndarray) -> np.ndarray:
    return pixels


def choose_runs(label_set: LabelSet, everyone: list[Run]) -> list[str]:
    """Return the runs whose answers are shown beside the mask: of those that know classes of these names."""
    able = {run.id: run for run in everyone if run.has_checkpoint("best") and knows(run, label_set) > 1}
    if not able:
        st.caption("No network knows two of these classes yet. Label some photographs, and train one.")
        return []
    return st.multiselect(
        "Networks that help",
        list(able),
        default=list(able)[:1],
        format_func=lambda run_id: run_name(able[run_id]),
        max_selections=MAX_PANELS - 2,
        key=f"helpers-{label_set.slug}",
        help="What they see stands beside your mask. With the tool Network a piece of it is yours.",
    )


def objects_panel() -> None:
    """Where MobileSAM isn't here, say what it would be good for, and offer to get it."""
    if not has_packages():
        st.caption("With MobileSAM a click labels a whole object. It takes the package transformers, which isn't here.")
        return
    if mobile_sam_weights() is None:
        if show_job("mobile-sam", latest("mobile-sam")):
            return
        st.button(
            "Get MobileSAM, 41 MB",
            icon=":material/ads_click:",
            help="With it a click labels a whole object. Without it, superpixels are the quickest tool.",
            on_click=try_start,
            args=("mobile-sam", start_mobile_sam),
            key="get-mobile-sam",
        )


@st.fragment(run_every=3.0)
def beside(slug: str, frame: str, helpers: list[str]) -> None:
    """Show what is labelled so far and what can be done with it, drawn again as strokes come in."""
    label_set = open_label_set(slug)
    if st.session_state.get("grows") and read_mask(label_set, frame).revision != st.session_state.get("label-revision"):
        st.rerun(scope="app")
    everyone = list_runs(runs_folder())
    history = read_labelling(label_set.root) or LabellingHistory(())
    learned = learned_from(label_set, history, everyone)
    with st.container(key="live-labels"):
        train_panel(label_set, history.effort(), learned, {run.id: run for run in everyone}, helpers)
        learned_panel(learned)
        history_panel(label_set, frame)
        classes_panel(label_set)


def train_panel(
    label_set: LabelSet, effort: Effort, learned: list[Learned], by_id: dict[str, Run], helpers: list[str]
) -> None:
    """Offer a minute's training on what is labelled, from the network that learned from it last or the first that
    helps; once asked to, begin it after every few photographs.
    """
    done = len(label_set.labelled)
    st.progress(done / len(label_set.images), f"{done} of {plural(len(label_set.images), 'photograph')} with labels")
    able = [each.run for each in learned if each.run.has_checkpoint("best")] + [by_id[run_id] for run_id in helpers]
    start = next((run for run in able if run.config.model.family not in NOT_TRAINED), None)
    label = f"Train {run_name(start)} on for a minute" if start else "Train a network for a minute"
    few = not label_set.has_both_splits
    is_pressed = st.button(
        escape_markdown(label),
        type="primary",
        icon=":material/model_training:",
        disabled=few,
        help=FEW if few else "A run like any other, in the background.",
        key="train-labelled",
    )
    every = st.selectbox(
        "And again",
        TRAIN_EVERY,
        format_func=lambda count: f"after every {plural(count, 'photograph')}" if count else "only when asked",
        key=f"train-every-{label_set.slug}",
    )
    is_busy = any(each.run.is_active for each in learned)
    fresh = effort.frames - (learned[0].effort.frames if learned else 0)
    if is_pressed or (every and fresh >= every and not few and not is_busy):
        train_on(label_set, start)
    if st.button("Use as data for training", icon=":material/database:", disabled=few, key="use-labelled"):
        st.session_state["dataset-name"], st.session_state["folder-root"] = "folder", str(label_set.root)
        st.switch_page("../pages/train.py")
    if label_set.mends_data_set:
        st.caption(
            "To learn from the whole data set with these in place of its own labels, choose it on the page Train, and"
            " there *Mended labels*."
        )


def train_on(label_set: LabelSet, start: Run | None) -> None:
    """Launch a minute's training on a label set, from a run's network where there is one."""
    model = {}
    if start:
        own = start.config.model
        model = {"weights": f"{OF_RUN}{start.id}", **own.model_dump(include={"family", "encoder", *own.options})}
    values = {"dataset": {"name": "folder", "root": str(label_set.root)}, "model": model}
    try:
        run = runner.launch(read_config(with_preset(values, "taste")), runs_folder())
        pick_also("Runs to look at", run.name)
        st.toast("It trains in the background: the page Runs shows how it goes.", icon=":material/check:")
    except LabError as error:
        failed_state(error)


def learned_panel(learned: list[Learned]) -> None:
    """Show what networks learned from these labels, by the work that those took."""
    scores = [(run, effort, best_miou(run.path)) for run, effort in learned]
    rows = [(run, effort, score) for run, effort, score in scores if score is not None]
    if not rows:
        return
    with st.expander("Learned so far"):
        points = [
            (effort.minutes, score, f"{run_name(run)}, {plural(effort.frames, 'photograph')}")
            for run, effort, score in rows
        ]
        st.plotly_chart(labelling_figure(points, RUN_COLORS[0]), key="learned", config={"displayModeBar": False})
        table(("photographs", "mIoU"), [(str(effort.frames), format_percent(score)) for _, effort, score in rows])
        st.caption("By each run's own validation photographs, one of five that are labelled.")


def history_panel(label_set: LabelSet, frame: str) -> None:
    """List what was changed in a mask, each with a button that brings it back."""
    with st.popover("History", icon=":material/history:", width="stretch"):
        changes = read_history(label_set, frame)
        if not changes:
            st.caption("Nothing was painted on this photograph yet.")
        for change in changes[:MAX_HISTORY]:
            who = f" by {change.who}" if change.who else ""
            when = time.strftime("%d %b, %H:%M:%S", time.localtime(change.when))
            text = f"{when}{who}: {plural(change.pixels, 'pixel')}"
            if st.button(escape_markdown(text), key=f"restore-{change.number}", help="Bring back what was before it."):
                try:
                    restore_mask(label_set, frame, change.number - 1)
                    st.session_state["label-generation"] = st.session_state.get("label-generation", 0) + 1
                    st.rerun(scope="app")
                except LabError as error:
                    failed_state(error)


def classes_panel(label_set: LabelSet) -> None:
    """Show how much of each class is labelled so far."""
    pixels = class_pixels(label_set)
    shares = pixels / max(1, pixels.sum())
    rows = [
        (joined([swatch(color), name]), f"{share:.1%}")
        for name, color, share in zip(label_set.space.class_names, label_set.space.colors, shares, strict=True)
    ]
    with st.expander("Classes so far"):
        table(("", "of what is labelled"), rows)


def watch_for_networks(coming: "Sequence[Future[CachedPrediction]]") -> None:
    """Draw the page again once another answer is there."""
    if any(future.done() for future in coming):
        st.rerun()


def begun_here(label_set: LabelSet) -> str:
    """Return the photograph that is shown, where it had no labels when it was opened; empty otherwise."""
    frame = st.session_state.get("label-frame") or st.query_params.get("label-frame", "")
    known = st.session_state.get("label-opened")
    if known is None or known[0] != frame:
        known = st.session_state["label-opened"] = (frame, frame in label_set.labelled)
    return "" if known[1] else frame


def go_by(ids: list[str], by: int) -> None:
    """Go to another photograph, past the last one to the first."""
    at = ids.index(st.session_state["label-frame"]) if st.session_state.get("label-frame") in ids else 0
    st.session_state["label-frame"] = ids[(at + by) % len(ids)]


# page layout
open_bench("Label")
sets = list_label_sets()
everyone = list_runs(runs_folder())
by_id = {run.id: run for run in everyone}
if not sets:
    st.title("Label photographs of your own")
    st.markdown(
        "Paint masks in the browser, or let a network fill them and mend what is wrong. What you paint is a data set"
        " like any other: train on it, score with it, take it home."
    )
    if is_read_only():
        st.caption("This lab is read-only: nothing can be labelled here.")
    else:
        begin(has_some=False)
    st.stop()
with st.sidebar:
    slugs = {each.slug: each for each in sets}
    recall("label-set", list(slugs), sets[0].slug)
    slug = st.selectbox("Photographs", list(slugs), format_func=lambda slug: slugs[slug].title, key="label-set")
    label_set = open_label_set(slug)
    st.query_params["label-set"] = slug
    helpers = choose_runs(label_set, everyone)
    grows = st.toggle(
        "Learn from my strokes",
        value=True,
        key="grows",
        help="A few strokes of each class, and the rest of the photograph follows from colours, the place, and what"
        " MobileSAM and the first network see, where they are here. Take it with the tool Network.",
    )
    recall("label-order", list(ORDERS), "new")
    order = st.selectbox("Order", list(ORDERS), format_func=ORDERS.get, key="label-order")
    counts = counted(label_set, order, [by_id[run_id] for run_id in helpers])
    ids = in_order(label_set, order, counts, stays=begun_here(label_set))
    if order == "disagreement" and not counts:
        st.caption("Choose two networks with the same classes above, and the order follows where they differ.")
    if counts:
        looks = [by_id[run_id] for run_id in helpers]
        is_done = all(count.is_done for count in counts)
        every = None if is_done else POLL_SECONDS
        st.fragment(watch, run_every=every)(label_set, order, looks, sum(len(count.rows) for count in counts))
if not ids:
    failed_state("This label set has no photograph any more. Its folder may have been emptied.")
    st.stop()
recall("label-frame", ids, ids[0])
with st.container(horizontal=True, vertical_alignment="center", key="bench-frames"):
    st.button("Previous", icon=":material/arrow_back:", shortcut="Left", on_click=go_by, args=(ids, -1))
    frame = st.selectbox("Photograph", ids, label_visibility="collapsed", key="label-frame")
    st.text(f"{ids.index(frame) + 1} of {len(ids)}", width="content")
    st.button("Next", icon=":material/arrow_forward:", shortcut="Right", on_click=go_by, args=(ids, 1))
st.query_params["label-frame"] = frame
begun_here(label_set)  # on a first visit it is known only now which one is shown
mask: Mask = read_mask(label_set, frame)
sample = saved_sample(frame, label_set.image(frame))
panels, coming = network_panels(
    label_set,
    {run_id: by_id[run_id] for run_id in helpers},
    short_names([by_id[run_id] for run_id in helpers]),
    run_colors(everyone),
    sample.image,
    sample.digest,
)
if grows:
    grown, more = strokes_panel(label_set, frame, mask, by_id[helpers[0]] if helpers else None, sample.image)
    panels = [grown, *panels]
    coming += [more] if more else []
st.session_state["label-revision"] = mask.revision
is_mine = may_change(read_owner(label_set.root, of_data=True))
viewer(
    image_address(sample.image, sample.digest),
    [mask_panel(label_set, frame, mask), *panels],
    label_set.space.class_names,
    label_set.space.colors,
    key=f"label-viewer-{st.session_state.get('label-generation', 0)}",
    name=frame,
    aspect=sample.image.shape[1] / sample.image.shape[0],
    edit=edit_of(label_set, frame, mask, sample.image, sample.digest) if is_mine else None,
)
if coming:
    st.fragment(watch_for_networks, run_every=POLL_SECONDS)(coming)
with st.sidebar:
    if is_mine:
        objects_panel()
        beside(slug, frame, helpers)
    if not is_read_only():
        copying = latest("label-set")
        is_open = copying is not None and st.session_state.get("copying") in ("", copying.id)
        with st.expander("Other photographs", expanded=is_open):
            begin(has_some=True)
    if is_mine:
        with st.popover("Delete", icon=":material/delete:"):
            st.caption("The photographs' copies here and all that was painted are gone for good then.")
            if st.button("Delete this label set", key="delete-label-set"):
                delete_label_set(label_set)
                st.session_state.pop("label-set", None)
                st.query_params.clear()
                st.rerun()
