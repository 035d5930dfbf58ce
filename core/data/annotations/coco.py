"""COCO's JSON of objects, a file for many images; crowds are painted as any other object.

Runs are decoded here: of a mask whose runs are too few, pycocotools returns memory that nobody wrote.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.data.annotations.shapes import (
    Annotation,
    Shape,
    ShapeError,
    box,
    decode_runs,
    points,
    read_shapes,
    read_size,
    whole,
)


def recognise(content: Any, _path: Path) -> list[str] | None:
    """Return the names of the categories.

    None for a file of another kind, such as COCO's captions, keypoints and panoptic segments.
    """
    if not isinstance(content, dict):
        return None
    lists = [content.get(key) for key in ("images", "annotations", "categories")]
    if not all(isinstance(each, list) and all(isinstance(item, dict) for item in each[:1]) for each in lists):
        return None
    _, annotations, categories = lists
    if any("segmentation" not in item or "keypoints" in item for item in annotations[:1]) or not categories:
        return None
    return [str(item.get("name", "")) for item in categories]


def read(content: Any, _path: Path, _class_names: list[str]) -> Iterator[Annotation]:
    """Yield the images that a file lists, those without objects too."""
    names = {item["id"]: item["name"] for item in content["categories"]}
    by_image: dict[Any, list[tuple[int, Any]]] = defaultdict(list)
    for index, item in enumerate(content["annotations"]):
        by_image[item["image_id"]].append((index, item))
    for image in content["images"]:
        size = read_size(image.get("height"), image.get("width"))

        def shape_of(item: Any, size: tuple[int, int] | None = size) -> Shape:
            return _shape(item, size)

        shapes = read_shapes(by_image[image["id"]], lambda item: names.get(item["category_id"]), shape_of)
        yield Annotation((str(image["file_name"]),), size, shapes)


def _shape(item: Any, size: tuple[int, int] | None) -> Shape:
    segmentation = item.get("segmentation")
    if not segmentation:  # a box alone
        corner, size_of_box = points(item["bbox"])
        return Shape(rings=(box(corner, size_of_box),))
    if isinstance(segmentation, list):
        return Shape(rings=tuple(points(ring) for ring in segmentation))
    height, width = (whole(value) for value in segmentation["size"])
    if size and (height, width) != size:
        raise ShapeError(f"has a mask of {width} x {height} pixels, but its image has {size[1]} x {size[0]}")
    counts = segmentation["counts"]
    runs = _decompress(counts) if isinstance(counts, str) else counts
    return Shape(mask=decode_runs(runs, width, height).T)  # COCO's runs go down the columns


def _decompress(text: str) -> list[int]:
    """Return run lengths from their text: 5 bits a letter, of which a sixth says that more follow.

    From the third on as differences.
    """
    runs: list[int] = []
    value = shift = 0
    for code in (ord(letter) - 48 for letter in text):
        if not 0 <= code < 64 or shift > 30:
            raise ShapeError("has run lengths that aren't COCO's")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= (code & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs
