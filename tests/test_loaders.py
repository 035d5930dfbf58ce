"""Batches: every item follows from its key, every epoch is a permutation, a resumed row is the tail of the whole one."""

import signal

import cv2
import numpy as np
import pytest
import torch

from core.config import DatasetConfig
from core.data.augment import Augmentation
from core.data.dataset import open_dataset
from core.data.loaders import FrameStore, KeyedBatches, TrainingCrops, WholeFrames, build_loader, epoch_of_step


@pytest.fixture
def dataset(places):
    return open_dataset(DatasetConfig(height=64, width=128))


@pytest.fixture
def crops(dataset):
    return TrainingCrops(FrameStore(dataset, dataset.train), Augmentation((32, 64), (0.5, 2.0), True, 0.3), seed=5)


@pytest.mark.parametrize(("frames", "batch_size"), [(8, 2), (7, 3), (3, 8), (1, 4), (5, 5)])
def test_every_epoch_is_a_permutation_of_all_frames(frames, batch_size):
    steps = -(-frames * 6 // batch_size)
    keys = [key for batch in KeyedBatches(frames, batch_size, 0, 0, steps) for key in batch]
    orders = []
    for epoch in range(1, 7):
        order = [index for in_epoch, index in keys if in_epoch == epoch]
        assert sorted(order) == list(range(frames))
        orders.append(order)
    assert [key[0] for key in keys] == sorted(key[0] for key in keys)
    if frames >= 7:
        assert len({tuple(order) for order in orders}) == 6, "each epoch has an order of its own"


@pytest.mark.parametrize(("frames", "batch_size"), [(8, 2), (7, 3), (3, 8)])
def test_from_step_k_on_is_the_tail_of_the_whole(frames, batch_size):
    whole = list(KeyedBatches(frames, batch_size, 7, 0, 20))
    assert len(whole) == len(KeyedBatches(frames, batch_size, 7, 0, 20)) == 20
    for first in range(21):
        tail = KeyedBatches(frames, batch_size, 7, first, 20)
        assert list(tail) == whole[first:]
        assert len(tail) == 20 - first


def test_another_seed_is_another_order():
    assert list(KeyedBatches(50, 5, 0, 0, 10)) != list(KeyedBatches(50, 5, 1, 0, 10))


def test_the_epoch_of_a_step_is_that_of_its_last_frame():
    for step, batch in enumerate(KeyedBatches(7, 3, 0, 0, 20), start=1):
        assert epoch_of_step(step, frames=7, batch_size=3) == batch[-1][0]
    assert epoch_of_step(0, frames=7, batch_size=3) == 1


def test_a_key_gives_the_same_crop_whatever_came_before(crops, dataset):
    keys = [(1, 3), (2, 3), (1, 0)]
    forwards = [crops[key] for key in keys]
    fresh = TrainingCrops(FrameStore(dataset, dataset.train, budget=0), crops.augmentation, seed=5)
    backwards = [fresh[key] for key in reversed(keys)][::-1]
    for (image, target), (image_again, target_again) in zip(forwards, backwards, strict=True):
        assert torch.equal(image, image_again) and torch.equal(target, target_again)
        assert image.shape == (3, 32, 64) and target.shape == (32, 64)
        assert image.dtype == target.dtype == torch.uint8
    assert not torch.equal(forwards[0][0], forwards[1][0]), "another epoch is another crop"


@pytest.fixture
def alarm():
    """Ends a test that hangs."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("this hangs"))
    signal.alarm(60)
    yield
    signal.alarm(0)


def test_workers_change_nothing_and_neither_does_torchs_generator(crops, alarm):
    cv2.setNumThreads(2)  # wakes OpenCV's pool of threads, which no forked process survives
    cv2.resize(np.zeros((1024, 2048, 3), np.uint8), (512, 256), interpolation=cv2.INTER_AREA)
    batches = KeyedBatches(8, 3, 5, 1, 5)
    alone = list(build_loader(crops, batches, workers=0))
    torch.manual_seed(99)
    state = torch.get_rng_state()
    helped = list(build_loader(crops, batches, workers=2))
    assert torch.equal(torch.get_rng_state(), state), "loading draws nothing from the global generator"
    assert len(alone) == len(helped) == 4
    for one, two in zip(alone, helped, strict=True):
        assert one[0].shape == (3, 3, 32, 64)
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])


def test_whole_frames_come_once_in_order_and_untouched(dataset):
    store = FrameStore(dataset, dataset.val)
    loader = build_loader(WholeFrames(store), 3, workers=0)
    images = torch.cat([images for images, _ in loader])
    targets = torch.cat([targets for _, targets in loader])
    assert [len(images) for images, _ in loader] == [3, 1]
    for number, frame in enumerate(dataset.val):
        assert np.array_equal(images[number].permute(1, 2, 0).numpy(), dataset.image(frame))
        assert np.array_equal(targets[number].numpy(), dataset.target(frame))


def test_frames_smaller_than_the_crop_are_enlarged(dataset):
    crops = TrainingCrops(FrameStore(dataset, dataset.train), Augmentation((100, 300), (1.0, 2.0), True, 0.3), seed=0)
    images, targets = next(iter(build_loader(crops, KeyedBatches(8, 4, 0, 0, 1), workers=0)))
    assert images.shape == (4, 3, 100, 300) and targets.shape == (4, 100, 300)


def test_the_store_keeps_no_more_than_its_budget(dataset):
    one = 64 * 128 * 4
    store = FrameStore(dataset, dataset.train, budget=2 * one + 1)
    pairs = [store[index] for index in range(8)]
    kept = [index for index in range(8) if store[index] is pairs[index]]
    assert kept == [0, 1]
    assert all(np.array_equal(store[7][part], pairs[7][part]) for part in (0, 1))
