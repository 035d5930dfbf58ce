"""The class table, against the official one, spot-checked by hand."""

import numpy as np
import pytest

from core.labels import (
    CITYSCAPES_7,
    CITYSCAPES_19,
    CITYSCAPES_30,
    CITYSCAPES_34,
    CITYSCAPES_LABELS,
    IGNORED,
    LABEL_BY_NAME,
    LABEL_SPACES,
    LabelSpace,
    palette_of,
)

OFFICIAL_CLASSES = (
    "road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky, person, rider, car, "
    "truck, bus, train, motorcycle, bicycle"
)


def test_ids_run_from_0_to_33():
    assert [label.id for label in CITYSCAPES_LABELS] == list(range(34))
    assert len(LABEL_BY_NAME) == 34


def test_nineteen_classes_in_the_official_order():
    assert ", ".join(CITYSCAPES_19.class_names) == OFFICIAL_CLASSES
    train_ids = [label.train_id for label in CITYSCAPES_LABELS if label.train_id != IGNORED]
    assert sorted(train_ids) == list(range(19))


def test_rows_of_the_official_table():
    # name, id, train id, category, has instances, colour: copied by hand from helpers/labels.py
    for name, *row in (
        ("ego vehicle", 1, 255, "void", False, (0, 0, 0)),
        ("road", 7, 0, "flat", False, (128, 64, 128)),
        ("parking", 9, 255, "flat", False, (250, 170, 160)),
        ("guard rail", 14, 255, "construction", False, (180, 165, 180)),
        ("pole", 17, 5, "object", False, (153, 153, 153)),
        ("polegroup", 18, 255, "object", False, (153, 153, 153)),
        ("sky", 23, 10, "sky", False, (70, 130, 180)),
        ("person", 24, 11, "human", True, (220, 20, 60)),
        ("caravan", 29, 255, "vehicle", True, (0, 0, 90)),
        ("train", 31, 16, "vehicle", True, (0, 80, 100)),
        ("bicycle", 33, 18, "vehicle", True, (119, 11, 32)),
    ):
        label = LABEL_BY_NAME[name]
        assert [label.id, label.train_id, label.category, label.has_instances, label.color] == row


def test_lookup_maps_19_ids_and_nothing_else():
    lookup = CITYSCAPES_19.lookup
    assert lookup.shape == (256,) and lookup.dtype == np.uint8
    evaluated = {label.id: label.train_id for label in CITYSCAPES_LABELS if label.train_id != IGNORED}
    assert len(evaluated) == 19
    for index in range(256):
        assert lookup[index] == evaluated.get(index, 255)


def test_colors_are_those_of_the_labels_and_all_differ():
    for name, color in zip(CITYSCAPES_19.class_names, CITYSCAPES_19.colors, strict=True):
        assert LABEL_BY_NAME[name].color == color
    assert len(set(CITYSCAPES_19.colors)) == 19


def test_palette_paints_ignored_pixels_black():
    labels = np.array([[0, 18], [19, 255]], np.uint8)
    painted = CITYSCAPES_19.palette[labels]
    assert painted.dtype == np.uint8
    assert painted.tolist() == [[[128, 64, 128], [119, 11, 32]], [[0, 0, 0], [0, 0, 0]]]
    assert palette_of(CITYSCAPES_19.colors).tolist() == CITYSCAPES_19.palette.tolist()


def test_spaces_are_found_by_name():
    assert LABEL_SPACES["cityscapes-19"] is CITYSCAPES_19


def test_every_id_is_mapped_as_the_official_scripts_do():
    official = pytest.importorskip("cityscapesscripts.helpers.labels")
    table = {label.id: label for label in official.labels if label.id >= 0}
    assert len(table) == len(CITYSCAPES_LABELS) == 34
    categories = [name for name in dict.fromkeys(label.category for label in official.labels) if name != "void"]
    assert CITYSCAPES_7.class_names == tuple(categories)
    for index in range(256):
        label = table.get(index)
        evaluated = label is not None and not label.ignoreInEval
        assert CITYSCAPES_19.lookup[index] == (label.trainId if evaluated else IGNORED)
        assert CITYSCAPES_34.lookup[index] == (index if label else IGNORED)
        assert CITYSCAPES_7.lookup[index] == (categories.index(label.category) if evaluated else IGNORED)
        if label:
            ours = CITYSCAPES_LABELS[index]
            assert (ours.name, ours.train_id, ours.category, ours.has_instances, ours.color) == (
                label.name,
                label.trainId,
                label.category,
                label.hasInstances,
                label.color,
            )


def test_the_thirty_classes_are_all_that_was_drawn():
    assert len(CITYSCAPES_30.class_names) == 30
    assert [name for name in CITYSCAPES_34.class_names if name not in CITYSCAPES_30.class_names] == [
        "unlabeled",
        "ego vehicle",
        "rectification border",
        "out of roi",
    ]
    assert CITYSCAPES_30.lookup[[0, 3, 4, 33, 34]].tolist() == [255, 255, 0, 29, 255]


def test_masks_in_colours_become_classes_and_other_colours_are_ignored():
    space = LabelSpace("own", ("a", "b"), ((1, 2, 3), (9, 9, 9)), (IGNORED,) * 256, (((1, 2, 3), 0), ((3, 2, 1), 1)))
    painted = np.array([[[1, 2, 3], [3, 2, 1], [0, 0, 0]]], np.uint8)
    assert space.by_color and not CITYSCAPES_19.by_color
    assert space.to_target(painted).tolist() == [[0, 1, 255]]
    assert space.to_target(painted).dtype == np.uint8


def test_equal_numberings_have_equal_digests_whatever_their_name():
    again = LabelSpace("other", CITYSCAPES_19.class_names, CITYSCAPES_19.colors, CITYSCAPES_19.from_ids)
    assert again.digest == CITYSCAPES_19.digest
    assert len({space.digest for space in LABEL_SPACES.values()}) == 4
