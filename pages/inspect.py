"""Inspect: drop pictures, a ZIP or a video, take one, or choose a frame; see what each network makes of them, and take it home."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import streamlit as st

from app.datasets import open_again
from app.pictures import (
    Picture,
    answer_panel,
    ask_twice,
    best_answers,
    decode_batch,
    named,
    photo_address,
    predict,
    saved_picture,
    thumbnail_address,
    truth_of,
)
from app.viewer import MOST_PANELS, viewer
from app.widgets import (
    empty_state,
    failed_state,
    latest_of_each_family,
    pick_runs,
    plain,
    run_colors,
    run_name,
    swatch,
    with_equal_classes,
)
from core.data.collections import delete_collection, list_collections, save_collection
from core.errors import LabError
from core.inference.answers import Answer
from core.inference.batches import MAX_BATCH_BYTES, MOST_PICTURES, VIDEO_ENDINGS, VIDEO_FRAMES
from core.inference.exports import ITEMS, Labelled, as_zip, overlay
from core.inference.options import PredictOptions
from core.inference.uploads import PICTURE_ENDINGS
from core.places import runs_folder
from core.runs import Run, list_runs

OWN, CAMERA, FRAME, COLLECTION = "Your own pictures", "Camera", "Frame of a data set", "Collection"
SCALES = {"As trained": (1.0,), "Three sizes": (0.75, 1.0, 1.25), "Larger": (1.0, 1.5, 2.0)}
POLL_SECONDS = 0.3


def uploaded_pictures(files: Sequence[st.runtime.uploaded_file_manager.UploadedFile]) -> list[Picture]:
    """The pictures in uploaded files; the page says of each that isn't one why. Those of files taken away are forgotten."""
    known: dict[str, tuple[list[Picture], list[str]]] = st.session_state.get("decoded", {})
    decoded: dict[str, tuple[list[Picture], list[str]]] = {}
    for file in files:
        data = file.getvalue()
        key = f"{file.file_id}|{len(data)}"
        if key not in known:
            with st.spinner(f"Reading {plain(file.name)}"):
                parts = decode_batch(file.name, data)
            known[key] = (
                [named(part.name, part.image) for part in parts if part.image is not None],
                [f"{part.name}: {part.problem}" for part in parts if part.problem],
            )
        decoded[key] = known[key]
    st.session_state["decoded"] = decoded
    for _, problems in decoded.values():
        for problem in problems:
            failed_state(plain(problem))
    pictures = [picture for found, _ in decoded.values() for picture in found]
    if len(pictures) > MOST_PICTURES:
        st.caption(f"The first {MOST_PICTURES} of {len(pictures)} pictures are shown.")
    return pictures[:MOST_PICTURES]


def from_upload() -> list[Picture]:
    """Widget for files of one's own."""
    files = st.file_uploader(
        f"Pictures of a street (PNG, JPEG, WebP, TIFF, BMP), a ZIP of up to {MOST_PICTURES}, or a short video, of which "
        f"{VIDEO_FRAMES} frames are taken. They stay on this machine, in memory, for this visit.",
        type=[*PICTURE_ENDINGS, "zip", *VIDEO_ENDINGS],
        accept_multiple_files=True,
        max_upload_size=MAX_BATCH_BYTES // 2**20,
        key="upload",
    )
    return uploaded_pictures(files)


def from_camera() -> list[Picture]:
    """Widget for a picture of the camera."""
    taken = st.camera_input("A picture of what is before you. It stays on this machine, in memory.", key="camera")
    return uploaded_pictures([taken] if taken else [])


def from_frames(run: Run) -> list[Picture]:
    """Widgets for a frame of the data set that a run learned on."""
    dataset = open_again(run.config.dataset)
    splits = {"val": dataset.val, "train": dataset.train}
    left, right = st.columns([1, 3])
    split = left.selectbox("Split", list(splits), key="inspect-split")
    frames = {frame.id: frame for frame in splits[split]}
    frame_id = right.selectbox(f"Frame, one of {len(frames)}", list(frames), key=f"inspect-{split}-frame")
    image, _, digest = truth_of(frames[frame_id], dataset.space)
    return [Picture(frame_id, image, digest)]


def from_collection() -> list[Picture]:
    """Widgets for a saved collection."""
    saved = {collection.slug: collection for collection in list_collections()}
    if not saved:
        empty_state(
            "No collection yet",
            "Drop some pictures of your own, then save them under a name below the masks. Every later run can be shown on them.",
        )
        return []
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    slug = left.selectbox(
        "Collection",
        list(saved),
        format_func=lambda slug: f"{saved[slug].name} ({len(saved[slug].pictures)})" if slug in saved else slug,
        key="collection",
    )
    with right.popover("Delete", icon=":material/delete:", width="stretch"):
        st.caption("The pictures of this collection are removed from this machine.")
        if st.button("Delete the collection", key="delete-collection", type="primary"):
            delete_collection(slug)
            st.rerun()
    return [saved_picture(name, path) for name, path in saved[slug].pictures]


def choose_options() -> PredictOptions:
    """Widgets for test-time options."""
    with st.expander("Test-time options"):
        sliding = st.toggle(
            "Sliding window",
            key="sliding",
            help="The network sees windows as large as its training crops, half overlapping; their logits are blended.",
        )
        flip = st.toggle("Flip", key="flip", help="The mirrored picture is looked at too; probabilities are averaged.")
        scales = st.segmented_control("Scales", list(SCALES), default="As trained", required=True, key="scales")
        st.caption(
            "Each option costs time and often gains a little: a flip doubles the time, three sizes cost about three times as much."
        )
    return PredictOptions(sliding_window=sliding, flip=flip, scales=SCALES[scales])


def move(count: int, by: int) -> None:
    """Goes to another picture, past the last one to the first."""
    st.session_state["picture"] = (st.session_state.get("picture", 0) + by) % count


def choose_one(pictures: Sequence[Picture]) -> Picture:
    """Widgets for which of several pictures is shown large."""
    if len(pictures) == 1:
        return pictures[0]
    if st.session_state.get("picture", 0) >= len(pictures):
        st.session_state["picture"] = 0
    picker, back, forth = st.columns([6, 1, 1], vertical_alignment="bottom")
    number = picker.selectbox(
        f"Picture, one of {len(pictures)}",
        range(len(pictures)),
        format_func=lambda place: f"{place + 1}. {pictures[place].name}" if place < len(pictures) else str(place),
        key="picture",
    )
    arguments = {"width": "stretch", "on_click": move}
    back.button("Previous", icon=":material/arrow_back:", shortcut="Left", args=(len(pictures), -1), **arguments)
    forth.button("Next", icon=":material/arrow_forward:", shortcut="Right", args=(len(pictures), 1), **arguments)
    return pictures[number]


def show_masks(picture: Picture, names: dict[str, str], options: PredictOptions, waits: bool) -> None:
    """Each network's mask over the picture: the quick answer first, the full one as soon as it is there."""
    answers, coming = best_answers(list(names), picture.image, picture.digest, options)
    if waits and not coming:
        st.rerun()
    if not answers:
        return
    panels = []
    for run_id, answer in answers.items():
        took = f"{answer.milliseconds:.0f} ms" + (" at half size, the full mask is coming" if run_id in coming else "")
        panels.append(
            answer_panel(names[run_id], run_id, answer, picture.image, picture.digest, options, took, colors[run_id])
        )
    first = next(iter(answers.values()))
    viewer(
        photo_address(picture.image, picture.digest),
        panels,
        first.classes,
        first.colors,
        key="inspect-viewer",
        name=picture.name,
        aspect=picture.image.shape[1] / picture.image.shape[0],
    )
    st.subheader("Share of the picture")
    shares_table(answers, names)


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


def answer_all(
    pictures: Sequence[Picture],
    names: dict[str, str],
    options: PredictOptions,
    each: Callable[[Picture, str, Answer], None],
) -> None:
    """Calls `each` with what every network sees in every picture, while a bar shows how far it is."""
    bar = st.progress(0.0, "The networks are looking at the pictures")
    count = len(pictures) * len(names)
    done = 0
    for picture in pictures:
        for run_id in names:
            each(picture, run_id, predict(run_id, picture.image, picture.digest, options))
            done += 1
            bar.progress(done / count, f"{done} of {count} masks")
    bar.empty()


def show_sheet(pictures: Sequence[Picture], names: dict[str, str], options: PredictOptions) -> None:
    """All pictures with the first network's masks, on demand."""
    st.subheader("All pictures")
    if not st.toggle(f"Label all {len(pictures)} pictures", key="label-all"):
        return
    figures: list[str] = []
    times: list[float] = []

    def add(picture: Picture, run_id: str, answer: Answer) -> None:
        times.append(answer.milliseconds)
        if run_id == next(iter(names)):
            small = cv2.resize(picture.image, answer.labels.shape[::-1])
            address = thumbnail_address(overlay(small, answer), run_id, picture.digest, options)
            caption = f"{len(figures) + 1} · {answer.milliseconds:.0f} ms"
            figures.append(f'<figure><img src="{address}" alt=""><figcaption>{caption}</figcaption></figure>')

    try:
        answer_all(pictures, names, options, add)
    except LabError as error:
        failed_state(error)
    if figures:
        st.html(f'<div class="lab-crops">{"".join(figures)}</div>')
        st.caption(
            f"The masks of {plain(next(iter(names.values())))}. {len(times)} masks took {sum(times) / 1000:.1f} s, on average "
            f"{sum(times) / len(times):.0f} ms."
        )


def offer_download(pictures: Sequence[Picture], names: dict[str, str], options: PredictOptions) -> None:
    """Widgets that make a ZIP of all masks and hand it out."""
    with st.expander("Download"):
        items = st.pills(
            "What to put into the ZIP", ITEMS, selection_mode="multi", default=list(ITEMS), key="download-items"
        )
        question = (tuple(picture.digest for picture in pictures), tuple(names), options, tuple(items))
        if st.button("Make the ZIP", key="make-zip", icon=":material/folder_zip:", disabled=not items):
            labelled: list[Labelled] = []
            try:
                answer_all(
                    pictures,
                    names,
                    options,
                    lambda picture, run_id, answer: labelled.append(
                        Labelled(picture.name, names[run_id], picture.image, answer)
                    ),
                )
                st.session_state["zip"] = (question, as_zip(labelled, items))
            except LabError as error:
                failed_state(error)
        made = st.session_state.get("zip")
        if made and made[0] == question:
            st.download_button(
                f"Download {len(made[1]) / 2**20:.1f} MB",
                made[1],
                "masks.zip",
                "application/zip",
                key="download-zip",
                on_click="ignore",
                type="primary",
                icon=":material/download:",
            )
        st.caption(
            "Label ids are those of the Cityscapes files. GeoJSON and COCO hold the outlines of each region in pixels; the table "
            "holds the share of each class."
        )


def offer_collection(pictures: Sequence[Picture]) -> None:
    """Widgets that save the pictures of this visit under a name."""
    with st.expander("Save these pictures as a collection"):
        name = st.text_input(
            "Name", key="collection-name", placeholder="Subjective test set", max_chars=60, label_visibility="collapsed"
        )
        if st.button("Save", key="save-collection", icon=":material/save:", disabled=not name.strip()):
            try:
                saved = save_collection(name, [(picture.name, picture.image) for picture in pictures])
                st.success(
                    f"Saved {len(saved.pictures)} pictures as {plain(saved.name)}. Choose Collection above to see them again."
                )
            except LabError as error:
                failed_state(error)


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
source = st.segmented_control(
    "Picture", [OWN, CAMERA, FRAME, COLLECTION], default=OWN, required=True, key="inspect-source"
)
if not chosen:
    st.caption("Choose at least one run.")
    st.stop()
chosen = with_equal_classes(chosen, able)
if source == FRAME:
    pictures = from_frames(able[chosen[0]])
else:
    pictures = {OWN: from_upload, CAMERA: from_camera, COLLECTION: from_collection}[source]()
if not pictures:
    if source == OWN:
        empty_state(
            "Drop a picture",
            "Each chosen network labels it, and the pointer names class and confidence in every panel.",
        )
    st.stop()
options = choose_options()
names = {run_id: able[run_id].title for run_id in chosen}
if len(set(names.values())) < len(names):
    names = {run_id: run_name(able[run_id]) for run_id in chosen}
picture = choose_one(pictures)
waits = ask_twice(chosen, picture.image, picture.digest, options)
st.fragment(show_masks, run_every=POLL_SECONDS if waits else None)(picture, names, options, waits)
if len(pictures) > 1:
    show_sheet(pictures, names, options)
offer_download(pictures, names, options)
if source in (OWN, CAMERA):
    offer_collection(pictures)
