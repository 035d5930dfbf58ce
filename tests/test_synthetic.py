"""Generated streets: the same bytes every time, honest labels, the layout of Cityscapes, and safe writing."""

import json

import cv2
import numpy as np
import pytest

from core.errors import LabError
from core.labels import CITYSCAPES_LABELS, LABEL_BY_NAME
from core.synthetic import Scene, draw_scene, write_streets

SMALL = (128, 256)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(0, index, SMALL) for index in range(40)]


def painted(polygons: list[dict], size: tuple[int, int]) -> np.ndarray:
    image = np.zeros(size, np.uint8)
    for item in polygons:
        cv2.fillPoly(image, [np.array(item["polygon"], np.int32)], LABEL_BY_NAME[item["label"]].id)
    return image


def test_same_arguments_give_the_same_bytes_and_others_do_not():
    first, again, other = draw_scene(3, 5, SMALL), draw_scene(3, 5, SMALL), draw_scene(3, 6, SMALL)
    for name in ("image", "label_ids", "instance_ids", "coarse_ids"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes(), name
    assert first.polygons == again.polygons and first.coarse_polygons == again.coarse_polygons
    assert (first.image != other.image).mean() > 0.5
    assert (first.label_ids != other.label_ids).mean() > 0.1


@pytest.mark.parametrize("size", [(64, 96), (128, 256), (200, 300)])
def test_shapes_types_and_that_every_pixel_is_labelled(size):
    scene = draw_scene(1, 2, size)
    assert scene.image.shape == (*size, 3) and scene.image.dtype == np.uint8
    for name, dtype in (("label_ids", np.uint8), ("instance_ids", np.uint16), ("coarse_ids", np.uint8)):
        assert getattr(scene, name).shape == size and getattr(scene, name).dtype == dtype
    assert (scene.label_ids > 0).all()


def test_instance_ids_follow_the_label_ids(scenes):
    counted = {label.id for label in CITYSCAPES_LABELS if label.has_instances}
    known = {label.id for label in CITYSCAPES_LABELS}
    several = 0
    for scene in scenes:
        assert set(np.unique(scene.label_ids)) <= known
        things = np.isin(scene.label_ids, list(counted))
        assert (scene.instance_ids[things] // 1000 == scene.label_ids[things]).all()
        assert (scene.instance_ids[~things] == scene.label_ids[~things]).all()
        several += len(np.unique(scene.instance_ids[scene.label_ids == LABEL_BY_NAME["car"].id])) > 2
    assert several > 20


def test_polygons_painted_in_order_give_the_label_maps(scenes):
    for scene in scenes:
        assert (painted(scene.polygons, SMALL) == scene.label_ids).mean() >= 0.97
        assert (painted(scene.coarse_polygons, SMALL) == scene.coarse_ids).mean() >= 0.97
        corners = np.concatenate([np.array(item["polygon"]) for item in scene.polygons])
        assert corners.min() >= 0 and (corners < SMALL[::-1]).all()


def test_coarse_labels_lie_inside_the_fine_ones_and_leave_borders_out(scenes):
    for scene in scenes:
        labelled = scene.coarse_ids > 0
        assert 0.4 < labelled.mean() < 0.95
        assert (scene.coarse_ids[labelled] == scene.label_ids[labelled]).mean() >= 0.95


def test_all_classes_occur_in_shares_like_those_of_a_street(scenes):
    counts = sum(np.bincount(scene.label_ids.ravel(), minlength=34) for scene in scenes)
    share = {label.name: counts[label.id] / counts.sum() for label in CITYSCAPES_LABELS}
    required = [label.name for label in CITYSCAPES_LABELS if label.train_id != 255 and label.name != "train"]
    assert [name for name in required if share[name] == 0] == []
    bounds = {"road": (0.22, 0.42), "building": (0.12, 0.32), "vegetation": (0.06, 0.22), "sky": (0.03, 0.16)}
    bounds |= {"car": (0.03, 0.14), "sidewalk": (0.025, 0.12), "pole": (0.004, 0.03), "person": (0.002, 0.03)}
    assert {name: share[name] for name, (low, high) in bounds.items() if not low < share[name] < high} == {}


def test_pictures_are_well_exposed_and_differ(scenes):
    means = np.array([scene.image.mean() for scene in scenes])
    assert ((means > 40) & (means < 190)).all() and means.std() > 8
    assert min(scene.image.std() for scene in scenes) > 18


def test_layout_on_disk(tmp_path):
    root, seen = tmp_path / "streets", []
    write_streets(root, train=3, val=1, size=(64, 128), seed=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    names = ["train/arden/arden_000000_000019", "train/belmont/belmont_000000_000019"]
    names += ["train/arden/arden_000001_000019", "val/corvale/corvale_000000_000019"]
    for index, name in enumerate(names):
        scene = draw_scene(4, index, (64, 128))
        image = cv2.imread(str(root / f"leftImg8bit/{name}_leftImg8bit.png"))
        assert (image[..., ::-1] == scene.image).all()
        for kind, labels in (("gtFine", scene.label_ids), ("gtCoarse", scene.coarse_ids)):
            assert (cv2.imread(str(root / f"{kind}/{name}_{kind}_labelIds.png"), cv2.IMREAD_UNCHANGED) == labels).all()
            notes = json.loads((root / f"{kind}/{name}_{kind}_polygons.json").read_text())
            assert (notes["imgHeight"], notes["imgWidth"]) == (64, 128)
            assert (painted(notes["objects"], (64, 128)) == labels).mean() >= 0.97
        instances = cv2.imread(str(root / f"gtFine/{name}_gtFine_instanceIds.png"), cv2.IMREAD_UNCHANGED)
        assert instances.dtype == np.uint16 and (instances == scene.instance_ids).all()
    assert len(list(root.glob("leftImg8bit/*/*/*.png"))) == 4
    settings = json.loads((root / "streets.json").read_text())
    assert (settings["seed"], settings["train"], settings["val"], settings["size"]) == (4, 3, 1, [64, 128])
    assert [path.name for path in tmp_path.iterdir()] == ["streets"]


def test_a_second_call_does_nothing_and_other_settings_write_anew(tmp_path):
    root, seen = tmp_path / "streets", []
    write_streets(root, train=1, val=1, size=(64, 128))
    write_streets(root, train=1, val=1, size=(64, 128), progress=lambda done, total: seen.append(done))
    assert seen == []
    write_streets(root, train=1, val=0, size=(64, 128), progress=lambda done, total: seen.append(done))
    assert seen == [1] and not (root / "leftImg8bit/val").exists()


def test_a_foreign_folder_is_refused_and_untouched(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    (root / "holiday.txt").write_text("mine")
    with pytest.raises(LabError, match="photos"):
        write_streets(root, train=1, val=1, size=(64, 128))
    assert (root / "holiday.txt").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_write_leaves_nothing_that_looks_whole(tmp_path):
    root = tmp_path / "streets"

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_streets(root, train=3, val=1, size=(64, 128), progress=stop)
    assert list(tmp_path.iterdir()) == []
    write_streets(root, train=1, val=1, size=(64, 128))
    with pytest.raises(KeyboardInterrupt):
        write_streets(root, train=3, val=1, size=(64, 128), progress=stop)
    assert json.loads((root / "streets.json").read_text())["train"] == 1


@pytest.mark.parametrize("wrong", [{"train": -1}, {"val": -2}, {"size": (8, 512)}])
def test_settings_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(LabError):
        write_streets(tmp_path / "streets", **{"train": 1, "val": 1, "size": (64, 128), **wrong})
    assert list(tmp_path.iterdir()) == []
