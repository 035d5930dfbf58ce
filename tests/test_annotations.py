"""Files of label tools: what each is read as, against the tools' own label maps, and folders of them from photograph to target."""

import base64
import io
import json
import multiprocessing
import os
import re
import zlib
from pathlib import Path
from queue import Queue
from threading import Event, Thread

import numpy as np
import pytest
from PIL import Image

from core.config import read_config
from core.data.annotations import FORMATS
from core.data.annotations.files import load
from core.data.annotations.masks import UnpaintedError, painting
from core.data.annotations.shapes import paint
from core.data.dataset import open_dataset, read_target
from core.data.doctor.examination import examine
from core.data.folder import find_splits, pair_folder
from core.errors import LabError

REFERENCES = Path(__file__).parent / "data/annotations"
IDS = {"road": 1, "sky": 2, "tree": 3}
WIDTH, HEIGHT = 12, 8


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path))
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def photo(root, *names, size=(WIDTH, HEIGHT)):
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed + len(name)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)


def write(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def png(mask, alpha=False):
    values = np.asarray(mask, np.uint8) * 255
    stream = io.BytesIO()
    Image.fromarray(np.dstack([values] * 4) if alpha else values).save(stream, "PNG")
    return stream.getvalue()


def config(root, **more):
    return read_config({"dataset": {"name": "folder", "root": str(root), "height": 32, "width": 32} | more}).dataset


def maps(root, **more):
    """By the name of the photograph, class names (H, W) as a target of the file's own size gives them; "-" where ignored."""
    dataset = open_dataset(config(root, **more))
    names = np.array([*dataset.space.class_names, *["-"] * (256 - len(dataset.space.class_names))])
    result = {}
    for frame in (*dataset.train, *dataset.val):
        values = read_target(frame.labels, dataset.space)
        result[frame.image.relative_to(root).as_posix()] = names[values]
    return result


# Against what the tools themselves make: tests/data/annotations/README.md.


def reference(path):
    content = load(path)
    form = next(form for form in FORMATS if form.recognise(content, path) is not None)
    (annotation,) = form.read(content, path, list(IDS))
    expected = np.array(Image.open(path.with_suffix(".png")))
    painted, hidden = paint(annotation, annotation.size or expected.shape, IDS.__getitem__, 0)
    assert not hidden
    return painted, expected


@pytest.mark.parametrize(("name", "rim"), [("coco.json", 0), ("label_studio.json", 0), ("cvat.xml", 2)])
def test_what_pycocotools_paints_is_painted_to_the_pixel(name, rim):
    """Datumaro keeps coordinates in 32 bits, which moves a corner by a pixel now and then."""
    painted, expected = reference(REFERENCES / name)
    assert (painted != expected).sum() <= rim


@pytest.mark.parametrize(
    ("name", "reach", "share"),
    [
        ("labelme_polygons.json", 1, 0.03),
        ("labelme_others.json", 1, 0.04),
        ("labelme_mask.json", 1, 0.01),
        ("yolo.txt", 2, 0.04),
        ("supervisely.json", 1, 0.04),
    ],
)
def test_tools_that_paint_the_outline_as_well_differ_along_it_alone(name, reach, share):
    """labelme and Supervisely paint a polygon with its outline; supervision (OpenCV) rounds its corners to whole pixels before."""
    painted, expected = reference(REFERENCES / name)
    rim = np.zeros(painted.shape, bool)
    for values in (painted, expected):
        near = np.pad(values, reach, mode="edge")
        shifts = range(2 * reach + 1)
        for y in shifts:
            for x in shifts:
                rim |= near[y : y + values.shape[0], x : x + values.shape[1]] != values
    differs = painted != expected
    assert not (differs & ~rim).any()
    assert differs.mean() < share


# One image, a square of road and a later one of sky that overlaps it, in every format.

ROAD, SKY = (1, 1, 6, 5), (4, 3, 10, 7)
"""Left, top, right and bottom in pixels."""


def corners(square):
    left, top, right, bottom = square
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def squares(*order):
    values = np.full((HEIGHT, WIDTH), "background", dtype="<U10")
    for name, (left, top, right, bottom) in order or (("road", ROAD), ("sky", SKY)):
        values[top:bottom, left:right] = name
    return values


def labelme(name, shapes=(("road", ROAD), ("sky", SKY)), **more):
    items = [{"label": label, "points": corners(square), "shape_type": "polygon"} for label, square in shapes]
    file = {"version": "5.5.0", "shapes": items, "imagePath": name, "imageHeight": HEIGHT, "imageWidth": WIDTH}
    return file | more


def coco(names, shapes=(("road", ROAD), ("sky", SKY)), classes=("road", "sky")):
    images = [{"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH} for i, name in enumerate(names)]
    annotations = [
        {"id": 9, "image_id": i, "category_id": classes.index(label) + 5, "segmentation": [sum(corners(square), [])]}
        for i in range(len(names))
        for label, square in shapes
    ]
    categories = [{"id": index + 5, "name": name} for index, name in enumerate(classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def yolo_line(index, square):
    return f"{index} " + " ".join(f"{x / WIDTH:.7f} {y / HEIGHT:.7f}" for x, y in corners(square))


def write_labelme(root, names):
    for name in names:
        write(root, f"{Path(name).stem}.json", labelme(name))


def write_coco(root, names):
    write(root, "annotations.json", coco(names))


def write_yolo(root, names):
    write(root, "data.yaml", "names: [road, sky]\n")
    for name in names:
        write(root, f"labels/{Path(name).stem}.txt", yolo_line(0, ROAD) + "\n" + yolo_line(1, SKY) + "\n")


def write_cvat(root, names):
    def polygon(label, square, order):
        text = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners(square))
        return f'<polygon label="{label}" points="{text}" z_order="{order}"><attribute name="a">1</attribute></polygon>'

    shapes = polygon("sky", SKY, 1) + polygon("road", ROAD, 0)
    images = [f'<image id="1" name="{name}" width="{WIDTH}" height="{HEIGHT}">{shapes}</image>' for name in names]
    labels = "<label><name>road</name></label><label><name>sky</name></label>"
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    write(root, "annotations.xml", f"<annotations><version>1.1</version>{meta}{''.join(images)}</annotations>")


def write_via(root, names):
    def region(label, square):
        xs, ys = zip(*corners(square), strict=True)
        shape = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
        return {"shape_attributes": shape, "region_attributes": {"occluded": "no", "Class": label}}

    regions = [region("road", ROAD), region("sky", SKY)]
    images = {f"{name}77": {"filename": name, "size": 77, "regions": regions, "file_attributes": {}} for name in names}
    write(root, "via_project.json", {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": {}})


def write_supervisely(root, names):
    def thing(label, square):
        left, top, right, bottom = square
        points = {"exterior": [[left, top], [right - 1, bottom - 1]], "interior": []}
        return {"classTitle": label, "geometryType": "rectangle", "points": points}

    write(
        root,
        "meta.json",
        {"classes": [{"title": n, "shape": "any", "color": "#000000"} for n in ("road", "sky")], "tags": []},
    )
    for name in names:
        file = {"size": {"height": HEIGHT, "width": WIDTH}, "objects": [thing("road", ROAD), thing("sky", SKY)]}
        write(root, f"ann/{name}.json", file)


def write_label_studio(root, names):
    def region(label, square):
        points = [[x / WIDTH * 100, y / HEIGHT * 100] for x, y in corners(square)]
        value = {"points": points, "closed": True, "polygonlabels": [label]}
        return {"type": "polygonlabels", "original_width": WIDTH, "original_height": HEIGHT, "value": value}

    result = [region("road", ROAD), {"type": "choices", "value": {"choices": ["x"]}}, region("sky", SKY)]
    write(
        root,
        "export.json",
        [{"data": {"image": f"/data/upload/3/01ab23cd-{n}"}, "annotations": [{"result": result}]} for n in names],
    )


def panoptic(names):
    content = coco(names, [])
    content["annotations"] = [
        {
            "image_id": index,
            "file_name": f"{Path(name).stem}.png",
            "segments_info": [{"id": 65536 * 7, "category_id": 5}, {"id": 256 + 9, "category_id": 6}],
        }
        for index, name in enumerate(names)
    ]
    return content


def write_panoptic(root, names):
    write(root, "annotations/panoptic_all.json", panoptic(names))
    for name in names:
        path = root / f"annotations/panoptic_all/{Path(name).stem}.png"
        path.parent.mkdir(exist_ok=True)
        colors = {"background": (0, 0, 0), "road": (0, 0, 7), "sky": (9, 1, 0)}
        Image.fromarray(np.array([[colors[label] for label in row] for row in squares()], np.uint8)).save(path)


WRITERS = [
    write_labelme,
    write_coco,
    write_panoptic,
    write_yolo,
    write_cvat,
    write_via,
    write_supervisely,
    write_label_studio,
]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_of_each_format_is_used_as_it_is(root, writer):
    names = [f"p{index}.png" for index in range(5)]
    photo(root, *(f"images/{name}" for name in names))
    writer(root, names)
    result = maps(root)
    assert len(result) == 5
    assert all((values == squares()).all() for values in result.values())
    dataset = open_dataset(config(root))
    assert dataset.space.class_names == ("background", "road", "sky")
    assert dataset.target(dataset.train[0]).shape == (32, 32)
    assert len(dataset.val) == 1
    report = examine(root)
    assert report.healthy and report.classes == ("background", "road", "sky")
    (note,) = (finding for finding in report.findings if finding.code == "painted-from-shapes")
    assert "10 shapes in 5 photographs" in note.sentence and "nobody labelled is background" in note.sentence


def test_there_is_a_writer_for_each_format():
    assert len(WRITERS) == len(FORMATS)


def test_a_folder_that_is_painted_is_opened_without_reading_it_again(root, monkeypatch):
    photo(root, "a.png", "b.png")
    write_labelme(root, ["a.png", "b.png"])
    first = pair_folder(root)
    monkeypatch.setattr("core.data.annotations.masks.load", None)
    assert pair_folder(root).frames == first.frames
    monkeypatch.undo()


def test_what_takes_long_to_paint_is_refused_where_nobody_can_wait_and_told_where_somebody_does(root, monkeypatch):
    names = [f"{letter}.png" for letter in "abcd"]
    photo(root, *names)
    write_labelme(root, names)
    with painting(limit=3), pytest.raises(UnpaintedError, match="The labels of 4 photographs"):
        pair_folder(root)
    told = []
    with painting(progress=lambda *count: told.append(count)):
        assert len(pair_folder(root).frames) == 4
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with painting(limit=3):
        assert len(pair_folder(root).frames) == 4, "it is painted now"


def test_who_can_not_wait_is_refused_while_another_paints(root):
    names = [f"{letter}.png" for letter in "abcd"]
    photo(root, *names)
    write_labelme(root, names)
    begun, goes_on, refused = Event(), Event(), Queue()

    def progress(done: int, total: int) -> None:
        begun.set()
        goes_on.wait(60)

    def paint_all() -> None:
        with painting(progress=progress):
            pair_folder(root)

    def look() -> None:
        try:
            with painting(limit=3):
                refused.put(pair_folder(root))
        except UnpaintedError as error:
            refused.put(error)

    painter, visitor = Thread(target=paint_all), Thread(target=look, daemon=True)
    painter.start()
    assert begun.wait(60)
    visitor.start()
    try:
        assert isinstance(refused.get(timeout=10), UnpaintedError)
    finally:
        goes_on.set()
        painter.join(60)


def test_files_that_are_no_labels_keep_nobody_waiting(root):
    photo(root, "images/a.png", "images/b.png")
    for name in ("a", "b"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(write(root, f"masks/{name}.png", ""))
        write(root, f"images/{name}.json", {"taken": "on a Monday"})
    with painting(limit=0):
        assert len(pair_folder(root).frames) == 2


def test_a_changed_file_is_painted_anew(root, monkeypatch, tmp_path):
    photo(root, "a.png", "b.png")
    write_labelme(root, ["a.png", "b.png"])
    assert (maps(root)["a.png"] == squares()).all()
    path = write(root, "a.json", labelme("a.png", [("road", SKY)]))
    os.utime(path, ns=(1, 1))
    assert (maps(root)["a.png"] == squares(("road", SKY))).all()


@pytest.mark.parametrize("name", ["classes.txt", "labels.txt"])
def test_a_list_of_names_without_a_background_gives_the_order_alone(root, name):
    photo(root, "images/a.png", "images/b.png")
    write_yolo(root, ["a.png", "b.png"])
    (root / "data.yaml").unlink()
    write(root, name, "road\nsky\ntree\n")
    assert open_dataset(config(root)).space.class_names == ("background", "road", "sky", "tree")
    assert (maps(root)["images/a.png"] == squares()).all()


def test_a_list_of_a_single_name_will_do(root):
    photo(root, "images/a.png", "images/b.png")
    for name in "ab":
        write(root, f"labels/{name}.txt", "0 0.5 0.5 1 0.5")
    write(root, "classes.txt", "road\n")
    assert (maps(root)["images/a.png"] == squares(("road", (0, 2, 12, 6)))).all()
    assert examine(root).healthy


# Class tables.


def test_a_class_table_decides_by_name(root):
    """Names that it lacks are ignored, and so is what nobody labelled where it has no background."""
    photo(root, "a.png", "b.png")
    write_labelme(root, ["a.png", "b.png"])
    write(root, "classes.json", [{"name": "water", "ids": [3]}, {"name": "sky", "ids": [255, 9]}])
    expected = squares(("-", (0, 0, WIDTH, HEIGHT)), ("sky", SKY))
    assert (maps(root)["a.png"] == expected).all()
    report = examine(root)
    assert report.healthy
    assert "is ignored, since the class table has no class called background" in str(report.findings)


def test_a_class_table_with_a_background(root):
    photo(root, "a.png", "b.png")
    write_labelme(root, ["a.png", "b.png"])
    write(root, "classes.json", [{"name": "sky", "ids": [4]}, {"name": "_background_", "ids": [2]}])
    result = np.char.strip(maps(root)["a.png"], "_")
    assert (result == squares(("-", ROAD), ("sky", SKY))).all()


def test_a_class_table_of_colors(root):
    photo(root, "a.png", "b.png")
    write_labelme(root, ["a.png", "b.png"])
    rows = [{"name": "background", "color": [0, 0, 0]}, {"name": "road", "colors": [[0, 0, 1], [5, 5, 5]]}]
    write(root, "classes.json", rows)
    assert (maps(root)["a.png"] == squares(("road", ROAD), ("-", SKY))).all()
    assert examine(root).healthy


def test_a_class_table_that_is_named_elsewhere(root, tmp_path):
    photo(root, "a.png", "b.png")
    write_labelme(root, ["a.png", "b.png"])
    table = write(tmp_path, "table.json", [{"name": "sky", "ids": [40]}, {"name": "background", "ids": [30]}])
    assert (maps(root, classes=str(table))["a.png"] == squares(("-", ROAD), ("sky", SKY))).all()
    assert examine(root, class_table=str(table)).healthy


# Rules.


def test_ignored_objects_and_a_labelled_background(root):
    photo(root, "a.png", "b.png")
    shapes = [("road", ROAD), ("__ignore__", SKY), ("_background_", (0, 0, 3, 3))]
    write(root, "a.json", labelme("a.png", shapes))
    write_labelme(root, ["b.png"])
    assert (maps(root)["a.png"] == squares(("road", ROAD), ("-", SKY), ("background", (0, 0, 3, 3)))).all()


def test_listed_without_shapes_is_background_and_not_listed_is_unlabelled(root):
    names = [f"images/{letter}.png" for letter in "abcd"]
    photo(root, *names)
    content = coco(["a.png", "b.png", "c.png"])
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] != 2]
    write(root, "annotations/instances.json", content)
    result = maps(root)
    assert (result["images/c.png"] == "background").all()
    assert "images/d.png" not in result
    assert [frame.id for frame in find_splits(root, config(root))["without masks"]] == ["d"]
    texts = [finding.text for finding in examine(root).findings]
    assert any("'images/d.png' is in no annotation file" in text for text in texts)


def test_masks_that_are_there_are_used_and_annotation_files_left_alone(root):
    photo(root, "images/a.png", "images/b.png")
    for name in "ab":
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(write(root, f"masks/{name}.png", ""))
    write(root, "images/a.json", labelme("a.png"))
    assert pair_folder(root).painted is None


def test_photographs_in_a_folder_called_after_segmentation(root):
    photo(root, "cars.v1i.coco-segmentation/train/a.png", "cars.v1i.coco-segmentation/valid/a.png")
    for split in ("train", "valid"):
        write(root, f"cars.v1i.coco-segmentation/{split}/_annotations.coco.json", coco(["a.png"]))
    assert {frame.split for frame in pair_folder(root).frames} == {"train", "val"}
    assert len(maps(root)) == 2


def test_the_folders_of_coco(root):
    """One file for each split; the same name in both; captions and keypoints lie beside and are no labels."""
    photo(root, "train2017/1.png", "train2017/2.png", "val2017/1.png")
    write(root, "annotations/instances_train2017.json", coco(["1.png", "2.png"]))
    write(root, "annotations/instances_val2017.json", coco(["1.png"], [("sky", ROAD)]))
    write(root, "annotations/captions_val2017.json", coco(["1.png"]) | {"annotations": [{"caption": "a road"}]})
    keypoints = coco(["1.png"])
    for item in keypoints["annotations"]:
        item["keypoints"] = [0, 0, 1]
    write(root, "annotations/person_keypoints_val2017.json", keypoints)
    result = maps(root)
    assert (result["train2017/1.png"] == squares()).all()
    assert (result["val2017/1.png"] == squares(("sky", ROAD))).all()
    assert [frame.split for frame in pair_folder(root).frames] == ["train", "train", "val"]


def test_annotation_files_state_the_split_of_photographs_in_one_folder(root):
    photo(root, *(f"images/{letter}.png" for letter in "abc"))
    write(root, "instances_train.json", coco(["a.png", "c.png"]))
    write(root, "instances_val.json", coco(["b.png"]))
    assert [(frame.split, frame.id) for frame in pair_folder(root).frames] == [
        ("train", "a"),
        ("train", "c"),
        ("val", "b"),
    ]


def test_labels_never_cross_splits(root):
    photo(root, "images/train/a.png", "images/val/b.png", "images/val/c.png")
    write(root, "data.yaml", "names: {0: road, 1: sky}\n")
    for split, name in (("train", "a"), ("val", "b"), ("train", "c")):
        write(root, f"labels/{split}/{name}.txt", yolo_line(1, ROAD))
    assert [frame.id for frame in pair_folder(root).frames] == ["a", "b"]
    assert any("'c' for one" in finding.text for finding in examine(root).findings)


def test_equal_names_in_two_folders_are_not_mixed_up(root):
    photo(root, *(f"images/{city}/1.png" for city in ("ulm", "bonn")))
    write(root, "classes.txt", "road\nsky")
    write(root, "labels/ulm/1.txt", yolo_line(0, ROAD))
    write(root, "labels/bonn/1.txt", yolo_line(1, ROAD))
    result = maps(root)
    assert (result["images/ulm/1.png"] == squares(("road", ROAD))).all()
    assert (result["images/bonn/1.png"] == squares(("sky", ROAD))).all()


def test_lists_of_names_say_the_split_of_painted_frames(root):
    photo(root, *(f"{letter}.png" for letter in "abc"))
    write_labelme(root, [f"{letter}.png" for letter in "abc"])
    write(root, "train.txt", "a\nb\n")
    write(root, "val.txt", "c\n")
    assert [frame.split for frame in pair_folder(root).frames] == ["train", "train", "val"]


def test_whole_series_are_held_back_as_of_masks(root):
    names = [f"scene{series}_{index}.png" for series in range(5) for index in range(4)]
    photo(root, *names)
    write_labelme(root, names)
    held_back = {frame.id.split("_")[0] for frame in pair_folder(root).frames if frame.split == "val"}
    assert len(held_back) == 1


def test_windows_paths_and_renamed_photographs(root):
    photo(root, "images/a.png", "images/b.png")
    write(root, "json/a.json", labelme("..\\images\\a.png"))
    write(root, "json/b.json", labelme("IMG_0001.JPG"))
    assert len(maps(root)) == 2


def test_no_path_leads_out_of_the_folder(root, tmp_path):
    photo(tmp_path, "secret.png")
    photo(root, "a.png", "b.png")
    write_labelme(root, ["b.png"])
    write(root, "x.json", labelme("../secret.png"))
    write(root, "y.json", labelme("/etc/passwd"))
    assert list(pair_folder(root).painted.masks) == ["b.png"]


def test_upright_size_where_the_file_says_none(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "ab":
        (root / "images").mkdir(exist_ok=True)
        Image.new("RGB", (HEIGHT, WIDTH)).save(root / f"images/{name}.jpg", exif=exif)
    write_yolo(root, ["a.jpg", "b.jpg"])
    assert (maps(root)["images/a.jpg"] == squares()).all()


def test_two_photographs_of_one_label_are_said(root):
    photo(root, "x/a.png", "y/a.png")
    write(root, "all.json", coco(["a.png"]))
    with pytest.raises(LabError, match=r"'a.png' in 'all.json' could be 'x/a.png' or 'y/a.png'"):
        pair_folder(root)


def test_two_labels_of_one_photograph_are_said(root):
    photo(root, "a.png")
    write(root, "a.json", labelme("a.png"))
    write(root, "all.json", coco(["a.png"]))
    with pytest.raises(LabError, match=r"'a.png' is listed by 'all.json' and 'a.json'|by 'a.json' and 'all.json'"):
        pair_folder(root)


def test_labels_of_other_photographs_are_said(root):
    photo(root, "a.png")
    write(root, "all.json", coco(["x.png", "y.png"]))
    with pytest.raises(LabError, match=r"list 2 images like 'x.png', but none"):
        pair_folder(root)


def test_unrelated_files_are_no_labels(root):
    photo(root, "a.png", "b.png")
    write(root, "package.json", {"name": "x", "shapes": 3})
    write(root, "notes.txt", "")
    write(root, "README.txt", "hello")
    write(root, "mlflow.yaml", "a: !!python/object:os.system x")
    write(root, "feed.xml", "<rss><image/></rss>")
    result = pair_folder(root)
    assert result.painted is None and len(result.unlabelled) == 2


# Geometry of each format.


def painted(root):
    (path, _) = pair_folder(root).painted.masks["a.png"]
    return np.array(Image.open(path))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"shape_type": "rectangle", "points": [[6, 5], [1, 1]]}, ROAD),
        ({"shape_type": "rectangle", "points": [[1, 1], [6, 1], [6, 5], [1, 5]]}, ROAD),
        ({"shape_type": "polygon", "points": corners(ROAD)}, ROAD),
        ({"points": corners(ROAD)}, ROAD),
        (
            {"shape_type": "mask", "points": [[1, 1], [5, 4]], "mask": base64.b64encode(png(np.ones((4, 5)))).decode()},
            ROAD,
        ),
        ({"shape_type": "line", "points": [[2, 3], [4, 3]]}, (2, 0, 4, 8)),
        ({"shape_type": "polygon", "points": [[-50, -50], [6, -50], [6, 5], [-50, 5]]}, (0, 0, 6, 5)),
    ],
)
def test_shapes_of_labelme(root, shape, expected):
    photo(root, "a.png")
    write(root, "a.json", labelme("a.png", []) | {"shapes": [{"label": "road"} | shape]})
    assert (painted(root) == (squares(("road", expected)) == "road")).all()


@pytest.mark.parametrize("kind", ["circle", "point"])
def test_discs_of_labelme(root, kind):
    photo(root, "a.png", size=(40, 40))
    points = [[20, 20], [20, 26]] if kind == "circle" else [[20, 20]]
    shape = {"label": "road", "shape_type": kind, "points": points}
    write(root, "a.json", labelme("a.png", [], imageHeight=40, imageWidth=40) | {"shapes": [shape]})
    radius = 6 if kind == "circle" else 5
    assert painted(root).sum() == pytest.approx(np.pi * radius**2, rel=0.05)


def test_shapes_of_coco(root):
    """Boxes without outlines, crowds in runs, and several rings as one object."""
    photo(root, "a.png")
    content = coco(["a.png"], [])
    runs = [HEIGHT * 10, HEIGHT, HEIGHT]
    content["annotations"] = [
        {"image_id": 0, "category_id": 5, "bbox": [1, 1, 5, 4], "segmentation": []},
        {"image_id": 0, "category_id": 6, "iscrowd": 1, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs}},
        {
            "image_id": 0,
            "category_id": 6,
            "segmentation": [sum(corners((0, 7, 1, 8)), []), sum(corners((2, 7, 3, 8)), [])],
        },
    ]
    write(root, "all.json", content)
    expected = squares(("road", ROAD), ("sky", (10, 0, 11, 8)), ("sky", (0, 7, 1, 8)), ("sky", (2, 7, 3, 8)))
    assert (painted(root) == np.select([expected == "road", expected == "sky"], [1, 2])).all()


def cvat(shapes, image=f'name="a.png" width="{WIDTH}" height="{HEIGHT}"'):
    return f"<annotations><version>1.1</version><meta/><image {image}>{shapes}</image></annotations>"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ('<box label="road" xtl="1" ytl="1" xbr="6" ybr="5"/>', ROAD),
        ('<box label="road" xtl="2" ytl="2" xbr="6" ybr="4" rotation="90"/>', (3, 1, 5, 5)),
        ('<mask label="road" rle="0, 20" left="1" top="1" width="5" height="4"/>', ROAD),
        ('<polyline label="road" points="2,3;4,3"/>', (2, 0, 4, 8)),
        (
            '<polygon label="road" points="0,0;9,0;9,9" z_order="-1"/><box label="road" xtl="0" ytl="0" xbr="12" ybr="8"/>',
            (0, 0, 12, 8),
        ),
    ],
)
def test_shapes_of_cvat(root, shape, expected):
    photo(root, "a.png")
    write(root, "annotations.xml", cvat(shape))
    assert (painted(root) == (squares(("road", expected)) == "road")).all()


def test_what_has_no_area_is_left_out_and_said(root):
    photo(root, "a.png", "b.png")
    image = '<image name="b.png" width="12" height="8"/>'
    content = cvat('<points label="road" points="1,1;2,2"/><box label="road" xtl="0" ytl="0" xbr="5" ybr="5"/>')
    write(root, "annotations.xml", content.replace("</annotations>", f"{image}</annotations>"))
    (finding,) = (finding for finding in examine(root).findings if finding.code == "hidden-shapes")
    assert "object 0 ('road') of 'a.png' in 'annotations.xml'" in finding.text


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"name": "rect", "x": 1, "y": 1, "width": 5, "height": 4}, ROAD),
        ({"name": "polyline", "all_points_x": [2, 4], "all_points_y": [3, 3]}, (2, 0, 4, 8)),
        ({"name": "ellipse", "cx": 6, "cy": 4, "rx": 60, "ry": 60, "theta": 1}, (0, 0, 12, 8)),
        ({"name": "circle", "cx": 6, "cy": 4, "r": 60}, (0, 0, 12, 8)),
    ],
)
@pytest.mark.parametrize("attributes", [{}, {"type": {"road": True}}, {"id": "road"}])
def test_shapes_of_via(root, shape, expected, attributes):
    """Exported annotations without settings, regions as a dictionary (version 1), and classes as boxes to tick."""
    photo(root, "a.png")
    regions = {"0": {"shape_attributes": shape, "region_attributes": attributes}}
    write(root, "via.json", {"a.png7": {"filename": "a.png", "size": 7, "regions": regions}})
    assert (painted(root) == (squares(("road", expected)) == "road")).all()
    assert open_rows(root) == ["background", "road" if attributes else "object"]


def open_rows(root):
    return [row["name"] for row in pair_folder(root).painted.rows]


def test_shapes_of_supervisely(root):
    photo(root, "a.png")
    data = base64.b64encode(zlib.compress(png(np.ones((4, 5)), alpha=True))).decode()
    polygon = {"exterior": [[0, 0], [11, 0], [11, 7], [0, 7]], "interior": [[[3, 2], [8, 2], [8, 5], [3, 5]]]}
    objects = [
        {"classTitle": "sky", "geometryType": "polygon", "points": polygon},
        {"classTitle": "road", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [4, 2]}},
    ]
    write(root, "ann/a.png.json", {"size": {"height": HEIGHT, "width": WIDTH}, "objects": objects})
    ids = {row["name"]: row["ids"][0] for row in pair_folder(root).painted.rows}
    values = painted(root)
    assert (values[2:6, 4:9] == ids["road"]).all()
    assert values[1, 1] == ids["sky"] and values[4, 3] in (0, ids["sky"])
    assert (values == 0).sum() <= 6 * 4


def test_shapes_of_label_studio(root):
    photo(root, "a.png")
    base = {"original_width": WIDTH, "original_height": HEIGHT}
    box = {"x": 50, "y": 25, "width": 100 / 3, "height": 25, "rotation": 90, "rectanglelabels": ["road"]}
    result = [base | {"type": "rectanglelabels", "value": box}]
    task = {
        "data": {"image": "/data/local-files/?d=a%2Epng"},
        "annotations": [{"was_cancelled": True}, {"result": result}],
    }
    write(root, "export.json", [task])
    assert (painted(root) == (squares(("road", (4, 2, 6, 6))) == "road")).all()


# Hostile files.

SOUND = {"label": "road", "points": corners(ROAD), "shape_type": "polygon"}


def hostile_labelme(shape, **more):
    return labelme("a.png", [], **more) | {"shapes": [SOUND, SOUND | shape]}


def hostile_coco(**more):
    content = coco(["a.png"])
    content["annotations"][1] |= more
    return content


def rle(counts, size=(HEIGHT, WIDTH)):
    return hostile_coco(segmentation={"size": list(size), "counts": counts})


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + cvat("").replace(
    "<meta/>", "<meta>&b;</meta>"
)
HUGE_PNG = base64.b64encode(png(np.ones((1, 1))).replace(b"\0\0\0\1\0\0\0\1", b"\0\1\0\0\0\1\0\0")).decode()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", hostile_labelme({"points": [[1, 2], [3, float("nan")], [4, 4]]}), r"object 1 \('road'\) has coordinates that are NaN"),
        ("a.json", hostile_labelme({"points": [[1, 2], [3, 1e300], [4, 4]]}), r"object 1 \('road'\) has coordinates far outside"),
        ("a.json", hostile_labelme({"points": [[1, 2], [3, 10**400], [4, 4]]}), r"object 1 \('road'\) has coordinates that aren't"),
        ("a.json", hostile_labelme({"points": [[1, 2], [3], [4, 4]]}), r"object 1 \('road'\) has coordinates that aren't pairs"),
        ("a.json", hostile_labelme({"points": {"x": 1}}), r"object 1 \('road'\) has coordinates"),
        ("a.json", hostile_labelme({"points": None}), r"object 1 \('road'\)"),
        ("a.json", hostile_labelme({"shape_type": "spline"}), r"object 1 \('road'\) is of the unknown kind 'spline'"),
        ("a.json", hostile_labelme({"shape_type": "circle", "points": []}), r"object 1 \('road'\)"),
        ("a.json", hostile_labelme({"label": ""}), "object 1 has no class"),
        ("a.json", hostile_labelme({"label": {"a": 1}}), "object 1 .* has no class"),
        ("a.json", hostile_labelme({"shape_type": "mask", "mask": "AAAA"}), r"object 1 \('road'\)"),
        ("a.json", hostile_labelme({"shape_type": "mask", "mask": HUGE_PNG}), r"object 1 \('road'\)"),
        ("a.json", hostile_labelme({}, imageHeight=10**9), "states an image of"),
        ("a.json", hostile_labelme({}, imageHeight=-8), "states an image of"),
        ("a.json", hostile_labelme({}, imageHeight="many"), "'many' where a whole number is needed"),
        ("a.json", labelme("a.png", []) | {"shapes": [SOUND, 3]}, "object 1 isn't written"),
        ("a.json", '{"shapes": ' + "[" * 100_000, "nested too deeply"),
        ("a.json", '{"shapes": [', "can't be read"),
        ("all.json", rle([5, -3, HEIGHT * WIDTH - 2]), r"object 1 \('sky'\) has run lengths that don't add up"),
        ("all.json", rle([5, 3]), r"object 1 \('sky'\) has run lengths that don't add up"),
        ("all.json", rle([2**70]), r"object 1 \('sky'\) has run lengths"),
        ("all.json", rle("o0"), r"object 1 \('sky'\) has run lengths"),
        ("all.json", rle("ooooooooooooooooooooo0"), r"object 1 \('sky'\) has run lengths that aren't"),
        ("all.json", rle("\u00e9"), r"object 1 \('sky'\) has run lengths that aren't"),
        ("all.json", rle("0", (2**20, 2**20)), r"object 1 \('sky'\) has a mask of"),
        ("all.json", rle([96], (0, 0)), r"object 1 \('sky'\) has a mask of"),
        ("all.json", hostile_coco(segmentation=[[1, 2, 3]]), r"object 1 \('sky'\) has coordinates that aren't pairs"),
        ("all.json", hostile_coco(segmentation=None, bbox=[1, 1, -4, 2]), r"object 1 \('sky'\) has the size -4.0"),
        ("all.json", hostile_coco(category_id=99), "object 1 has no class"),
        ("all.json", hostile_coco(category_id=[]), "object 1 isn't written"),
        ("all.json", hostile_coco() | {"images": [{"id": 0}]}, "lacks 'file_name'"),
        ("annotations.xml", BOMB, "can't be read"),
        ("annotations.xml", cvat('<box label="road" xtl="9" ytl="1" xbr="6" ybr="5"/>'), r"object 0 \('road'\) has the size -3.0"),
        ("annotations.xml", cvat('<box label="road" xtl="nan" ytl="1" xbr="6" ybr="5"/>'), r"object 0 \('road'\) has coordinates"),
        ("annotations.xml", cvat('<mask label="road" rle="3,1" left="0" top="0" width="9" height="9"/>'), r"object 0 \('road'\) has run lengths"),
        ("annotations.xml", cvat('<polygon label="road"/>'), r"object 0 \('road'\) lacks 'points'"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_with_its_object(root, name, content, sentence):
    photo(root, "a.png", "b.png")
    if name == "a.json":
        write_labelme(root, ["b.png"])
    write(root, name, content)
    with pytest.raises(LabError, match=sentence) as error:
        open_dataset(config(root))
    assert name in str(error.value)
    report = examine(root)
    assert not report.healthy and name in report.errors[0].sentence
    assert not list((root.parent / "cache/masks").glob(".*")), "no draft is left"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("7 0 0 1 0 1 1", "is of class 7, but the classes that are named go from 0 to 1"),
        ("0 0 0 1 0 1", "has 5 numbers"),
        ("0 0 0 nan 0 1 1", "NaN"),
        ("0 0 0 inf 0 1 1", "infinite"),
        ("0 0 0 1e9 0 1 1", "far outside"),
        ("0 0.5 0.5 -1 1", "has the size -1"),
        ("x 0 0 1 0 1 1", "is of class x"),
    ],
)
def test_a_broken_line_of_yolo_is_named(root, row, sentence):
    photo(root, "images/a.png", "images/b.png")
    write_yolo(root, ["b.png"])
    write(root, "labels/a.txt", f"{yolo_line(0, ROAD)}\n{row}\n")
    with pytest.raises(LabError, match=f"a.txt'.* object 1 .*{sentence}"):
        pair_folder(root)


def test_yolo_without_names_says_so(root):
    photo(root, "images/a.png", "images/b.png")
    write_yolo(root, ["a.png", "b.png"])
    (root / "data.yaml").unlink()
    with pytest.raises(LabError, match="there is no data.yaml or classes.txt"):
        pair_folder(root)


def test_too_large_a_file_is_refused(root, monkeypatch):
    photo(root, "a.png")
    write(root, "a.json", labelme("a.png"))
    monkeypatch.setattr("core.data.annotations.files.MAX_BYTES", 10)
    with pytest.raises(LabError, match="is the most that is read"):
        pair_folder(root)


def test_more_classes_than_a_label_map_holds(root):
    photo(root, "a.png", "b.png")
    write(root, "a.json", labelme("a.png", [(f"class{index}", ROAD) for index in range(256)]))
    write_labelme(root, ["b.png"])
    with pytest.raises(LabError, match="255"):
        open_dataset(config(root))


def test_a_cache_that_cannot_be_written_is_said(root, monkeypatch, tmp_path):
    photo(root, "a.png", "b.png")
    write_labelme(root, ["a.png", "b.png"])
    monkeypatch.setenv("SEGLAB_CACHE", str(write(tmp_path, "file", "x")))
    with pytest.raises(LabError, match="can't be painted"):
        pair_folder(root)


def _open(root, barrier, results):
    barrier.wait()
    results.put([str(frame.labels) for frame in pair_folder(root).frames])


def test_two_processes_paint_at_once(root):
    names = [f"p{index}.png" for index in range(20)]
    photo(root, *names)
    write_labelme(root, names)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_open, args=(root, barrier, results)) for _ in range(2)]
    for process in processes:
        process.start()
    first, second = results.get(timeout=60), results.get(timeout=60)
    for process in processes:
        process.join(60)
    assert first == second and all(Path(path).is_file() for path in first)
    assert [path.name for path in (root.parent / "cache/masks").iterdir()] == [Path(first[0]).parent.name]


# Videos of CVAT.


def track(label, *items):
    shapes = "".join(
        f'<box frame="{frame}" outside="{int(square is None)}" keyframe="0" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"/>'
        for frame, square in items
        for left, top, right, bottom in [square or ROAD]
    )
    return f'<track id="0" label="{label}">{shapes}</track>'


def video(*tracks):
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    labels = "<labels><label><name>road</name></label></labels>"
    return f"<annotations><version>1.1</version><meta><task>{labels}{size}</task></meta>{''.join(tracks)}</annotations>"


def test_tracks_of_a_video_label_its_frames(root):
    """Frame 3 was left by all objects, and frame 4 isn't mentioned."""
    photo(root, *(f"images/frame_{index:06d}.PNG" for index in range(5)))
    road = track("road", (0, ROAD), (1, ROAD), (2, (0, 0, 2, 2)), (3, None))
    write(root, "annotations.xml", video(road, track("sky", (1, SKY), (2, None))))
    result = {int(Path(name).stem[-6:]): values for name, values in maps(root).items()}
    frames = [squares(("road", ROAD)), squares(), squares(("road", (0, 0, 2, 2))), squares(("road", (0, 0, 0, 0)))]
    assert sorted(result) == [0, 1, 2, 3] and all((result[index] == frames[index]).all() for index in range(4))
    assert examine(root).healthy


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (video(track("road", (0, ROAD), (9, ROAD)), track("sky", (4, SKY))), "track 0 .'road'. that is in frame 0 and skips 4"),
        (video(track("road", ("x", ROAD))), "'x' where a whole number is needed"),
        (video(track("road", (0, ROAD), (1, (9, 1, 6, 5)))), r"object 0 \('road'\) has the size -3.0"),
        (video("<track><box frame='0'/></track>"), "object 0 has no class"),
        (video(track("road", (7, ROAD))), "list 1 images like 'frame_000007', but none"),
    ],
)  # fmt: skip
def test_a_broken_track_is_named(root, content, sentence):
    photo(root, "frame_000000.png", "frame_000001.png", "frame_000004.png")
    write(root, "annotations.xml", content)
    assert re.search(sentence, examine(root).errors[0].sentence)


# COCO's panoptic segments.


def without_png(root, _content):
    (root / "annotations/panoptic_all/b.png").unlink()


def with_another_segment(root, _content):
    Image.new("RGB", (WIDTH, HEIGHT), (1, 1, 0)).save(root / "annotations/panoptic_all/b.png")


def with_another_size(root, _content):
    Image.new("RGB", (9, 9)).save(root / "annotations/panoptic_all/b.png")


def without_category(_root, content):
    content["annotations"][1]["segments_info"][1]["category_id"] = 99


def with_text(_root, content):
    content["annotations"][1]["segments_info"][1]["id"] = "many"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (without_png, "panoptic_all.json' .* needs 'b.png' in the folder 'panoptic_all'"),
        (with_another_segment, "panoptic_all.json' .* doesn't list the segment 257 in the segments_info of 'b.png'"),
        (with_another_size, "'b.jpg' has 12 x 8 pixels, but its segments in 'b.png' have 9 x 9"),
        (without_category, "panoptic_all.json' can't be used: it object 265 has no class"),
        (with_text, "'many' where a whole number is needed"),
    ],
)
def test_broken_segments_are_named(root, spoil, sentence):
    photo(root, "images/a.jpg", "images/b.jpg")
    write_panoptic(root, ["a.jpg", "b.jpg"])
    content = panoptic(["a.jpg", "b.jpg"])
    spoil(root, content)
    write(root, "annotations/panoptic_all.json", content)
    assert re.search(sentence, examine(root).errors[0].sentence)


def test_changed_segments_are_painted_anew(root):
    photo(root, "images/a.jpg", "images/b.jpg")
    write_panoptic(root, ["a.jpg", "b.jpg"])
    maps(root)
    Image.new("RGB", (WIDTH, HEIGHT), (9, 1, 0)).save(root / "annotations/panoptic_all/a.png")
    assert (maps(root)["images/a.jpg"] == "sky").all()


# A mask for each class or object.


def binary(root, name, *squares_of, value=255, size=(HEIGHT, WIDTH)):
    mask = np.zeros(size, np.uint8)
    for left, top, right, bottom in squares_of:
        mask[top:bottom, left:right] = value
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


OTHER = (8, 0, 11, 2)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{name}.png", "masks/{label}/{name}.png"),
        ("images/{name}.png", "masks/{name}/{label}.png"),
        ("images/{name}.png", "masks/{name}_{label}.png"),
        ("train/images/{name}.png", "train/masks/{label}/{name}.png"),
        ("{name}.png", "task-{number}-annotation-7-by-1-tag-{label}-0.png"),
        ("images/{name}.png", "masks/task-{number}-annotation-7-by-me@x.org-brush-{label}-0.png"),
    ],
)
def test_a_mask_for_each_class_is_a_label_map(root, image, mask):
    """Also where one class is nowhere in a photograph: p0 has no sky."""
    names = ["1", "2", "3"] if "task" in mask else ["p0", "p1", "p2"]
    for index, name in enumerate(names):
        photo(root, image.format(name=name))
        binary(root, mask.format(name=name, label="road", number=name), ROAD, value=(255, 1, 7)[index])
        if index:
            binary(root, mask.format(name=name, label="sky", number=name), SKY, OTHER)
    result = maps(root)
    road = squares(("road", ROAD))
    # The road has fewer pixels than the sky, and lies on top.
    both = squares(("sky", SKY), ("sky", OTHER), ("road", ROAD))
    for name, expected in zip(names, (road, both, both), strict=True):
        assert (result[image.format(name=name)] == expected).all()
    report = examine(root)
    assert report.healthy and report.classes == ("background", "road", "sky")
    (note,) = (finding for finding in report.findings if finding.code == "painted-from-shapes")
    assert "of binary masks, the smaller" in note.sentence and "5 shapes in 3 photographs" in note.sentence


HASHES = ("0a" * 32, "f3" * 32)


@pytest.mark.parametrize(
    ("image", "masks"),
    [
        ("stage1_train/{}/images/{}.png", ("stage1_train/{}/masks/" + HASHES[0] + ".png", "stage1_train/{}/masks/" + HASHES[1] + ".png")),
        ("images/{}.png", ("masks/{}/1.png", "masks/{}/2.png")),
        ("images/{}.png", ("masks/{}/{}_mask_1.png", "masks/{}/{}_mask_2.png")),
        ("images/{}.png", ("masks/{}_1.png", "masks/{}_2.png")),
        ("images/{}.png", ("masks/{}/object.png", "masks/{}/object 2.png")),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("table", "name"),
    [
        (None, "object"),
        ("nucleus\n", "nucleus"),
        ([{"name": "background", "ids": [0]}, {"name": "cell", "ids": [5]}], "cell"),
    ],
)
def test_a_mask_for_each_object_is_a_label_map_of_one_class(root, image, masks, table, name):
    for photograph in ("pa", "pb"):
        photo(root, image.replace("{}", photograph))
        for mask, square in zip(masks, (ROAD, OTHER), strict=True):
            binary(root, mask.replace("{}", photograph), square)
    if table:
        write(root, "classes.txt" if isinstance(table, str) else "classes.json", table)
    expected = squares((name, ROAD), (name, OTHER))
    assert all((values == expected).all() for values in maps(root).values()) and len(maps(root)) == 2
    assert examine(root).healthy and not pair_folder(root).orphans


def test_classes_that_the_table_lacks_and_pixels_without_a_mask_follow_the_table(root):
    for name in ("pa", "pb"):
        photo(root, f"images/{name}.png")
        binary(root, f"masks/road/{name}.png", ROAD)
        binary(root, f"masks/sky/{name}.png", OTHER)
        binary(root, f"masks/dog/{name}.png", (0, 6, 2, 8))
    write(root, "classes.json", [{"name": "sky", "ids": [3]}, {"name": "road", "ids": [0]}])
    result = maps(root)["images/pa.png"]
    expected = np.where(
        squares(("road", ROAD), ("sky", OTHER)) == "background", "-", squares(("road", ROAD), ("sky", OTHER))
    )
    assert (result == expected).all()


def test_a_changed_binary_mask_is_painted_anew(root):
    for name in ("pa", "pb"):
        photo(root, f"images/{name}.png")
        binary(root, f"masks/road/{name}.png", ROAD)
        binary(root, f"masks/sky/{name}.png", OTHER)
    maps(root)
    binary(root, "masks/road/pa.png", (0, 0, 2, 8))
    assert (maps(root)["images/pa.png"] == squares(("road", (0, 0, 2, 8)), ("sky", OTHER))).all()


def test_names_that_begin_alike_are_told_apart_by_the_classes_of_others(root):
    """a_b_road.png is no class b_road of a.png, since a_b.png is there and others have the class road."""
    for name in ("a", "a_b", "a_b_c"):
        photo(root, f"images/{name}.png")
        binary(root, f"masks/{name}_road.png", ROAD, value=len(name))
    result = maps(root)
    assert len(result) == 3 and set(map(str, np.unique(list(result.values())))) == {"background", "road"}


@pytest.mark.parametrize(
    ("image", "mask"), [("images/{}.png", "masks/{}/{}.png"), ("{}/images/{}.png", "{}/masks/{}.png")]
)
def test_numbered_objects_are_not_paired_with_photographs_of_those_numbers(root, image, mask):
    photo(root, *(image.replace("{}", name) for name in "123"))
    for name, objects in {"1": "12", "2": "3", "3": "4"}.items():
        for index in objects:
            binary(root, mask.format(name, index), (int(index), 0, int(index) + 1, 8))
    found = {Path(name).stem: np.flatnonzero((values == "object")[0]).tolist() for name, values in maps(root).items()}
    assert found == {"1": [1, 2], "2": [3], "3": [4]}


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        ({"a_b_road": (ROAD,), "a_b_sky": (OTHER,)}, "'masks/a_b_road.png' could belong to 'images/a.png' or to 'images/a_b.png'"),
        ({"v1/a": (ROAD,), "v2/a": (ROAD,)}, "v1/a.png' and .*v2/a.png' cover much the same pixels.*'v1' and 'v2'"),
        ({"a_b": (ROAD,), "a_road": (OTHER,), "b_sky": (OTHER,)}, "'masks/a_b.png' could belong to 'images/a_b.png' or to 'images/a.png'"),
        ({"a/road": (ROAD,), "a/1": (OTHER,)}, "'masks/a/road.png' is called after a class, but 'masks/a/1.png' after a number"),
        ({"a/b": (ROAD,), "b/a": (ROAD,)}, "'masks/a/b.png' could belong to 'images/a.png' or to 'images/b.png'"),
    ],
)  # fmt: skip
def test_what_can_not_be_told_of_binary_masks_is_an_error_that_names_both(root, masks, sentence):
    photo(root, "images/a.png", "images/a_b.png", "images/b.png")
    for name, squares_of in masks.items():
        binary(root, f"masks/{name}.png", *squares_of)
    (error, *_) = examine(root).errors
    assert re.search(sentence, error.sentence)


def spoil_with_three_values(root):
    binary(root, "masks/sky/a.png", ROAD)
    image = np.array(Image.open(root / "masks/sky/a.png"))
    image[0, :3] = (3, 8, 9)
    Image.fromarray(image).save(root / "masks/sky/a.png")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_with_three_values, "masks/sky/a.png' is one of several masks .* holds 4 others"),
        (lambda root: binary(root, "masks/sky/a.png", ROAD, size=(9, 9)), "masks/sky/a.png' has 9 x 9 pixels, and .*masks/road/a.png' .* has 12 x 8"),
        (lambda root: (root / "masks/sky/a.png").write_bytes(b"x"), "masks/sky/a.png' can't be read"),
        (lambda root: write(root, "classes.txt", "road\nsky\n") and binary(root, "masks/a/1.png", ROAD), None),
    ],
)  # fmt: skip
def test_a_broken_binary_mask_is_named(root, spoil, sentence):
    photo(root, "images/a.png", "images/b.png")
    for name in ("a", "b"):
        binary(root, f"masks/road/{name}.png", ROAD)
        binary(root, f"masks/sky/{name}.png", SKY)
    spoil(root)
    report = examine(root)
    if sentence is None:
        assert report.healthy and "masks/a/1.png" in str([finding.files for finding in report.findings])
    else:
        assert re.search(sentence, report.errors[0].sentence)


def test_objects_without_a_class_where_the_table_has_two_are_named(root):
    photo(root, "images/a.png", "images/b.png")
    for name in ("a", "b"):
        binary(root, f"masks/{name}/1.png", ROAD)
    write(root, "classes.txt", "road\nsky\n")
    assert re.search("'masks/a/1.png' is the mask of an object, .* 2 classes", examine(root).errors[0].sentence)


def test_masks_of_label_studio_without_their_photographs_names_are_explained(root):
    photo(root, "images/street.jpg", "images/alley.jpg")
    binary(root, "masks/task-1-annotation-2-by-1-tag-Road-0.png", ROAD)
    assert "says the number of a task in Label Studio" in examine(root).errors[0].sentence
