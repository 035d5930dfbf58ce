"""Frames of one's own keep their shape."""

import json

import numpy as np
import pytest
from PIL import ExifTags, Image

from core.__main__ import main
from core.commands.options import requested_config
from core.config import read_config
from core.data.dataset import open_dataset
from core.data.frame_shape import DEFAULT, fitting_size, image_size


@pytest.fixture
def folder(lab_folders):
    """`folder((480, 360), ...)`: a data set of photographs of these sizes, width and height."""

    def make(*sizes, **options):
        root = lab_folders.other / "own"
        (root / "images").mkdir(parents=True)
        (root / "masks").mkdir()
        for index, size in enumerate(sizes):
            Image.new("RGB", size).save(root / f"images/{index}.jpg", **options)
            Image.fromarray(np.zeros(size[::-1], np.uint8)).save(root / f"masks/{index}.png")
        (root / "classes.json").write_text(
            json.dumps([{"name": name, "ids": [index]} for index, name in enumerate(("a", "b"))])
        )
        return root

    return make


def dataset_of(root):
    return open_dataset(read_config({"dataset": {"name": "folder", "root": str(root)}}).dataset)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2048, 1024), (256, 512)),
        ((480, 360), (320, 416)),
        ((360, 480), (416, 320)),
        ((3000, 3000), (352, 352)),
        ((1242, 375), (192, 672)),
        ((96, 96), (96, 96)),
        ((40, 30), (64, 64)),
        ((9000, 300), (64, 1984)),
    ],
)
def test_a_size_has_the_photographs_shape_and_no_more_pixels(folder, size, expected):
    assert fitting_size(dataset_of(folder(size, size))) == expected


def test_the_middle_of_many_shapes_is_taken(folder):
    assert fitting_size(dataset_of(folder((480, 360), (480, 360), (480, 360), (100, 2000)))) == (320, 416)


def test_a_photograph_that_is_shown_turned_counts_as_it_is_shown(folder):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    root = folder((480, 360), (480, 360), exif=exif)
    assert image_size(root / "images/0.jpg") == (480, 360)
    assert fitting_size(dataset_of(root)) == (416, 320)


def test_where_no_header_can_be_read_it_is_the_default(folder):
    root = folder((480, 360), (480, 360))
    dataset = dataset_of(root)
    for path in root.glob("images/*"):
        path.write_bytes(b"no picture")
    assert fitting_size(dataset) == DEFAULT


def test_the_command_line_keeps_the_shape_unless_it_is_told_a_size(folder, monkeypatch, capsys):
    root = folder((480, 360), (480, 360))
    seen = []
    monkeypatch.setattr("core.commands.runs.dry_run", lambda options: seen.append(requested_config(options)) or {})
    for options in ([], ["--dataset.height", "128"], ["--dataset.width", "256", "--dataset.height", "128"]):
        main(["dry-run", "--dataset.name", "folder", "--dataset.root", str(root), *options])
    sizes = [(config.dataset.height, config.dataset.width) for config in seen]
    assert sizes == [(320, 416), (128, 512), (128, 256)]
