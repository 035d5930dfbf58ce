"""What is taken home of an answer: every map read back by others' rules, every region filled again; and the saved collections."""

import csv
import io
import json
import zipfile
from collections import namedtuple
from dataclasses import replace

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import id2label, trainId2label
from PIL import Image

from core.auth import User, set_current_user, shell_user
from core.data import collections
from core.data.class_table import read_class_table
from core.data.collections import delete_collection, list_collections, read_collection, save_collection
from core.data.decoding import read_labels
from core.errors import LabError
from core.inference.exports import (
    ITEMS,
    Labelled,
    as_zip,
    coco,
    file_stem,
    geojson,
    label_ids,
    regions,
    run_lengths,
    shares,
    shares_csv,
)
from core.inference.prediction_cache import CachedPrediction
from core.labels import CITYSCAPES_19


def test_what_was_reduced_leaves_at_the_size_of_its_file(labelled):
    height, width = labelled.prediction.labels.shape
    whole = replace(labelled, size=(3 * height, 3 * width))
    archive = zipfile.ZipFile(io.BytesIO(as_zip([whole])))
    pictures = [name for name in archive.namelist() if name.endswith(".png")]
    assert {Image.open(io.BytesIO(archive.read(name))).size for name in pictures} == {(3 * width, 3 * height)}
    labels = np.asarray(Image.open(io.BytesIO(archive.read(next(name for name in pictures if "trainIds" in name)))))
    assert (labels[1::3, 1::3] == labelled.prediction.labels).all()
    (image,) = coco([whole])["images"]
    assert (image["width"], image["height"]) == (3 * width, 3 * height)


def prediction_of(labels, classes=CITYSCAPES_19.class_names, colors=CITYSCAPES_19.colors):
    confidence = np.linspace(0, 255, labels.size).reshape(labels.shape).astype(np.uint8)
    return CachedPrediction(labels, confidence, classes, colors, 12.0)


def scene():
    """Every class somewhere, one region with a hole that holds another class, and a lone pixel."""
    labels = np.zeros((60, 80), np.uint8)
    for index in range(19):
        labels[0:6, 4 * index : 4 * index + 4] = index
    labels[10:50, 10:50] = 2
    labels[20:30, 20:35] = 8
    labels[55, 70] = 13
    return labels


@pytest.fixture
def labelled():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return Labelled("my street.jpg", "U-Net · 0.5", image, prediction_of(scene()))


def test_each_id_space_is_the_one_of_the_official_scripts(labelled):
    ids = label_ids(labelled.prediction)
    for train_id in range(19):
        (value,) = np.unique(ids[scene() == train_id])
        assert value == trainId2label[train_id].id and id2label[value].trainId == train_id
        assert labelled.prediction.colors[train_id] == trainId2label[train_id].color
    assert (CITYSCAPES_19.to_target(ids) == scene()).all()


def test_other_classes_have_no_label_ids():
    assert label_ids(prediction_of(scene() % 2, ("ship", "sea"), ((1, 2, 3), (4, 5, 6)))) is None


def test_the_zip_holds_every_map_exactly(labelled, tmp_path):
    with zipfile.ZipFile(io.BytesIO(as_zip([labelled]))) as archive:
        archive.extractall(tmp_path)
        names = sorted(archive.namelist())
    stem = "01_U-Net_0_5/001_my_street"
    endings = [".geojson", "_color.png", "_confidence.png", "_labelIds.png", "_overlay.png", "_trainIds.png"]
    of_network = [f"01_U-Net_0_5/{name}" for name in ("classes.json", "coco.json", "shares.csv")]
    assert names == sorted([f"{stem}{ending}" for ending in endings] + of_network + ["README.txt"])
    space = read_class_table(tmp_path / "01_U-Net_0_5" / "classes.json")
    assert space.class_names == CITYSCAPES_19.class_names and space.colors == CITYSCAPES_19.colors
    assert (space.to_target(read_labels(tmp_path / f"{stem}_trainIds.png")) == scene()).all(), "masks to learn from"
    assert (read_labels(tmp_path / f"{stem}_trainIds.png") == scene()).all()
    assert (CITYSCAPES_19.to_target(read_labels(tmp_path / f"{stem}_labelIds.png")) == scene()).all()
    colors = read_labels(tmp_path / f"{stem}_color.png", colors=True)
    assert (colors == CITYSCAPES_19.palette[scene()]).all()
    assert (read_labels(tmp_path / f"{stem}_confidence.png") == labelled.prediction.confidence).all()
    overlay = cv2.imread(str(tmp_path / f"{stem}_overlay.png"))[:, :, ::-1].astype(float)
    assert np.abs(overlay - (0.45 * labelled.image + 0.55 * colors)).max() <= 1


def test_the_zip_holds_only_what_was_asked_for(labelled):
    with zipfile.ZipFile(io.BytesIO(as_zip([labelled], ["shares"]))) as archive:
        assert archive.namelist() == ["README.txt", "01_U-Net_0_5/classes.json", "01_U-Net_0_5/shares.csv"]
    assert len(ITEMS) == len(set(ITEMS)) == 8


def test_a_readme_says_which_run_and_picture_is_which_and_what_is_missing(labelled):
    ships = prediction_of(scene() % 2, ("ship", "sea"), ((1, 2, 3), (4, 5, 6)))
    both = [
        replace(labelled, image_name="straße 2\n.jpg", run="20261130-042056-vit-9f71"),
        replace(labelled, image_name="b/0.png", network="Ships", prediction=ships, run="20261130-042605-fcn-e692"),
    ]
    with zipfile.ZipFile(io.BytesIO(as_zip(both))) as archive:
        text = archive.read("README.txt").decode()
    assert "  01_U-Net_0_5: U-Net · 0.5, run 20261130-042056-vit-9f71\n" in text
    assert "  02_Ships: Ships, run 20261130-042605-fcn-e692\n" in text
    assert [line for line in text.splitlines() if line.startswith("  001: straße 2")] and "\n.jpg" not in text
    assert "Label ids are missing where" in text and "_trainIds.png" in text
    with zipfile.ZipFile(io.BytesIO(as_zip([labelled]))) as archive:
        assert "are missing" not in archive.read("README.txt").decode()


def test_names_in_the_zip_climb_nowhere(labelled):
    hostile = Labelled("../../../etc/passwd", "/root/..\\x", labelled.image, labelled.prediction)
    with zipfile.ZipFile(io.BytesIO(as_zip([hostile]))) as archive:
        assert not [name for name in archive.namelist() if ".." in name or name.startswith("/") or "\\" in name]
    assert file_stem("...") == file_stem("") == "picture"


def test_regions_are_all_pixels_of_large_pieces_each_once():
    result = regions(scene())
    assert sum(region.area for region in result) == 60 * 80 - 1, "all but the lone pixel"
    (wall,) = [region for region in result if region.class_id == 2 and region.area > 100]
    assert wall.area == 40 * 40 - 10 * 15 and len(wall.rings) == 2 and wall.box == (10, 10, 40, 40)


def test_regions_of_noise_are_counted_right():
    labels = np.random.default_rng(1).integers(0, 3, (50, 70), dtype=np.uint8)
    result = regions(labels, min_pixels=1)
    for index in range(3):
        pieces = [region for region in result if region.class_id == index]
        assert sum(region.area for region in pieces) == sum(int(region.mask.sum()) for region in pieces)
        painted = np.zeros(labels.shape, int)
        for region in pieces:
            left, top, width, height = region.box
            painted[top : top + height, left : left + width] += region.mask
        assert (painted == (labels == index)).all(), "islands in holes are pieces of their own"


def test_geojson_fills_to_the_same_map(labelled):
    reports = json.loads(json.dumps(geojson(labelled)))
    painted = np.full((60, 80), 255, np.uint8)
    for feature in sorted(reports["features"], key=lambda feature: -feature["properties"]["area"]):
        rings = feature["geometry"]["coordinates"]
        assert all(ring[0] == ring[-1] and len(ring) >= 4 for ring in rings)
        cv2.fillPoly(painted, [np.array(rings[0])], int(feature["properties"]["id"]))
        assert feature["properties"]["class"] == CITYSCAPES_19.class_names[feature["properties"]["id"]]
    assert (painted == scene()).mean() > 0.999


def test_coco_regions_decode_to_the_same_map(labelled):
    reports = json.loads(json.dumps(coco([labelled, labelled])))
    assert [image["id"] for image in reports["images"]] == [1, 2]
    painted = np.full((60, 80), 255, np.uint8)
    for note in reports["annotations"]:
        if note["image_id"] == 2:
            continue
        height, width = note["segmentation"]["size"]
        values = np.repeat(np.arange(len(note["segmentation"]["counts"])) % 2, note["segmentation"]["counts"])
        mask = values.reshape((height, width), order="F").astype(bool)
        assert mask.sum() == note["area"]
        painted[mask] = note["category_id"] - 1
    assert (painted == scene()).sum() == 60 * 80 - 1


@pytest.mark.parametrize("mask", [[[0, 0], [0, 0]], [[1, 1], [1, 1]], [[1, 0], [0, 1]], [[0, 1], [1, 1]]])
def test_run_lengths_count_from_zeros_column_by_column(mask):
    mask = np.array(mask, np.uint8)
    counts = run_lengths(mask)
    assert sum(counts) == mask.size
    assert (np.repeat(np.arange(len(counts)) % 2, counts) == mask.ravel(order="F")).all()


def test_shares_sum_to_one_and_stand_in_the_table(labelled):
    assert sum(shares(labelled.prediction).values()) == pytest.approx(1)
    assert shares(labelled.prediction)["sky"] == (scene() == 10).mean()
    rows = list(csv.DictReader(io.StringIO(shares_csv([labelled]))))
    assert rows[0]["picture"] == "my street.jpg" and float(rows[0]["sky"]) == pytest.approx(
        (scene() == 10).mean(), abs=1e-6
    )


def test_a_name_that_a_spreadsheet_would_run_is_text(labelled):
    prediction = replace(labelled.prediction, class_names=("=1+1", *labelled.prediction.class_names[1:]))
    hostile = Labelled("=HYPERLINK(1)", "+x", labelled.image, prediction)
    row = list(csv.DictReader(io.StringIO(shares_csv([hostile]))))[0]
    assert row["picture"] == "'=HYPERLINK(1)" and row["network"] == "'+x"
    assert "'=1+1" in row and "=1+1" not in row


# ---- collections


@pytest.fixture
def own_data(lab_folders, monkeypatch):
    """A data folder of the test's own."""
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    return lab_folders.other / "data"


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_a_collection_comes_back_pixel_for_pixel(own_data):
    assert list_collections() == []
    saved = save_collection("  Meine Straße 1 ", [("../one.jpg", noise(0)), ("two.png", noise(1))])
    assert (saved.slug, saved.name) == ("meine-strae-1", "Meine Straße 1")
    (result,) = list_collections()
    assert result == saved and [name for name, _ in result.images] == ["../one.jpg", "two.png"]
    assert (result.image(0) == noise(0)).all() and (result.image(1) == noise(1)).all()
    assert {path.name for path in (own_data / "collections/meine-strae-1").iterdir()} == {
        "collection.json",
        "000.png",
        "001.png",
    }
    delete_collection(saved.slug)
    assert list_collections() == [] and not list((own_data / "collections").iterdir())


@pytest.mark.parametrize(
    ("name", "images", "sentence"),
    [
        ("", 1, "needs a name"),
        ("../..", 1, "needs a name"),
        ("x" * 61, 1, "the limit is 60"),
        ("fine", 0, "holds 1 to 200 pictures"),
        ("taken", 1, "already"),
    ],
)
def test_what_cannot_be_saved_is_a_sentence(own_data, name, images, sentence):
    save_collection("taken", [("a", noise(0))])
    with pytest.raises(LabError, match=sentence):
        save_collection(name, [("a", noise(0))] * images)
    assert [collection.slug for collection in list_collections()] == ["taken"]


def test_collections_are_counted_for_each_owner(own_data, monkeypatch):
    monkeypatch.setattr(collections, "MAX_COLLECTIONS", 1)
    try:
        for who in ("ann@x.org", "bob@x.org"):
            set_current_user(lambda who=who: User(who, who))
            save_collection(who, [("a", noise(0))])
        with pytest.raises(LabError, match="You have 1 collections, which is the limit"):
            save_collection("another", [("a", noise(0))])
    finally:
        set_current_user(shell_user)
    assert len(list_collections()) == 2


def test_a_collection_leaves_the_disk_what_others_need(own_data, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(collections.shutil, "disk_usage", lambda _: usage(collections.SPARE_BYTES + 100))
    with pytest.raises(LabError, match="1.0 GB are left alone"):
        save_collection("mine", [("a", noise(0))])
    assert not list((own_data / "collections").iterdir())


@pytest.mark.parametrize("slug", ["..", "a/b", "", "nothing", "A"])
def test_a_slug_is_never_a_path(own_data, slug):
    with pytest.raises(LabError):
        read_collection(slug)
    with pytest.raises(LabError):
        delete_collection(slug)


def test_a_broken_collection_is_passed_over(own_data):
    save_collection("good", [("a", noise(0))])
    for text in ("{", "[]", '{"name": 1}', '{"name": "x", "pictures": [{"name": "a"}]}'):
        folder = collections.collections_folder() / f"broken-{len(text)}"
        folder.mkdir()
        (folder / "collection.json").write_text(text)
    assert [collection.slug for collection in list_collections()] == ["good"]
    (collections.collections_folder() / "climbing").mkdir()
    climbing = {"name": "x", "pictures": [{"name": "a", "file": "../../../etc/passwd"}]}
    (collections.collections_folder() / "climbing/collection.json").write_text(json.dumps(climbing))
    assert read_collection("climbing").images[0][1].parent.name == "climbing"
