"""Boundaries and distances, on squares whose edges can be counted."""

import numpy as np
import pytest

from core.evaluation.metrics import boundaries
from core.evaluation.metrics.boundaries import BANDS, boundary_f1, boundary_matches, distance_bands
from core.evaluation.metrics.scores import boundary_scores


def square(left, size=(100, 200), top=30, side=40, value=1):
    image = np.zeros(size, np.uint8)
    image[top : top + side, left : left + side] = value
    return image


def test_a_perfect_map_has_a_boundary_f1_of_one():
    target = square(50)
    counts = boundary_matches(target, target, 3)
    assert counts[1].tolist() == [156] * 4, "the rim of a square of 40 pixels"
    assert boundary_f1(counts)[:2].tolist() == [1, 1] and np.isnan(boundary_f1(counts)[2])


def test_a_shift_within_the_tolerance_costs_nothing_and_a_larger_one_does():
    # 0.75 % of the diagonal of 100 x 200 is 1.7 pixels.
    assert boundary_f1(boundary_matches(square(50), square(51), 2)).tolist() == [1, 1]
    assert 0.4 < boundary_f1(boundary_matches(square(50), square(55), 2))[1] < 0.7


def test_precision_and_recall_by_hand():
    counts = np.array([[10, 5, 20, 20], [10, 0, 20, 0], [0, 0, 5, 0], [0, 0, 0, 0]])
    f1 = boundary_f1(counts)
    assert f1[0] == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert f1[1] == 0 and f1[2] == 0 and np.isnan(f1[3])


def test_what_lies_under_unscored_pixels_has_no_boundary():
    target = square(50)
    target[:, 120:] = 255
    labels = square(50) | square(140)
    assert (boundary_matches(target, labels, 2) == boundary_matches(target, target, 2)).all()
    half = square(50)
    half[:, 60:] = 255
    assert boundary_matches(half, square(50), 2)[1, 2] == 40 + 2 * 9, "three sides, not the one towards the unscored"


def test_the_frames_edge_is_no_boundary():
    assert (boundary_matches(np.ones((20, 30), np.uint8), np.ones((20, 30), np.uint8), 2) == 0).all()


def test_bands_grow_with_distance():
    target = np.zeros((10, 200), np.uint8)
    target[:, 100:] = 1
    bands = distance_bands(target, 2)
    assert bands[5, 99] == bands[5, 100] == 0
    for index, minimum in enumerate(BANDS):
        assert bands[5, 100 + minimum - 1] == index and bands[5, 100 + minimum] == index + 1
    assert bands[5, 199] == len(BANDS)


def test_a_frame_without_boundary_is_far_from_any():
    target = np.zeros((10, 20), np.uint8)
    target[:, 10:] = 255
    assert (distance_bands(target, 2) == len(BANDS)).all()


def test_the_mean_is_of_images_and_rewards_no_silence_and_punishes_no_stray_pixel():
    """Over the classes of an image first, as Csurka et al.; a class that only the network sees was 0 in each such image."""
    found, missed, stray = [40, 40, 40, 40], [0, 0, 40, 0], [4, 0, 0, 0]
    nowhere = [0, 0, 0, 0]
    counts = np.array([[found, missed, nowhere], [found, stray, nowhere], [found, nowhere, nowhere]])
    scores = boundary_scores(("a", "b", "c"), counts)
    assert scores["boundary_f1"] == {"a": 1.0, "b": 0.0, "c": None}
    assert scores["mean_boundary_f1"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert boundary_scores(("a",), None)["mean_boundary_f1"] is None


@pytest.mark.parametrize("max_looks", [boundaries.MAX_LOOKS, 0], ids=["by looking around", "by maps of distances"])
def test_what_is_near_is_what_a_map_of_distances_says(max_looks, monkeypatch):
    """Of each class by itself, by the definition, on frames of all kinds of shapes."""
    monkeypatch.setattr(boundaries, "MAX_LOOKS", max_looks)
    rng = np.random.default_rng(0)
    for height, width, cell in [(1, 1, 1), (1, 40, 3), (60, 90, 9), (200, 120, 17), (33, 47, 1)]:
        target, labels = (
            np.kron(rng.integers(0, 5, (-(-height // cell), -(-width // cell))), np.ones((cell, cell)))[
                :height, :width
            ].astype(np.uint8)
            for _ in range(2)
        )
        target[target == 4] = 255
        found = boundary_matches(target, labels, 4)
        tolerance = max(1.0, boundaries.TOLERANCE * float(np.hypot(height, width)))
        scored = target < 4
        for class_id in range(4):
            edges = []
            for labelled in (target, labels):
                inside = np.pad((labelled == class_id) & scored, 1)
                others = np.pad((labelled != class_id) & scored, 1)
                beside = np.any([np.roll(others, by, axis) for by in (-1, 1) for axis in (0, 1)], axis=0)
                edges.append(np.argwhere(inside & beside))
            for (edge, other), counts in zip((edges[::-1], edges), np.split(found[class_id], 2), strict=True):
                distances = np.linalg.norm(edge[:, None] - other[None], axis=-1)
                near = (distances.min(axis=1, initial=np.inf) <= tolerance).sum()
                assert counts.tolist() == [len(edge), near]
