"""The archive for the Cityscapes benchmark server: made, checked, offered."""

import time
from collections.abc import Sequence

import streamlit as st

from app.datasets import SPLIT_LABELS
from app.score_views import Shown
from app.scoring import start_archive
from core.data.sources import SOURCES
from core.evaluation.submission_archives import SPLITS, list_archives
from core.labels import CITYSCAPES_19
from core.runs.checkpoint_digest import checkpoint_digest
from core.text import format_bytes

MAX_DOWNLOAD = 200e6
"""Bytes of an archive that a browser is still offered; larger ones are named by their path alone."""


def benchmark_view(chosen: Sequence[str], shown: Shown, busy: bool) -> None:
    """Show the archive for the Cityscapes server: made, checked, offered."""
    able = [
        run_id
        for run_id in chosen
        if shown.runs[run_id].class_names == CITYSCAPES_19.class_names
        and SOURCES[shown.runs[run_id].config.dataset.name].has_coarse
    ]
    if not able:
        st.caption(
            "The benchmark server takes predictions for the test frames of Cityscapes. Choose a run that was trained on"
            " Cityscapes with its 19 classes."
        )
        return
    st.markdown(
        "The benchmark server at [cityscapes-dataset.com](https://www.cityscapes-dataset.com/submit/) takes a ZIP of"
        " label ids at 2048 x 1024, one picture for each of the 1525 test frames. It is made here, checked, and kept in"
        " the run's folder."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        run_id = st.selectbox("Run", able, format_func=shown.names.get, key="benchmark-run")
        split = st.segmented_control(
            "Split",
            list(SPLITS),
            format_func=SPLIT_LABELS.get,
            default="test",
            required=True,
            key="benchmark-split",
            help="Test frames have no public labels; validation frames show what an archive looks like.",
        )
        st.button(
            "Make the archive",
            icon=":material/folder_zip:",
            disabled=busy,
            key="make-archive",
            on_click=start_archive,
            args=(run_id, split, shown.settings),
        )
    run = shown.runs[run_id]
    archives = list_archives(run.path)
    if not archives:
        st.caption("No archive of this run yet.")
    for path, archive in archives:
        made = time.strftime("%d %B %Y, %H:%M", time.localtime(archive.made))
        which = "last" if "last" in archive.description else "best"
        stale = " The checkpoint was replaced since." if checkpoint_digest(run.path, which) != archive.weights else ""
        st.markdown(
            f"**{SPLIT_LABELS[archive.split]}**: {archive.frames:,} frames, {format_bytes(archive.size)},"
            f" {archive.description}, checked {made}.{stale}"
        )
        st.code(str(path), language=None)
        if archive.size < MAX_DOWNLOAD:
            st.download_button(
                "Download",
                path.read_bytes,
                file_name=f"{run.id}-{archive.split}.zip",
                mime="application/zip",
                icon=":material/download:",
                key=f"download-{archive.split}",
                on_click="ignore",
            )
