"""Live training curves: loss and validation scores of one or several runs, drawn in the browser as rows arrive.

A Streamlit component without a build step. It polls `GET /lab/metrics/{run_id}?offset=N` for the rows after its own
offset and extends the traces in place, so that zoom, hidden runs and the pointer's read-out survive every new row,
and no script run is needed for a curve to move. Leaves to `app.routes`: the metrics, the scripts, and Plotly.

`metrics.js` is the table of metrics, `series.js` holds a run's rows as columns, `feed.js` polls for them, `plots.js`
makes Plotly traces of them, `readout.js` shows the values at the pointer, `parts.js` builds the elements around the
plots, `curves.js` is the component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

from app.shared import entry_script, style_sheet

# Plotly puts its styles into the document's head, out of a shadow root's reach: hence no isolation.
_mount = st.components.v2.component(
    "curves",
    css=style_sheet(Path(__file__).parent, "curves.css"),
    js=entry_script("curves/curves.js"),
    isolate_styles=False,
)


@dataclass(frozen=True)
class Curve:
    """One run to draw."""

    run_id: str  # as in checkpoints/<run_id>
    title: str  # as people call it
    color: str  # CSS hex, "#rrggbb"; the run's color wherever it appears


def curves(
    runs: Sequence[Curve],
    *,
    key: str,
    class_names: Sequence[str] = (),
    poll_seconds: float = 1.0,
) -> None:
    """Draw the curves of `runs` here and keep them up to date until the element leaves the page.

    Args:
        runs: in the order of the legend, each run id once; up to ten stay smooth at 10,000 rows each.
        key: identity of the element; the same key on every script run keeps zoom and hidden runs.
        class_names: names in the order of an eval row's `iou`; with them one class's IoU can be chosen.
        poll_seconds: time between two polls of a run that may still write, in seconds. Ended and paused runs are polled
            every ten seconds, since they may be resumed; a hidden tab polls nothing.

    Raises:
        ValueError: a run id appears twice, or `poll_seconds` is not above zero.
    """
    ids = [run.run_id for run in runs]
    if len(set(ids)) < len(ids):
        raise ValueError(f"runs: each run id may appear once, got {ids}")
    if poll_seconds <= 0:
        raise ValueError(f"poll_seconds: got {poll_seconds}, allowed is above 0")
    _mount(
        key=key,
        data={
            "runs": [asdict(run) for run in runs],
            "classes": list(class_names),
            "poll_seconds": poll_seconds,
        },
    )
