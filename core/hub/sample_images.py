"""Sample pictures for a model card: a validation frame and what the network saw in it, side by side, without the
frame's name.

Whose pictures may be shown is decided here: generated streets always, the publisher's own where they say so, Cityscapes
never.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from core.data.bands import composite
from core.data.dataset import open_dataset
from core.data.sources import SOURCES
from core.errors import LabError
from core.inference.exports import png
from core.labels import palette_of
from core.runs.store import Run

MAX_SAMPLES = 3


def may_show(run: Run, own_images: bool) -> bool:
    """Return whether pictures of a run's data may be published.

    `own_images` is what the publisher says of a folder of their own.
    """
    if run.config is None:
        return False
    match SOURCES[run.config.dataset.name].sharing:
        case "free":
            return True
        case "ask":
            return own_images and not _looks_like_cityscapes(run)
        case _:
            return False


def sample_images(run: Run, own_images: bool) -> dict[str, bytes]:
    """Return PNGs by the name that they get in the repository.

    None where there is nothing to show, or it may not be shown.
    """
    folders = sorted((run.path / "samples").glob("[0-9]*"))
    if not folders or not may_show(run, own_images):
        return {}
    results: dict[str, bytes] = {}
    try:
        dataset = open_dataset(run.config.dataset)
        for frame in dataset.val:
            mask = folders[-1] / f"{frame.id}.png"
            if len(results) < MAX_SAMPLES and mask.is_file():
                results[f"samples/{len(results) + 1}.png"] = _side_by_side(composite(dataset.image(frame)), mask, run)
    except (LabError, OSError):
        return {}  # the data is gone; the network is what is published
    return results


def _side_by_side(image: np.ndarray, mask: Path, run: Run) -> bytes:
    """PNG of a photograph uint8 (H, W, 3) and its mask in colours.

    Encoded from pixels: nothing else of a file comes with them.
    """
    with Image.open(mask) as labels:
        colors = palette_of(run.colors)[np.asarray(labels)]
    return png(np.concatenate([image, colors], axis=1))


def _looks_like_cityscapes(run: Run) -> bool:
    """Return a folder of one's own may hold frames that aren't."""
    root = Path(run.config.dataset.root)
    if "cityscapes" in str(root).lower() or (root / "leftImg8bit").is_dir():
        return True
    return any("leftImg8bit" in path.name for path in (run.path / "samples").rglob("*.png"))
