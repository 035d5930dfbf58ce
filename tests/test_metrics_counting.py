"""Counting pairs and instances: the fast ways against the plain one."""

import numpy as np
import pytest

from core.evaluation.metrics import counting
from core.evaluation.metrics.counting import count_frame, count_pairs


def plain(target, labels):
    matrix = np.zeros((256, 256), np.int64)
    np.add.at(matrix, (target.ravel(), labels.ravel()), 1)
    return matrix


def blocks(rng, size=(96, 160), edge=16, high=256):
    small = rng.integers(0, high, (size[0] // edge, size[1] // edge))
    return np.kron(small, np.ones((edge, edge))).astype(np.uint8)


@pytest.mark.parametrize("edge", [1, 32])
def test_every_pair_is_counted_in_noise_and_in_areas(edge):
    rng = np.random.default_rng(edge)
    target, labels = blocks(rng, edge=edge), blocks(rng, edge=edge)
    assert (count_pairs(target, labels) == plain(target, labels)).all()


@pytest.mark.parametrize("limit", [2, 0])
@pytest.mark.parametrize("edge", [1, 2, 32])
def test_runs_and_histogram_count_the_same(limit, edge, monkeypatch):
    monkeypatch.setattr(counting, "MAX_CHANGES", limit)  # 2: always by runs; 0: never
    rng = np.random.default_rng(edge)
    target, labels, third = (blocks(rng, edge=edge) for _ in range(3))
    instances = third.astype(np.uint16) * 257
    pairs, ids, result = count_frame(target, labels, instances)
    assert (pairs == plain(target, labels)).all()
    assert ids.tolist() == sorted(set(instances[instances > 1000].tolist()))
    assert (result == [np.bincount(labels[instances == index], minlength=256) for index in ids]).all()


def test_neighbouring_instances_of_one_class_are_told_apart():
    same, instances = np.full((4, 8), 26, np.uint8), np.full((4, 8), 26001, np.uint16)
    instances[:, 3:] = 26002
    _, ids, result = count_frame(same, same, instances)
    assert ids.tolist() == [26001, 26002] and result[:, 26].tolist() == [12, 20]


def test_maps_that_are_parts_of_larger_ones_are_counted_too():
    rng = np.random.default_rng(0)
    target, labels = blocks(rng)[3:50:2, 5:77], blocks(rng)[3:50:2, 5:77]
    assert not target.flags.c_contiguous
    assert (count_pairs(target, labels) == plain(target, labels)).all()


@pytest.mark.parametrize("edge", [1, 32])
def test_labels_in_each_instance_are_counted(edge):
    rng = np.random.default_rng(edge)
    target, labels = blocks(rng, edge=edge), blocks(rng, edge=edge)
    instances = rng.choice(np.array([7, 26, 1000, 24000, 24001, 26003, 65535], np.uint16), target.shape)
    if edge > 1:
        instances = np.repeat(np.repeat(instances[::edge, ::edge], edge, 0), edge, 1)
    pairs, ids, result = count_frame(target, labels, instances)
    assert (pairs == plain(target, labels)).all()
    assert ids.tolist() == sorted(set(instances[instances > 1000].tolist()))
    for index, row in zip(ids, result, strict=True):
        assert (row == np.bincount(labels[instances == index], minlength=256)).all()


def test_a_frame_without_instances_has_none():
    empty = np.zeros((4, 4), np.uint8)
    _, ids, result = count_frame(empty, empty, np.full((4, 4), 7, np.uint16))
    assert ids.shape == (0,) and result.shape == (0, 256)


def test_nothing_and_a_single_pixel_are_counted():
    assert count_pairs(np.zeros((0, 5), np.uint8), np.zeros((0, 5), np.uint8)).sum() == 0
    assert count_pairs(np.full((1, 1), 3, np.uint8), np.full((1, 1), 9, np.uint8))[3, 9] == 1


def test_counts_are_exact_beyond_what_a_float32_holds(monkeypatch):
    monkeypatch.setattr(counting, "EXACT_IN_FLOAT32", 1000)
    rng = np.random.default_rng(0)
    target, labels = rng.integers(0, 34, (2, 70, 90)).astype(np.uint8)
    assert (count_pairs(target, labels) == plain(target, labels)).all()


def test_wrong_shapes_and_types_are_errors():
    one, other = np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        count_pairs(one, other)
    with pytest.raises(ValueError, match="int64"):
        count_pairs(one, one.astype(np.int64))
    with pytest.raises(ValueError, match="instances are"):
        count_frame(one, one, other.astype(np.uint16))
    with pytest.raises(ValueError, match="must be uint16"):
        count_frame(one, one, one)
