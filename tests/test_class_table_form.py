"""The form for a class table: what edited rows mean."""

import pytest

from app.class_table_form import edited_space, rows_of
from core.data.class_table import space_of
from core.labels import CITYSCAPES_19, IGNORED

BY_ID = space_of([{"name": name, "ids": [3 * index, 3 * index + 1]} for index, name in enumerate("abc")])
BY_COLOR = space_of([{"name": name, "colors": [[index, 0, 0], [index, 9, 9]]} for index, name in enumerate("abc")])


@pytest.mark.parametrize("space", [BY_ID, BY_COLOR, CITYSCAPES_19])
def test_rows_that_nobody_edited_mean_the_same_table(space):
    assert edited_space(rows_of(space)).digest == space.digest


@pytest.mark.parametrize("space", [BY_ID, BY_COLOR])
def test_rows_of_one_name_become_one_class(space):
    rows = rows_of(space)
    rows[2]["name"] = " a"
    merged = edited_space(rows)
    assert merged.class_names == ("a", "b")
    if space is BY_ID:
        assert merged.from_ids[:8] == (0, 0, IGNORED, 1, 1, IGNORED, 0, 0)
    else:
        assert dict(merged.from_colors) == {
            (0, 0, 0): 0,
            (0, 9, 9): 0,
            (2, 0, 0): 0,
            (2, 9, 9): 0,
            (1, 0, 0): 1,
            (1, 9, 9): 1,
        }


def test_classes_are_ignored_reordered_renamed_and_recoloured():
    rows = rows_of(BY_ID)
    rows[0]["use"] = False
    rows[2] |= {"order": -1, "name": "sky", "color": "#0000ff"}
    space = edited_space(rows)
    assert space.class_names == ("sky", "b") and space.colors[0] == (0, 0, 255)
    assert space.from_ids[:8] == (IGNORED, IGNORED, IGNORED, 1, 1, IGNORED, 0, 0)


def test_one_class_is_none():
    rows = rows_of(BY_ID)
    for row in rows[1:]:
        row["use"] = False
    with pytest.raises(ValueError, match="Fewer than two classes"):
        edited_space(rows)
