"""Crops: image and target move together, and the same generator gives the same crop."""

from collections import Counter

import cv2
import numpy as np
import pytest

from core.config import TrainingConfig
from core.data.transforms import Augmentation, bend, find_rare_pixel, jitter_colors, paste_class, warp


def painted(height, width, seed=0):
    """A target of blocks and the image that shows its numbers: wherever both move together, image equals target."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 19, (-(-height // 8), -(-width // 8))).astype(np.uint8)
    target = blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    return np.repeat(target[:, :, None], 3, axis=2), target


def augmentation(crop=(32, 64), zoom=(1.0, 1.0), flip=True, color_jitter=0.0, **more):
    return Augmentation(crop, zoom, flip, color_jitter, **more)


def crop_of_the_first_runs(image, target, crop, zoom, rng):
    """What the lab did before crops could be turned, blurred or led to rare classes: the same draws in the same order."""
    (height, width), (frame_height, frame_width) = crop, target.shape
    factor = max(rng.uniform(*zoom), height / frame_height, width / frame_width)
    rows = min(frame_height, max(1, round(height / factor)))
    columns = min(frame_width, max(1, round(width / factor)))
    top = int(rng.integers(0, frame_height - rows + 1))
    left = int(rng.integers(0, frame_width - columns + 1))
    image, target = image[top : top + rows, left : left + columns], target[top : top + rows, left : left + columns]
    if (rows, columns) != crop:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        target = cv2.resize(target, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    if rng.random() < 0.5:
        image, target = image[:, ::-1], target[:, ::-1]
    return image, target


@pytest.mark.parametrize("zoom", [(1.0, 1.0), (0.5, 2.0), (1.0, 2.0)])
def test_without_what_is_new_crops_are_those_of_the_first_runs_bit_for_bit(zoom):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (97, 161, 3), dtype=np.uint8)
    target = rng.integers(0, 19, (97, 161), dtype=np.uint8)
    for key in range(30):
        result = augmentation(zoom=zoom)(image, target, np.random.default_rng(key))
        expected = crop_of_the_first_runs(image, target, (32, 64), zoom, np.random.default_rng(key))
        assert np.array_equal(result[0], expected[0]) and np.array_equal(result[1], expected[1])


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


def test_jitter_by_hand():
    image = np.full((2, 2, 3), (200, 100, 50), np.uint8)

    class Draws:
        def uniform(self, low, high, size):
            return np.array([0.9, 1.1, 0.5])

    bright = np.array([200, 100, 50]) * 0.9 * 1.1 + 128 - 128 * 1.1
    expected = 0.5 * bright + 0.5 * (bright @ [0.299, 0.587, 0.114])
    assert np.abs(jitter_colors(image, 0.5, Draws())[0, 0] - expected).max() <= 1


def test_jitter_changes_colours_within_bounds_and_nothing_at_zero():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert (jitter_colors(image, 0.0, np.random.default_rng(0)).astype(int) - image).__abs__().max() <= 1
    changed = jitter_colors(image, 0.3, np.random.default_rng(0))
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert (changed != image).mean() > 0.5


def test_the_config_fills_it():
    training = TrainingConfig(
        crop_height=96, crop_width=192, scale_min=0.5, scale_max=1.5, flip=False, color_jitter=0.1
    )
    assert Augmentation.from_config(training) == Augmentation((96, 192), (0.5, 1.5), False, 0.1)
    more = TrainingConfig(
        rotation=10, blur=0.2, rare_crops=0.5, vertical_flip=True, rotate90=True, elastic=3, copy_paste=0.4
    )
    result = Augmentation.from_config(more, np.array([0.75, 0.25]))
    assert (result.rotation, result.blur, result.rare_crops, result.copy_paste) == (10, 0.2, 0.5, 0.4)
    assert result.class_shares == (0.75, 0.25)


@pytest.mark.parametrize("size", [(64, 128), (97, 161), (40, 250)])
@pytest.mark.parametrize("zoom", [(0.5, 2.0), (1.0, 1.0), (4.0, 4.0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_turned_they_stay_together_to_half_a_pixel(size, zoom, axis):
    target = np.indices(size)[axis].astype(np.uint8)
    image = np.repeat(target[:, :, None], 3, axis=2)
    apart, outside = [], 0
    for key in range(20):
        turned, turned_target = augmentation(zoom=zoom, rotation=45)(image, target, np.random.default_rng(key))
        assert turned.shape == (32, 64, 3) and turned_target.shape == (32, 64)
        assert turned.dtype == turned_target.dtype == np.uint8
        inside = turned_target != 255
        outside += int((~inside).sum())
        apart.append((turned[:, :, 0].astype(int) - turned_target)[inside])
    apart = np.concatenate(apart)
    assert np.abs(apart).max() <= 1
    assert abs(np.mean(apart)) <= 0.5
    assert outside > 0 or zoom == (4.0, 4.0)


def test_turned_crops_lie_where_their_corners_say():
    # Red tells the column, green the row: a crop's pixel says where in the frame it was taken.
    rows, columns = np.indices((200, 250)).astype(np.uint8)
    image = np.stack([columns, rows, rows], axis=2)
    target = np.zeros((200, 250), np.uint8)
    make = augmentation(zoom=(0.8, 1.6), rotation=30, flip=False)
    compared = 0
    for key in range(20):
        turned, turned_target = make(image, target, np.random.default_rng(key))
        corners = make.corners((200, 250), target, np.random.default_rng(key))
        assert corners.shape == (4, 2)
        for corner, row, column in zip(corners, (0, 0, -1, -1), (0, -1, -1, 0), strict=True):
            if turned_target[row, column] != 255 and (corner > 2).all() and (corner < (248, 198)).all():
                # The middle of the outermost pixel lies half a pixel, at most 0.9 of the frame's, inside of the corner.
                assert np.abs(turned[row, column, :2] + 0.5 - corner).max() <= 1.6
                compared += 1
        sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
        assert sides[0] == pytest.approx(sides[2]) and sides[1] == pytest.approx(sides[3])
        assert sides[0] / sides[1] == pytest.approx(2, rel=0.1)
    assert compared > 40


def test_the_corners_of_a_crop_that_is_not_turned_are_its_window():
    make = augmentation(zoom=(0.5, 2.0))
    for key in range(10):
        top, left, height, width = make.window((64, 128), np.random.default_rng(key))
        corners = make.corners((64, 128), None, np.random.default_rng(key))
        expected = [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]
        assert corners == pytest.approx(np.array(expected))


def test_beyond_the_frame_the_image_is_mirrored_and_the_target_ignored():
    image = np.full((64, 128, 3), 200, np.uint8)
    target = np.full((64, 128), 3, np.uint8)
    beyond = 0
    for key in range(20):
        make = augmentation(crop=(64, 128), rotation=45)
        turned, turned_target = make(image, target, np.random.default_rng(key))
        assert (turned == 200).all(), "no black wedges"
        assert set(np.unique(turned_target)) <= {3, 255}
        beyond += int((turned_target == 255).sum())
    assert beyond > 0


def test_the_part_that_is_turned_does_as_well_as_the_whole_frame():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (120, 240, 3), dtype=np.uint8)
    target = rng.integers(0, 19, (120, 240), dtype=np.uint8)
    size, crop, angle = (240, 120), (32, 64), 25.0
    for window in [(0, 0, 32, 64), (88, 176, 32, 64), (40, 90, 48, 96), (0, 0, 120, 240)]:
        turned, turned_target = warp(image, target, window, crop, angle, False)
        top, left, height, width = window
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        matrix = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([width / crop[1], height / crop[0]])
        shift = [left + (width - 1) / 2, top + (height - 1) / 2] - matrix @ [(crop[1] - 1) / 2, (crop[0] - 1) / 2]
        mapping = np.column_stack([matrix, shift])
        flags = cv2.WARP_INVERSE_MAP
        plain = cv2.warpAffine(
            image, mapping, crop[::-1], flags=flags | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        plain_target = cv2.warpAffine(target, mapping, crop[::-1], flags=flags, borderValue=255)
        assert np.abs(plain.astype(int) - turned).max() <= 2, (window, size)
        assert (plain_target != turned_target).mean() < 0.01


def test_a_share_of_the_crops_is_blurred_and_targets_never():
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    target = np.random.default_rng(0).integers(0, 19, (32, 64), dtype=np.uint8)
    blurred = 0
    for key in range(200):
        crop, crop_target = augmentation(flip=False, blur=0.3)(image, target, np.random.default_rng(key))
        assert (crop_target == target).all()
        assert crop.std() <= image.std()
        blurred += int((crop != image).any())
    assert 35 < blurred < 85


def test_blur_changes_nothing_else_of_a_crop():
    image, target = painted(64, 128)
    for key in range(20):
        plain = augmentation(zoom=(0.5, 2.0), rotation=10)(image, target, np.random.default_rng(key))
        soft = augmentation(zoom=(0.5, 2.0), rotation=10, blur=1.0)(image, target, np.random.default_rng(key))
        assert (plain[1] == soft[1]).all()


def street(rare_at=(40, 200)):
    """A target of two common classes, and a third in a few pixels."""
    target = np.zeros((128, 256), np.uint8)
    target[:, 128:] = 1
    row, column = rare_at
    target[row : row + 10, column : column + 10] = 2
    return target


def test_rare_crops_are_centred_on_a_pixel_of_a_class():
    target = street()
    make = augmentation(rare_crops=1.0, class_shares=(0.5, 0.49, 1e-9))
    for key in range(50):
        top, left, height, width = make.window(target.shape, np.random.default_rng(key), target)
        assert 40 <= top + height // 2 < 50 and 200 <= left + width // 2 < 210
        _, crop_target = make(np.zeros((128, 256, 3), np.uint8), target, np.random.default_rng(key))
        assert crop_target[16, 32] == 2 or crop_target[16, 31] == 2, "mirrored or not"


def test_a_class_of_half_the_share_is_chosen_twice_as_often():
    target = street()
    shares = (0.6, 0.3, 0.1)
    rng = np.random.default_rng(0)
    chosen = np.bincount([target[find_rare_pixel(target, shares, rng)] for _ in range(3000)], minlength=3) / 3000
    expected = 1 / np.array(shares) / (1 / np.array(shares)).sum()
    assert chosen == pytest.approx(expected, abs=0.03)
    alike = np.bincount([target[find_rare_pixel(target, (), rng)] for _ in range(3000)], minlength=3) / 3000
    assert alike == pytest.approx([1 / 3] * 3, abs=0.03)


def test_rare_crops_are_a_share_of_all_and_the_rest_is_as_it_was():
    target = street()
    led = 0
    for key in range(200):
        plain = augmentation().window(target.shape, np.random.default_rng(key), target)
        some = augmentation(rare_crops=0.3).window(target.shape, np.random.default_rng(key), target)
        led += int(plain != some)
    assert 35 < led < 85


def test_a_class_is_pasted_where_it_stood_and_nothing_else_is_touched():
    rng = np.random.default_rng(0)
    target, other = np.zeros((64, 128), np.uint8), street()[:64, 128:256]
    image, photo = (rng.integers(0, 255, (64, 128, 3), np.uint8) for _ in range(2))
    before = image.copy()
    paste_class((image, target), (photo, other), (0.5, 0.49, 1e-9), rng)
    pasted = other == 2
    assert pasted.any() and (target == np.where(pasted, 2, 0)).all()
    assert (image == np.where(pasted[..., None], photo, before)).all()
    blank = np.full_like(other, 255)
    paste_class((image, target), (photo, blank), (), rng)
    assert (target == np.where(pasted, 2, 0)).all(), "a crop without labels gives nothing"


def test_a_frame_that_is_kept_is_never_pasted_into():
    frames = [(np.zeros((32, 64, 3), np.uint8), np.zeros((32, 64), np.uint8)) for _ in range(2)]
    frames[1][1][:] = 1
    whole = Augmentation((32, 64), (1.0, 1.0), flip=False, color_jitter=0, copy_paste=1.0)
    pasted = [whole.crop_of(frames, 0, np.random.default_rng(key))[1].any() for key in range(8)]
    assert any(pasted) and not frames[0][1].any() and frames[1][1].all()


def test_where_nothing_is_labelled_a_rare_crop_is_any():
    target = np.full((64, 128), 255, np.uint8)
    assert find_rare_pixel(target, (), np.random.default_rng(0)) is None
    window = augmentation(rare_crops=1.0).window((64, 128), np.random.default_rng(0), target)
    assert window == augmentation().window((64, 128), np.random.default_rng(0))


def test_a_class_that_the_counting_missed_is_found_all_the_same():
    target = street()
    result = [target[find_rare_pixel(target, (0.5, 0.5, 0.0), np.random.default_rng(key))] for key in range(20)]
    assert set(result) == {2}


def test_crops_are_mirrored_top_to_bottom_half_of_the_time():
    image, target = painted(32, 64)
    make = augmentation(flip=False, vertical_flip=True)
    crops = [make(image, target, np.random.default_rng(key)) for key in range(200)]
    flipped = [np.array_equal(crop, image[::-1]) for crop, _ in crops]
    assert 70 < sum(flipped) < 130
    assert all(was or np.array_equal(crop, image) for was, (crop, _) in zip(flipped, crops, strict=True))
    assert all((crop == mask[:, :, None]).all() for crop, mask in crops)


def test_crops_are_turned_by_quarters_each_as_often_whatever_their_shape():
    image, target = painted(96, 160)
    make = augmentation(flip=False, rotate90=True)
    seen = Counter()
    for key in range(200):
        crop, mask = make(image, target, np.random.default_rng(key))
        assert crop.shape == (32, 64, 3) and (crop == mask[:, :, None]).all()
        corners = make.corners(target.shape, target, np.random.default_rng(key)).round().astype(int)
        (left, top), (right, bottom) = corners[0], corners[2]
        turns = [turn for turn in range(4) if np.array_equal(np.rot90(target[top:bottom, left:right], turn), mask)]
        seen.update(turns)
    assert set(seen) == {0, 1, 2, 3} and min(seen.values()) > 30


def test_bent_crops_stay_together_to_a_pixel_and_leave_nothing_invented():
    image, target = painted(64, 96)
    bent, mask = bend(image, target, 6, np.random.default_rng(0))
    assert bent.shape == image.shape and bent.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {*np.unique(target), 255}
    known = mask < 255
    assert known.mean() > 0.7 and (mask != target).mean() > 0.2, "it is bent"
    # Inside of a block, where no interpolation mixes two, the image shows the target's number.
    assert (bent[known][:, 0] == mask[known]).mean() > 0.6
    one, two = (bend(image, target, 6, np.random.default_rng(3))[0] for _ in range(2))
    assert np.array_equal(one, two)


def test_displacements_are_as_large_as_asked():
    """Of a ramp, whose numbers say where each pixel came from."""
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    moved = []
    for key in range(60):
        _, mask = bend(np.zeros((200, 200, 3), np.uint8), ramp, 8, np.random.default_rng(key))
        moved.append(float(mask[100, 100]) - 100)
    assert 5 < np.std(moved) < 11 and abs(np.mean(moved)) < 4
