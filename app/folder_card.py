"""What lies in a folder of one's own, said first: how many pairs, which split, which classes, ten frames."""

from pathlib import Path

import numpy as np
import streamlit as st
from markupsafe import Markup

from app.datasets import FolderSummary, forget_datasets, save_classes, summarize_folder
from app.html import joined, show
from app.images import thumbnail_address, truth_of
from app.tables import swatch
from app.widgets import failed_state
from core.auth import is_read_only, may_change, read_owner
from core.config import DatasetConfig
from core.data.dataset import Dataset
from core.data.frames import Frame
from core.data.splits import UNLISTED
from core.data.uploaded_archive import delete_archive, unpacked_folder
from core.errors import LabError
from core.inference.exports import overlay_of
from core.paths import cache_folder
from core.text import plural


def folder_card(config: DatasetConfig) -> bool:
    """Draw what lies in the folder of a config, with the next step: to take the proposed classes, or to train.

    Returns:
        Whether it says what stands in a training's way; else that is for the page to say.
    """
    try:
        summary = summarize_folder(config)
    except (LabError, OSError):
        return False
    if not summary.frames:
        return False
    with st.container(border=True, key="folder-card"):
        is_explained = _draw(summary)
        _offer_removal(summary.report.root)
    return is_explained


def _draw(summary: FolderSummary) -> bool:
    """Draw what was seen, and the next step; returns as `folder_card`."""
    show(_lines(summary))
    figures = joined(_figure(frame, summary.dataset) for frame in summary.frames if summary.dataset)
    if figures:
        show(Markup('<div class="lab-strip">{}</div>').format(figures))
    banded = next((finding for finding in summary.report.findings if finding.code == "more-bands"), None)
    if banded and not figures:
        failed_state(f"{banded.sentence} {banded.fix}")
    elif summary.report.proposal and not summary.report.classes:
        _offer_proposal(summary)
    elif summary.report.healthy:
        if st.button("Train on this data", type="primary", icon=":material/model_training:", key="train-on-folder"):
            st.switch_page("../pages/train.py")
        return False
    else:
        first, *others = summary.report.errors
        more = f" Below: {plural(len(others), 'more error')}." if others else ""
        failed_state(f"{first.sentence} {first.fix}{more}")
    return True


def _lines(summary: FolderSummary) -> Markup:
    """HTML of what was seen, a line for each fact."""
    report, first = summary.report, summary.frames[0]
    parts = ", ".join(
        f"{count:,} {split if split == UNLISTED else f'in {split}'}" for split, count in report.pairs.items() if count
    )
    without = f"; {summary.num_unlabelled:,} without" if summary.num_unlabelled else ""
    size, *others = [*report.sizes] or [""]
    more = f" and {plural(len(others), 'other size')}" if others else ""
    inside = [
        "what its label file says"
        if path.is_relative_to(cache_folder())
        else path.relative_to(report.root).as_posix()
        if path.is_relative_to(report.root)
        else str(path)
        for path in (first.image, first.labels)
        if path
    ]
    rows = {
        "Photographs": f"{plural(sum(report.pairs.values()), 'photograph')} with masks: {parts}{without}",
        "Size": f"{size} pixels{more}" if size else "",
        "Pairs": " with ".join(inside),
        "Split": report.split_source,
    }
    lines = joined(Markup("<dt>{}</dt><dd>{}</dd>").format(title, text) for title, text in rows.items() if text)
    chips = joined(Markup("<span>{}</span>").format(chip) for chip in _chips(summary))
    seen = Markup('<div class="lab-seen"><dl>{}<dt>{}</dt><dd class="lab-chips" tabindex="0">{}</dd></dl></div>')
    return seen.format(lines, "Classes" if report.classes else "Proposed classes", chips)


def _chips(summary: FolderSummary) -> list[Markup]:
    """Return the classes with their colours, and where it was counted the share of the pixels of each."""
    if not summary.dataset:
        return []
    space = summary.dataset.space
    pixels = np.array(list(summary.report.pixels.values()) or [[0] * len(space.class_names)]).sum(axis=0)
    shares = pixels / max(1, pixels.sum())
    counted = len(shares) == len(space.class_names) and pixels.any()
    texts = [f" {share:.1%}" if share else " not seen" for share in shares] if counted else [""] * 256
    return [
        Markup("{}{}<small>{}</small>").format(swatch(color), name, text)
        for name, color, text in zip(space.class_names, space.colors, texts, strict=False)
    ]


def _figure(frame: Frame, dataset: Dataset) -> Markup:
    """HTML of a frame under its mask; nothing of one that can't be read, which the report says."""
    try:
        image, target, digest = truth_of(frame, dataset)
        if target is not None and target.shape == image.shape[:2]:
            image = overlay_of(image, dataset.space.palette[target])
    except LabError:
        return Markup("")
    address = thumbnail_address(image, "folder-card", digest)
    return Markup('<figure><img src="{0}" alt="{1}" title="{1}"></figure>').format(address, frame.id)


def _offer_removal(root: Path) -> None:
    """Draw the button that removes what was dropped here, for the one who dropped it."""
    folder = unpacked_folder(root)
    if folder is None or not may_change(read_owner(folder, of_data=True)):
        return
    with st.popover("Delete this data set", icon=":material/delete:"):
        st.caption("Its images and masks are removed from this machine. Runs that learned from it stay.")
        if st.button("Delete it for good", type="primary", key="delete-archive"):
            try:
                delete_archive(root)
            except LabError as error:
                failed_state(error)
            else:
                forget_datasets()
                st.session_state["folder-root"] = ""
                st.rerun()


def _offer_proposal(summary: FolderSummary) -> None:
    """Say why these classes are proposed, and draw the button that takes them."""
    report = summary.report
    known = next((finding.sentence for finding in report.findings if finding.code == "known-data-set"), "")
    sampled = any(finding.code == "sampled" for finding in report.findings)
    partly = f" Seen in {report.looked_at:,} of the pairs: others may hold more." if sampled else ""
    st.caption(
        f"{known or 'Nothing here says what the numbers or colours of the masks mean: the names are made up.'}{partly}"
        " They can be renamed below at any time."
    )
    if is_read_only():
        return
    if st.button("Use these classes", type="primary", icon=":material/check:", key="take-proposal"):
        try:
            save_classes(report.root, report.proposal)
        except LabError as error:
            failed_state(error)
        else:
            st.rerun()
