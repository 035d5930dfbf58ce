"""The filmstrip: small pictures of all frames of a split in a row, under the labels they have, in the order asked for.

A Streamlit component without a build step. Only the frames in sight exist in the browser, which fetches their pictures
from `GET /lab/thumbnail/<name>/<number>.jpg`; so a strip of 10,000 frames costs no more than one of ten. `reel.js` has
the arithmetic, `filmstrip.js` is the component. Leaves to `app.thumbnails`: the pictures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from app.shared import entry_script, style_sheet

_mount = st.components.v2.component(
    "filmstrip",
    css=style_sheet(Path(__file__).parent, "filmstrip.css"),
    js=entry_script("filmstrip/filmstrip.js"),
)


@dataclass(frozen=True)
class StripFrame:
    """A frame of the strip.

    Attributes:
        number: of its picture.
        caption: what it is called, and what it is sorted by.
        scores: mean IoU of each run, 0..1, None where it isn't known; none at all before anything is scored.
    """

    number: int
    caption: str
    scores: tuple[float | None, ...] = ()


def filmstrip(
    base: str,
    frames: Sequence[StripFrame],
    chosen: int,
    runs: Mapping[str, str],
    *,
    key: str,
    aspect: float,
    on_choose: Callable[[int], None],
) -> None:
    """Show frames in a row, the chosen one in sight.

    Args:
        base: address that the number of a frame and ".jpg" follow.
        frames: in their order.
        chosen: place of the chosen one in it.
        runs: CSS colour of each run by its name, in the order of the scores.
        key: Streamlit key of the strip.
        aspect: width / height of a picture.
        on_choose: called with the number of the frame that was chosen.
    """

    def report() -> None:
        number = st.session_state[key].chosen
        if isinstance(number, int):
            on_choose(number)

    data = {
        "base": base,
        "frames": [[frame.number, frame.caption, list(frame.scores)] for frame in frames],
        "chosen": chosen,
        "names": list(runs),
        "colors": list(runs.values()),
        "aspect": aspect,
    }
    _mount(key=key, data=data, on_chosen_change=report)
