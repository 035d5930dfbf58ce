"""Files that others wrote, damaged at random: every reader answers with what it read or with a sentence, soon, in little memory."""

import io
import json
import random
import signal
import time
import zipfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tifffile
from PIL import Image
from safetensors.numpy import save
from torch import nn

from core.config import PixelFormat, read_config
from core.data.class_table import read_class_table
from core.data.decoding import read_image, read_labels
from core.data.folder import pair_folder
from core.data.joint_list import read_list
from core.data.uploaded_archive import unpack_archive
from core.errors import LabError
from core.evaluation.results import read_metadata, read_result, read_summary
from core.inference.batches import decode_batch
from core.models.load_weights import load_encoder
from core.runs.metrics_log import rows_since
from core.runs.store import read_run
from core.sweeps.space import read_spec
from core.sweeps.sweep import read_spec_file

SECONDS = 2.0
"""A reader that takes longer hangs; three times as long where the machine is as busy as it is in a campaign."""


def png(mode="RGB", size=(24, 16)):
    file = io.BytesIO()
    Image.fromarray(
        np.random.default_rng(0).integers(0, 4, (size[1], size[0], *([3] * (mode == "RGB"))), np.uint8)
    ).save(file, "PNG")
    return file.getvalue()


def jpeg():
    file = io.BytesIO()
    Image.open(io.BytesIO(png())).save(file, "JPEG")
    return file.getvalue()


def tiff(bands=5):
    file = io.BytesIO()
    values = np.ones((16, 24, bands) if bands > 1 else (16, 24), np.uint16)
    planes = {"planarconfig": "contig"} if bands > 1 else {}
    tifffile.imwrite(file, values, photometric="minisblack", compression="zlib", **planes)
    return file.getvalue()


def zipped(**files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return file.getvalue()


def parquet():
    file = io.BytesIO()
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    rows = [
        {"image": {"bytes": jpeg(), "path": f"{index}.jpg"}, "label": {"bytes": png("L"), "path": None}}
        for index in range(3)
    ]
    table = pyarrow.Table.from_pylist(rows, pyarrow.schema([("image", picture), ("label", picture)]))
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def compact(value):
    return json.dumps(value).encode()


ANNOTATED = ("a.json", "annotations.json", "annotations.xml", "via.json", "train-00000-of-00001.parquet")
SHAPE = {"label": "road", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
LABELME = {
    "version": "5",
    "shapes": [SHAPE, SHAPE | {"label": "sky"}],
    "imagePath": "a.jpg",
    "imageHeight": 16,
    "imageWidth": 24,
}
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "height": 16, "width": 24}],
    "categories": [{"id": 7, "name": "road"}, {"id": 8, "name": "sky"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [[1, 1, 9, 1, 9, 9]]},
        {
            "id": 2,
            "image_id": 1,
            "category_id": 8,
            "segmentation": {"size": [16, 24], "counts": [5, 9, 370]},
            "iscrowd": 1,
        },
    ],
}
CVAT = b"""<?xml version="1.0"?><annotations><version>1.1</version><image id="0" name="a.jpg" width="24" height="16">
<polygon label="road" points="1,1;9,1;9,9"/><mask label="sky" rle="0, 5, 3" left="1" top="1" width="4" height="2"/></image></annotations>"""
TABLE = [{"name": "road", "color": [128, 64, 128], "ids": [1]}, {"name": "sky", "color": [1, 2, 3], "ids": [0, 2]}]


def folder_of(name):
    """A reader of a label tool's file, beside the photographs that it speaks of."""

    def read(path: Path):
        path.rename(path.with_name(name))
        for stem in "abc" if not name.endswith(".parquet") else "":
            (path.parent / f"{stem}.jpg").write_bytes(jpeg())
        frames = pair_folder(path.parent).frames
        if name in ANNOTATED:
            assert path.parent.name != "healthy" or frames, "nothing is read of the healthy one"
        return [read_labels(frame.labels) for frame in frames]

    return read


def run_of(name):
    def read(path: Path):
        run = path.parent / "20260101-000000-fcn-abcd"
        run.mkdir()
        path.rename(run / name)
        record = read_run(run)
        assert record.state and record.class_names is not None and record.title and record.pixels
        return rows_since(run, 0)

    return read


ENCODER = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3, bias=False)})
CARD = {"metadata": {"run": "x", "made": 1.0, "settings": {}}, "scores": {}}
READERS = {
    "png": (png(), lambda path: read_image(path)),
    "jpeg": (jpeg(), lambda path: read_image(path)),
    "tiff": (tiff(), lambda path: read_image(path, pixels=PixelFormat((3, 1, 5)))),
    "deep tiff": (tiff(3), lambda path: read_image(path)),
    "mask": (png("L"), lambda path: read_labels(path)),
    "tiff mask": (tiff(1), lambda path: read_labels(path)),
    "upload": (zipped(a__b="x", **{"c.png": png()}), lambda path: list(decode_batch("x.zip", path.read_bytes()))),
    "archive": (zipped(**{"images__a.png": png(), "masks__a.png": png("L")}), lambda path: unpack_archive("x.zip", io.BytesIO(path.read_bytes()), lambda done, count: None)),
    "classes.json": (compact(TABLE), read_class_table),
    "classes.csv": (b"name,r,g,b\nroad,128,64,128\nsky,1,2,3\n", lambda path: read_class_table(path.rename(path.with_name("class_dict.csv")))),
    "classes.txt": (b"0: road\n1: sky\n", lambda path: read_class_table(path.rename(path.with_name("labels.txt")))),
    "datasets.json": (compact(["a", {"root": "b", "classes": "auto"}]), lambda path: read_list(path.rename(path.with_name("datasets.json")).parent)),
    "labelme": (compact(LABELME), folder_of("a.json")),
    "coco": (compact(COCO), folder_of("annotations.json")),
    "cvat": (CVAT, folder_of("annotations.xml")),
    "yolo": (b"0 0.1 0.1 0.9 0.1 0.9 0.9\n1 0.2 0.2 0.4 0.2 0.4 0.4\n", folder_of("a.txt")),
    "via": (compact({"a.jpg1": {"filename": "a.jpg", "size": 1, "regions": [{"shape_attributes": {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]}, "region_attributes": {"class": "road"}}]}}), folder_of("via.json")),
    "polygons": (compact({"imgHeight": 16, "imgWidth": 24, "objects": [{"label": "road", "polygon": [[1, 1], [9, 1], [9, 9]]}]}), lambda path: read_labels(path.rename(path.with_suffix(".json")))),
    "parquet": (parquet(), folder_of("train-00000-of-00001.parquet")),
    "list": (b"a\nb\n", folder_of("train.txt")),
    "config.json": (compact(read_config({}).model_dump(mode="json")), run_of("config.json")),
    "status.json": (compact({"state": "stopped", "ticket": 1.0, "updated": 1.0, "step": 3}), run_of("status.json")),
    "plan.json": (compact({"classes": ["a", "b"], "colors": [[1, 2, 3], [4, 5, 6]], "white": [9.0]}), run_of("plan.json")),
    "notes.json": (compact({"name": "n", "tags": ["a"], "note": "x"}), run_of("notes.json")),
    "metrics.jsonl": (b'{"kind": "train", "step": 1, "loss": 0.5}\n{"kind": "eval", "step": 2}\n' * 3, run_of("metrics.jsonl")),
    "scores": (compact(CARD), lambda path: (read_result(path), read_metadata(path), read_summary(path))),
    "sweep": (compact({"vary": {"training.learning_rate": [0.1, 0.01]}, "method": "grid"}), lambda path: read_spec(read_spec_file(path))),
    "weights": (save({"conv.weight": np.ones((4, 3, 3, 3), np.float32)}), lambda path: load_encoder(ENCODER, path)),
}  # fmt: skip
HUGE = (
    b"1" + b"0" * 400,
    b"1e999",
    b"NaN",
    b"-1",
    b"4294967296",
    b"9" * 30,
    b"true",
    b"null",
    b'"\\ud800"',
    b"[" * 3000,
    b'{"a":' * 2000,
)
LETTERS = ("\u202e", "\0", "é", "\ufeff", "𝔘", "'", '"><b>', "%s%n", "../../..", "=1+1", "\r\n\r\n")


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The file with one to three faults: bytes changed, cut, doubled, moved, or a value of another kind or size put in."""
    result = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(result) + 1) if result else 0
        end = min(len(result), at + dice.choice((1, 2, 4, 8, 40)))
        kind = dice.randrange(8)
        if kind == 0 and result:
            result[min(at, len(result) - 1)] = dice.randrange(256)
        elif kind == 1:
            del result[at:]
        elif kind == 2:
            del result[at:end]
        elif kind == 3:
            result[at:at] = result[at:end] * dice.choice((1, 3, 200))
        elif kind == 4:
            result[at:end] = bytes(dice.randrange(256) for _ in range(end - at))
        elif kind == 5:
            numbers = [index for index, byte in enumerate(result) if chr(byte).isdigit()]
            if numbers:
                place = dice.choice(numbers)
                result[place : place + 1] = dice.choice(HUGE)
        elif kind == 6:
            result[at:at] = dice.choice(LETTERS).encode("utf-8", "surrogatepass")
        else:
            result[at:at] = bytes(dice.choice((1, 60))) + b"\xff" * dice.choice((0, 4))
    return bytes(result)


@contextmanager
def within(seconds: float):
    def hangs(*_):
        raise TimeoutError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("count", [10, pytest.param(180, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_in_words(name, count, tmp_path, monkeypatch, record_property):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path))
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "cache"))
    data, read = READERS[name]
    healthy = tmp_path / "healthy"
    healthy.mkdir()
    (healthy / "file").write_bytes(data)
    try:
        read(healthy / "file")
    except (LabError, ValueError) as error:
        assert name in ("list", "yolo", "datasets.json"), f"the healthy one is refused: {error}"
    outcomes = Counter()
    for index in range(count):
        dice = random.Random(f"{name} {index}")
        place = tmp_path / str(index)
        place.mkdir()
        (place / "file").write_bytes(mutated(data, dice))
        began = time.perf_counter()
        try:
            with within(3 * SECONDS if count > 10 else 10 * SECONDS):
                read(place / "file")
            outcomes["read"] += 1
        except (LabError, ValueError) as error:
            assert "Traceback" not in str(error) and len(str(error)) < 2000, (index, error)
            outcomes["refused"] += 1
        outcomes["slowest"] = max(outcomes["slowest"], round(1000 * (time.perf_counter() - began)))
    assert outcomes["read"] + outcomes["refused"] == count
    record_property("faults", count)
    record_property("outcomes", dict(outcomes))
