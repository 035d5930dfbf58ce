"""COCO's panoptic JSON, a file for many images, and the PNG of each in the folder that is called as the JSON.

A pixel's segment is red + 256 green + 65536 blue, and 0 where nobody labelled it.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from core.data.annotations.shapes import Annotation, Shape, ShapeError, crop, read_shapes, read_size, whole
from core.data.decoding import read_values
from core.labels import pack_colors


def recognise(content: Any, _path: Path) -> list[str] | None:
    """Return the names of the categories, stuff and things; None for a file of another kind."""
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        return None
    if not all("segments_info" in item for item in content["annotations"][:1]) or not content["annotations"]:
        return None
    return [str(item.get("name", "")) for item in content["categories"]]


def read(content: Any, path: Path, _class_names: list[str]) -> Iterator[Annotation]:
    """Yield the images that have a PNG of segments."""
    names = {item["id"]: item["name"] for item in content["categories"]}
    images = {image["id"]: image for image in content["images"]}
    for item in content["annotations"]:
        image = images[item["image_id"]]
        file = str(item["file_name"])
        ids = _segments(path, PurePosixPath(file).name)
        size = read_size(image.get("height"), image.get("width"))
        if size and ids.shape != size:
            raise ShapeError(
                f"says that '{image['file_name']}' has {size[1]} x {size[0]} pixels, but its segments in '{file}' have"
                f" {ids.shape[1]} x {ids.shape[0]}"
            )
        segments = [(whole(segment["id"]), segment) for segment in item["segments_info"]]
        unlisted = set(np.unique(ids).tolist()) - {0, *(segment_id for segment_id, _ in segments)}
        if unlisted:
            raise ShapeError(
                f"doesn't list the segment {min(unlisted)} in the segments_info of '{file}', which shows it"
            )

        def shape_of(segment: Any, ids: np.ndarray = ids) -> Shape:
            return crop(ids == segment["id"])

        shapes = read_shapes(segments, lambda segment: names.get(segment["category_id"]), shape_of)
        yield Annotation((str(image["file_name"]),), size or ids.shape[:2], shapes)


def _segments(path: Path, name: str) -> np.ndarray:
    """Return the number of each pixel's segment, int32 (H, W). Raises ShapeError."""
    candidates = [path.with_suffix("") / name, path.parent / name]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        raise ShapeError(f"needs '{name}' in the folder '{path.stem}' beside it, which isn't there")
    values, palette = read_values(file)
    colors = values if palette is None else palette[values]
    colors = colors if colors.ndim == 3 else np.dstack([colors] * 3)  # red, green and blue happen to be equal
    return pack_colors(colors[..., ::-1])
