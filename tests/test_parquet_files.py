"""Data sets of the Hugging Face Hub as Parquet files, from the file to the target, and files that are broken."""

import io
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.config import read_config
from core.data.class_table import save_class_table
from core.data.dataset import open_dataset, read_target
from core.data.decoding import read_image
from core.data.doctor.examination import examine
from core.data.folder import find_splits, pair_folder

HEIGHT, WIDTH = 32, 48
IMAGE = {"_type": "Image"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path / "data"))
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def encoded(values, form="PNG"):
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, form)
    return stream.getvalue()


def image_of(index):
    return np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def mask_of(index):
    return (
        np.random.default_rng(1000 + index)
        .integers(0, 3, (HEIGHT // 8, WIDTH // 8), np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)
    )


def picture(values, form="PNG"):
    return {"bytes": encoded(values, form), "path": None}


def write(path, indices, names=("image", "label"), features=None, row_group_size=4, **more):
    """As `datasets.Dataset.to_parquet` writes it; `more` are columns, and None in place of a mask is none."""
    columns = {names[0]: [picture(image_of(index)) for index in indices]}
    columns |= {names[1]: [picture(mask_of(index)) for index in indices]} | more
    info = {"info": {"features": {name: IMAGE for name in names} | (features or {})}}
    picture_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({name: pa.array(values, picture_type if isinstance(values[0], dict | None) else None) for name, values in columns.items()})  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table.replace_schema_metadata({b"huggingface": json.dumps(info)}), path, row_group_size=row_group_size
    )


def sidewalk(root):
    write(root / "data/train-00000-of-00002.parquet", range(5), ("pixel_values", "label"), id=list(range(5)))
    write(root / "data/train-00001-of-00002.parquet", range(5, 9), ("pixel_values", "label"), id=list(range(4)))
    write(root / "data/validation-00000-of-00001.parquet", range(9, 12), ("pixel_values", "label"), id=list(range(3)))
    (root / "id2label.json").write_text(json.dumps({"0": "unlabeled", "1": "flat-road", "2": "sky"}))


def config(root):
    return read_config({"dataset": {"name": "folder", "root": str(root), "height": HEIGHT, "width": WIDTH}}).dataset


def test_rows_are_frames_of_the_splits_that_the_files_state(root):
    sidewalk(root)
    dataset = open_dataset(config(root))
    assert dataset.space.class_names == ("unlabeled", "flat-road", "sky")
    assert [frame.id for frame in dataset.val] == [f"data/validation-00000-of-00001/{row:06d}" for row in range(3)]
    frames = (*dataset.train, *dataset.val)
    assert len(dataset.train) == 9
    for index, frame in enumerate(frames):
        assert (read_image(frame.image) == image_of(index)).all()
        assert (read_target(frame.labels, dataset.space) == mask_of(index)).all()
    report = examine(root)
    assert report.healthy and "train (9) and val (3)" in report.split_source


def test_pictures_are_unpacked_once_as_they_are_and_anew_after_a_change(root, monkeypatch):
    sidewalk(root)
    first = pair_folder(root)
    with monkeypatch.context() as context:
        context.setattr("core.data.parquet_files._unpack", None)
        assert pair_folder(root).frames == first.frames
    assert first.frames[0].image.read_bytes() == encoded(image_of(0))
    write(root / "data/train-00000-of-00002.parquet", range(20, 25), ("pixel_values", "label"))
    assert (read_image(pair_folder(root).frames[0].image) == image_of(20)).all()


def test_rows_without_a_mask_are_a_split_of_their_own(root):
    write(
        root / "data/train-0.parquet",
        range(4),
        label=[picture(mask_of(index)) if index < 3 else None for index in range(4)],
    )
    splits = find_splits(root, config(root))
    assert [frame.id for frame in splits["without masks"]] == ["data/train-0/000003"]
    assert len(splits["train"]) + len(splits["val"]) == 3


def test_names_that_the_files_list_are_proposed_and_those_of_whole_pictures_are_not(root):
    label = {"names": ["wall", "floor", "lamp"], "_type": "ClassLabel"}
    features = {
        "scene": {"names": ["a", "b", "c"], "_type": "ClassLabel"},
        "objects": {"feature": label, "_type": "Sequence"},
    }
    write(root / "data/train-0.parquet", range(6), features=features, scene=[0] * 6)
    report = examine(root)
    assert [row["name"] for row in json.loads(report.proposal)] == ["wall", "floor", "lamp"]
    assert "listed-classes" in {finding.code for finding in report.findings}
    save_class_table(root, report.proposal)
    assert examine(root).healthy
    (root / "classes.json").unlink()
    write(root / "data/train-0.parquet", range(6), features={"scene": features["scene"]}, scene=[0] * 6)
    assert [row["name"] for row in json.loads(examine(root).proposal)] == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "train-0.parquet' can't be unpacked from Parquet"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "git lfs pull"),
        (lambda path: write(path, range(4), ("image", "depth")), "has 'image' and 'depth' for columns of pictures"),
        (lambda path: write(path, range(4), mask=[picture(mask_of(0))] * 4), "'image', 'label' and 'mask'"),
        (lambda path: pq.write_table(pa.table({"text": ["a", "b"]}), path), "has none for columns of pictures.* columns are text"),
        (lambda path: write(path, range(4), image=[{"bytes": None, "path": "x/7.jpg"}] * 4), "Row 0 of .* the path 'x/7.jpg'"),
        (lambda path: write(path, range(4), label=[{"bytes": b"no", "path": None}] * 4), "000000_mask.png' .* can't be read as a label map"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_with_what_is_wrong(root, spoil, sentence):
    write(root / "data/train-0.parquet", range(4))
    (root / "id2label.json").write_text('{"0": "a", "1": "b", "2": "c"}')
    assert examine(root).healthy
    spoil(root / "data/train-0.parquet")
    assert re.search(sentence, " ".join(error.sentence for error in examine(root).errors))
    assert not [path for path in (root.parent / "cache/parquet").iterdir() if path.name.startswith(".")]


def test_pictures_beside_parquet_files_go_before_them(root):
    sidewalk(root)
    for index in range(2):
        for folder, values in (("images", image_of(index)), ("masks", mask_of(index))):
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(values).save(root / folder / f"{index}.png")
    assert {frame.id for frame in pair_folder(root).frames} == {"0", "1"}


def test_as_much_memory_is_taken_as_a_few_row_groups_have(root, monkeypatch):
    """24 MB in row groups of 1 MB."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 2**18), np.uint8)
    write(root / "data/train-0.parquet", range(96), image=[{"bytes": row.tobytes(), "path": None} for row in noise])
    usual = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counted)
    try:
        assert len(pair_folder(root).frames) == 96
    finally:
        pa.set_memory_pool(usual)
    assert 2**20 < counted.max_memory() < 6 * 2**20
    monkeypatch.setattr("core.data.parquet_files.MAX_GROUP_BYTES", 2**19)
    monkeypatch.setattr("core.data.parquet_files.VERSION", 0)
    assert "has a row group of 1.0 MB" in examine(root).errors[0].sentence
