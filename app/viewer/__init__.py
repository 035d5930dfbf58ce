"""The mask viewer: one picture under any number of label maps, side by side, with one zoom and one pointer.

This is the Python face of a Streamlit component without a build step. The browser fetches the pictures by their
addresses, decodes them, colours the label maps and answers every pan, zoom, opacity, class and hover by itself; no
request comes back to the server. Making the pictures and serving them is left to the caller and the lab's routes.

`elements.js` makes elements, `pictures.js` fetches and decodes, `view.js` and `layout.js` are the sums of zoom and of
columns, `painting.js` colours and draws, `readout.js` says what is at the pointer, `panel.js` is one picture,
`legend.js` the classes, `bar.js` the controls, `gestures.js` pointer and keys, `viewer.js` the component that holds
them together.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

MOST_PANELS = 8
IGNORED = 255

_HERE = Path(__file__).parent

# One script: an inline component cannot import a second module. Only viewer.js has an export.
_SCRIPTS = (
    "elements.js",
    "pictures.js",
    "view.js",
    "layout.js",
    "painting.js",
    "readout.js",
    "panel.js",
    "legend.js",
    "bar.js",
    "gestures.js",
    "viewer.js",
)

_component = st.components.v2.component(
    "mask_viewer",
    css=(_HERE / "viewer.css").read_text(encoding="utf-8"),
    js="\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
)


@dataclass(frozen=True)
class Panel:
    """One labelling of the picture.

    Attributes:
        title: what made it, "U-Net" or "Ground truth".
        labels: address of an 8-bit gray PNG, the class number in each pixel, 255 = ignored. Any size: it is laid over
            the whole picture, nearest neighbour.
        confidence: address of an 8-bit gray PNG, 0..255 for 0..1, of any size; None where there is none.
        subtitle: a short figure beside the title, "mIoU 0.54".
        color: CSS colour of the run, shown as a dot by the title; None for no dot.
        is_truth: the other panels are compared with this one.
    """

    title: str
    labels: str
    confidence: str | None = None
    subtitle: str = ""
    color: str | None = None
    is_truth: bool = False


def viewer(
    image: str,
    panels: Sequence[Panel],
    classes: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    *,
    key: str,
    name: str = "",
    aspect: float = 2.0,
) -> None:
    """Show `image` once per panel, its label map over it.

    Called again under the same `key` with other pictures, it swaps them when all are decoded and keeps zoom (where
    the new picture has the same proportions), opacity and hidden classes. Nothing is sent back to Python.

    Args:
        image: address of the photo (JPEG or PNG), of the same origin as the page.
        panels: 1 to 8 labellings, shown in this order.
        classes: class names; a pixel's value is the index into them.
        colors: RGB, 0..255, one per class.
        key: Streamlit key of this viewer.
        name: the picture's name, for those who can't see it.
        aspect: width / height of the photo, to hold its place until it has arrived.

    Raises:
        ValueError: no panel or more than 8, more than 255 classes, or not one colour per class.
    """
    if not 1 <= len(panels) <= MOST_PANELS:
        raise ValueError(f"panels: {len(panels)} given, the viewer shows 1 to {MOST_PANELS}")
    if len(classes) != len(colors):
        raise ValueError(f"colors: {len(colors)} given for {len(classes)} classes, one each is needed")
    if len(classes) > IGNORED:
        raise ValueError(f"classes: {len(classes)} given, at most {IGNORED} fit beside the ignored value {IGNORED}")
    data = {
        "image": image,
        "name": name,
        "panels": [asdict(panel) for panel in panels],
        "classes": list(classes),
        "colors": [[int(part) for part in color] for color in colors],
        "aspect": aspect,
    }
    _component(key=key, data=data)
