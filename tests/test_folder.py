"""Folders of one's own: what is paired with what, in the layouts that tools leave behind."""

import os

import cv2
import numpy as np
import pytest

from core.config import read_config
from core.data.class_table import space_of, write_rows
from core.data.dataset import open_dataset
from core.data.folder import pair_folder
from core.errors import LabError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path))
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")


def pairs(root, **options):
    """(split, image, mask), as paths under root."""
    result = pair_folder(root, **options)
    return [
        (frame.split, str(frame.image.relative_to(root)), str(frame.labels.relative_to(root)))
        for frame in result.frames
    ]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("Images/{}.JPG", "Labels/{}.PNG"),
        ("images/{}.jpg", "masks/{}_mask.png"),
        ("imgs/{}.png", "annotations/{}-label.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("701_StillsRaw_full/{}.png", "LabeledApproved_full/{}_L.png"),
        ("{}.jpg", "{}.png"),
        ("{}.png", "{}_mask.png"),
        ("pictures/{}.jpeg", "pictures/{}_seg.png"),
        ("images/a b/{}.jpg", "masks/a b/{}.png"),
        ("bilder/{} ü 東京.jpg", "masks/{} ü 東京.png"),
    ],
)
def test_layouts_without_splits_hold_some_frames_back(root, image, mask):
    names = [f"{index:04d}" for index in range(10)]
    touch(root, *(image.format(name) for name in names), *(mask.format(name) for name in names))
    result = pairs(root)
    assert sorted((upload, label) for _, upload, label in result) == [(image.format(n), mask.format(n)) for n in names]
    assert [split for split, *_ in result].count("val") == 2
    assert result == pairs(root), "the same ones every time"


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{split}/{n}.png", "{split}_labels/{n}_L.png"),
        ("{split}/{n}.png", "{split}annot/{n}.png"),
        ("images/{split}/{n}.jpg", "masks/{split}/{n}.png"),
        ("{split}/images/{n}.jpg", "{split}/labels/{n}.png"),
        ("{split}/images/city/{n}.jpg", "{split}/labels/city/{n}.png"),
        ("{split}_images/{n}.jpg", "{split}_masks/{n}.png"),
    ],
)
def test_splits_are_read_from_folders_wherever_they_stand(root, image, mask):
    expected = []
    for split, names in (("train", "ab"), ("val", "a"), ("test", "c")):
        for name in names:
            upload, label = image.format(split=split, n=name), mask.format(split=split, n=name)
            touch(root, upload, label)
            expected.append((split, upload, label))
    assert sorted(pairs(root)) == sorted(expected)


def test_pascal_lists_say_the_split(root):
    touch(root, *(f"JPEGImages/{n}.jpg" for n in "abc"), *(f"SegmentationClass/{n}.png" for n in "abc"))
    touch(root, *(f"SegmentationObject/{n}.png" for n in "abc"))
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\n")
    assert [(split, image) for split, image, _ in pairs(root)] == [
        ("train", "JPEGImages/a.jpg"),
        ("train", "JPEGImages/b.jpg"),
        ("val", "JPEGImages/c.jpg"),
    ]


def test_equal_names_in_two_folders_are_not_mixed_up(root):
    for city in ("ulm", "aachen"):
        touch(root, f"images/{city}/1.jpg", f"masks/{city}/1.png")
    assert all(image.split("/")[1] == label.split("/")[1] for _, image, label in pairs(root))
    assert len(pairs(root)) == 2


def test_what_has_no_partner_is_said(root):
    touch(
        root,
        "images/a.jpg",
        "images/b.jpg",
        "images/c.jpg",
        "masks/a.png",
        "masks/b.png",
        "masks/x.png",
        "images/.hidden.jpg",
        "images/Thumbs.db",
    )
    result = pair_folder(root)
    assert [frame.id for frame in result.frames] == ["a", "b"]
    assert [frame.id for frame in result.unlabelled] == ["c"]
    assert [path.name for path in result.orphans] == ["x.png"]


def test_links_that_lead_in_circles_or_out_are_not_followed(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    touch(outside, "secret.jpg")
    touch(root, "images/a.jpg", "masks/a.png")
    (root / "images/again").symlink_to(root)
    (root / "images/itself").symlink_to(root / "images/itself")
    (root / "images/out").symlink_to(outside)
    (root / "images/secret.jpg").symlink_to(outside / "secret.jpg")
    result = pair_folder(root)
    assert [frame.id for frame in result.frames] == ["a"] and not result.unlabelled
    assert len(result.skipped) == 4


def test_a_link_to_another_place_that_may_be_read_is_followed(root):
    touch(root.parent, "elsewhere/a.jpg")
    touch(root, "masks/a.png")
    (root / "images").symlink_to(root.parent / "elsewhere")
    assert len(pair_folder(root).frames) == 1


def real(root, count=6, suffix=""):
    rng = np.random.default_rng(0)
    for index in range(count):
        for folder, image in (("images", rng.integers(0, 256, (16, 32, 3))), ("masks", rng.integers(1, 4, (16, 32)))):
            (root / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(root / folder / f"{index}.png"), image.astype(np.uint8))


def config(root, **values):
    return read_config({"dataset": {"name": "folder", "root": str(root), "height": 32, "width": 64} | values}).dataset


def test_a_folder_is_opened_with_its_class_table(root):
    real(root)
    (root / "classes.json").write_text(write_rows(space_of([{"name": "a", "ids": [1, 2]}, {"name": "b", "ids": [3]}])))
    dataset = open_dataset(config(root, val_fraction=0.5))
    assert dataset.space.class_names == ("a", "b") and (len(dataset.train), len(dataset.val)) == (3, 3)
    assert dataset.image(dataset.train[0]).shape == (32, 64, 3)
    assert set(np.unique(dataset.target(dataset.train[0]))) == {0, 1}


def test_a_table_from_elsewhere_goes_before_the_folders_own(root):
    real(root)
    (root / "classes.json").write_text(write_rows(space_of([{"name": "a", "ids": [1]}])))
    (root.parent / "other.json").write_text(write_rows(space_of([{"name": "c", "ids": [2]}])))
    assert open_dataset(config(root, classes=str(root.parent / "other.json"))).space.class_names == ("c",)
    with pytest.raises(LabError, match="outside of the folders"):
        open_dataset(config(root, classes="/etc/passwd"))


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda root: (root / "classes.json").unlink(), "has no class table"),
        (lambda root: [path.unlink() for path in root.rglob("*.png")], "holds no pictures"),
        (lambda root: [path.unlink() for path in root.glob("masks/*")], "6 photographs like '0.png', but no masks"),
        (lambda root: [path.unlink() for path in root.glob("images/*")], "6 masks like '0.png', but no photographs"),
        (lambda root: [path.rename(path.with_name(f"x{path.name}")) for path in root.glob("masks/*")], "don't match"),
        (lambda root: [path.unlink() for path in root.glob("*/[1-9].png")], "1 frames to learn from and 0 to score on"),
        (lambda root: (root / "classes.json").write_text("{"), "has a mistake"),
    ],
)
def test_what_can_not_be_opened_is_said_with_what_to_do(root, break_it, text):
    real(root)
    (root / "classes.json").write_text(write_rows(space_of([{"name": "a", "ids": [1]}])))
    break_it(root)
    with pytest.raises(LabError) as caught:
        open_dataset(config(root))
    assert text in str(caught.value)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_locked_folder_is_named(root):
    real(root)
    (root / "masks").chmod(0)
    try:
        with pytest.raises(LabError, match="masks.*can't be opened"):
            pair_folder(root)
    finally:
        (root / "masks").chmod(0o700)
