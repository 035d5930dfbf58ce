"""A few strokes of each class, and a whole mask: from colours alone, and better with what a network sees."""

import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from core.errors import LabError
from core.inference.process import Models, respond
from core.inference.strokes import MAX_PIXELS, UNSEEN, Seen, features_of, grow_strokes, sample_strokes, working_size
from core.inference.worker import InferenceWorker, Painted, StrokesRequest, checkpoint_stamp
from core.labels import CITYSCAPES_19
from core.synthetic import draw_scene

SIZE = (64, 128)


def scene(seed, size=SIZE):
    """An image and its classes."""
    drawn = draw_scene(seed, 0, size=size)
    return drawn.image, CITYSCAPES_19.lookup[drawn.label_ids]


def strokes_on(target, count=3, seed=0):
    """Strokes of 7 x 3 pixels, so many of each class that has room for one, 255 elsewhere."""
    rng = np.random.default_rng(seed)
    strokes = np.full_like(target, 255)
    for class_id in np.unique(target[target != 255]):
        room = cv2.erode((target == class_id).astype(np.uint8), np.ones((3, 7), np.uint8), borderValue=0)
        places = np.argwhere(room)
        for row, column in places[rng.permutation(len(places))[:count]]:
            strokes[row - 1 : row + 2, column - 3 : column + 4] = class_id
    return strokes


def right(labels, target):
    known = target != 255
    return (labels == target)[known].mean()


def test_most_of_a_scene_follows_from_a_few_strokes():
    for seed in range(3):
        image, target = scene(seed)
        strokes = strokes_on(target)
        assert (strokes != 255).mean() < 0.1
        labels, confidence = grow_strokes(image, strokes)
        assert labels.shape == confidence.shape == SIZE and set(np.unique(labels)) <= set(np.unique(target))
        assert right(labels, target) > 0.65
        again, _ = grow_strokes(image, strokes)
        assert np.array_equal(labels, again)


def test_it_is_surer_where_it_is_right():
    image, target = scene(1)
    labels, confidence = grow_strokes(image, strokes_on(target))
    is_right = labels == target
    assert confidence[is_right].mean() > confidence[~is_right].mean() + 25


def test_what_a_network_sees_helps():
    image, target = scene(2)
    strokes = strokes_on(target, count=1)
    noise = np.random.default_rng(0).dirichlet(np.ones(19), SIZE).transpose(2, 0, 1)
    seen = (0.5 * noise + 0.5 * np.eye(20)[np.minimum(target, 19)][..., :19].transpose(2, 0, 1)).astype(np.float32)
    alone, together = (right(grow_strokes(image, strokes, Seen(each))[0], target) for each in (None, seen))
    assert together > alone + 0.02


def test_a_large_image_is_looked_at_smaller():
    assert working_size((1024, 2048)) == (256, 512) and working_size((64, 128)) == (64, 128)
    height, width = working_size((1, 5_000_000))
    assert height == 1 and width * height <= MAX_PIXELS
    image, target = scene(0, size=(600, 1200))
    labels, _ = grow_strokes(image, strokes_on(target, count=20))
    assert labels.shape == working_size((600, 1200))
    assert features_of(image[:8, :9], UNSEEN).shape[0] == 72


def test_strokes_of_one_class_are_a_sentence():
    image, _ = scene(0)
    for strokes in (np.full(SIZE, 255, np.uint8), np.zeros(SIZE, np.uint8)):
        with pytest.raises(LabError, match="two classes or more"):
            grow_strokes(image, strokes)


def test_the_process_answers_with_and_without_a_network(lab_folders, trained_run):
    run = lab_folders.runs / trained_run.name
    shutil.copytree(trained_run, run)
    image, target = scene(3)
    strokes = strokes_on(target)
    models = Models()
    alone = respond(StrokesRequest(None, "best", "", image, strokes), models)
    request = StrokesRequest(run, "best", checkpoint_stamp(run, "best"), image, strokes)
    together, again = respond(request, models), respond(request, models)
    assert alone.labels.shape == together.labels.shape == SIZE
    assert np.array_equal(together.labels, again.labels) and again.milliseconds > 0
    assert isinstance(respond(StrokesRequest(None, "best", "", image, strokes * 0), models), LabError)


def test_strokes_on_other_photographs_are_learned_from_and_remembered(lab_folders, monkeypatch):
    """A photograph without any stroke follows from those on others; a mask that changed is read anew."""
    paths = []
    for seed in range(4):
        image, target = scene(seed)
        paths.append((lab_folders.other / f"{seed}.png", lab_folders.other / f"{seed}-mask.png"))
        Image.fromarray(image).save(paths[-1][0])
        Image.fromarray(strokes_on(target, count=10)).save(paths[-1][1])
    image, target = scene(9)
    nothing = np.full(SIZE, 255, np.uint8)
    models = Models()
    others = tuple(Painted(*pair, 1) for pair in paths)
    grown = respond(StrokesRequest(None, "best", "", image, nothing, others), models)
    assert right(grown.labels, target) > 0.5

    # From memory, until its revision is another one; a file that is gone is passed over.
    for _, mask in paths:
        Image.fromarray(nothing).save(mask)
    again = respond(StrokesRequest(None, "best", "", image, nothing, others), models)
    assert np.array_equal(again.labels, grown.labels)
    changed = tuple(Painted(*pair, 2) for pair in paths)
    paths[0][1].unlink()
    assert "two classes" in str(respond(StrokesRequest(None, "best", "", image, nothing, changed), models))


def test_with_what_a_network_sees_strokes_on_others_help_as_well():
    rng = np.random.default_rng(0)

    def seen(target):
        """What a network sees that is right in part: half a wrong class, of a kind of its own."""
        confused = np.where(target % 3 == 0, (target + 1) % 19, np.minimum(target, 18))
        sharp = np.eye(19)[confused].transpose(2, 0, 1)
        return (0.5 * sharp + 0.5 * rng.dirichlet(np.ones(19), SIZE).transpose(2, 0, 1)).astype(np.float32)

    samples = []
    for seed in range(4):
        image, target = scene(seed)
        samples.append(sample_strokes(image, strokes_on(target, count=5), Seen(seen(target))))
    image, target = scene(9)
    few, probabilities = strokes_on(target, count=1), seen(target)
    alone, _ = grow_strokes(image, few, Seen(probabilities))
    together, _ = grow_strokes(image, few, Seen(probabilities), samples)
    assert right(together, target) > right(alone, target)


def test_a_page_asks_for_it(lab_folders):
    image, target = scene(3)
    worker = InferenceWorker()
    try:
        grown = worker.ask_strokes(None, image, strokes_on(target)).result(timeout=120)
        assert grown.labels.shape == SIZE and grown.class_names == ()
    finally:
        worker.close()
