"""What can be taken home of an answer: label maps in three spaces, overlay, confidence, outlines and shares, all in one
ZIP.

Label ids are those of the Cityscapes files, so that what leaves here is scored by the official scripts. Torch isn't
needed.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np

from core.data.bands import composite, resize
from core.data.class_table import format_rows
from core.escaping import csv_cell
from core.inference.prediction_cache import CachedPrediction
from core.inference.uploads import IMAGE_EXTENSIONS
from core.labels import IGNORED, LABEL_BY_NAME, palette_of
from core.text import one_line

MIN_PIXELS = 16
"""A region smaller than this has no outline."""
OVERLAY_SHARE = 0.55

Item = Literal["train ids", "label ids", "colours", "overlay", "confidence", "GeoJSON", "COCO", "shares"]
FILES: dict[Item, str] = {
    "train ids": "NAME_trainIds.png: the number of each pixel's class, as classes.json has it.",
    "label ids": "NAME_labelIds.png: the ids of the Cityscapes files, for their scripts.",
    "colours": "NAME_color.png: each class in its colour.",
    "overlay": "NAME_overlay.png: the colours over the picture.",
    "confidence": "NAME_confidence.png: how sure the network was of its answer, 0 to 255 for 0 to 1.",
    "GeoJSON": "NAME.geojson: the outline of each region in pixels, y down; id is the class's number.",
    "COCO": "coco.json: the regions as run lengths; category_id is the class's number plus one.",
    "shares": "shares.csv: the share of each class in each picture, 0 to 1.",
}
"""What a ZIP holds of each item, as its README says it."""
ITEMS: tuple[Item, ...] = tuple(FILES)


@dataclass(frozen=True)
class Labelled:
    """One picture with what one network saw in it.

    Attributes:
        image_name: what the picture is called.
        network: what the network is called.
        image: uint8 (H, W, 3).
        prediction: at the size of `image`.
        size: height and width at which it leaves; that of `image` where none is given.
        run: id of the run that the network is of, or empty.
    """

    image_name: str
    network: str
    image: np.ndarray
    prediction: CachedPrediction
    size: tuple[int, int] = (0, 0)
    run: str = ""


def at_full_size(labelled: Labelled) -> Labelled:
    """Return a picture that was reduced for the page, with its answer, at the size of its file.

    Labels by nearest neighbour.
    """
    size, prediction = labelled.size, labelled.prediction
    if size in ((0, 0), prediction.labels.shape):
        return labelled
    labels = cv2.resize(prediction.labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    confidence = cv2.resize(prediction.confidence, size[::-1], interpolation=cv2.INTER_LINEAR)
    image = resize(labelled.image, size)
    return replace(labelled, image=image, prediction=replace(prediction, labels=labels, confidence=confidence))


def items_for(class_names: Sequence[str]) -> list[Item]:
    """Return what a ZIP can hold of networks with these classes: label ids only where all of them are Cityscapes'."""
    is_official = all(name in LABEL_BY_NAME for name in class_names)
    return [item for item in ITEMS if item != "label ids" or is_official]


def label_ids(prediction: CachedPrediction) -> np.ndarray | None:
    """Return the label map in the ids of the Cityscapes files, uint8 (H, W); None where a class is none of theirs."""
    if "label ids" not in items_for(prediction.class_names):
        return None
    table = np.zeros(256, np.uint8)  # "unlabeled"
    table[: len(prediction.class_names)] = [LABEL_BY_NAME[name].id for name in prediction.class_names]
    return table[prediction.labels]


def train_ids(prediction: CachedPrediction) -> np.ndarray:
    """Return the label map as the network counts its classes, uint8 (H, W): train ids for a network of the 19
    classes.
    """
    return prediction.labels


def color_mask(prediction: CachedPrediction) -> np.ndarray:
    """Return the label map painted, uint8 (H, W, 3)."""
    return palette_of(prediction.colors)[prediction.labels]


def overlay(image: np.ndarray, prediction: CachedPrediction) -> np.ndarray:
    """Return the picture under its painted label map, uint8 (H, W, 3)."""
    return overlay_of(image, color_mask(prediction))


def overlay_of(image: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Return a picture uint8 (H, W, C) under colours, uint8 (H, W, 3)."""
    return cv2.addWeighted(composite(image), 1 - OVERLAY_SHARE, colors, OVERLAY_SHARE, 0)


def shares(prediction: CachedPrediction) -> dict[str, float]:
    """Return share of the pixels that each class has, 0..1, in the order of the classes."""
    counts = np.bincount(prediction.labels.ravel(), minlength=256)[: len(prediction.class_names)]
    return {
        name: float(count / prediction.labels.size) for name, count in zip(prediction.class_names, counts, strict=True)
    }


@dataclass(frozen=True)
class Region:
    """A connected piece of one class.

    Attributes:
        class_id: of its class.
        rings: int (N, 2), corners (x, y) in pixels: the outline first, then its holes.
        area: in pixels.
        box: left, top, width and height.
        mask: uint8 (height, width), 1 inside, within the box.
    """

    class_id: int
    rings: tuple[np.ndarray, ...]
    area: int
    box: tuple[int, int, int, int]
    mask: np.ndarray


def regions(labels: np.ndarray, min_pixels: int = MIN_PIXELS) -> list[Region]:
    """Return the pieces of each class in a label map, uint8 (H, W), of at least `least` pixels, largest first within a
    class.

    Pixels that touch at a corner belong together. Corners of rings are the centres of the pixels at the rim, as OpenCV
    finds them.
    """
    results = []
    for class_id in np.unique(labels[labels != IGNORED]):
        count, pieces, metadata, _ = cv2.connectedComponentsWithStats(
            (labels == class_id).astype(np.uint8), connectivity=8
        )
        own = []
        for piece in range(1, count):
            left, top, width, height, area = (int(value) for value in metadata[piece])
            if area < min_pixels:
                continue
            mask = (pieces[top : top + height, left : left + width] == piece).astype(np.uint8)
            contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
            # The one without a parent is the outline.
            order = sorted(range(len(contours)), key=lambda index: tree[0][index][3] >= 0)
            rings = tuple(contours[ring][:, 0] for ring in order)
            own.append(Region(int(class_id), rings, area, (left, top, width, height), mask))
        results += sorted(own, key=lambda region: -region.area)
    return results


def geojson(labelled: Labelled) -> dict[str, Any]:
    """Return the regions as a GeoJSON FeatureCollection in pixels, x to the right and y down.

    Rings are closed, as RFC 7946 asks.
    """
    features = [
        {
            "type": "Feature",
            "properties": {
                "class": labelled.prediction.class_names[region.class_id],
                "id": region.class_id,
                "area": region.area,
                "color": "#{:02x}{:02x}{:02x}".format(*labelled.prediction.colors[region.class_id]),
            },
            "geometry": {
                "type": "Polygon",
                "coordinates": [[*ring.tolist(), ring[0].tolist()] for ring in region.rings if len(ring) >= 3],
            },
        }
        for region in regions(labelled.prediction.labels)
        if len(region.rings[0]) >= 3
    ]
    return {"type": "FeatureCollection", "features": features}


def coco(labelled: Sequence[Labelled]) -> dict[str, Any]:
    """Return the regions of several pictures as COCO annotations.

    Category ids are class numbers plus one, since COCO begins at 1.

    COCO's polygons know no holes, hence `segmentation` is the run-length encoding of the region, column by column.
    """
    class_names = labelled[0].prediction.class_names
    images, annotations = [], []
    for image_id, each in enumerate(map(at_full_size, labelled), start=1):
        height, width = each.prediction.labels.shape
        images.append({"id": image_id, "file_name": each.image_name, "width": width, "height": height})
        for region in regions(each.prediction.labels):
            left, top, wide, high = region.box
            mask = np.zeros((height, width), np.uint8)
            mask[top : top + high, left : left + wide] = region.mask
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": region.class_id + 1,
                    "segmentation": {"size": [height, width], "counts": run_lengths(mask)},
                    "area": region.area,
                    "bbox": list(region.box),
                    "iscrowd": 1,
                }
            )
    categories = [{"id": index, "name": name} for index, name in enumerate(class_names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def run_lengths(mask: np.ndarray) -> list[int]:
    """Return lengths of the runs of equal pixels of a mask of 0 and 1, uint8 (H, W), column by column, the first of
    zeros.
    """
    flat = np.concatenate([[0], mask.ravel(order="F")])
    ends = np.flatnonzero(np.diff(flat)) if flat.any() else np.array([], int)
    return np.diff(np.concatenate([[0], ends, [flat.size - 1]])).tolist()


def shares_csv(labelled: Sequence[Labelled]) -> str:
    """Return a table with a row for each picture and network: share of the pixels of each class, 0..1."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["picture", "network", "milliseconds", *map(csv_cell, labelled[0].prediction.class_names)])
    for each in labelled:
        row = [csv_cell(each.image_name), csv_cell(each.network), round(each.prediction.milliseconds)]
        table.writerow([*row, *(f"{share:.6f}" for share in shares(each.prediction).values())])
    return text.getvalue()


def as_zip(labelled: Sequence[Labelled], items: Sequence[Item] = ITEMS) -> bytes:
    """Return one ZIP with what was asked for: a folder for each network, in it a file for each picture and item, its
    class table, and a README beside them.

    Label ids are left out for a network whose classes are not Cityscapes'. Names in it are made here: numbers, and
    letters of the pictures' own names.
    """
    held = io.BytesIO()
    networks = list(dict.fromkeys(each.network for each in labelled))
    folders = {network: f"{index:02d}_{file_stem(network)}" for index, network in enumerate(networks, start=1)}
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        _write_text(archive, "README.txt", readme(labelled, folders, items))
        for network, folder in folders.items():
            own = [each for each in labelled if each.network == network]
            for position, each in enumerate(own, start=1):
                name = f"{folder}/{position:03d}_{file_stem(each.image_name)}"
                for suffix, content in _files_of(each, items):
                    archive.writestr(f"{name}{suffix}", content)
            _write_text(archive, f"{folder}/classes.json", class_table(own[0].prediction))
            if "COCO" in items:
                _write_text(archive, f"{folder}/coco.json", json.dumps(coco(own)))
            if "shares" in items:
                _write_text(archive, f"{folder}/shares.csv", shares_csv(own))
    return held.getvalue()


def class_table(prediction: CachedPrediction) -> str:
    """Return the classes as `core.data.class_table` reads them: with it the label maps are masks that can be learned
    from.
    """
    classes = zip(prediction.class_names, prediction.colors, strict=True)
    return format_rows(
        [
            {"name": name, "color": [int(value) for value in color], "ids": [index]}
            for index, (name, color) in enumerate(classes)
        ]
    )


def readme(labelled: Sequence[Labelled], folders: Mapping[str, str], items: Sequence[Item]) -> str:
    """Return what lies in a ZIP, for whoever opens it: its files, its networks, and what the pictures were called."""
    lines = ["What networks of the segmentation lab saw in these pictures.", "", "Files, in a folder for each network:"]
    lines += ["  classes.json: name, colour and number of each class.", *(f"  {FILES[item]}" for item in items)]
    if "label ids" in items and any(label_ids(each.prediction) is None for each in labelled):
        lines.append("  Label ids are missing where a network tells other classes apart than Cityscapes.")
    lines += ["", "Networks:"]
    runs = {each.network: each.run for each in labelled}
    lines += [
        f"  {folder}: {one_line(name)}{f', run {runs[name]}' * bool(runs[name])}" for name, folder in folders.items()
    ]
    lines += ["", "Pictures, by the number that their files begin with:"]
    first = [each for each in labelled if each.network == labelled[0].network]
    lines += [f"  {position:03d}: {one_line(each.image_name)}" for position, each in enumerate(first, start=1)]
    return "\n".join(lines) + "\n"


def _files_of(each: Labelled, items: Sequence[Item]) -> list[tuple[str, bytes]]:
    each = at_full_size(each)
    prediction = each.prediction
    files: list[tuple[str, bytes]] = []
    if "train ids" in items:
        files.append(("_trainIds.png", png(train_ids(prediction))))
    ids = label_ids(prediction) if "label ids" in items else None
    if ids is not None:
        files.append(("_labelIds.png", png(ids)))
    if "colours" in items:
        files.append(("_color.png", png(color_mask(prediction))))
    if "overlay" in items:
        files.append(("_overlay.png", png(overlay(each.image, prediction))))
    if "confidence" in items:
        files.append(("_confidence.png", png(prediction.confidence)))
    if "GeoJSON" in items:
        files.append((".geojson", json.dumps(geojson(each)).encode()))
    return files


def png(values: np.ndarray) -> bytes:
    """Return a PNG of uint8 (H, W) numbers or (H, W, 3) colours, exact."""
    encoded = cv2.cvtColor(values, cv2.COLOR_RGB2BGR) if values.ndim == 3 else values
    return cv2.imencode(".png", encoded)[1].tobytes()


def file_stem(name: str) -> str:
    """Return a name for a file on any system: letters, digits, dots, - and _ of what something is called."""
    return (
        re.sub(r"[^A-Za-z0-9_-]+", "_", re.sub(rf"\.({'|'.join(IMAGE_EXTENSIONS)})$", "", name, flags=re.I)).strip("_")[
            :60
        ]
        or "picture"
    )


def _write_text(archive: zipfile.ZipFile, name: str, text: str) -> None:
    archive.writestr(name, text.encode(), zipfile.ZIP_DEFLATED)
