"""Superpixels: every pixel is in one, they follow edges better than squares do, and neighbours bear other numbers."""

import cv2
import numpy as np
import pytest

from benchmarks.labelling import pieces_of
from core.labelling.superpixels import COUNT, MAX_PIXELS, find_superpixels
from core.synthetic import draw_scene


def achievable(pieces: np.ndarray, target: np.ndarray) -> float:
    """The share of labelled pixels that are right where each piece has the class that most of it has, 0..1."""
    counts = np.zeros((pieces.max() + 1, 256), np.int64)
    np.add.at(counts, (pieces.ravel(), target.ravel()), 1)
    counts[:, 255] = 0
    return counts.max(axis=1).sum() / (target != 255).sum()


@pytest.mark.parametrize("seed", range(3))
def test_they_follow_what_is_drawn_better_than_squares_of_their_size(seed):
    scene = draw_scene(seed, 0, size=(128, 256))
    pieces = pieces_of(find_superpixels(scene.image))
    rows, columns = np.mgrid[:128, :256]
    side = int((pieces.size / pieces.max()) ** 0.5)  # no larger than theirs
    squares = rows // side * 1000 + columns // side
    labels = cv2.resize(scene.label_ids, (256, 128), interpolation=cv2.INTER_NEAREST)
    assert 0.8 * COUNT < pieces.max() + 1 < 1.3 * COUNT
    assert 1 - achievable(pieces, labels) < 0.9 * (1 - achievable(squares, labels))


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2), (37, 411)])
def test_every_pixel_is_in_one(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    numbers = find_superpixels(image)
    assert numbers.shape == size and numbers.dtype == np.uint8 and numbers.max() < 251
    assert np.array_equal(numbers, find_superpixels(image))


def test_a_plain_picture_has_squares_and_neighbours_bear_other_numbers():
    numbers = find_superpixels(np.full((300, 300, 3), 128, np.uint8))
    pieces = pieces_of(numbers)
    sizes = np.bincount(pieces.ravel())
    assert sizes.max() < 4 * np.median(sizes), "no two have run into one"


def test_a_large_picture_has_a_smaller_map():
    numbers = find_superpixels(np.zeros((1500, 3000, 3), np.uint8))
    assert MAX_PIXELS * 0.99 < numbers.size <= MAX_PIXELS and numbers.shape[1] / numbers.shape[0] == pytest.approx(
        2, 0.01
    )
