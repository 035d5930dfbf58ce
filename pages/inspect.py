"""Inspect: drop a picture, see what each network makes of it."""

import hashlib

import numpy as np
import streamlit as st

from app.pictures import answer_addresses, decode, photo_address, predict_all
from app.viewer import MOST_PANELS, Panel, viewer
from app.widgets import empty_state, latest_of_each_family, pick_runs, run_colors, swatch, with_equal_classes
from core.inference.worker import Answer
from core.places import runs_folder
from core.runs import list_runs


def shares_table(answers: dict[str, Answer], names: dict[str, str]) -> None:
    """Share of the pixels that each network gives to each class."""
    first = next(iter(answers.values()))
    rows = []
    counts = {run_id: np.bincount(answer.labels.ravel(), minlength=256) for run_id, answer in answers.items()}
    order = np.argsort(-sum(counts.values())[: len(first.classes)])
    for number in order:
        shares = [counts[run_id][number] / answers[run_id].labels.size for run_id in answers]
        if max(shares) >= 0.0005:
            cells = "".join(f"<td>{share:.1%}</td>" for share in shares)
            rows.append(f"<tr><td>{swatch(first.colors[number])}{first.classes[number]}</td>{cells}</tr>")
    head = "".join(f"<th>{names[run_id]}</th>" for run_id in answers)
    st.html(f'<div class="lab-scroll"><table class="lab-table"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>')


# page layout
st.title("Inspect")
everyone = list_runs(runs_folder())
able = {run.id: run for run in everyone if run.has_checkpoint("best") and run.config}
if not able:
    empty_state(
        "No network yet", "Train a network first; a minute is enough for a first look. Then drop any street photo here."
    )
    _, middle, _ = st.columns([2, 2, 2])
    if middle.button("Train a network", type="primary", width="stretch", icon=":material/model_training:"):
        st.switch_page("../pages/train.py")
    st.stop()
colors = run_colors(everyone)
chosen = pick_runs("Runs", able, latest_of_each_family(able), most=MOST_PANELS)
upload = st.file_uploader(
    "A picture of a street: PNG, JPEG, WebP, TIFF or BMP, 20 MB at most. It stays on this machine, in memory only.",
    type=["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"],
    key="upload",
)
if upload is None:
    empty_state(
        "Drop a picture", "Each chosen network labels it, and the pointer names class and confidence in every panel."
    )
    st.stop()
if not chosen:
    st.caption("Choose at least one run.")
    st.stop()
data = upload.getvalue()
digest = hashlib.sha256(data).hexdigest()
image = decode(digest, data)
answers = predict_all(with_equal_classes(chosen, able), image, digest)
if not answers:
    st.stop()
panels = []
for run_id, answer in answers.items():
    labels, confidence = answer_addresses(answer, run_id, digest)
    panels.append(
        Panel(able[run_id].title, labels, confidence, subtitle=f"{answer.milliseconds:.0f} ms", color=colors[run_id])
    )
first = next(iter(answers.values()))
viewer(
    photo_address(image, digest),
    panels,
    first.classes,
    first.colors,
    key="inspect-viewer",
    name="the uploaded picture",
    aspect=image.shape[1] / image.shape[0],
)
st.subheader("Share of the picture")
shares_table(answers, {run_id: able[run_id].title for run_id in answers})
