"""Masks that are painted: what a stroke changes is on the disk before it is acknowledged, and nothing else gets in."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import MAX_PATCH_BYTES, ROUTES
from core.config import read_config
from core.data.dataset import open_dataset, read_target
from core.errors import LabError
from core.labelling.effort import Effort, read_labelling
from core.labelling.label_set import (
    create_label_set,
    delete_label_set,
    images_in,
    list_label_sets,
    mend_frame,
    mend_prediction,
    open_label_set,
)
from core.labelling.masks import (
    ChangedElsewhereError,
    change_mask,
    class_pixels,
    read_history,
    read_mask,
    restore_mask,
)
from core.labelling.patches import UNCHANGED, parse_patch, patch_of, runs_of
from core.synthetic import draw_scene

CLASSES = ("road", "sky", "tram")
SIZE = (40, 60)


@pytest.fixture
def label_set(lab_folders, monkeypatch):
    """Three photographs of 60 x 40 and three classes."""
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    images = [(f"my photo {n}.jpg", lambda n=n: draw_scene(n, 0, size=SIZE).image) for n in range(3)]
    return create_label_set("My street", images, CLASSES)


def message(number, left, top, width, height, value):
    return {"id": f"{number:08x}", "box": [left, top, width, height], "runs": [width * height, value]}


def painted(label_set, frame, *strokes):
    """The mask after some strokes, each sent on the revision before it."""
    mask = read_mask(label_set, frame)
    for stroke in strokes:
        mask = change_mask(label_set, frame, stroke, mask.revision)
    return mask


def test_a_label_set_is_a_data_set_like_any_other(label_set):
    assert [each.title for each in list_label_sets()] == ["My street"]
    assert label_set.space.class_names == CLASSES and len(label_set.images) == 3 and label_set.labelled == []
    for number, frame in enumerate(list(label_set.images)[:2]):
        painted(label_set, frame, message(1, 0, 0, 60, 20, 1), message(2, 0, 20, 60, 20, number))
    assert len(label_set.labelled) == 2
    assert class_pixels(label_set).tolist() == [1200, 3600, 0]
    config = read_config({"dataset": {"name": "folder", "root": str(label_set.root), "height": 40, "width": 60}})
    dataset = open_dataset(config.dataset)
    assert dataset.space.class_names == CLASSES and len(dataset.train) + len(dataset.val) == 2
    targets = [dataset.target(frame) for frame in (*dataset.train, *dataset.val)]
    assert sorted(np.unique(np.stack(targets)).tolist()) == [0, 1]


def test_strokes_change_what_they_cover_and_the_history_brings_it_back(label_set):
    frame = next(iter(label_set.images))
    first = painted(label_set, frame, message(1, 5, 5, 10, 10, 0))
    assert (first.labels == 0).sum() == 100 and (first.labels == 255).sum() == 40 * 60 - 100
    runs = [3, UNCHANGED, 4, 2, 3, UNCHANGED] * 10
    second = change_mask(label_set, frame, {"id": "0" * 8, "box": [5, 5, 10, 10], "runs": runs}, first.revision)
    assert (second.labels == 2).sum() == 40 and (second.labels == 0).sum() == 60
    third = change_mask(label_set, frame, message(3, 0, 0, 60, 40, 255), second.revision)
    assert (third.labels == 255).all()
    history = read_history(label_set, frame)
    assert [change.number for change in history] == [3, 2, 1] and [change.pixels for change in history] == [
        100,
        40,
        100,
    ]
    assert np.array_equal(restore_mask(label_set, frame, 2).labels, second.labels)
    assert np.array_equal(restore_mask(label_set, frame, 1).labels, first.labels)
    assert (restore_mask(label_set, frame, 0).labels == 255).all()
    assert np.array_equal(
        read_mask(open_label_set(label_set.slug), frame).labels, restore_mask(label_set, frame, 0).labels
    )


def test_the_same_stroke_twice_is_one_and_one_on_an_older_mask_is_told(label_set):
    frame = next(iter(label_set.images))
    empty = read_mask(label_set, frame)
    once = change_mask(label_set, frame, message(1, 0, 0, 5, 5, 0), empty.revision)
    assert change_mask(label_set, frame, message(1, 0, 0, 5, 5, 0), empty.revision).revision == once.revision
    with pytest.raises(ChangedElsewhereError, match="changed elsewhere"):
        change_mask(label_set, frame, message(2, 0, 0, 5, 5, 1), empty.revision)
    Image.fromarray(np.ones(SIZE, np.uint8)).save(label_set.mask(frame))  # by another program
    with pytest.raises(ChangedElsewhereError):
        change_mask(label_set, frame, message(2, 0, 0, 5, 5, 1), once.revision)
    assert (painted(label_set, frame, message(3, 0, 0, 60, 40, 2)).labels == 2).all()


def test_of_two_who_paint_at_once_one_is_told_and_no_stroke_is_lost(label_set):
    frame = next(iter(label_set.images))
    revision = read_mask(label_set, frame).revision
    outcomes = []

    def paint(number):
        try:
            change_mask(label_set, frame, message(number, number, 0, 1, 40, 0), revision)
            outcomes.append(True)
        except ChangedElsewhereError:
            outcomes.append(False)

    threads = [threading.Thread(target=paint, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcomes) == 1 and (read_mask(label_set, frame).labels == 0).sum() == 40


def test_a_disk_that_is_full_keeps_the_mask_as_it_was(label_set, monkeypatch):
    frame = next(iter(label_set.images))
    before = painted(label_set, frame, message(1, 0, 0, 5, 5, 0))

    def no_space(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("core.labelling.masks.os.fsync", no_space)
        with pytest.raises(LabError):
            change_mask(label_set, frame, message(2, 0, 0, 60, 40, 1), before.revision)
    assert read_mask(label_set, frame).revision == before.revision
    assert [path.name for path in label_set.mask(frame).parent.iterdir()] == [f"{frame}.png"]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "x",
        {},
        {"id": "zz", "box": [0, 0, 1, 1], "runs": [1, 0]},
        {"id": "0" * 8, "box": [0, 0, 1], "runs": [1, 0]},
        {"id": "0" * 8, "box": [0, 0, 1, 1], "runs": [1]},
        {"id": "0" * 8, "box": [0, 0, 1, 1], "runs": [True, 0]},
        {"id": "0" * 8, "box": [0, 0, 1, 1], "runs": [1.0, 0]},
        {"id": "0" * 8, "box": [0, 0, 2, 2], "runs": [3, 0]},
        {"id": "0" * 8, "box": [0, 0, 2, 2], "runs": [5, 0, -1, 0]},
        {"id": "0" * 8, "box": [59, 0, 2, 1], "runs": [2, 0]},
        {"id": "0" * 8, "box": [-1, 0, 2, 1], "runs": [2, 0]},
        {"id": "0" * 8, "box": [0, 0, 0, 1], "runs": [0, 0]},
        {"id": "0" * 8, "box": [0, 0, 1, 1], "runs": [1, 3]},
        {"id": "0" * 8, "box": [0, 0, 1, 1], "runs": [1, -1]},
        {"id": "0" * 8, "box": [0, 0, 1, 1], "runs": [1, 10**40]},
        {"id": "0" * 8, "box": [0, 0, 10**30, 1], "runs": [1, 0]},
    ],
)
def test_what_is_no_stroke_is_a_sentence(broken):
    with pytest.raises(LabError, match="Reload the page|reload the page"):
        parse_patch(broken, SIZE, 3)


def test_runs_are_what_they_were_made_of():
    values = np.random.default_rng(0).choice([0, 1, 255, UNCHANGED], (7, 9))
    patch = parse_patch({"id": "0" * 8, "box": [2, 3, 9, 7], "runs": runs_of(values)}, SIZE, 3)
    assert np.array_equal(patch.values, values) and (patch.left, patch.top) == (2, 3)
    labels = np.random.default_rng(1).choice([0, 1, 2, 255], SIZE).astype(np.uint8)
    back = patch_of("", 2, 3, patch.before(labels)).applied(patch.applied(labels))
    assert np.array_equal(back, labels)


def test_the_route_takes_strokes_and_nothing_else(label_set):
    client = TestClient(Starlette(routes=ROUTES))
    frame = next(iter(label_set.images))
    address = f"/lab/labels/{label_set.slug}/{frame}"
    seen = client.get(address)
    assert seen.status_code == 200 and seen.headers["cache-control"] == "no-store"
    revision = seen.headers["x-revision"]
    sent = client.post(address, json={"revision": revision, "patch": message(1, 0, 0, 60, 40, 2)})
    assert sent.status_code == 200 and sent.json()["revision"] == read_mask(label_set, frame).revision
    stale = client.post(address, json={"revision": revision, "patch": message(2, 0, 0, 60, 40, 1)})
    assert stale.status_code == 409 and "changed elsewhere" in stale.json()["error"]
    for body in (b"", b"[]", b"{", b"[" * 100_000, b'{"revision": 1}', b"\xff"):
        refused = client.post(address, content=body)
        assert refused.status_code == 422 and refused.json()["error"].endswith(".")
    assert client.post(address, content=b"x" * (MAX_PATCH_BYTES + 1)).status_code == 413
    for wrong in ("nothing/x", f"{label_set.slug}/nothing", "..%2f..%2fetc/passwd", f"{label_set.slug}/..%2fclasses"):
        assert client.get(f"/lab/labels/{wrong}").status_code == 404
        assert client.post(f"/lab/labels/{wrong}", json={"revision": "", "patch": {}}).status_code in (403, 404)
    assert (read_mask(label_set, frame).labels == 2).all()


def test_what_can_not_be_labelled_is_a_sentence(label_set, lab_folders, monkeypatch):
    image = [("a.png", lambda: np.zeros((8, 8, 3), np.uint8))]
    for title, images, classes, words in (
        ("", image, CLASSES, "needs a name"),
        ("x", [], CLASSES, "1 to"),
        ("x", image, ("road", " "), "two classes"),
        ("x", image, ("road", "Road"), "two classes"),
    ):
        with pytest.raises(LabError, match=words):
            create_label_set(title, images, classes)
    monkeypatch.setattr("core.labelling.label_set.MAX_PIXELS", 63)
    with pytest.raises(LabError, match="megapixels"):
        create_label_set("x", image, CLASSES)
    empty = lab_folders.other / "empty"
    empty.mkdir()
    with pytest.raises(LabError):
        images_in(empty)
    with pytest.raises(LabError, match="no such label set"):
        open_label_set("../runs")
    frame = next(iter(label_set.images))
    label_set.mask(frame).write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    with pytest.raises(LabError, match="can't be read"):
        read_mask(label_set, frame)
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(label_set.mask(frame))
    with pytest.raises(LabError, match="3 x 3 pixels, its photograph 60 x 40"):
        read_mask(label_set, frame)
    (label_set.root / "history").mkdir(exist_ok=True)
    (label_set.root / "history" / f"{frame}.jsonl").write_text('{"number": 1}\n[]\nx\n' + json.dumps({"number": 1}))
    assert read_history(label_set, frame) == []
    delete_label_set(label_set)
    assert list_label_sets() == []


def test_a_frame_of_a_data_set_is_mended_in_a_copy(label_set, streets, lab_folders, monkeypatch):
    (lab_folders.other / "data").mkdir(exist_ok=True)
    (lab_folders.other / "data" / "streets").symlink_to(streets)
    dataset = open_dataset(read_config({"dataset": {"name": "streets", "height": 64, "width": 128}}).dataset)
    before = {path: path.read_bytes() for path in streets.rglob("*.png")}
    mended, name = mend_frame(dataset, dataset.val[0])
    assert (mended.space.class_names, mended.labelled) == (dataset.space.class_names, [name])
    assert np.array_equal(read_mask(mended, name).labels, read_target(dataset.val[0].labels, dataset.space))
    stroke = {"id": "0" * 8, "box": [0, 0, 4, 4], "runs": [16, 2]}
    change_mask(mended, name, stroke, read_mask(mended, name).revision)
    again, same = mend_frame(dataset, dataset.val[0])
    assert (again.slug, same) == (mended.slug, name) and (read_mask(again, name).labels[:4, :4] == 2).all()
    other, _ = mend_frame(dataset, dataset.train[0])
    assert other.slug == mended.slug and len(other.images) == 2
    assert {path: path.read_bytes() for path in streets.rglob("*.png")} == before


def test_a_picture_is_mended_from_what_a_network_sees_and_pictures_with_the_same_classes_are_gathered(label_set):
    image, labels = draw_scene(7, 0, size=SIZE).image, np.full(SIZE, 1, np.uint8)
    colors = ((1, 2, 3), (4, 5, 6))
    mended, name = mend_prediction("straße.jpg", image, labels, ("road", "sky"), colors)
    assert (mended.space.class_names, mended.space.colors) == (("road", "sky"), colors)
    assert (read_mask(mended, name).labels == 1).all()
    assert np.array_equal(np.asarray(Image.open(mended.image(name))), image)
    again, same = mend_prediction("straße.jpg", image, labels * 0, ("road", "sky"), colors)
    assert (again.slug, same) == (mended.slug, name), "the same picture"
    assert (read_mask(again, name).labels == 1).all(), "what was mended stays"
    other, another = mend_prediction("stra_e.jpg", image[::-1], labels, ("road", "sky"), colors)
    assert other.slug == mended.slug and another != name, "two pictures of one name"
    apart, _ = mend_prediction("x", image, labels, ("road", "tree"), colors)
    assert apart.slug != mended.slug and len(open_label_set(mended.slug).images) == 2


def test_photographs_of_a_folder_without_masks_are_taken(label_set, lab_folders):
    folder = lab_folders.other / "photos"
    (folder / "images").mkdir(parents=True)
    for number in range(2):
        Image.fromarray(draw_scene(number, 0, size=SIZE).image).save(folder / "images" / f"{number}.jpg")
    made = create_label_set("Another", images_in(folder), CLASSES)
    assert len(made.images) == 2 and made.slug != label_set.slug


def paint(label_set, frame, number, value=0):
    change_mask(label_set, frame, message(number, 0, 0, 60, 20, value), read_mask(label_set, frame).revision)


def test_what_a_photograph_is_for_is_decided_once_and_one_of_five_is_scored_on(lab_folders, label_set):
    images = [(f"{n}", lambda n=n: draw_scene(n, 0, size=SIZE).image) for n in range(14)]
    label_set = create_label_set("Many", images, CLASSES)
    order = np.random.default_rng(0).permutation(list(label_set.images))
    decided: dict[str, str] = {}
    for number, frame in enumerate(order, start=1):
        paint(label_set, frame, number)
        paint(label_set, frame, 100 + number, 1)
        if number < 2:
            continue
        config = read_config({"dataset": {"name": "folder", "root": str(label_set.root)}})
        dataset = open_dataset(config.dataset)
        splits = {Path(f.image).stem: split for split in ("train", "val") for f in getattr(dataset, split)}
        assert splits.keys() == set(order[:number])
        assert all(splits[name] == split for name, split in decided.items()), "none changes sides"
        decided = splits
    assert [decided[name] for name in order].count("val") == 3
    assert decided[order[1]] == decided[order[6]] == decided[order[11]] == "val"


def test_a_mended_frame_stays_what_it_was_for(lab_folders, streets, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", f"{streets.parent}{os.pathsep}{lab_folders.other}")
    config = read_config({"dataset": {"name": "cityscapes", "root": str(streets), "height": 64, "width": 128}})
    dataset = open_dataset(config.dataset)
    for frame in (dataset.val[0], dataset.val[1], *dataset.train[:3]):
        label_set, _ = mend_frame(dataset, frame)
    mended = open_dataset(read_config({"dataset": {"name": "folder", "root": str(label_set.root)}}).dataset)
    assert (len(mended.train), len(mended.val)) == (3, 2)


def test_effort_is_the_time_between_changes_without_pauses(label_set, monkeypatch):
    assert read_labelling(label_set.root.parent) is None
    assert read_labelling(label_set.root).effort() == Effort(0, 0, 0.0)
    first, second, _ = label_set.images
    for number, (frame, moment) in enumerate(
        [(first, 1000), (first, 1030), (second, 1050), (second, 2000), (first, 2040)]
    ):
        monkeypatch.setattr("core.labelling.masks.time.time", lambda moment=moment: float(moment))
        paint(label_set, frame, number, number % 3)
    assert read_labelling(label_set.root).effort() == Effort(2, 5, 1.5)
    assert read_labelling(label_set.root).effort(until=1040) == Effort(1, 2, 0.5)
    with open(label_set.root / "history" / f"{first}.jsonl", "a", encoding="utf-8") as file:
        file.write('{"half": ')
    assert read_labelling(label_set.root).effort().changes == 5
