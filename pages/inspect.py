"""Inspect: drop pictures, a ZIP or a video, take one, or choose a frame.

See what each network makes of them, and take it home.
"""

from collections.abc import Callable, Sequence

import cv2
import streamlit as st
from markupsafe import Markup

from app.bench import open_bench
from app.html import joined, show
from app.images import (
    Sample,
    ask_twice,
    best_predictions,
    image_address,
    predict,
    prediction_panel,
    thumbnail_address,
)
from app.run_chips import Chip, arranged, run_chips
from app.uploads import CAMERA, COLLECTION, FRAME, OWN, has_samples, samples_from
from app.viewer import MAX_PANELS, viewer
from app.widgets import (
    empty_state,
    failed_state,
    latest_of_each_family,
    pick_runs,
    run_colors,
    short_names,
    with_equal_classes,
)
from core.auth import is_read_only
from core.config import RGB
from core.data.bands import composite
from core.data.collections import save_collection
from core.errors import LabError
from core.escaping import escape_markdown
from core.inference.exports import Labelled, as_zip, items_for, overlay
from core.inference.prediction_cache import CachedPrediction
from core.inference.tta import PredictOptions
from core.labelling.label_set import mend_prediction
from core.paths import runs_folder
from core.runs.store import Run, list_runs, read_run
from core.text import format_bytes

SCALES = {"As trained": (1.0,), "Three sizes": (0.75, 1.0, 1.25), "Larger": (1.0, 1.5, 2.0)}
POLL_SECONDS = 0.3


def choose_options() -> PredictOptions:
    """Draw widgets for test-time options."""
    with st.expander("Test-time options"):
        sliding = st.toggle(
            "Sliding window",
            key="sliding",
            help="The network sees windows as large as its training crops, half overlapping; their logits are blended.",
        )
        flip = st.toggle("Flip", key="flip", help="The mirrored picture is looked at too; probabilities are averaged.")
        scales = st.segmented_control("Scales", list(SCALES), default="As trained", required=True, key="scales")
        st.caption(
            "Each option costs time and often gains a little: a flip doubles the time, three sizes cost about three"
            " times as much."
        )
    return PredictOptions(sliding_window=sliding, flip=flip, scales=SCALES[scales])


def move(count: int, by: int) -> None:
    """Go to another picture, past the last one to the first."""
    st.session_state["picture"] = (st.session_state.get("picture", 0) + by) % count


def choose_one(samples: Sequence[Sample]) -> Sample:
    """Draw widgets for which of several pictures is shown large."""
    if len(samples) == 1:
        return samples[0]
    if st.session_state.get("picture", 0) >= len(samples):
        st.session_state["picture"] = 0
    with st.container(horizontal=True, vertical_alignment="center", key="bench-frames"):
        arguments = {"on_click": move}
        st.button("Previous", icon=":material/arrow_back:", shortcut="Left", args=(len(samples), -1), **arguments)
        index = st.selectbox(
            "Picture",
            range(len(samples)),
            format_func=lambda position: (
                f"{position + 1}. {samples[position].name}" if position < len(samples) else str(position)
            ),
            label_visibility="collapsed",
            key="picture",
        )
        st.text(f"{index + 1} of {len(samples)}", width="content")
        st.button("Next", icon=":material/arrow_forward:", shortcut="Right", args=(len(samples), 1), **arguments)
    return samples[index]


def show_masks(sample: Sample, names: dict[str, str], options: PredictOptions, waits: bool) -> None:
    """Each network's mask over the picture: the quick answer first, the full one as soon as it is there."""
    predictions, coming = best_predictions(list(names), sample.image, sample.digest, options)
    if waits and not coming:
        st.rerun()
    if not predictions:
        return
    panels = []
    for run_id, prediction in predictions.items():
        took = f"{prediction.milliseconds:.0f} ms" + (
            " at half size, the full mask is coming" if run_id in coming else ""
        )
        panels.append(
            prediction_panel(
                names[run_id], run_id, prediction, sample.image, sample.digest, options, took, colors[run_id]
            )
        )
    first = next(iter(predictions.values()))
    viewer(
        image_address(sample.image, sample.digest),
        panels,
        first.class_names,
        first.colors,
        key="inspect-viewer",
        name=sample.name,
        aspect=sample.image.shape[1] / sample.image.shape[0],
    )


def predict_each(
    samples: Sequence[Sample],
    names: dict[str, str],
    options: PredictOptions,
    each: Callable[[Sample, str, CachedPrediction], None],
) -> None:
    """Call `each` with what every network sees in every picture, while a bar shows how far it is."""
    bar = st.progress(0.0, "The networks are looking at the pictures")
    count = len(samples) * len(names)
    done = 0
    for sample in samples:
        for run_id in names:
            each(sample, run_id, predict(run_id, sample.image, sample.digest, options))
            done += 1
            bar.progress(done / count, f"{done} of {count} masks")
    bar.empty()


def show_sheet(samples: Sequence[Sample], names: dict[str, str], options: PredictOptions) -> None:
    """All pictures with the first network's masks, on demand."""
    st.subheader("All pictures")
    if not st.toggle(f"Label all {len(samples)} pictures", key="label-all"):
        return
    figures: list[Markup] = []
    times: list[float] = []

    def add(sample: Sample, run_id: str, prediction: CachedPrediction) -> None:
        times.append(prediction.milliseconds)
        if run_id == next(iter(names)):
            small = cv2.resize(composite(sample.image), prediction.labels.shape[::-1])
            address = thumbnail_address(overlay(small, prediction), run_id, sample.digest, options)
            figure = Markup('<figure><img src="{}" alt=""><figcaption>{} · {:.0f} ms</figcaption></figure>')
            figures.append(figure.format(address, len(figures) + 1, prediction.milliseconds))

    try:
        predict_each(samples, names, options, add)
    except LabError as error:
        failed_state(error)
    if figures:
        show(Markup('<div class="lab-crops">{}</div>').format(joined(figures)))
        st.caption(
            f"The masks of {escape_markdown(next(iter(names.values())))}. {len(times)} masks took"
            f" {sum(times) / 1000:.1f} s, on average {sum(times) / len(times):.0f} ms."
        )


def offer_download(samples: Sequence[Sample], names: dict[str, str], options: PredictOptions) -> None:
    """Draw widgets that make a ZIP of all masks and hand it out."""
    offered = items_for(read_run(runs_folder() / next(iter(names))).class_names)
    with st.expander("Download"):
        items = st.pills(
            "What to put into the ZIP", offered, selection_mode="multi", default=offered, key=f"items-{len(offered)}"
        )
        question = (tuple(sample.digest for sample in samples), tuple(names), options, tuple(items))
        if st.button("Make the ZIP", key="make-zip", icon=":material/folder_zip:", disabled=not items):
            labelled: list[Labelled] = []
            try:
                predict_each(
                    samples,
                    names,
                    options,
                    lambda shown, run_id, prediction: labelled.append(
                        Labelled(shown.name, names[run_id], shown.image, prediction, shown.size, run_id)
                    ),
                )
                st.session_state["zip"] = (question, as_zip(labelled, items))
            except LabError as error:
                failed_state(error)
        made = st.session_state.get("zip")
        if made and made[0] == question:
            st.download_button(
                f"Download {format_bytes(len(made[1]))}",
                made[1],
                "masks.zip",
                "application/zip",
                key="download-zip",
                on_click="ignore",
                type="primary",
                icon=":material/download:",
            )
        st.caption(
            "Masks are as large as the pictures were. A README in the ZIP says what its files are. Label ids are those"
            " of the Cityscapes files, for networks that tell their classes apart."
        )


def offer_collection(samples: Sequence[Sample]) -> None:
    """Draw widgets that save the pictures of this visit under a name."""
    with st.expander("Save these pictures as a collection"):
        name = st.text_input(
            "Name", key="collection-name", placeholder="Subjective test set", max_chars=60, label_visibility="collapsed"
        )
        if st.button("Save", key="save-collection", icon=":material/save:", disabled=not name.strip()):
            try:
                saved = save_collection(name, [(sample.name, sample.image) for sample in samples])
                st.success(
                    f"Saved {len(saved.images)} pictures as {escape_markdown(saved.name)}. Choose Collection in the"
                    " dock to see them again."
                )
            except LabError as error:
                failed_state(error)


def offer_mending(sample: Sample, run: Run, options: PredictOptions) -> None:
    """Draw a button that takes a picture and a network's mask to where they are mended."""
    if is_read_only() or run.pixels != RGB:  # a label set holds ordinary photographs
        return
    if not st.button(
        "Mend this mask",
        icon=":material/brush:",
        key="mend",
        help="Keeps the picture with the first network's mask on the page Label: paint what is wrong, and train on it.",
    ):
        return
    try:
        prediction = predict(run.id, sample.image, sample.digest, options)
        labels = cv2.resize(prediction.labels, sample.image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        label_set, frame = mend_prediction(sample.name, sample.image, labels, prediction.class_names, prediction.colors)
    except LabError as error:
        failed_state(error)
        return
    st.switch_page("../pages/label.py", query_params={"label-set": label_set.slug, "label-frame": frame})


# page layout
open_bench("Inspect")
everyone = list_runs(runs_folder())
able = {run.id: run for run in everyone if run.has_checkpoint("best") and run.config}
if not able:
    empty_state(
        "No network yet",
        "Train a network first; a minute is enough for a first look. Then drop any street photo here.",
        "Train a network",
        page="train",
    )
    st.stop()
colors = run_colors(everyone)
with st.sidebar:
    with st.popover("Choose runs", icon=":material/playlist_add_check:", width="stretch"):
        chosen = pick_runs("Runs", able, latest_of_each_family(able), limit=MAX_PANELS)
    if not chosen:
        st.caption("Choose at least one run.")
        st.stop()
    chosen, seen = arranged(with_equal_classes(chosen, able))
    names = short_names([able[run_id] for run_id in chosen])
    run_chips({run_id: Chip(names[run_id], colors[run_id]) for run_id in chosen})
    source = st.selectbox("Picture", [OWN, CAMERA, FRAME, COLLECTION], key="inspect-source")
# Where a picture is dropped is in the middle until there is one.
with st.sidebar if has_samples(source) else st.container():
    uploads = samples_from(source, able[chosen[0]])
if not uploads:
    if source == OWN:
        empty_state(
            "Drop a picture",
            "Each chosen network labels it, and the pointer names class and confidence in every panel.",
        )
    st.stop()
upload = choose_one(uploads)
with st.sidebar:
    options = choose_options()
waits = ask_twice(seen, upload.image, upload.digest, options)
st.fragment(show_masks, run_every=POLL_SECONDS if waits else None)(
    upload, {run_id: names[run_id] for run_id in seen}, options, waits
)
with st.sidebar:
    offer_mending(upload, able[chosen[0]], options)
    offer_download(uploads, names, options)
    if source in (OWN, CAMERA):
        offer_collection(uploads)
if len(uploads) > 1:
    show_sheet(uploads, names, options)
