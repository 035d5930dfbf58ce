"""Labels that were mended take the place of a data set's own where they are learned from, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.config import read_config
from core.data.corrections import corrected, plain_name
from core.data.dataset import open_dataset
from core.errors import LabError
from core.hub.published import impersonal
from core.labelling.label_set import create_label_set, mend_frame
from core.labelling.masks import change_mask, read_mask
from core.labels import CITYSCAPES_7, CITYSCAPES_19, CITYSCAPES_34, IGNORED, LabelSpace

COLORED = LabelSpace(
    "colored",
    ("road", "sky"),
    ((1, 2, 3), (0, 0, 1)),
    (IGNORED,) * 256,
    (((1, 2, 3), 0), ((0, 0, 1), 1), ((9, 9, 9), 1)),
)


@pytest.fixture
def config(streets, lab_folders, monkeypatch):
    """The tiny streets as somebody's Cityscapes."""
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", f"{streets}:{lab_folders.other}")
    values = {"name": "cityscapes", "root": str(streets), "height": 64, "width": 128}
    return lambda **more: read_config({"dataset": values | more}).dataset


def painted(label_set, frame, value):
    """Paint all of a frame's mask."""
    mask = read_mask(label_set, frame)
    height, width = mask.labels.shape
    patch = {"id": f"{value:08x}", "box": [0, 0, width, height], "runs": [width * height, value]}
    return change_mask(label_set, frame, patch, mask.revision)


@pytest.mark.parametrize("space", [CITYSCAPES_7, CITYSCAPES_19, CITYSCAPES_34, COLORED])
def test_a_target_is_written_as_it_is_read(space):
    target = np.array([[*range(len(space.class_names)), IGNORED]], np.uint8)
    assert np.array_equal(space.to_target(space.to_file(target)), target)


def test_what_was_mended_is_learned_from_and_what_is_scored_on_stays(config):
    dataset = open_dataset(config())
    frame, other, held_back = dataset.train[0], dataset.train[1], dataset.val[0]
    label_set, name = mend_frame(dataset, frame)
    painted(label_set, name, 3)
    label_set, name_of_val = mend_frame(dataset, held_back)
    painted(label_set, name_of_val, 3)

    own = open_dataset(config(corrections=str(label_set.root)))
    assert own.train == dataset.train and own.val == dataset.val, (
        "who scores a run or looks at data sees its own labels"
    )
    mended = open_dataset(config(corrections=str(label_set.root)), for_training=True)
    assert (mended.target(mended.train[0]) == 3).all() and mended.train[0].image == frame.image
    assert mended.train[1] == other and mended.val == dataset.val
    again = open_dataset(config(corrections=str(label_set.root)), for_training=True)
    assert again.train == mended.train
    painted(label_set, name, 255)
    changed = open_dataset(config(corrections=str(label_set.root)), for_training=True)
    assert (changed.target(changed.train[0]) == IGNORED).all() and changed.train[0].labels != mended.train[0].labels


def test_classes_are_joined_by_name_in_other_tables_and_colours(config):
    dataset = open_dataset(config())
    label_set, name = mend_frame(dataset, dataset.train[0])
    painted(label_set, name, CITYSCAPES_19.class_names.index("sky"))
    for space in (CITYSCAPES_34, replace(COLORED, class_names=("sky", "road"))):
        frames = corrected(dataset.train, label_set.root, space)
        target = replace(dataset, space=space).target(frames[0])
        assert (target == space.class_names.index("sky")).all() and frames[1:] == dataset.train[1:]


def test_what_can_not_be_taken_is_a_sentence(config, lab_folders):
    dataset = open_dataset(config())
    other = create_label_set("Photos", [("a.jpg", lambda: np.zeros((8, 8, 3), np.uint8))], ("road", "sky"))
    with pytest.raises(LabError, match="has no mask of a frame that is learned from"):
        open_dataset(config(corrections=str(other.root)), for_training=True)
    with pytest.raises(LabError):
        open_dataset(config(corrections=str(lab_folders.other / "nothing")), for_training=True)
    with pytest.raises(LabError):
        open_dataset(config(corrections="/etc"), for_training=True)
    label_set, name = mend_frame(dataset, dataset.train[0])
    with pytest.raises(LabError, match="tells none of the classes apart"):
        corrected(dataset.train, label_set.root, replace(COLORED, class_names=("up", "down")))
    painted(label_set, name, 255)
    full = replace(CITYSCAPES_19, from_ids=tuple(number % 19 for number in range(256)))
    with pytest.raises(LabError, match="unlabelled pixels, and the class table"):
        corrected(dataset.train, label_set.root, full)


def test_names_of_frames_become_names_of_files_of_their_own():
    names = ["a", "a/b", "a-b", "a b", "ü", "x" * 300, "a.png", "..", ""]
    plain = [plain_name(name) for name in names]
    assert len({*plain}) == len(names) and all(name.isascii() and "/" not in name and name for name in plain)


def test_a_mask_that_is_no_picture_is_refused(config):
    dataset = open_dataset(config())
    label_set, name = mend_frame(dataset, dataset.train[0])
    label_set.mask(name).write_bytes(b"no picture")
    with pytest.raises(LabError):
        corrected(dataset.train, label_set.root, dataset.space)


def test_a_mask_of_a_frame_to_score_on_is_never_taken_for_another_of_that_name(lab_folders, monkeypatch):
    """Ids are of one split: val/a and train/a are two photographs."""
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    root = lab_folders.other / "mine"
    for number, split in enumerate(("train", "val")):
        for name in "ab":
            for role, value in (("images", 40 * number), ("masks", number)):
                (root / split / role).mkdir(parents=True, exist_ok=True)
                pixels = np.full((32, 64) if role == "masks" else (32, 64, 3), value, np.uint8)
                Image.fromarray(pixels).save(root / split / role / f"{name}.png")
    (root / "classes.json").write_text('[{"name": "road", "ids": [0]}, {"name": "sky", "ids": [1]}]')
    values = {"name": "folder", "root": str(root), "height": 32, "width": 64}
    dataset = open_dataset(read_config({"dataset": values}).dataset)
    assert {frame.id for frame in dataset.train} & {frame.id for frame in dataset.val}
    label_set, of_val = mend_frame(dataset, dataset.val[0])
    corrections = {"corrections": str(label_set.root)}
    with pytest.raises(LabError, match="has no mask of a frame that is learned from"):
        open_dataset(read_config({"dataset": values | corrections}).dataset, for_training=True)
    label_set, of_train = mend_frame(dataset, dataset.train[0])
    assert of_train != of_val and (read_mask(label_set, of_train).labels == 0).all()
    mended = open_dataset(read_config({"dataset": values | corrections}).dataset, for_training=True)
    assert (mended.target(mended.train[0]) == 0).all()


def test_labels_in_other_classes_are_mended_in_a_set_of_their_own(config):
    first, _ = mend_frame(dataset := open_dataset(config()), dataset.train[0])
    other, _ = mend_frame(open_dataset(config(classes="cityscapes-7")), dataset.train[1])
    again, _ = mend_frame(dataset, dataset.train[1])
    assert other.slug != first.slug == again.slug and len(other.space.class_names) == 7


def test_where_mended_labels_lie_is_told_to_nobody_else():
    values = read_config({"dataset": {"corrections": "/home/anna/lab/data/uploads/Mended-street"}}).model_dump()
    assert "anna" not in str(impersonal(values))
