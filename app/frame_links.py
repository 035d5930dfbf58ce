"""Frames as small pictures that open the page Compare."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlencode

import streamlit as st
from markupsafe import Markup

from app.datasets import open_again
from app.html import joined, show
from app.images import thumbnail_address, truth_of
from core.errors import LabError
from core.escaping import escape_markdown
from core.evaluation.results import EvaluationSettings
from core.runs.store import Run


def compare_address(frame_id: str, run_ids: Sequence[str], split: str = "val") -> str:
    """Address of the page Compare with a frame and runs chosen."""
    named = [("image", frame_id), *(("runs", run_id) for run_id in run_ids), ("split", split)]
    return f"compare?{urlencode(named)}"


def frame_links(captions: Mapping[str, str], runs: Sequence[Run], settings: EvaluationSettings) -> None:
    """Frames in the order given, each a link to Compare with these runs.

    Args:
        captions: a few words under each frame, by its id.
        runs: at least one; the first one's data are where the frames lie.
        settings: how the frames were scored: which split, and whether on other data, which Compare doesn't open.
    """
    frames, dataset = {}, None
    if not settings.root:
        try:
            dataset = open_again(runs[0].config.dataset, with_test=True)
            frames = {frame.id: frame for frame in getattr(dataset, settings.split)}
        except LabError as error:
            st.caption(escape_markdown(str(error)))
    cells = []
    for frame_id, caption in captions.items():
        label = Markup("<figcaption><b>{}</b><small>{}</small></figcaption>").format(caption, frame_id)
        if frame_id not in frames:
            cells.append(Markup("<figure>{}</figure>").format(label))
            continue
        thumbnail = Markup("")
        with suppress(LabError):
            image, _, digest = truth_of(frames[frame_id], dataset)
            thumbnail = Markup('<img src="{}" alt="">').format(thumbnail_address(image, digest))
        address = compare_address(frame_id, [run.id for run in runs], settings.split)
        link = Markup('<a href="{}" target="_self"><figure>{}{}</figure></a>')
        cells.append(link.format(address, thumbnail, label))
    show(Markup('<div class="lab-links">{}</div>').format(joined(cells)))
    if settings.root:
        st.caption("These frames are of another data set than the run's own, so the page Compare can't open them.")
