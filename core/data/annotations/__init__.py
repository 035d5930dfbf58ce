"""Labels that label tools write, read as they are: shapes of each image, which are painted once into label maps.

`FORMATS` has a line for each format. To add one, write a module with two functions and its line:

    recognise(content, path)      the class names that a file states, in their order; None where it is of another kind
    read(content, path, classes)  yields an `Annotation` for each image of the file, those without shapes too

`content` is what the file holds: what `files.load` made of JSON, YAML or XML, or text. `shapes` has what geometry
needs, and paints; `masks` finds the photograph of each annotation and keeps what was painted in the cache. Both
functions may raise what a hostile file makes them: `masks` says which file and object it was.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.annotations import coco, coco_panoptic, cvat, label_studio, labelme, supervisely, via, yolo
from core.data.annotations.shapes import Annotation


@dataclass(frozen=True)
class Format:
    """A label tool's format.

    Attributes:
        title: its name within a sentence.
        source: address of its specification.
        recognise: as described above.
        read: as described above.
        is_shared: one file is for many images, and may be called after a split.
    """

    title: str
    source: str
    recognise: Callable[[Any, Path], list[str] | None]
    read: Callable[[Any, Path, list[str]], Iterator[Annotation]]
    is_shared: bool = True


FORMATS: tuple[Format, ...] = (
    Format("labelme", "https://github.com/wkentaro/labelme", labelme.recognise, labelme.read, is_shared=False),
    Format("COCO", "https://cocodataset.org/#format-data", coco.recognise, coco.read),
    Format("COCO panoptic", "https://cocodataset.org/#format-data", coco_panoptic.recognise, coco_panoptic.read),
    Format("YOLO", "https://docs.ultralytics.com/datasets/segment", yolo.recognise, yolo.read, is_shared=False),
    Format("CVAT", "https://docs.cvat.ai/docs/other/xml_format", cvat.recognise, cvat.read),
    Format("VGG Image Annotator", "https://www.robots.ox.ac.uk/~vgg/software/via", via.recognise, via.read),
    Format("Supervisely", "https://docs.supervisely.com/data-organization/00_ann_format_navi", supervisely.recognise, supervisely.read, is_shared=False),
    Format("Label Studio", "https://labelstud.io/guide/export", label_studio.recognise, label_studio.read),
)  # fmt: skip
"""In the order in which a file is tried."""
