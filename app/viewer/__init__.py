"""The mask viewer: one picture under any number of label maps, side by side, with one zoom and one pointer.

This is the Python face of a Streamlit component without a build step. The browser fetches the pictures by their
addresses, decodes them, colours the label and heat maps and answers every pan, zoom, opacity, class and hover by itself. One
thing comes back to the server, and only where a page asks for it: the point that was picked. Making the pictures and serving them is
left to the caller and the lab's routes.

`elements.js` makes elements, `pictures.js` fetches and decodes, `view.js` and `layout.js` are the sums of zoom and of
columns, `maps.js` those over label maps, `colors.js` says which colours there are, `painting.js` colours and draws,
`overlays.js` says what is laid over the photo and `modes.js` which panels stand where, also in the page's address (`view=`).
`readout.js` says what is at the pointer, `panel.js` is one picture, `swipe.js` the line between two, `late.js` what few ask for.
Around them stand `chooser.js` (mode and overlay), `bar.js` (look and zoom), `key.js` and `legend.js` (colours), `shares.js` (their
table), `pinned.js` and `help.js`; `saving.js` makes a PNG, `gestures.js` hears the pointer, `keys.js` the keyboard, and
`viewer.js` is the component that holds them together.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

MAX_PANELS = 8
IGNORED = 255

Point = tuple[float, float]
"""(u, v), 0..1 from the left and from the top of the picture."""

_HERE = Path(__file__).parent

# One script: an inline component cannot import a second module. Only viewer.js has an export.
_SCRIPTS = (
    "elements.js",
    "pictures.js",
    "view.js",
    "layout.js",
    "maps.js",
    "late.js",
    "colors.js",
    "painting.js",
    "overlays.js",
    "modes.js",
    "help.js",
    "readout.js",
    "panel.js",
    "swipe.js",
    "key.js",
    "shares.js",
    "legend.js",
    "pinned.js",
    "bar.js",
    "chooser.js",
    "saving.js",
    "keys.js",
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
    """One labelling of the picture, or a heat map over it.

    Attributes:
        title: what made it, "U-Net" or "Ground truth".
        labels: address of an 8-bit gray PNG, the class number in each pixel, 255 = ignored. Any size: it is laid over
            the whole picture, nearest neighbour. For a heat map, 0..255 from `low` to `high`.
        confidence: address of an 8-bit gray PNG, 0..255 for 0..1, of any size; None where there is none.
        subtitle: a short figure beside the title, "mIoU 0.54".
        color: CSS colour of the run, shown as a dot by the title; None for no dot.
        is_truth: the other panels are compared with this one.
        heat: `labels` are not classes but values, coloured from dark to light and not counted in the legend.
        low: what 0 stands for.
        high: what 255 stands for.
        power: a byte stands for low + (high - low) * (byte / 255) ** power; 2 where roots are shown.
        entropy: address of an 8-bit gray PNG of any size, the entropy of the class probabilities as a share of its maximum, log K:
            0..255 for 0 (sure) to 1 (every class equally likely); None where there is none. Fetched when it is to be seen.
        likeliest: address of an 8-bit gray PNG with the likeliest classes of each pixel, as in `core.inference.prediction_cache.UncertaintyMaps`;
            None where there is none. Fetched when a pixel is pinned.
    """

    title: str
    labels: str
    confidence: str | None = None
    subtitle: str = ""
    color: str | None = None
    is_truth: bool = False
    heat: bool = False
    low: float = 0.0
    high: float = 1.0
    power: float = 1.0
    entropy: str | None = None
    likeliest: str | None = None


def viewer(
    image: str,
    panels: Sequence[Panel],
    classes: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    *,
    key: str,
    name: str = "",
    aspect: float = 2.0,
    picked: Point | None = None,
    on_pick: Callable[[Point], None] | None = None,
) -> None:
    """Show `image` once per panel, its label map over it.

    Called again under the same `key` with other pictures, it swaps them when all are decoded and keeps zoom (where
    the new picture has the same proportions), mode, overlay, opacity and hidden classes. Without `on_pick` nothing is sent back to
    Python; a click still pins a pixel, and what each panel says of it is listed. The mode, and which panels it compares, stand in
    the page's address as `view=`.

    Args:
        image: address of the photo (JPEG or PNG), of the same origin as the page.
        panels: 1 to 8 labellings, shown in this order.
        classes: class names; a pixel's value is the index into them.
        colors: RGB, 0..255, one per class.
        key: Streamlit key of this viewer.
        name: the picture's name, for those who can't see it.
        aspect: width / height of the photo, to hold its place until it has arrived.
        picked: a point that is marked in every panel, until another is picked.
        on_pick: called with the point that was clicked or tapped, before the script runs again, as any widget's callback.

    Raises:
        ValueError: no panel or more than 8, more than 255 classes, or not one colour per class.
    """
    if not 1 <= len(panels) <= MAX_PANELS:
        raise ValueError(f"panels: {len(panels)} given, the viewer shows 1 to {MAX_PANELS}")
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
        "picked": picked,
        "picks": on_pick is not None,
    }
    if on_pick is None:
        _component(key=key, data=data)
        return

    def tell() -> None:
        point = as_point(st.session_state[key].picked)
        if point is not None:
            on_pick(point)

    _component(key=key, data=data, on_picked_change=tell)


def as_point(value: object) -> Point | None:
    """What a browser or an address says as a point (u, v), 0..1; None where it is none."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    try:
        u, v = (float(part) for part in value)
    except (TypeError, ValueError):
        return None
    return (u, v) if math.isfinite(u + v) and 0 <= u <= 1 and 0 <= v <= 1 else None
