"""Where the pictures come from that a page shows: files, the camera, a frame of a data set, a saved collection."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app.datasets import SPLIT_LABELS, open_again
from app.images import Sample, cache_decoded, decode_batch, named, saved_sample, truth_of
from app.services import check_uploads, max_upload_size, tab
from app.widgets import empty_state, failed_state
from core.auth import current_user
from core.config import PixelFormat
from core.data.collections import delete_collection, list_collections
from core.errors import LabError
from core.escaping import escape_markdown
from core.inference.batches import MAX_BATCH_BYTES, MAX_IMAGES, VIDEO_ENDINGS, VIDEO_FRAMES, UploadBudget
from core.inference.uploads import IMAGE_EXTENSIONS
from core.runs.store import Run
from core.text import plural

CARRIED = "carried-files"
"""Where files stand that were dropped on a page which has no place for them."""
OWN, CAMERA, FRAME, COLLECTION = "Your own pictures", "Camera", "Frame of a data set", "Collection"


@dataclass(frozen=True)
class _Decoded:
    """The pictures of an uploaded file, and sentences about what is none."""

    samples: list[Sample]
    problems: list[str]

    @property
    def nbytes(self) -> int:
        return sum(sample.nbytes for sample in self.samples)


def say_when_uploads_are_used_up() -> None:
    """Show a line below a widget for files, where it can take no more within this hour: the widget itself would say a
    number.
    """
    try:
        check_uploads(current_user())
    except LabError as error:
        st.caption(escape_markdown(str(error)))


def uploaded_samples(
    files: Sequence[st.runtime.uploaded_file_manager.UploadedFile], pixels: PixelFormat
) -> list[Sample]:
    """Return the pictures in uploaded files, as far as a visit has room; the page says of each that isn't one why."""
    say_when_uploads_are_used_up()
    budget, samples = UploadBudget(), []
    for index, file in enumerate(files):
        if not budget.images:
            rest = plural(len(files) - index, "file")
            st.caption(f"The first {MAX_IMAGES} pictures are shown; {rest} weren't read.")
            break
        decoded = _decoded(file, pixels, budget, tab())
        for problem in decoded.problems:
            failed_state(problem)
        samples += decoded.samples
        budget = budget.after(sample.image for sample in decoded.samples)
    return samples


@cache_decoded(lambda file, pixels, budget, tab: (tab, file.file_id, file.name, file.size, pixels, budget))
def _decoded(
    file: st.runtime.uploaded_file_manager.UploadedFile, pixels: PixelFormat, budget: UploadBudget, _tab: str
) -> _Decoded:
    with st.spinner(f"Reading {escape_markdown(file.name)}"):
        parts = decode_batch(file.name, file.getvalue(), pixels, budget)
    return _Decoded(
        [named(part.name, part.image, part.size) for part in parts if part.image is not None],
        [f"{part.name}: {part.problem}" for part in parts if part.problem],
    )


def file_widget(key: str) -> list[st.runtime.uploaded_file_manager.UploadedFile]:
    """Show a widget for files of one's own, and return them."""
    return st.file_uploader(
        f"Pictures of a street (PNG, JPEG, WebP, TIFF, BMP), a ZIP of up to {MAX_IMAGES}, or a short video, of which"
        f" {VIDEO_FRAMES} frames are taken. They stay on this machine and are not saved; the masks made of them are"
        " kept in data/cache.",
        type=[*IMAGE_EXTENSIONS, "zip", *VIDEO_ENDINGS],
        accept_multiple_files=True,
        max_upload_size=max_upload_size(MAX_BATCH_BYTES),
        key=key,
    )


def from_upload(run: Run) -> list[Sample]:
    """Draw a widget for files of one's own; those dropped on another page are shown until there are others."""
    files = file_widget("upload") or st.session_state.get(CARRIED, [])
    return uploaded_samples(files, run.pixels)


def from_camera(run: Run) -> list[Sample]:
    """Widget for a picture of the camera."""
    taken = st.camera_input(
        "A picture of what is before you. It stays on this machine and is not saved; its masks are kept in data/cache.",
        width=640,
        key="camera",
    )
    return uploaded_samples([taken] if taken else [], run.pixels)


def from_frames(run: Run) -> list[Sample]:
    """Draw widgets for a frame of the data set that a run learned on."""
    dataset = open_again(run.config.dataset)
    splits = {"val": dataset.val, "train": dataset.train}
    split = st.selectbox("Split", list(splits), format_func=SPLIT_LABELS.get, key="inspect-split")
    frames = {frame.id: frame for frame in splits[split]}
    frame_id = st.selectbox(f"Frame, one of {len(frames)}", list(frames), key=f"inspect-{split}-frame")
    image, _, digest = truth_of(frames[frame_id], dataset)
    return [Sample(frame_id, image, digest)]


def from_collection(run: Run) -> list[Sample]:
    """Draw widgets for a saved collection."""
    saved = {collection.slug: collection for collection in list_collections()}
    if not saved:
        empty_state(
            "No collection yet",
            "Drop some pictures of your own, then save them under a name below the masks. Every later run can be shown"
            " on them.",
        )
        return []
    slug = st.selectbox(
        "Collection",
        list(saved),
        format_func=lambda slug: f"{saved[slug].name} ({len(saved[slug].images)})" if slug in saved else slug,
        key="collection",
    )
    with st.popover("Delete", icon=":material/delete:"):
        st.caption("The pictures of this collection are removed from this machine.")
        if st.button("Delete the collection", key="delete-collection", type="primary"):
            delete_collection(slug)
            st.rerun()
    return [saved_sample(name, path) for name, path in saved[slug].images]


def has_samples(source: str) -> bool:
    """Return whether a source that waits for pictures has some, or waits for none."""
    if source in (FRAME, COLLECTION):
        return True
    return bool(st.session_state.get("camera" if source == CAMERA else "upload")) or (
        source == OWN and bool(st.session_state.get(CARRIED))
    )


def samples_from(source: str, run: Run) -> list[Sample]:
    """Draw widgets for pictures from one of the four sources; frames are those that a run learned on."""
    return {OWN: from_upload, CAMERA: from_camera, FRAME: from_frames, COLLECTION: from_collection}[source](run)
