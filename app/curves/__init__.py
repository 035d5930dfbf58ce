"""Live training curves: loss and validation scores of one or several runs, drawn in the browser as rows arrive.

A Streamlit component without a build step. It polls `GET /lab/metrics/{run_id}?offset=N` for the rows after its own
offset and extends the traces in place, so that zoom, hidden runs and the pointer's read-out survive every new row,
and no script run is needed for a curve to move. Leaves to `app.routes`: the metrics, and `GET /lab/plotly.js`.

`series.js` holds a run's rows as columns, `feed.js` asks for them, `plots.js` makes Plotly traces of them, `readout.js`
shows the values at the pointer, `words.js` makes what stands around the plots, `curves.js` is the component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent

# One script: an inline component cannot import a second module. Only curves.js has an export.
_SCRIPTS = ("series.js", "feed.js", "plots.js", "readout.js", "words.js", "curves.js")

# Plotly puts its styles into the document's head, out of a shadow root's reach: hence no isolation. Every class of
# ours starts with "curves".
_mount = st.components.v2.component(
    "curves",
    js="\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
    css=(_HERE / "curves.css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


@dataclass(frozen=True)
class Curve:
    """One run to draw."""

    run_id: str  # as in checkpoints/<run_id>
    title: str  # what the reader calls it
    color: str  # CSS hex, "#rrggbb"; the run's colour wherever it appears


def curves(
    runs: Sequence[Curve],
    *,
    key: str,
    classes: Sequence[str] = (),
    poll_seconds: float = 1.0,
) -> None:
    """Draw the curves of `runs` here and keep them up to date until the element leaves the page.

    Args:
        runs: in the order of the legend, each run id once; up to ten stay smooth at 10,000 rows each.
        key: identity of the element; the same key on every script run keeps zoom and hidden runs.
        classes: names in the order of an eval row's `iou`; with them the reader can choose one class's IoU.
        poll_seconds: time between two polls of a run that may still write, in seconds. Ended runs are asked every
            ten seconds, since a stopped run may be resumed; a hidden tab asks for nothing.

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
            "classes": list(classes),
            "poll_seconds": poll_seconds,
        },
    )
