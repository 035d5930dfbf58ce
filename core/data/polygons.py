"""Label maps painted from polygons, as `cityscapesscripts/preparation/json2labelImg.py` paints them.

On the eight full-size frames at hand they equal the official label maps on 99.56 to 99.80 % of the evaluated pixels.
The rest lies along edges, since Pillow has changed how it fills since 2016. The official maps also have a rim of "out
of roi", 1.1 % of a frame, that no polygon describes; painted maps go on to the frame's edge there.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from core.errors import LabError
from core.files import parse_json
from core.labels import LABEL_BY_NAME
from core.text import format_bytes

MAX_PIXELS = 2**26
"""A file that promises a larger frame is refused before anything is allocated."""
MAX_BYTES = 2**26
"""Of a file; Cityscapes' own have less than one hundredth of it."""


def paint_polygons(path: Path) -> np.ndarray:
    """Label ids, uint8 (H, W), at the size that the file states; the last polygon lies on top.

    A name ending in "group" that has no id of its own counts as the thing it is a group of; "license plate", whose
    official id is -1, is not painted.

    Raises:
        LabError: the file is missing, isn't such a file, or names a class that Cityscapes doesn't have.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {format_bytes(MAX_BYTES)}")
        content = parse_json(path.read_text(encoding="utf-8"))
        height, width = int(content["imgHeight"]), int(content["imgWidth"])
        objects = [(item["label"], item["polygon"]) for item in content["objects"] if not item.get("deleted")]
        if not 0 < height * width <= MAX_PIXELS:
            raise ValueError(f"{width} x {height} pixels")
        image = Image.new("L", (width, height), 0)
        draw = ImageDraw.Draw(image)
        for name, points in objects:
            label_id = _id_of(name, path)
            outline = [(float(x), float(y)) for x, y in points]
            if label_id is not None and len(outline) >= 2:
                draw.polygon(outline, fill=label_id)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise LabError(
            f"'{path}' can't be read as polygons of Cityscapes ({str(error)[:80]}). Download or copy that file again."
        ) from None
    return np.array(image)


def _id_of(name: str, path: Path) -> int | None:
    if name == "license plate":
        return None
    for known in (name, name.removesuffix("group")):
        if known in LABEL_BY_NAME:
            return LABEL_BY_NAME[known].id
    raise LabError(f"'{path}' has a polygon called '{name[:80]}', which is no class of Cityscapes. Correct that name.")
