"""Several data sets as one: classes joined by name, label maps in one numbering, and lists that can't be used."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from core.__main__ import USER_ERROR, main
from core.config import read_config
from core.data.class_table import save_class_table, space_of, write_rows
from core.data.dataset import open_dataset, read_target
from core.data.doctor import examine
from core.data.folder import find_splits, pair_folder
from core.data.frames import data_digest, fingerprint
from core.data.joint_list import MAX_DATASETS, write_list
from core.errors import LabError
from core.evaluation.results import EvaluationSettings
from core.evaluation.staleness import scored_data

HEIGHT, WIDTH = 8, 12
SHADES = {"road": (128, 64, 128), "sky": (70, 130, 180), "car": (0, 0, 142), "tree": (0, 99, 0)}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder under which data may be read, with a joint one in it."""
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path))
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "lab"))
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "all").mkdir()
    return tmp_path


def truth_of(seed, names):
    """Class names (H, W), each at least once."""
    columns = np.random.default_rng(seed).permutation(np.arange(WIDTH // 3) % len(names))
    return np.array(names)[np.tile(columns.repeat(3), (HEIGHT, 1))]  # stripes: noise would look like a blurred mask


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def photo(path, seed):
    save(path, np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3)))


def plain(root, ids, count=5, seed=0):
    """Write images/ and masks/ of numbers with a classes.json; return the truth by the name of the photograph."""
    truths = {}
    for index in range(count):
        truth = truth_of(seed + index, list(ids))
        photo(root / f"images/{index}.png", 100 * seed + index)
        save(root / f"masks/{index}.png", np.vectorize(ids.get)(truth))
        truths[f"{root.name}/{index}"] = truth
    rows = [{"name": name, "color": SHADES[name], "ids": [class_id]} for name, class_id in ids.items()]
    (root / "classes.json").write_text(json.dumps(rows))
    return truths


def pascal(root, names, seed):
    """Write Pascal VOC with masks in colours and lists of its split; return the truth."""
    truths = {}
    for index in range(3):
        truth = truth_of(seed + index, names)
        photo(root / f"JPEGImages/{index}.png", 100 * seed + index)
        save(root / f"SegmentationClass/{index}.png", [[SHADES[name] for name in row] for row in truth])
        truths[f"{root.name}/{index}"] = truth
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("1\n2\n")
    (lists / "val.txt").write_text("0\n")
    rows = [{"name": name, "color": SHADES[name]} for name in names]
    (root / "classes.json").write_text(json.dumps(rows))
    return truths


def labelme(root, name, seed):
    """Write labelme files of a square of one class on nothing; return the truth."""
    truths = {}
    for index in range(3):
        photo(root / f"{index}.png", 100 * seed + index)
        shape = {"label": name, "points": [[2, 1], [7, 1], [7, 5], [2, 5]], "shape_type": "polygon"}
        file = {"version": "5.5.0", "shapes": [shape], "imagePath": f"{index}.png"}
        (root / f"{index}.json").write_text(json.dumps(file | {"imageHeight": HEIGHT, "imageWidth": WIDTH}))
        truths[f"{root.name}/{index}"] = np.full((HEIGHT, WIDTH), "background", "<U10")
        truths[f"{root.name}/{index}"][1:5, 2:7] = name
    return truths


def join(lab, *rows):
    (lab / "all/datasets.json").write_text(json.dumps(rows))
    return lab / "all"


def config(root, **more):
    return read_config({"dataset": {"name": "folder", "root": str(root), "height": 32, "width": 32} | more}).dataset


def opened(root, **more):
    """The data set, and class names (H, W) by the id of the frame; "-" where ignored."""
    dataset = open_dataset(config(root, **more))
    names = np.array([*dataset.space.class_names, *["-"] * (256 - len(dataset.space.class_names))])
    frames = (*dataset.train, *dataset.val)
    return dataset, {frame.id: names[read_target(frame.labels, dataset.space)] for frame in frames}


def same(maps, truths):
    return maps.keys() == truths.keys() and all((maps[name] == truths[name]).all() for name in maps)


def test_three_layouts_are_one_data_set_with_the_labels_and_splits_of_each(lab):
    truths = plain(lab / "a", {"road": 3, "sky": 9}) | pascal(lab / "b", ["car", "sky"], 20)
    truths |= labelme(lab / "c", "road", 40)
    dataset, maps = opened(join(lab, "../a", str(lab / "b"), {"root": "../c"}))
    assert dataset.space.class_names == ("road", "sky", "car", "background")
    assert dataset.space.colors[:3] == tuple(SHADES[name] for name in ("road", "sky", "car"))
    assert same(maps, truths)
    held_back = [frame.id for frame in dataset.val]
    assert [name for name in held_back if name.startswith("b/")] == ["b/0"], "as its list says"
    assert [name[0] for name in held_back] == ["a", "b", "c"], "of those without a list a share of each"
    assert {frame.city for frame in dataset.train} == {"a", "b", "c"}


def test_a_cityscapes_folder_and_one_of_ones_own(lab, streets):
    shutil.copytree(streets, lab / "streets")
    plain(lab / "a", {"sky": 0, "road": 1})
    dataset, maps = opened(join(lab, "../streets", "../a"))
    assert len(dataset.space.class_names) == 19 and dataset.space.colors[0] == SHADES["road"]
    frames = {frame.id: frame for frame in (*dataset.train, *dataset.val)}
    assert {name.split("/")[0] for name in maps} == {"streets", "a"}
    assert all(
        frame.labels.is_relative_to(lab / frame.id.split("/")[0]) for frame in frames.values() if "streets" in frame.id
    )


def test_the_same_names_in_another_order_are_the_same_classes(lab):
    truths = plain(lab / "a", {"road": 0, "sky": 1, "car": 2}) | plain(
        lab / "b", {"car": 0, "road": 1, "sky": 2}, 5, 50
    )
    dataset, maps = opened(join(lab, "../a", "../b"))
    assert same(maps, truths)
    kept = [frame for frame in dataset.train if frame.labels.is_relative_to(lab / "a")]
    rewritten = [frame for frame in dataset.train if frame.labels.is_relative_to(lab / "cache")]
    assert len(kept) == len(rewritten) == 4, "whose numbers are the joint ones are read where they lie"


def test_classes_that_no_two_have_and_colors_that_two_share(lab):
    truths = plain(lab / "a", {"road": 0, "sky": 1}) | plain(lab / "b", {"car": 0, "tree": 1}, 5, 50)
    (lab / "b/classes.json").write_text(
        '[{"name": "car", "ids": [0], "color": [70, 130, 180]}, {"name": "tree", "ids": [1]}]'
    )
    dataset, maps = opened(join(lab, "../a", "../b"))
    assert same(maps, truths) and len(set(dataset.space.colors)) == 4


def test_what_a_table_leaves_out_is_ignored_even_where_others_use_its_number(lab):
    plain(lab / "a", {"road": 0, "sky": 1, "car": 2})
    rows = [{"name": "road", "ids": [0]}, {"name": "sky", "ids": [1]}]
    (lab / "a/classes.json").write_text(json.dumps(rows))
    plain(lab / "b", {"road": 0, "sky": 1, "tree": 2}, 5, 50)
    _, maps = opened(join(lab, "../a", "../b"))
    assert {name for key in maps if key[0] == "a" for name in np.unique(maps[key])} == {"road", "sky", "-"}


def test_folders_of_the_same_name_are_told_apart(lab):
    truths = plain(lab / "x/a", {"road": 0, "sky": 1})
    truths |= {
        name.replace("a/", "a-2/"): truth for name, truth in plain(lab / "y/a", {"road": 0, "sky": 1}, 5, 9).items()
    }
    assert same(opened(join(lab, "../x/a", "../y/a"))[1], truths)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["../a", "../gone"], "There is no folder"),
        (["../a", "/etc"], "lies outside of the folders"),
        (["../a", "../../.."], "lies outside of the folders"),
        (["../a", "."], "is itself a list of data sets"),
        (["../a", "../other"], "is itself a list of data sets"),
        (["../a", "../a"], "are the same or lie in each other"),
        (["../a", "../a/images"], "are the same or lie in each other"),
        (["../a", ""], "No data folder was named"),
        (["../a", "\0"], "No data folder was named"),
        (["../a", 7], "but a folder is written like"),
        (["../a", ["../b"]], "but a folder is written like"),
        (["../a", {"root": "../b", "weight": 2}], "but a folder is written like"),
        (["../a", {"root": "../b", "classes": "../none.json"}], "There is no class table"),
        (["../a"] * (MAX_DATASETS + 1), "must be a list of 1 to 20 folders"),
        ([], "must be a list of 1 to 20 folders"),
        ("../a", "must be a list of 1 to 20 folders"),
        (["../a", "../bare"], "has no class table"),
        (["../a", "../empty"], "holds no pictures"),
    ],
)
def test_a_list_that_can_not_be_used_is_said(lab, rows, sentence):
    for name in "ab":
        plain(lab / name, {"road": 0, "sky": 1}, 2)
    plain(lab / "bare", {"road": 0, "sky": 1}, 2)
    (lab / "bare/classes.json").unlink()
    (lab / "empty").mkdir()
    (lab / "other").mkdir()
    (lab / "other/datasets.json").write_text('["../all"]')
    (lab / "all/datasets.json").write_text(json.dumps(rows))
    with pytest.raises(LabError, match=sentence):
        open_dataset(config(lab / "all"))
    assert not examine(lab / "all").healthy


@pytest.mark.parametrize("content", [b"[", b"\xff\xfe\xff", b"[" * 90_000, b" " * 200_000])
def test_a_broken_list_is_said(lab, content):
    (lab / "all/datasets.json").write_bytes(content)
    with pytest.raises(LabError, match=r"datasets.json' can't be used: it .* Write a list of folders"):
        pair_folder(lab / "all")


def test_a_list_that_lies_elsewhere_is_not_read(lab, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.json"
    outside.write_text('["../a"]')
    plain(lab / "a", {"road": 0, "sky": 1})
    (lab / "all/datasets.json").symlink_to(outside)
    with pytest.raises(LabError, match="lies outside of the folders"):
        pair_folder(lab / "all")


def test_more_classes_than_a_label_map_holds(lab):
    for name, first in (("a", 0), ("b", 200)):
        plain(lab / name, {"road": 0, "sky": 1}, 2)
        rows = [{"name": f"{first + number}", "ids": [number]} for number in range(200)]
        (lab / name / "classes.json").write_text(json.dumps(rows))
    with pytest.raises(LabError, match=r"can't be joined: It has 400 classes"):
        open_dataset(config(join(lab, "../a", "../b")))


def test_a_changed_mask_is_noticed(lab):
    plain(lab / "a", {"road": 0, "sky": 1})
    plain(lab / "b", {"sky": 0, "road": 1}, 5, 50)
    root = join(lab, "../a", "../b")
    before, _ = opened(root)
    assert opened(root)[0] == before
    save(lab / "b/masks/0.png", np.zeros((HEIGHT, WIDTH)))
    os.utime(lab / "b/masks/0.png", ns=(1, 1))
    after, maps = opened(root)
    assert (maps["b/0"] == "sky").all()
    for digest in (fingerprint, data_digest):
        assert digest((*before.train, *before.val)) != digest((*after.train, *after.val))


def test_a_changed_table_of_one_is_noticed(lab):
    plain(lab / "a", {"road": 0, "sky": 1})
    plain(lab / "b", {"sky": 0, "road": 1}, 5, 50)
    root = join(lab, "../a", "../b")
    before = opened(root)[1]["b/0"]
    (lab / "b/classes.json").write_text('[{"name": "road", "ids": [0]}, {"name": "sky", "ids": [1]}]')
    assert ((opened(root)[1]["b/0"] == "road") == (before == "sky")).all()


def test_moved_data_are_the_same_data(lab):
    plain(lab / "here/a", {"road": 0, "sky": 1})
    plain(lab / "here/b", {"car": 0, "road": 1}, 5, 50)
    (lab / "here/datasets.json").write_text('["a", "b"]')
    before, _ = opened(lab / "here")
    digest = data_digest(before.train)
    (lab / "here").rename(lab / "there")
    after, _ = opened(lab / "there")
    assert data_digest(after.train) == digest and before.space == after.space


def test_label_maps_are_written_once(lab):
    plain(lab / "a", {"road": 0, "sky": 1})
    plain(lab / "b", {"sky": 0, "road": 1}, 5, 50)
    root = join(lab, "../a", "../b")
    opened(root)
    files = {path: path.stat().st_mtime_ns for path in (lab / "cache").rglob("*.png")}
    assert len(files) == 5
    opened(root)
    assert {path: path.stat().st_mtime_ns for path in (lab / "cache").rglob("*.png")} == files


def test_a_broken_mask_is_named_and_leaves_no_half_of_a_cache(lab):
    plain(lab / "a", {"road": 0, "sky": 1})
    plain(lab / "b", {"sky": 0, "road": 1}, 5, 50)
    (lab / "b/masks/3.png").write_bytes(b"no picture")
    with pytest.raises(LabError, match=r"b/masks/3.png"):
        pair_folder(join(lab, "../a", "../b"))
    assert not list((lab / "cache").rglob("*.png"))


def test_a_class_table_of_the_list_merges_renames_orders_and_leaves_out(lab):
    truths = plain(lab / "a", {"road": 0, "sky": 1, "car": 2}) | plain(lab / "b", {"tree": 0, "sky": 1}, 5, 50)
    root = join(lab, "../a", "../b")
    rows = [{"name": "thing", "names": ["tree", "car"]}, {"name": "road", "color": "#010203"}]
    (root / "classes.json").write_text(json.dumps(rows))
    dataset, maps = opened(root)
    assert dataset.space.class_names == ("thing", "road") and dataset.space.colors == (SHADES["tree"], (1, 2, 3))
    words = {"road": "road", "sky": "-", "car": "thing", "tree": "thing"}
    assert same(maps, {name: np.vectorize(words.get)(truth) for name, truth in truths.items()})
    findings = {finding.code: finding.text for finding in examine(root).findings}
    assert "leaves out sky: pixels of it are ignored" in findings["class-left-out"]


def test_a_class_table_that_names_no_class_of_any_is_said(lab):
    plain(lab / "a", {"road": 0, "sky": 1})
    root = join(lab, "../a")
    (root / "classes.json").write_text('[{"name": "road"}, {"name": "heaven"}]')
    with pytest.raises(LabError, match="'heaven' is in none of the joined data sets, whose classes are road, sky"):
        open_dataset(config(root))


def test_a_table_saved_from_the_form_stays_right_when_the_list_is_turned_round(lab):
    truths = plain(lab / "a", {"road": 0, "sky": 1}) | plain(lab / "b", {"car": 0, "tree": 1}, 5, 50)
    root = join(lab, "../a", "../b")
    space = open_dataset(config(root)).space
    rows = json.loads(write_rows(space))
    edited = [
        {"name": "thing", "ids": rows[2]["ids"] + rows[3]["ids"], "color": "#000001"},
        rows[1] | {"name": "heaven"},
    ]
    save_class_table(root, write_rows(space_of(edited)))
    words = {"road": "-", "sky": "heaven", "car": "thing", "tree": "thing"}
    wanted = {name: np.vectorize(words.get)(truth) for name, truth in truths.items()}
    assert same(opened(root)[1], wanted)
    assert same(opened(join(lab, "../b", "../a"))[1], wanted)
    save_class_table(root, write_rows(open_dataset(config(root)).space))
    assert same(opened(root)[1], wanted), "saved again"


def test_a_table_of_one_data_set_renames_its_classes(lab):
    plain(lab / "a", {"road": 0, "sky": 1})
    truths = plain(lab / "b", {"tree": 0, "car": 1}, 5, 50)
    (lab / "all/b.json").write_text('[{"name": "sky", "ids": [0]}, {"name": "road", "ids": [1]}]')
    _, maps = opened(join(lab, "../a", {"root": "../b", "classes": "b.json"}))
    words = {"tree": "sky", "car": "road"}
    assert all((maps[name] == np.vectorize(words.get)(truth)).all() for name, truth in truths.items())


@pytest.mark.parametrize("by_color", [False, True])
def test_a_run_on_one_data_set_is_scored_on_the_joint_one_in_its_own_classes(lab, by_color):
    truths = plain(lab / "a", {"road": 3, "sky": 7}) | plain(lab / "b", {"sky": 0, "car": 1}, 5, 50)
    root = join(lab, "../a", "../b")
    plain(lab / "own", {"sky": 2, "road": 5}, 2)
    if by_color:
        pascal(lab / "painted", ["sky", "road"], 90)
    run = read_config({"dataset": {"name": "folder", "root": str(lab / ("painted" if by_color else "own"))}})
    data = scored_data(run, EvaluationSettings(root=str(root)))
    dataset, maps = opened(root, classes=data.classes)
    assert dataset.space.class_names == ("sky", "road")
    words = {"road": "road", "sky": "sky", "car": "-"}
    assert same(maps, {name: np.vectorize(words.get)(truth) for name, truth in truths.items()})


def test_the_doctor_says_which_class_a_data_set_lacks(lab):
    plain(lab / "a", {"road": 0, "sky": 1})
    plain(lab / "b", {"road": 0, "sky": 1, "car": 2}, 5, 50)
    report = examine(join(lab, "../a", "../b"))
    (finding,) = [finding for finding in report.findings if finding.code == "class-not-in-all"]
    assert report.healthy and finding.severity == "warning"
    assert "class car of other data sets is not in the table of 'a'" in finding.sentence
    assert "yours to decide" in finding.fix
    assert "In 'a': Nothing says" in report.split_source and "In 'b': Nothing says" in report.split_source
    assert sum(report.pixels["val"]) + sum(report.pixels["train"]) == 10 * HEIGHT * WIDTH


def test_the_doctor_finds_nothing_where_all_have_the_same_classes(lab):
    for name, seed in (("a", 0), ("b", 50)):
        plain(lab / name, {"road": 0, "sky": 1}, 5, seed)
    report = examine(join(lab, "../a", "../b"))
    assert report.healthy and not [finding for finding in report.findings if finding.severity == "warning"]


def test_the_doctor_looks_at_the_files_behind_maps_that_were_written_anew(lab):
    plain(lab / "a", {"road": 0, "sky": 1})
    plain(lab / "b", {"sky": 0, "road": 1}, 5, 50)
    save(lab / "b/masks/2.png", np.full((HEIGHT, WIDTH), 77))
    texts = [finding.text for finding in examine(join(lab, "../a", "../b")).findings if finding.severity == "warning"]
    assert any(text.startswith("In 'b': 'masks/2.png' holds the id 77") for text in texts), texts


def test_frames_without_masks_are_found_under_the_name_of_their_data_set(lab):
    plain(lab / "a", {"road": 0, "sky": 1})
    plain(lab / "b", {"road": 0, "sky": 1}, 5, 50)
    photo(lab / "b/images/more.png", 1)
    root = join(lab, "../a", "../b")
    assert [frame.id for frame in find_splits(root, config(root))["without masks"]] == ["b/more"]


def test_a_list_is_written_beside_the_archives_and_can_be_opened(lab):
    truths = plain(lab / "a", {"road": 0, "sky": 1}) | plain(lab / "b", {"car": 0, "sky": 1}, 5, 50)
    roots = [lab / "a", lab / "b"]
    first, second = write_list("Two towns", roots), write_list("Two towns", roots)
    assert (first.name, second.name) == ("Two-towns", "Two-towns-2")
    assert same(opened(first)[1], truths)
    for wrong, sentence in (([lab / "a"], "two folders at least"), ([lab / "a", lab / "gone"], "no folder")):
        with pytest.raises(LabError, match=sentence):
            write_list("x", wrong)
    assert sorted(path.name for path in first.parent.iterdir()) == ["Two-towns", "Two-towns-2"]


def test_a_read_only_lab_joins_nothing(lab, monkeypatch):
    monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    for name in "ab":
        plain(lab / name, {"road": 0, "sky": 1}, 2)
    with pytest.raises(LabError, match="read-only"):
        write_list("x", [lab / "a", lab / "b"])
    assert not (lab / "lab").exists()


def test_the_command_line_joins_folders_for_the_doctor(lab, capsys):
    for name, seed in (("a", 0), ("b", 50)):
        plain(lab / name, {"road": 0, "sky": 1}, 5, seed)
    assert main(["join", "Two towns", str(lab / "a"), str(lab / "b"), "--json"]) == 0
    root = json.loads(capsys.readouterr().out)["root"]
    assert main(["doctor", root]) == 0
    assert "Healthy: 10 pairs looked at" in capsys.readouterr().out
    assert main(["join", "Two towns", str(lab / "a"), root]) == USER_ERROR
    assert "is itself a list of data sets" in capsys.readouterr().err
