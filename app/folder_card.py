"""What lies in a folder of one's own, said first: how many pairs, which split, which classes, ten frames."""

import html
from dataclasses import dataclass

import numpy as np
import streamlit as st

from app.datasets import forget_datasets
from app.images import thumbnail_address, truth_of
from app.tables import markup, swatch
from app.widgets import failed_state
from core.auth import is_read_only, require_write
from core.config import DatasetConfig
from core.data.class_table import save_class_table, space_of
from core.data.dataset import Dataset, label_space_of, measured_pixels, spread
from core.data.doctor import Report, examine
from core.data.folder import UNLABELLED
from core.data.frames import Frame
from core.data.sources import SOURCES
from core.data.splits import UNLISTED
from core.errors import LabError
from core.files import parse_json
from core.inference.exports import overlay_of
from core.labels import LabelSpace
from core.paths import cache_folder
from core.text import plural

SHOWN = 10
A_FEW = 24
"""Pairs of each part that are looked at where a class table is there."""
MAX_LOOKED_AT = 1000
"""The same where one is to be proposed: fewer pairs may miss a rare class."""


@dataclass(frozen=True)
class _Seen:
    """What a quick look found: frames with masks, some of all, and how many photographs have none.

    `dataset` has no frames; its classes are the folder's, or those that are proposed.
    """

    report: Report
    frames: list[Frame]
    num_unlabelled: int
    dataset: Dataset | None


def folder_card(config: DatasetConfig) -> bool:
    """Draw what lies in the folder of a config, with the next step: to take the proposed classes, or to train.

    Returns:
        False where there is nothing to show: the page says why.
    """
    try:
        seen = _look(config.model_dump_json())
    except (LabError, OSError):
        return False
    if not seen.frames:
        return False
    with st.container(border=True, key="folder-card"):
        st.html(_lines(seen))
        if seen.dataset:
            st.html(f'<div class="lab-strip">{"".join(_figure(frame, seen.dataset) for frame in seen.frames)}</div>')
        banded = next((finding for finding in seen.report.findings if finding.code == "more-bands"), None)
        if banded and not config.bands:
            failed_state(f"{banded.sentence} {banded.fix}")
        elif seen.report.proposal and not seen.report.classes:
            _offer_proposal(seen)
        elif seen.report.healthy:
            if st.button("Train on this data", type="primary", icon=":material/model_training:", key="train-on-folder"):
                st.switch_page("../pages/train.py")
        else:
            first, *others = seen.report.errors
            more = f" Below: {plural(len(others), 'more error')}." if others else ""
            failed_state(f"{first.sentence} {first.fix}{more}")
    return True


@st.cache_data(ttl=60, max_entries=4, show_spinner="Looking into the folder")
def _look(config_json: str) -> _Seen:
    config = DatasetConfig.model_validate_json(config_json)
    source = SOURCES[config.name]
    root = source.root(config.root)
    splits = source.find_splits(root, config)
    labelled = [frame for frames in splits.values() for frame in frames if frame.labels]
    options = {"class_table": config.classes, "val_fraction": config.val_fraction, "group_by": config.group_by}
    report = examine(root, **options, max_frames=A_FEW)
    if not report.classes and len(labelled) > A_FEW:
        report = examine(root, **options, max_frames=MAX_LOOKED_AT)
    frames = spread(labelled, SHOWN)
    dataset = None
    try:
        space = label_space_of(config, root) if report.classes else space_of(parse_json(report.proposal or "[]"))
        pixels = measured_pixels(config.pixels, [frame.image for frame in frames])
        dataset = Dataset(config.name, root, space, (config.height, config.width), (), (), pixels)
    except (LabError, ValueError):
        pass  # the report says what its masks lack
    return _Seen(report, frames, len(splits.get(UNLABELLED, ())), dataset)


def _lines(seen: _Seen) -> str:
    """HTML of what was seen, a line for each fact."""
    report, first = seen.report, seen.frames[0]
    parts = ", ".join(
        f"{count:,} {split if split == UNLISTED else f'in {split}'}" for split, count in report.pairs.items() if count
    )
    without = f"; {seen.num_unlabelled:,} without" if seen.num_unlabelled else ""
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
    lines = "".join(f"<dt>{title}</dt><dd>{html.escape(text)}</dd>" for title, text in rows.items() if text)
    chips = "".join(f"<span>{chip}</span>" for chip in _chips(seen))
    title = "Classes" if report.classes else "Proposed classes"
    return f'<div class="lab-seen"><dl>{lines}<dt>{title}</dt><dd class="lab-chips">{chips}</dd></dl></div>'


def _chips(seen: _Seen) -> list[str]:
    """Return the classes with their colours, and where it was counted the share of the pixels of each."""
    space = seen.dataset.space if seen.dataset else LabelSpace("", (), (), (), ())
    pixels = np.array(list(seen.report.pixels.values()) or [[0] * len(space.class_names)]).sum(axis=0)
    shares = pixels / max(1, pixels.sum())
    counted = len(shares) == len(space.class_names) and pixels.any()
    texts = [f" {share:.1%}" if share else " not seen" for share in shares] if counted else [""] * 256
    return [
        markup(swatch(color), name) + f"<small>{text}</small>"
        for name, color, text in zip(space.class_names, space.colors, texts, strict=False)
    ]


def _figure(frame: Frame, dataset: Dataset) -> str:
    """HTML of a frame under its mask; nothing of one that can't be read, which the report says."""
    try:
        image, target, digest = truth_of(frame, dataset)
        if target is not None and target.shape == image.shape[:2]:
            image = overlay_of(image, dataset.space.palette[target])
    except LabError:
        return ""
    address = thumbnail_address(image, "folder-card", digest)
    return f'<figure><img src="{address}" alt="{html.escape(frame.id)}" title="{html.escape(frame.id)}"></figure>'


def _offer_proposal(seen: _Seen) -> None:
    """Say why these classes are proposed, and draw the button that takes them."""
    report = seen.report
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
            require_write()
            save_class_table(report.root, report.proposal)
        except LabError as error:
            failed_state(error)
            return
        st.session_state.pop("reports", None)
        _look.clear()
        forget_datasets()
        st.rerun()
