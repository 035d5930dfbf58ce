"""Class tables: the lab's own form and those of other tools, and what is said of those that make no sense."""

import json

import pytest

from core.data.class_table import find_class_table, read_class_table, space_of, write_rows
from core.errors import LabError
from core.labels import CITYSCAPES_7, CITYSCAPES_19


def write(folder, name, content):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_ids_of_several_numbers_make_one_class(tmp_path):
    rows = [{"name": "ground", "ids": [7, 8], "color": "#804080"}, {"name": "rest", "ids": [0]}]
    space = read_class_table(write(tmp_path, "classes.json", rows))
    assert space.class_names == ("ground", "rest") and not space.by_color
    assert space.colors[0] == (128, 64, 128)
    assert space.lookup[[7, 8, 0, 1]].tolist() == [0, 0, 1, 255]


def test_without_ids_the_colours_count_and_may_be_several(tmp_path):
    rows = [{"name": "a", "color": [1, 2, 3], "colors": [[4, 5, 6]]}, {"name": "b", "colors": ["#000000"]}]
    space = read_class_table(write(tmp_path, "classes.json", {"classes": rows}))
    assert dict(space.from_colors) == {(1, 2, 3): 0, (4, 5, 6): 0, (0, 0, 0): 1}
    assert space.colors == ((1, 2, 3), (0, 0, 0))


@pytest.mark.parametrize(
    "space",
    [
        CITYSCAPES_19,
        CITYSCAPES_7,
        space_of([{"name": "ö", "colors": [[1, 1, 1], [2, 2, 2]]}, {"name": "b", "color": [3, 3, 3]}]),
    ],
)
def test_what_is_written_is_read_as_the_same(tmp_path, space):
    assert read_class_table(write(tmp_path, "classes.json", write_rows(space))).digest == space.digest


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("class_dict.csv", "name,r,g,b\nAnimal,64,128,64\nSky, 128, 128, 128\n"),
        ("label_colors.txt", "64 128 64\tAnimal\n128 128 128\t\tSky\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nAnimal:64,128,64::\nSky:128,128,128::\n"),
    ],
)
def test_tables_of_other_tools_are_read_as_they_are(tmp_path, name, content):
    space = read_class_table(write(tmp_path, name, content))
    assert space.class_names == ("Animal", "Sky")
    assert space.from_colors == (((64, 128, 64), 0), ((128, 128, 128), 1))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("_classes.csv", "Pixel Value, Class\n7, Sky, wide\n0, Animal\n"),
        ("id2label.json", {"7": "Sky, wide", "0": "Animal"}),
    ],
)
def test_tables_that_number_the_classes_are_read_as_they_are(tmp_path, name, content):
    space = read_class_table(write(tmp_path, name, content))
    assert space.class_names == ("Sky, wide", "Animal") and space.lookup[[0, 1, 7]].tolist() == [1, 255, 0]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("_classes.csv", "Class\n0, Animal\n", "first line must say Pixel Value, Class"),
        ("_classes.csv", "Pixel Value, Class\nx, Animal\n", "'x' stands where the number of a class"),
        ("_classes.csv", "Pixel Value, Class\n0\n", "Class 1 has no name"),
        ("_classes.csv", "", "first line must say Pixel Value, Class"),
        ("id2label.json", ["a", "b"], 'must be like {"0": "road"'),
        ("id2label.json", {"a": 0, "b": 1}, "'a' stands where the number of a class"),
    ],
)
def test_a_broken_table_of_numbers_is_refused(tmp_path, name, content, text):
    with pytest.raises(LabError) as caught:
        read_class_table(write(tmp_path, name, content))
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["classes.txt", "labels.txt", "codes.txt"])
def test_a_list_of_names_numbers_the_ids(tmp_path, name):
    space = read_class_table(write(tmp_path, name, "\ufeffAnimal\nSky\n\n"))
    assert space.class_names == ("Animal", "Sky") and space.lookup[:3].tolist() == [0, 1, 255]


def test_the_labs_own_form_goes_before_those_of_other_tools(tmp_path):
    assert find_class_table(tmp_path) is None
    other = write(tmp_path, "labels.txt", "a\n")
    assert find_class_table(tmp_path) == other
    own = write(tmp_path, "classes.json", [{"name": "a", "ids": [1]}])
    assert find_class_table(tmp_path) == own


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "line 1, column 2"),
        ("[]", "must be a list of classes"),
        ("7", "must be a list of classes"),
        ("[7]", "Class 1 has no name"),
        ('[{"name": " "}]', "Class 1 has no name"),
        ('[{"name": "a"}]', "neither ids nor a colour"),
        ('[{"name": "a", "ids": [1]}, {"name": "a", "ids": [2]}]', "'a' stands there twice"),
        ('[{"name": "a", "ids": [1]}, {"name": "b", "ids": [1]}]', "id 1 belongs to both 'a' and 'b'"),
        ('[{"name": "a", "ids": [1]}, {"name": "b", "color": [0, 0, 0]}]', "'b' has no ids"),
        ('[{"name": "a", "color": [0, 0, 0]}, {"name": "b", "color": [0, 0, 0]}]', "belongs to both 'a' and 'b'"),
        ('[{"name": "a", "ids": [256]}]', "whole numbers from 0 to 255"),
        ('[{"name": "a", "ids": [-1]}]', "whole numbers from 0 to 255"),
        ('[{"name": "a", "ids": [true]}]', "whole numbers from 0 to 255"),
        ('[{"name": "a", "ids": 5}]', "where a list is needed"),
        ('[{"name": "a", "color": [0, 0, 300]}]', "from 0 to 255"),
        ('[{"name": "a", "color": "red"}]', "has the colour 'red'"),
        ('[{"name": "a", "colour": [0, 0, 0]}]', "'colour', but name, color, colors and ids"),
        (json.dumps([{"name": str(index), "ids": [0]} for index in range(256)]), "has 256 classes"),
        ("[" * 100_000, "nested too deeply"),
        (" " * 1_000_001, "over 1.0 MB"),
    ],
)
def test_a_table_that_can_not_be_meant_is_refused_with_the_place(tmp_path, content, text):
    path = write(tmp_path, "classes.json", content)
    with pytest.raises(LabError) as caught:
        read_class_table(path)
    assert text in str(caught.value) and str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "classes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match="can't be read"):
        read_class_table(tmp_path / "classes.json")


def test_classes_without_a_colour_carry_those_of_their_field_and_no_two_the_same():
    names = ["sky", "building", "column_pole", "road", "pavement", "tree", "SignSymbol", "fence", "car", "pedestrian"]
    space = space_of(
        [{"name": name, "ids": [index]} for index, name in enumerate([*names, "bicyclist", "trees", "ship"])]
    )
    known = dict(zip(CITYSCAPES_19.class_names, CITYSCAPES_19.colors, strict=True))
    shown = dict(zip(space.class_names, space.colors, strict=True))
    assert shown["sky"] == known["sky"] and shown["road"] == known["road"] and shown["tree"] == known["vegetation"]
    assert shown["column_pole"] == known["pole"] and shown["SignSymbol"] == known["traffic sign"]
    assert shown["pedestrian"] == known["person"] and shown["bicyclist"] == known["rider"]
    assert len(set(space.colors)) == len(space.colors), "trees are told from tree, and the ship from both"
    asked = space_of([{"name": "sky", "color": [1, 2, 3], "ids": [0]}, {"name": "void", "ids": [1]}])
    assert asked.colors[0] == (1, 2, 3) and asked.colors[1] != (0, 0, 0)
    many = space_of([{"name": f"class {index}", "ids": [index]} for index in range(200)])
    assert len(set(many.colors)) == 200
