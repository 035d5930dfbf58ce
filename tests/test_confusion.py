"""Scores, against ones worked out by hand."""

import numpy as np
import pytest

from core.evaluation.metrics.confusion import ConfusionMatrix


def counted(target, labels, num_classes=3):
    confusion = ConfusionMatrix(num_classes)
    confusion.update(np.array(target, np.uint8), np.array(labels, np.uint8))
    return confusion


def test_by_hand_with_ignored_pixels():
    confusion = counted([[0, 0, 0, 1], [1, 2, 255, 255]], [[0, 0, 1, 1], [1, 0, 2, 0]])
    assert confusion.matrix.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    # class 0: 2 right of 3 there and 3 predicted; class 1: 2 of 2 and 3; class 2: 0 of 1 and 0.
    assert confusion.iou().tolist() == [2 / 4, 2 / 3, 0.0]
    assert confusion.miou() == pytest.approx((2 / 4 + 2 / 3 + 0) / 3)
    assert confusion.pixel_accuracy() == 4 / 6


def test_a_class_that_is_neither_there_nor_predicted_counts_nowhere():
    confusion = counted([[0, 0, 1, 1]], [[0, 0, 1, 0]], num_classes=4)
    iou = confusion.iou()
    assert np.isnan(iou[2:]).all()
    assert confusion.miou() == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_a_class_that_is_only_predicted_counts_as_zero():
    assert counted([[0, 0]], [[0, 1]], num_classes=2).iou().tolist() == [0.5, 0.0]


def test_nothing_counted_is_no_number():
    for confusion in (ConfusionMatrix(3), counted([[255, 255]], [[0, 1]])):
        assert np.isnan(confusion.iou()).all()
        assert np.isnan(confusion.miou()) and np.isnan(confusion.pixel_accuracy())


def test_updates_add_up_over_shapes():
    rng = np.random.default_rng(0)
    target = rng.choice([*range(19), 255], (4, 30, 50)).astype(np.uint8)
    labels = rng.integers(0, 19, (4, 30, 50)).astype(np.uint8)
    together, apart = ConfusionMatrix(19), ConfusionMatrix(19)
    together.update(target, labels)
    for one, other in zip(target, labels, strict=True):
        apart.update(one, other)
    assert (together.matrix == apart.matrix).all()
    for truth in range(19):
        for guess in range(19):
            assert together.matrix[truth, guess] == ((target == truth) & (labels == guess)).sum()


def test_a_label_under_an_ignored_pixel_may_be_anything():
    assert counted([[0, 255]], [[0, 200]]).pixel_accuracy() == 1


def test_wrong_input_is_an_error_and_counts_nothing():
    confusion = ConfusionMatrix(3)
    with pytest.raises(ValueError, match="label is 3"):
        confusion.update(np.zeros((1, 2), np.uint8), np.array([[0, 3]], np.uint8))
    with pytest.raises(ValueError, match=r"\(1, 2\).*\(2, 1\)"):
        confusion.update(np.zeros((1, 2), np.uint8), np.zeros((2, 1), np.uint8))
    assert confusion.matrix.sum() == 0


def test_counts_stay_exact_beyond_what_a_float32_holds():
    confusion = counted([[0]], [[0]])
    confusion.matrix[0, 0] = 2**40
    confusion.update(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))
    assert confusion.matrix[0, 0] == 2**40 + 1
