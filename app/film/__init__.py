"""The film of a training: the same validation frames at every evaluation, played or dragged through in the browser.

A Streamlit component without a build step. It gets the addresses of all images at once and shows one evaluation after
another by itself: no script run is needed for a scene. `film.js` is the component.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from markupsafe import Markup
from PIL import Image

from app.datasets import open_again
from app.images import file_digest, image_address, truth_of
from app.media import encode_colors
from app.services import media
from app.shared import entry_script, style_sheet
from app.widgets import failed_state
from core.data.dataset import Dataset, spread
from core.data.frames import Frame
from core.errors import LabError
from core.hub.origin import read_origin
from core.paths import runs_folder
from core.runs.metrics_log import evaluations
from core.runs.store import Run, read_run

MAX_SCENES = 60
"""Evaluations that a film shows, evenly spread where there are more: the browser holds all their images."""

_mount = st.components.v2.component(
    "film",
    css=style_sheet(Path(__file__).parent, "film.css"),
    js=entry_script("film/film.js"),
)


@dataclass(frozen=True)
class Strip:
    """One frame through the whole film: its name, the address of its image, and of its mask at each scene."""

    name: str
    image: str
    masks: tuple[str, ...]


@dataclass(frozen=True)
class Scene:
    """One evaluation: its step and its caption."""

    step: int
    caption: str


def film(scenes: Sequence[Scene], strips: Sequence[Strip], *, key: str, aspect: float = 2.0) -> None:
    """Show strips side by side, at the newest scene, with a scrubber and a button that plays them.

    Called again under the same key with more scenes, it goes on to the newest, unless an earlier one is chosen.

    Args:
        scenes: oldest first, at least one.
        strips: each with one mask per scene.
        key: identity of the element.
        aspect: width / height of an image.

    Raises:
        ValueError: there is no scene, or a strip hasn't one mask per scene.
    """
    if not scenes:
        raise ValueError("scenes: none given, a film needs one")
    wrong = [strip.name for strip in strips if len(strip.masks) != len(scenes)]
    if wrong:
        raise ValueError(f"strips: {wrong} have not one mask for each of the {len(scenes)} scenes")
    _mount(
        key=key,
        data={
            "scenes": [asdict(scene) for scene in scenes],
            "strips": [asdict(strip) for strip in strips],
            "aspect": aspect,
        },
    )


@st.fragment(run_every=3.0)
def run_film(run_id: str) -> None:
    """Show the film of a run up to now, or a sentence where there is none."""
    run = read_run(runs_folder() / run_id)
    if run.config and read_origin(run.path):
        st.caption(
            "It was trained elsewhere; the masks of its training stayed there. Compare and Inspect show what it sees."
        )
        return
    if not run.config or not (run.path / "samples").is_dir():
        _show_waiting()
        return
    try:
        dataset = open_again(run.config.dataset)
        folders = sorted((run.path / "samples").glob("[0-9]*"))
        frames = _frames(dataset, folders)
        # The newest may still be growing.
        complete = [folder for folder in folders if all(_mask(folder, frame).is_file() for frame in frames)]
        if not frames or not complete:
            _show_waiting()
            return
        shown = _spread_to_the_last(complete)
        strips = [_strip(frame, dataset, shown) for frame in frames]
    except (LabError, OSError) as error:
        failed_state(f"These frames can't be shown. {error}")
        return
    rows = {row["step"]: row for row in evaluations(run.path)}
    scenes = [Scene(int(folder.name), _caption(int(folder.name), rows.get(int(folder.name), {}))) for folder in shown]
    height, width = dataset.size
    film(scenes, strips, key=f"film-{run_id}", aspect=width / height)


def newest_mask(run: Run) -> Markup:
    """Return a run's first sample frame under its newest mask of it, as HTML; an empty frame where there is none."""
    content = Markup("")
    with suppress(LabError, OSError):
        folders = sorted((run.path / "samples").glob("[0-9]*"))
        dataset = open_again(run.config.dataset) if run.config and folders else None
        frames = _frames(dataset, folders)[:1] if dataset else []
        complete = [folder for folder in folders if all(_mask(folder, frame).is_file() for frame in frames)]
        if frames and complete:
            strip = _strip(frames[0], dataset, complete[-1:])
            content = Markup('<img src="{}" alt=""><img src="{}" alt="Newest mask of {}">').format(
                strip.image, strip.masks[0], run.name
            )
    return Markup('<div class="lab-frames lab-one"><figure>{}</figure></div>').format(content)


def _show_waiting() -> None:
    st.caption("The first masks come with the first evaluation.")


def _frames(dataset: Dataset, folders: Sequence[Path]) -> list[Frame]:
    """Return the frames that the first evaluation has masks of, in the data set's order."""
    return [frame for frame in dataset.val if folders and _mask(folders[0], frame).is_file()]


def _mask(folder: Path, frame: Frame) -> Path:
    return folder / f"{frame.id}.png"


def _spread_to_the_last(folders: list[Path]) -> list[Path]:
    """Return at most `MAX_SCENES` of them, evenly spread, the newest always among them."""
    return spread(folders[::-1], MAX_SCENES)[::-1]


def _strip(frame: Frame, dataset: Dataset, folders: Sequence[Path]) -> Strip:
    """Return a frame's strip. Raises LabError or OSError when the image or a mask can't be read."""
    image, _, digest = truth_of(frame, dataset)
    palette = dataset.space.palette
    masks = tuple(_address(_mask(folder, frame), palette) for folder in folders)
    return Strip(frame.id, image_address(image, digest), masks)


def _address(mask: Path, palette: np.ndarray) -> str:
    """Return the address of a saved mask in colors; the file is read only where the image isn't cached."""

    def encode() -> bytes:
        with Image.open(mask) as labels:
            return encode_colors(np.asarray(labels), palette)

    return media().address(("scene", file_digest(mask), palette.tobytes()), "png", encode)


def _caption(step: int, row: dict) -> str:
    miou = row.get("miou")
    parts = [f"step {step}"]
    parts += [f"epoch {row['epoch']}"] if "epoch" in row else []
    parts += [f"mean IoU {miou:.1%}"] if isinstance(miou, float) else []
    return ", ".join(parts)
