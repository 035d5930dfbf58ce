"""Label maps painted from polygons: the same as the official labels, as far as they can be."""

import json

import cv2
import numpy as np
import pytest

from core.data import polygons
from core.data.cityscapes import list_frames
from core.data.decoding import read_labels
from core.data.polygons import paint_polygons
from core.errors import LabError
from core.labels import CITYSCAPES_19, IGNORED, LABEL_BY_NAME


def write(path, objects, height=20, width=40, **more):
    path.write_text(json.dumps({"imgHeight": height, "imgWidth": width, "objects": objects} | more), encoding="utf-8")
    return path


def box(label, left, top, right, bottom, **more):
    return {"label": label, "polygon": [[left, top], [right, top], [right, bottom], [left, bottom]]} | more


def test_later_polygons_lie_on_top_and_deleted_ones_do_not(tmp_path):
    objects = [box("road", 0, 10, 39, 19), box("car", 5, 12, 14, 16), box("sky", 0, 0, 39, 19, deleted=1)]
    ids = paint_polygons(write(tmp_path / "a.json", objects))
    assert ids.shape == (20, 40) and ids.dtype == np.uint8
    assert (ids[0, 0], ids[11, 0], ids[14, 10]) == (0, 7, 26)


def test_groups_count_as_what_they_are_groups_of_and_plates_are_left_out(tmp_path):
    objects = [box("cargroup", 0, 0, 10, 10), box("polegroup", 20, 0, 30, 10), box("license plate", 0, 0, 39, 19)]
    ids = paint_polygons(write(tmp_path / "a.json", objects))
    assert (ids[5, 5], ids[5, 25], ids[15, 15]) == (26, 18, 0)


def test_polygons_may_leave_the_frame_and_may_be_a_single_point(tmp_path):
    objects = [box("sky", -50, -50, 100, 5), {"label": "car", "polygon": [[3, 3]]}]
    ids = paint_polygons(write(tmp_path / "a.json", objects))
    assert (ids[:5] == 23).all() and (ids[8:] == 0).all()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "can't be read as polygons"),
        ("[]", "can't be read as polygons"),
        ("[" * 100_000, "can't be read as polygons"),
        ('{"imgHeight": 1000000, "imgWidth": 1000000, "objects": []}', "1000000 x 1000000 pixels"),
        ('{"imgHeight": -1, "imgWidth": 5, "objects": []}', "can't be read as polygons"),
        (
            '{"imgHeight": 5, "imgWidth": 5, "objects": [{"label": "car", "polygon": "no"}]}',
            "can't be read as polygons",
        ),
        ('{"imgHeight": 5, "imgWidth": 5, "objects": "abc"}', "can't be read as polygons"),
        ('{"imgHeight": 5, "imgWidth": 5, "objects": [{"label": ["x"], "polygon": []}]}', "can't be read as polygons"),
        ('{"imgHeight": 1e999, "imgWidth": 5, "objects": []}', "can't be read as polygons"),
        ('{"imgHeight": 5, "imgWidth": 5, "objects": [{"label": "cow", "polygon": []}]}', "called 'cow'"),
    ],
)
def test_what_is_not_such_a_file_is_refused_by_name(tmp_path, content, text):
    path = tmp_path / "a_polygons.json"
    path.write_text(content)
    with pytest.raises(LabError) as caught:
        paint_polygons(path)
    assert text in str(caught.value) and str(path) in str(caught.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.json", [])
    monkeypatch.setattr(polygons, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(LabError, match="more than"):
        paint_polygons(path)


def test_a_frame_without_a_label_picture_is_painted_from_its_polygons(tmp_path):
    image = tmp_path / "leftImg8bit/train/a/a_000000_000019_leftImg8bit.png"
    image.parent.mkdir(parents=True)
    cv2.imwrite(str(image), np.zeros((20, 40, 3), np.uint8))
    labels = tmp_path / "gtFine/train/a/a_000000_000019_gtFine_polygons.json"
    labels.parent.mkdir(parents=True)
    write(labels, [box("road", 0, 10, 39, 19)])
    (frame,) = list_frames(tmp_path, "train")
    assert frame.labels == labels
    ids = read_labels(frame.labels, (10, 20))
    assert ids.shape == (10, 20) and set(np.unique(ids)) == {0, 7}
    labels.with_name("a_000000_000019_gtFine_labelIds.png").write_bytes(b"")
    (frame,) = list_frames(tmp_path, "train")
    assert frame.labels.suffix == ".png", "the picture goes first"


def agreement(painted, official):
    """Share of the officially evaluated pixels that were painted the same."""
    ours, theirs = CITYSCAPES_19.lookup[painted], CITYSCAPES_19.lookup[official]
    return (ours == theirs)[theirs != IGNORED].mean()


def test_generated_streets_are_painted_as_they_were_written(streets):
    for frame in list_frames(streets, "val", "coarse"):
        polygons = frame.labels.with_name(frame.labels.name.replace("labelIds.png", "polygons.json"))
        assert agreement(paint_polygons(polygons), read_labels(frame.labels)) > 0.95


def test_the_official_labels_of_full_size_are_painted_to_994_per_mille(shared, figure):
    shares = []
    for frame in list_frames(shared / "data/cityscapes-fullres", "train"):
        polygons = frame.labels.with_name(frame.labels.name.replace("labelIds.png", "polygons.json"))
        shares.append(agreement(paint_polygons(polygons), read_labels(frame.labels)))
    figure(f"from {min(shares):.4%} of the pixels")
    assert len(shares) == 8 and min(shares) >= 0.994


def test_beside_edges_only_the_rim_differs_which_no_polygon_describes(shared):
    for frame in list_frames(shared / "data/cityscapes-fullres", "train"):
        official = read_labels(frame.labels)
        painted = paint_polygons(frame.labels.with_name(frame.labels.name.replace("labelIds.png", "polygons.json")))
        extra = official[(CITYSCAPES_19.lookup[painted] != IGNORED) & (CITYSCAPES_19.lookup[official] == IGNORED)]
        out_of_roi = LABEL_BY_NAME["out of roi"].id
        assert (extra == out_of_roi).mean() > 0.85


def test_the_official_painter_paints_the_same(shared):
    preparation = pytest.importorskip("cityscapesscripts.preparation.json2labelImg")
    annotation = pytest.importorskip("cityscapesscripts.helpers.annotation")
    for path in sorted((shared / "data/cityscapes-fullres").glob("gtFine/train/*/*_polygons.json"))[:3]:
        theirs = annotation.Annotation()
        theirs.fromJsonFile(str(path))
        assert (np.array(preparation.createLabelImage(theirs, "ids")) == paint_polygons(path)).all()
