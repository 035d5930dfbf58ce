"""Explain: what one network sees at one pixel. Its feature maps, its attention, its effective receptive field."""

import hashlib

import numpy as np
import streamlit as st

from app.bench import open_bench
from app.datasets import open_again
from app.images import (
    decode,
    explain,
    explanation_address,
    image_address,
    layers,
    predict,
    prediction_panel,
    truth_of,
)
from app.uploads import say_when_uploads_are_used_up
from app.viewer import Panel, Point, as_point, viewer
from app.widgets import empty_state, recall, run_colors, run_label
from core.escaping import escape_markdown
from core.inference.worker import Explanation
from core.paths import runs_folder
from core.runs.store import Run, list_runs

KINDS = {"features": "Feature maps", "attention": "Attention", "field": "Receptive field"}
CAPTIONS = {
    "features": (
        "A layer is a stack of maps, its channels. The first map is their average strength; the others are the channels"
        " that stand out most at your pixel, in standard deviations (σ) above what they are elsewhere in the picture."
        " Early layers answer to edges and colours, late ones to things ([Zeiler and Fergus,"
        " 2014](https://arxiv.org/abs/1311.2901))."
    ),
    "attention": (
        "The patch under your pixel asks every other patch, and bright ones are those it listens to, on a scale of"
        " square roots. Each head asks a question of its own. Try the sky, a car, and a layer near the end"
        " ([Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929); [Caron et al.,"
        " 2021](https://arxiv.org/abs/2104.14294))."
    ),
    "field": (
        "Bright pixels are those that move the score of the winning class at your pixel if they change a little, on a"
        " scale of square roots. They fill much less than the receptive field in theory, and fade towards its rim"
        " ([Luo et al., 2016](https://arxiv.org/abs/1701.04128))."
    ),
}
MIDDLE = (0.5, 0.5)


def picked_point() -> Point:
    """Return the pixel that was picked last, in this session or by the address; else the middle."""
    named = st.query_params.get("at", "").split(",")
    return as_point(named) or MIDDLE


def pick(point: Point) -> None:
    """Write a picked pixel into the address, where it is found again."""
    st.query_params["at"] = "{:.4f},{:.4f}".format(*point)


def choose_image(run: Run) -> tuple[np.ndarray, str, str] | None:
    """Draw widgets for the picture. Returns it with its digest and its name, or None while nothing is uploaded."""
    source = st.segmented_control(
        "Picture", ["Validation frame", "Your own"], default="Validation frame", required=True, key="look-source"
    )
    if source == "Your own":
        upload = st.file_uploader(
            "A picture of a street: PNG, JPEG, WebP, TIFF or BMP, 20 MB at most. It stays on this machine and is not"
            " saved; what the network made of it is kept in data/cache.",
            type=["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"],
            key="look-upload",
        )
        say_when_uploads_are_used_up()
        if upload is None:
            return None
        digest = hashlib.sha256(upload.getvalue()).hexdigest()
        return decode(digest, upload.getvalue(), run.pixels), digest, "the uploaded picture"
    dataset = open_again(run.config.dataset)
    ids = [frame.id for frame in dataset.val]
    recall("image", ids, ids[0])
    frame_id = st.selectbox(f"One of {len(ids)} frames", ids, key="image")
    st.query_params["image"] = frame_id
    frame = dataset.val[ids.index(frame_id)]
    image, _, digest = truth_of(frame, dataset)
    return image, digest, frame.id


def heat_panels(explanation: Explanation) -> list[Panel]:
    """Return the maps of a look as panels of the viewer."""
    return [
        Panel(
            shown.title,
            explanation_address(shown.values),
            subtitle=shown.note,
            heat=True,
            low=shown.low,
            high=shown.high,
            power=shown.power,
        )
        for shown in explanation.maps
    ]


# page layout
open_bench("Explain")
everyone = list_runs(runs_folder())
able = {run.id: run for run in everyone if run.has_checkpoint("best") and run.config}
if not able:
    empty_state(
        "No network to look into yet",
        "A network can be looked into from its first evaluation on. Train one for a minute, then see its feature maps,"
        " its attention and its receptive field here.",
        "Train a network",
        page="train",
    )
    st.stop()
with st.sidebar:
    recall("run", list(able), next(iter(able)))
    run_id = st.selectbox("Run", list(able), format_func=lambda each: run_label(able[each]), key="run")
    st.query_params["run"] = run_id
    chosen = choose_image(able[run_id])
if chosen is None:
    empty_state("Drop a picture", "Then click any pixel of it to ask the network what it sees there.")
    st.stop()
image, digest, name = chosen
with st.spinner("The network is looking at it"):
    prediction = predict(run_id, image, digest)
    there = layers(run_id)
with st.sidebar:
    recall("look", list(there), "features")
    kind = st.selectbox("Look at", list(there), format_func=KINDS.get, key="look")
    st.query_params["look"] = kind
    layer = ""
    if there[kind]:
        # Where the encoder ends, edges have become things.
        ends = [each for each in there[kind] if each.startswith("encoder.")] or there[kind]
        recall("layer", there[kind], ends[-1])
        layer = st.select_slider("Layer, from the picture to the answer", there[kind], key="layer")
        st.query_params["layer"] = layer
    st.caption(CAPTIONS[kind])
point = picked_point()
explanation = explain(run_id, image, digest, point, kind, layer)
st.markdown(escape_markdown(explanation.metadata))
viewer(
    image_address(image, digest),
    [
        prediction_panel(able[run_id].title, run_id, prediction, image, digest, color=run_colors(everyone)[run_id]),
        *heat_panels(explanation),
    ],
    prediction.class_names,
    prediction.colors,
    key="look-viewer",
    name=name,
    aspect=image.shape[1] / image.shape[0],
    picked=point,
    on_pick=pick,
)
st.caption(
    f"The network took {explanation.milliseconds:.0f} ms for this look. Layers bear the names they have in its code."
)
