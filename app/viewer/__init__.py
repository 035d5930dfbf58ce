"""The mask viewer: one image under any number of label maps, side by side, with one zoom and one pointer.

The Python face of a Streamlit component without a build step. The browser fetches image and maps by their addresses,
decodes and colors them, and handles every pan, zoom, opacity, class and hover by itself. One thing comes back to the
server, and only where a page asks for it: the point that was picked. Leaves to `app.routes`: the addresses, and the
scripts.

- arithmetic, without DOM: `view.js` (zoom), `layout.js` (columns), `maps.js` (label maps), `colors.js`, `modes.js`,
  `address.js` (what the page's address says of the view), `overlays.js` (what is laid over the image), `reading.js`
  (a pixel as text)
- loading: `images.js` fetches and decodes, `lazy.js` what is computed on request
- drawing: `painting.js` onto a canvas, `panel.js` one panel, `grid.js` all of them, `swipe.js` the line between two
- around them: `chooser.js` (mode and overlay), `bar.js` (look, zoom, tools), `color_key.js`, `legend.js`,
  `shares.js` (its table), `readout.js`, `pinned.js`, `help.js`
- painting: `editor.js`, `edit_bar.js` and `tools.js` (its row), `raster.js` (arithmetic), `object_tool.js` (clicks on
  objects), `sketch.js` (what is about to be painted), `outbox.js` (what is on its way to the server)
- input and output: `gestures.js`, `keyboard.js`, `pointer.js` (hover and pin), `saving.js` (a PNG)
- `viewer.js` is the component that holds them together
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

from app.shared import entry_script, style_sheet

MAX_PANELS = 8
IGNORED = 255

Point = tuple[float, float]
"""(u, v), 0..1 from the left and from the top of the image."""

_STYLES = ("panel", "pair", "marks", "toolbars", "editing", "legend", "pinned", "help", "window")

_mount = st.components.v2.component(
    "mask_viewer",
    css=style_sheet(Path(__file__).parent, *(f"{name}.css" for name in _STYLES)),
    js=entry_script("viewer/viewer.js"),
)


@dataclass(frozen=True)
class Panel:
    """A label map over the image, or a heat map.

    Attributes:
        title: its source, "U-Net" or "Ground truth".
        labels: address of an 8-bit gray PNG, the class index in each pixel, 255 = ignored. Any size: it is laid over
            the whole image, nearest neighbour. For a heat map, 0..255 from `low` to `high`. None while they are still
            to come: the image alone, of which nothing is read or counted.
        confidence: address of an 8-bit gray PNG, 0..255 for 0..1, of any size; None where there is none.
        subtitle: a short figure beside the title, "mIoU 0.54".
        color: CSS color of the run, shown as a dot by the title; None for no dot.
        is_truth: the other panels are compared with this one.
        heat: `labels` are not classes but values, colored from dark to light and not counted in the legend.
        low: what 0 stands for.
        high: what 255 stands for.
        power: a byte stands for low + (high - low) * (byte / 255) ** power; 2 where roots are shown.
        entropy: address of an 8-bit gray PNG of any size, the entropy of the class probabilities as a share of its
            maximum, log K: 0..255 for 0 (sure) to 1 (every class equally likely); None where there is none. Fetched
            when it is chosen.
        likeliest: address of an 8-bit gray PNG with the likeliest classes of each pixel, as in
            `core.inference.prediction_cache.UncertaintyMaps`; None where there is none. Fetched when a pixel is pinned.
        iou: intersection over union of each class with the truth, 0..1, None where it is in neither; empty where the
            truth isn't known.
    """

    title: str
    labels: str | None
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
    iou: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Edit:
    """The mask that may be painted on, and where its patches go.

    Attributes:
        address: of the route that takes them, see `app.routes`.
        revision: of the mask that the panel shows, see `core.labelling.masks`.
        panel: the number of that panel.
        superpixels: address of a map of the picture's superpixels, see `core.labelling.superpixels`; empty without.
        objects: address of the route that tells which object clicks mean; empty where it can't.
    """

    address: str
    revision: str
    panel: int = 0
    superpixels: str = ""
    objects: str = ""


def viewer(
    image: str,
    panels: Sequence[Panel],
    class_names: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    *,
    key: str,
    name: str = "",
    aspect: float = 2.0,
    picked: Point | None = None,
    on_pick: Callable[[Point], None] | None = None,
    edit: Edit | None = None,
) -> None:
    """Show `image` once per panel, its label map over it.

    Called again under the same `key` with other images, it swaps them when all are decoded and keeps zoom (where
    the new image has the same proportions), mode, overlay, opacity and hidden classes. Without `on_pick` nothing is
    sent back to Python; a click still pins a pixel and lists every panel's reading. All of that stands in the page's
    address, which shows the same again.

    Args:
        image: address of the image (JPEG or PNG), of the same origin as the page.
        panels: 1 to 8 labellings, shown in this order.
        class_names: class names; a pixel's value is the index into them.
        colors: RGB, 0..255, one per class.
        key: Streamlit key of this viewer.
        name: the image's name, for screen readers and saved files.
        aspect: width / height of the image, which sizes the panels until it has arrived.
        picked: the point marked in every panel until another is picked.
        on_pick: called with the point that was clicked or tapped, before the script runs again, as any widget's
            callback.

        edit: what may be painted on; as long as its address is the same, what was painted stays, whatever revision
            Python knows.

    Raises:
        ValueError: no panel or more than 8, more than 255 classes, or not one color per class.
    """
    if not 1 <= len(panels) <= MAX_PANELS:
        raise ValueError(f"panels: {len(panels)} given, the viewer shows 1 to {MAX_PANELS}")
    if len(class_names) != len(colors):
        raise ValueError(f"colors: {len(colors)} given for {len(class_names)} classes, one each is needed")
    if len(class_names) > IGNORED:
        raise ValueError(f"classes: {len(class_names)} given, at most {IGNORED} fit beside the ignored value {IGNORED}")
    data = {
        "image": image,
        "name": name,
        "panels": [asdict(panel) for panel in panels],
        "classes": list(class_names),
        "colors": [[int(channel) for channel in color] for color in colors],
        "aspect": aspect,
        "picked": picked,
        "picks": on_pick is not None,
        "edit": asdict(edit) if edit else None,
    }
    if on_pick is None:
        _mount(key=key, data=data)
        return

    def report_pick() -> None:
        point = as_point(st.session_state[key].picked)
        if point is not None:
            on_pick(point)

    _mount(key=key, data=data, on_picked_change=report_pick)


def as_point(value: object) -> Point | None:
    """Return a point (u, v), 0..1, from a browser or an address; None where it is none."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    try:
        u, v = (float(coordinate) for coordinate in value)
    except (TypeError, ValueError):
        return None
    return (u, v) if math.isfinite(u + v) and 0 <= u <= 1 and 0 <= v <= 1 else None
