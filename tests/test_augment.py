"""Crops: image and target move together, and the same generator gives the same crop."""

import numpy as np
import pytest

from core.config import TrainingConfig
from core.data.augment import Augmentation, jitter_colors


def painted(height, width, seed=0):
    """A target of blocks and the image that shows its numbers: wherever both move together, image equals target."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 19, (-(-height // 8), -(-width // 8))).astype(np.uint8)
    target = blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    return np.repeat(target[:, :, None], 3, axis=2), target


def augmentation(crop=(32, 64), zoom=(1.0, 1.0), flip=True, color_jitter=0.0):
    return Augmentation(crop, zoom, flip, color_jitter)


@pytest.mark.parametrize("size", [(64, 128), (32, 64), (97, 161)])
def test_without_zoom_image_and_target_stay_pixel_for_pixel_together(size):
    image, target = painted(*size)
    for key in range(20):
        crop, crop_target = augmentation()(image, target, np.random.default_rng(key))
        assert crop.shape == (32, 64, 3) and crop_target.shape == (32, 64)
        assert (crop == crop_target[:, :, None]).all()


@pytest.mark.parametrize("size", [(64, 128), (97, 161), (20, 30), (20, 250), (250, 20)])
@pytest.mark.parametrize("zoom", [(0.25, 0.25), (0.5, 2.0), (4.0, 4.0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_with_zoom_they_stay_together_to_half_a_pixel(size, zoom, axis):
    # Target and image are the same ramp, one step a pixel: their difference is how far they have come apart, in pixels.
    target = np.indices(size)[axis].astype(np.uint8)
    image = np.repeat(target[:, :, None], 3, axis=2)
    apart = []
    for key in range(20):
        crop, crop_target = augmentation(zoom=zoom)(image, target, np.random.default_rng(key))
        assert crop.shape == (32, 64, 3) and crop_target.shape == (32, 64)
        assert crop.dtype == crop_target.dtype == np.uint8
        apart.append(crop[:, :, 0].astype(int) - crop_target)
    assert np.abs(apart).max() <= 1
    assert abs(np.mean(apart)) <= 0.5


def test_zoom_invents_no_numbers():
    image, target = painted(64, 128)
    target = np.where(target > 9, 255, 0).astype(np.uint8)
    for key in range(20):
        _, crop_target = augmentation(zoom=(0.25, 4.0))(image, target, np.random.default_rng(key))
        assert set(np.unique(crop_target)) <= {0, 255}


def test_both_are_mirrored_half_of_the_time():
    image, target = painted(32, 64)
    mirrored = 0
    for key in range(200):
        crop, crop_target = augmentation()(image, target, np.random.default_rng(key))
        assert (crop_target == target).all() or (crop_target == target[:, ::-1]).all()
        mirrored += int((crop_target == target[:, ::-1]).all())
    assert 70 < mirrored < 130
    crop, _ = augmentation(flip=False)(image, target, np.random.default_rng(0))
    assert (crop == image).all()


def test_the_same_generator_gives_the_same_crop_and_another_another():
    image, target = painted(64, 128)
    image = image * 10
    make = augmentation(zoom=(0.5, 2.0), color_jitter=0.4)
    first = make(image, target, np.random.default_rng((1, 2, 3)))
    make(image, target, np.random.default_rng((9, 9, 9)))
    again = make(image, target, np.random.default_rng((1, 2, 3)))
    other = make(image, target, np.random.default_rng((1, 2, 4)))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


def test_the_frame_itself_is_not_written_to():
    image, target = painted(64, 128)
    image.flags.writeable = target.flags.writeable = False
    augmentation(zoom=(0.5, 2.0), color_jitter=0.4)(image, target, np.random.default_rng(0))


@pytest.mark.parametrize("frame", [(32, 32), (1024, 32), (32, 2048), (1024, 2048)])
@pytest.mark.parametrize("crop", [(32, 32), (1024, 32), (32, 2048), (1024, 2048)])
def test_a_window_is_never_empty_and_never_leaves_the_frame(frame, crop):
    for zoom in (0.25, 1.0, 4.0):
        for key in range(5):
            window = augmentation(crop, (zoom, zoom)).window(frame, np.random.default_rng(key))
            top, left, height, width = window
            assert height > 0 and width > 0
            assert 0 <= top <= top + height <= frame[0]
            assert 0 <= left <= left + width <= frame[1]


def test_zoom_enlarges():
    rng = np.random.default_rng(0)
    assert augmentation((32, 64), (2.0, 2.0)).window((64, 128), rng)[2:] == (16, 32)
    assert augmentation((32, 64), (0.5, 0.5)).window((64, 128), rng) == (0, 0, 64, 128)


def test_jitter_changes_colours_within_bounds_and_nothing_at_zero():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert (jitter_colors(image, 0.0, np.random.default_rng(0)).astype(int) - image).__abs__().max() <= 1
    changed = jitter_colors(image, 0.3, np.random.default_rng(0))
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert (changed != image).mean() > 0.5


def test_the_config_fills_it():
    training = TrainingConfig(crop_height=96, crop_width=192, zoom_min=0.5, zoom_max=1.5, flip=False, color_jitter=0.1)
    assert Augmentation.from_config(training) == Augmentation((96, 192), (0.5, 1.5), False, 0.1)
