"""YOLO's text files of polygons, one for each image, and data.yaml or classes.txt, which names the classes.

A line is a class and the corners of a polygon, or a class and a box (centre, width, height), in shares of the image's
size.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.data.annotations.shapes import Annotation, Shape, ShapeError, box, points, read_shapes

NAME_LISTS = ("classes.txt", "obj.names", "labels.txt")
_ROW = re.compile(r"\s*\d+(\s+-?[0-1]?(\.\d+)?(e-?\d+)?){4,}\s*", re.IGNORECASE)


def recognise(content: Any, path: Path) -> list[str] | None:
    """Return the names that data.yaml or a list of names states, none for a file of polygons.

    None for a file of another kind.
    """
    if isinstance(content, dict) and path.suffix.lower() in (".yaml", ".yml"):
        names = content.get("names")
        if isinstance(names, dict) and all(isinstance(key, int) for key in names):
            names = [names.get(index, f"class {index}") for index in range(min(max(names, default=-1) + 1, 1000))]
        is_list = isinstance(names, list) and names and all(isinstance(name, str | int) for name in names)
        return [str(name) for name in names] if is_list else None
    if not isinstance(content, str):
        return None
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    if not lines or _ROW.fullmatch(lines[0]):
        return []
    return lines if path.name.lower() in NAME_LISTS else None


def read(content: Any, path: Path, class_names: list[str]) -> Iterator[Annotation]:
    """Yield the image of a file of polygons."""
    if isinstance(content, str) and not recognise(content, path):
        rows = [line.split() for line in content.splitlines() if line.strip()]
        shapes = read_shapes(enumerate(rows), lambda row: _name(row[0], class_names), _shape)
        yield Annotation((path.stem,), None, shapes, relative=True)


def _name(text: str, class_names: list[str]) -> str:
    if not class_names:
        raise ShapeError(f"is of class {text[:20]}, but there is no data.yaml or classes.txt that names the classes")
    if not text.isdecimal() or int(text[:9]) >= len(class_names):
        raise ShapeError(f"is of class {text[:20]}, but the classes that are named go from 0 to {len(class_names) - 1}")
    return class_names[int(text)]


def _shape(row: list[str]) -> Shape:
    values = row[1:]
    if len(values) == 4:
        centre, size = points(values)
        return Shape(rings=(box(centre - size / 2, size),))
    if len(values) < 6 or len(values) % 2:
        raise ShapeError(f"has {len(values)} numbers, and a polygon has 6 or more, two for each corner; a box has 4")
    return Shape(rings=(points(values),))
