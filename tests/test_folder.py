"""Folders of one's own: what is paired with what, in the layouts that tools leave behind."""

import os
import unicodedata

import cv2
import numpy as np
import pytest

from core.config import read_config
from core.data.class_table import space_of, write_rows
from core.data.dataset import open_dataset
from core.data.folder import find_frames, pair_folder
from core.data.splits import UNLISTED
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
    (root / "classes.json").write_text(write_rows(space_of([{"name": "a", "ids": [1]}, {"name": "z", "ids": [9]}])))
    (root.parent / "other.json").write_text(
        write_rows(space_of([{"name": "c", "ids": [2]}, {"name": "z", "ids": [9]}]))
    )
    assert open_dataset(config(root, classes=str(root.parent / "other.json"))).space.class_names == ("c", "z")
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
    (root / "classes.json").write_text(write_rows(space_of([{"name": "a", "ids": [1]}, {"name": "z", "ids": [9]}])))
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


def write(root, name, *lines):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n")


def splits(root, **options):
    """By split, the ids of the frames, those without masks left out."""
    result: dict[str, list[str]] = {}
    for frame in pair_folder(root, **options).frames:
        result.setdefault(frame.split, []).append(frame.id)
    return result


@pytest.mark.parametrize(
    ("files", "lonely"),
    [
        (("train/images/3.jpg", "val/images/3.jpg", "val/masks/3.png", "train/images/1.jpg", "train/masks/1.png"), "train/images/3.jpg"),
        (("images/ulm/1.jpg", "images/ulm/2.jpg", "images/bonn/3.jpg", "masks/ulm/2.png", "masks/bonn/3.png", "masks/bonn/1.png"), "images/ulm/1.jpg"),
        (("images/a/x/1.jpg", "images/a/y/1.jpg", "masks/a/y/1.png"), "images/a/x/1.jpg"),
        (("images/aB.jpg", "images/Ab.jpg", "masks/Ab.png"), "images/aB.jpg"),
    ],
)  # fmt: skip
def test_a_mask_never_goes_to_another_split_place_or_spelling(root, files, lonely):
    touch(root, *files)
    result = pair_folder(root)
    assert [str(frame.image.relative_to(root)) for frame in result.unlabelled] == [lonely]
    assert all(frame.image.stem == frame.labels.stem.removesuffix("_mask") for frame in result.frames)


@pytest.mark.parametrize(
    "files",
    [
        ("train/1.jpg", "val/1.jpg", "masks/1.png"),
        ("images/1.jpg", "images/1.png", "masks/1.png"),
        ("images/1.jpg", "masks/1.png", "masks/1.bmp"),
        ("images/1.jpg", "masks/1_mask.png", "masks/1_label.png"),
        ("images/1.jpg", "masks/1.png", "masks/1_mask.png"),
        ("images/1.jpg", "masks/a1.png", "masks/A1.png", "images/A1.jpg", "images/a1.jpg", "labels/1.png", "gt/1.png"),
    ],
)
def test_what_could_be_paired_in_two_ways_is_an_error_that_names_both(root, files):
    touch(root, *files)
    result = pair_folder(root)
    (problem,) = result.problems(root)
    assert problem.count("'") == 6 and all(name.split("/")[-1] in str(files) for name in problem.split("'")[1::2])
    with pytest.raises(LabError, match="could belong to"):
        find_frames(root, config(root))


def test_two_spellings_that_look_the_same_are_one_name(root):
    for name in ("Köln", "café"):
        touch(
            root, f"images/{unicodedata.normalize('NFC', name)}.jpg", f"masks/{unicodedata.normalize('NFD', name)}.png"
        )
    touch(root, "images/UPPER.jpg", "masks/upper.png")
    assert len(pairs(root)) == 3


@pytest.mark.parametrize(
    ("image", "mask", "others"),
    [
        (
            "training/image_2/{}.png",
            "training/semantic/{}.png",
            ("training/semantic_rgb/{}.png", "training/instance/{}.png"),
        ),
        ("images/10k/{}.jpg", "labels/sem_seg/masks/{}.png", ("labels/sem_seg/colormaps/{}.png",)),
        ("img_dir/{}.jpg", "ann_dir/{}.png", ()),
        ("Street segmentation/images/{}.jpg", "Street segmentation/masks/{}.png", ()),
        ("{}_l.jpg", "{}_l.png", ()),
        ("x/{}.jpg", "x_masks/{}_mask.gif", ()),
        ("images_png/{}.png", "masks_png/{}.png", ()),
    ],
)
def test_more_layouts(root, image, mask, others):
    names = [f"{index:04d}" for index in range(4)]
    for name in names:
        touch(root, image.format(name), mask.format(name), *(other.format(name) for other in others))
    assert sorted((upload, label) for _, upload, label in pairs(root)) == [
        (image.format(n), mask.format(n)) for n in names
    ]
    assert not pair_folder(root).orphans


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: name,
        lambda name: f"{name}.jpg",
        lambda name: f"./images/{name}.jpg",
        lambda name: f"/home/somebody/data/images/{name}.jpg",
        lambda name: f"images\\{name}.jpg",
        lambda name: f"images/{name}.jpg masks/{name}.png",
        lambda name: f"images/{name}.jpg,masks/{name}.png",
        lambda name: f"masks/{name}.png",
        lambda name: name.upper(),
    ],
)
@pytest.mark.parametrize("stem", ["f{}", "frame.v1.{}", "street view {}"])
def test_lists_say_the_split_however_they_spell_it(root, spell, stem):
    names = [stem.format(index) for index in range(6)]
    touch(root, *(f"images/{name}.jpg" for name in names), *(f"masks/{name}.png" for name in names))
    if " " in stem and " masks/" in spell("x"):
        pytest.skip("two columns of names with spaces can't be told apart")
    write(root, "train.txt", *map(spell, names[:3]))
    write(root, "val.txt", *map(spell, names[3:5]))
    assert splits(root) == {"train": names[:3], "val": names[3:5], UNLISTED: names[5:]}
    assert (
        pair_folder(root).splits.source == "train.txt (3) and val.txt (2) say so. 1 frame is in no list and left out."
    )


@pytest.mark.parametrize(
    "place", ["valid.txt", "splits/validation.txt", "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt"]
)
def test_a_list_for_validation_alone_leaves_the_others_to_learn_from(root, place):
    touch(
        root,
        *(f"{kind}/{index}.{ending}" for index in range(5) for kind, ending in (("images", "jpg"), ("masks", "png"))),
    )
    write(root, place, "1", "2")
    write(root, "VOCdevkit/VOC2012/ImageSets/Main/train.txt" if "VOC" in place else "readme.txt", "3")
    assert splits(root) == {"train": ["0", "3", "4"], "val": ["1", "2"]}


def test_lists_with_folders_and_lists_that_fit_nothing(root):
    touch(root, *(f"{kind}/{name}.png" for name in ("a/0", "b/0") for kind in ("images", "masks")))
    write(root, "train.txt", "a/0")
    write(root, "val.txt", "b/0")
    assert splits(root) == {"train": ["a/0"], "val": ["b/0"]}
    write(root, "val.txt", "0")
    assert "could be 'images/a/0.png' or 'images/b/0.png'" in pair_folder(root).problems(root)[0]
    write(root, "val.txt", "c/9")
    with pytest.raises(LabError, match=r"'val.txt' says which frames are of val, but names none of the 2 .* 'c/9'"):
        pair_folder(root)


def test_folders_with_a_year_are_splits(root):
    for split, names in (("train2017", "ab"), ("val2017", "c")):
        touch(root, *(f"{kind}/{split}/{name}.png" for name in names for kind in ("images", "annotations")))
    assert splits(root) == {"train": ["a", "b"], "val": ["c"]}


def test_a_stated_split_without_masks_is_said_instead_of_replaced(root):
    touch(
        root, *(f"train/{kind}/{index}.png" for index in range(4) for kind in ("images", "masks")), "val/images/9.png"
    )
    with pytest.raises(LabError, match="The folder for val holds 1 photograph like 'val/images/9.png', but no mask"):
        pair_folder(root)


@pytest.mark.parametrize(
    ("name", "by", "whole"),
    [("{}/{}", "folder", "folders"), ("city{}_{:04}", "name", "series"), ("{}{:03}x", "frame", "")],
)
def test_neighbours_are_held_back_together(root, name, by, whole):
    ids = [name.format(group, index) for group in range(6) for index in range(5)]
    touch(root, *(f"{kind}/{frame}.png" for frame in ids for kind in ("images", "masks")))
    val = splits(root)["val"]
    groups = {frame.rsplit("/", 1)[0] if by == "folder" else frame.rsplit("_", 1)[0] for frame in val}
    if by != "frame":
        assert len(val) == 10 and len(groups) == 2
    assert ("whole " + whole if whole else "20% are held back, the same") in pair_folder(root).splits.source
    assert len(splits(root, group_by="frame")["val"]) == 6


def test_neighbouring_names_are_held_back_in_stretches(root):
    """One by one, each frame of a video had a neighbour to learn from."""
    touch(root, *(f"{kind}/f{index:04}.png" for index in range(100) for kind in ("images", "masks")))
    held_back = [int(frame[1:]) for frame in splits(root)["val"]]
    assert held_back == [*range(40, 50), *range(90, 100)]
    assert "20% are held back, stretches of neighbouring names, the same ones" in pair_folder(root).splits.source
    assert len(splits(root, val_fraction=0.05)["val"]) == 5 and len(splits(root, val_fraction=0.8)["val"]) == 80
    # Runs of before say "auto", and go on with the frames that they began with.
    assert read_config({"dataset": {"group_by": "auto"}}).dataset.group_by == "auto"
    single = splits(root, group_by="auto")["val"]
    assert single == splits(root, group_by="frame")["val"] != splits(root)["val"]
    touch(root, *(f"{kind}/{name}.png" for name in ("cat", "dog") for kind in ("images", "masks")))
    assert {"f0045", "f0095"} < set(splits(root)["val"]) and len(splits(root)["val"]) == 20


def test_a_frame_in_two_lists_is_refused(root):
    touch(root, *(f"{kind}/{index}.png" for index in range(4) for kind in ("images", "masks")))
    write(root, "train.txt", "0", "1", "2")
    write(root, "val.txt", "2", "3")
    with pytest.raises(LabError, match="'2' stands in 'val.txt' and in a list for train"):
        pair_folder(root)


def test_masks_of_train_ids_go_before_the_same_in_raw_ids(root):
    """MMSegmentation puts a renumbered copy beside each mask of COCO-Stuff; of Cityscapes' two the lab reads label ids."""
    for split in ("train2017", "val2017"):
        touch(root, f"images/{split}/7.jpg", f"annotations/{split}/7.png", f"annotations/{split}/7_labelTrainIds.png")
        touch(root, f"images/{split}/8.jpg", f"annotations/{split}/8_labelTrainIds.png", f"annotations/{split}/8_labelIds.png")  # fmt: skip
    assert sorted(pairs(root)) == [
        (split, f"images/{split}2017/{name}.jpg", f"annotations/{split}2017/{name}_{ids}.png")
        for split in ("train", "val")
        for name, ids in (("7", "labelTrainIds"), ("8", "labelIds"))
    ]
    result = pair_folder(root)
    assert not result.orphans and not result.ambiguous
