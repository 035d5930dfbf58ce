"""Batches: every item follows from its key, every epoch shows what its weights say, a resumed row is the tail of the whole one."""

import multiprocessing
import signal
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from core.config import DatasetConfig
from core.data.cache import CachedFrames, build_cache
from core.data.dataset import open_dataset
from core.data.loaders import (
    Budget,
    FrameStore,
    KeyedBatches,
    TrainingCrops,
    WholeFrames,
    build_loader,
    epoch_of_step,
    in_batches,
    items_per_epoch,
    open_frames,
)
from core.data.transforms import Augmentation
from core.errors import LabError


@pytest.fixture
def dataset(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    return open_dataset(DatasetConfig(height=64, width=128))


@pytest.fixture
def crops(dataset):
    return TrainingCrops(FrameStore(dataset, dataset.train), Augmentation((32, 64), (0.5, 2.0), True, 0.3), seed=5)


@pytest.mark.parametrize(("frames", "batch_size"), [(8, 2), (7, 3), (3, 8), (1, 4), (5, 5)])
def test_every_epoch_is_a_permutation_of_all_frames(frames, batch_size):
    steps = -(-frames * 6 // batch_size)
    keys = [key for batch in KeyedBatches([1.0] * frames, batch_size, 0, 0, steps) for key in batch]
    orders = []
    for epoch in range(1, 7):
        order = [index for in_epoch, index, _ in keys if in_epoch == epoch]
        assert sorted(order) == list(range(frames))
        orders.append(order)
    assert [key[0] for key in keys] == sorted(key[0] for key in keys)
    assert {key[2] for key in keys} == {0}
    if frames >= 7:
        assert len({tuple(order) for order in orders}) == 6, "each epoch has an order of its own"


def test_without_weights_the_order_is_that_of_the_first_runs():
    keys = [key for batch in KeyedBatches([1.0] * 40, 8, 3, 0, 15) for key in batch]
    expected = [
        (epoch, int(index), 0) for epoch in (1, 2, 3) for index in np.random.default_rng((3, epoch)).permutation(40)
    ]
    assert keys == expected


MIXTURE = [1.0] * 7 + [0.25] * 10 + [2.0] * 3 + [1.5] * 5
"""7 + 2 (2.5 rounded to even) + 6 + 8 (7.5) items."""


@pytest.mark.parametrize("seed", [0, 1])
def test_weights_say_how_often_a_frame_is_shown(seed):
    batches = KeyedBatches(MIXTURE, 4, seed, 0, 1)
    assert items_per_epoch(MIXTURE) == batches.items == 23
    totals = Counter()
    for epoch in range(1, 201):
        shown = Counter(index for _, index, _ in batches.epoch(epoch))
        assert sum(shown.values()) == 23
        assert all(shown[index] == 1 for index in range(7))
        assert sum(shown[index] for index in range(7, 17)) == 2 and max(shown[index] for index in range(7, 17)) == 1
        assert all(shown[index] == 2 for index in range(17, 20))
        assert sorted(shown[index] for index in range(20, 25)) == [1, 1, 2, 2, 2]
        totals += shown
    assert all(20 <= totals[index] <= 65 for index in range(7, 17)), "the random part is another in every epoch"
    assert all(290 <= totals[index] <= 350 for index in range(20, 25))


def test_repetitions_are_counted_and_mixed_with_the_rest():
    keys = KeyedBatches(MIXTURE, 4, 0, 0, 1).epoch(1)
    assert len(set(keys)) == len(keys)
    for index in range(25):
        times = [repetition for _, shown, repetition in keys if shown == index]
        assert times == list(range(len(times)))
    assert KeyedBatches(MIXTURE, 4, 0, 0, 1).epoch(1) == keys
    assert [index for _, index, _ in keys] != sorted(index for _, index, _ in keys)


def test_weights_that_show_nothing_are_refused_in_words():
    with pytest.raises(LabError, match="would show no frame at all"):
        items_per_epoch([0.1] * 4)


@pytest.mark.parametrize("weights", [[1.0] * 8, [1.0] * 7, [1.0] * 3, MIXTURE])
@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_from_step_k_on_is_the_tail_of_the_whole(weights, batch_size):
    whole = list(KeyedBatches(weights, batch_size, 7, 0, 20))
    assert len(whole) == len(KeyedBatches(weights, batch_size, 7, 0, 20)) == 20
    for first in range(21):
        tail = KeyedBatches(weights, batch_size, 7, first, 20)
        assert list(tail) == whole[first:]
        assert len(tail) == 20 - first


def test_another_seed_is_another_order():
    assert list(KeyedBatches([1.0] * 50, 5, 0, 0, 10)) != list(KeyedBatches([1.0] * 50, 5, 1, 0, 10))


@pytest.mark.parametrize("weights", [[1.0] * 7, MIXTURE])
def test_the_epoch_of_a_step_is_that_of_its_last_frame(weights):
    items = items_per_epoch(weights)
    for step, batch in enumerate(KeyedBatches(weights, 3, 0, 0, 20), start=1):
        assert epoch_of_step(step, items=items, batch_size=3) == batch[-1][0]
    assert epoch_of_step(0, items=items, batch_size=3) == 1


def test_a_key_gives_the_same_crop_whatever_came_before(crops, dataset):
    keys = [(1, 3, 0), (2, 3, 0), (1, 0, 0), (1, 3, 1)]
    forwards = [crops[key] for key in keys]
    fresh = TrainingCrops(FrameStore(dataset, dataset.train, Budget(0)), crops.augmentation, seed=5)
    backwards = [fresh[key] for key in reversed(keys)][::-1]
    for (image, target), (image_again, target_again) in zip(forwards, backwards, strict=True):
        assert torch.equal(image, image_again) and torch.equal(target, target_again)
        assert image.shape == (3, 32, 64) and target.shape == (32, 64)
        assert image.dtype == target.dtype == torch.uint8
    assert not torch.equal(forwards[0][0], forwards[1][0]), "another epoch is another crop"
    assert not torch.equal(forwards[0][0], forwards[3][0]), "and so is a second showing in the same epoch"


def test_a_first_showing_is_the_crop_of_the_first_runs(crops, dataset):
    image, target = crops[4, 2, 0]
    rng = np.random.default_rng((5, 4, 2))
    expected = crops.augmentation(dataset.image(dataset.train[2]), dataset.target(dataset.train[2]), rng)
    assert np.array_equal(image.permute(1, 2, 0), expected[0]) and np.array_equal(target, expected[1])


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
    batches = KeyedBatches(crops.weights, 3, 5, 1, 5)
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
    loader = build_loader(WholeFrames(store), in_batches(range(len(store)), 3), workers=0)
    images = torch.cat([images for images, _ in loader])
    targets = torch.cat([targets for _, targets in loader])
    assert [len(images) for images, _ in loader] == [3, 1]
    for index, frame in enumerate(dataset.val):
        assert np.array_equal(images[index].permute(1, 2, 0).numpy(), dataset.image(frame))
        assert np.array_equal(targets[index].numpy(), dataset.target(frame))


def test_frames_smaller_than_the_crop_are_enlarged(dataset):
    crops = TrainingCrops(FrameStore(dataset, dataset.train), Augmentation((100, 300), (1.0, 2.0), True, 0.3), seed=0)
    images, targets = next(iter(build_loader(crops, KeyedBatches(crops.weights, 4, 0, 0, 1), workers=0)))
    assert images.shape == (4, 3, 100, 300) and targets.shape == (4, 100, 300)


ONE = 64 * 128 * 4
"""Bytes of a decoded frame."""


def remaining(store):
    pairs = [store[index] for index in range(len(store))]
    return [index for index in range(len(store)) if store[index] is pairs[index]]


def test_the_store_keeps_no_more_than_its_budget(dataset):
    store = FrameStore(dataset, dataset.train, Budget(2 * ONE + 1))
    assert remaining(store) == [0, 1]
    assert np.array_equal(store[7][0], dataset.image(dataset.train[7]))


def test_two_stores_share_a_budget_and_workers_each_have_a_part_of_it(dataset):
    budget = Budget(10 * ONE)
    train, val = (FrameStore(dataset, frames, budget) for frames in (dataset.train, dataset.val))
    assert remaining(train) == list(range(8)) and remaining(val) == [0, 1]
    worker = FrameStore(dataset, dataset.train, Budget(10 * ONE))
    worker.share(4)
    assert remaining(worker) == [0, 1]


class Asked(WholeFrames):
    """Gives what is left of the budget instead of a frame."""

    def __getitem__(self, index):
        return self.store._budget.left


def test_loading_processes_divide_the_budget(dataset, alarm):
    budget = Budget(1000)
    store = FrameStore(dataset, dataset.val, budget)
    left = torch.cat(list(build_loader(Asked(store), in_batches(range(4), 2), workers=2)))
    assert left.tolist() == [250] * 4, "two of these processes, and two of another loader"
    assert budget.left == 1000


def test_the_source_of_frames_follows_the_setting(dataset):
    assert isinstance(open_frames(dataset, dataset.train, "off"), FrameStore)
    assert isinstance(open_frames(dataset, dataset.train, "auto"), FrameStore), "auto builds nothing"
    reports = []
    built = open_frames(dataset, dataset.train, "raw", lambda *facts: reports.append(facts))
    assert isinstance(built, CachedFrames) and reports[-1] == (8, 8)
    result = open_frames(dataset, dataset.train, "auto")
    assert isinstance(result, CachedFrames) and result.kind == "raw"
    assert open_frames(dataset, dataset.train, "jpeg").kind == "jpeg"
    assert isinstance(open_frames(dataset, dataset.train, "off"), FrameStore)
    assert isinstance(open_frames(dataset, dataset.val, "raw", should_stop=lambda: True), FrameStore)


EVERYTHING = Augmentation(
    (32, 64),
    (0.5, 2.0),
    True,
    0.3,
    vertical_flip=True,
    rotate90=True,
    rotation=10,
    elastic=4,
    blur=0.5,
    rare_crops=0.5,
    copy_paste=0.5,
)


def bytes_of(crops, keys):
    return [tuple(tensor.numpy().tobytes() for tensor in crops[key]) for key in keys]


def respond(crops, keys, responses):
    """In a process of its own."""
    responses.put(bytes_of(crops, keys))


@pytest.mark.parametrize("source", ["store", "raw"])
def test_a_spawned_process_makes_the_same_crops(dataset, source):
    store = open_frames(dataset, dataset.train, "raw" if source == "raw" else "off")
    crops = TrainingCrops(store, EVERYTHING, seed=5)
    keys = [(1, 3, 0), (2, 3, 1), (1, 0, 0)]
    here = bytes_of(crops, keys)
    context = multiprocessing.get_context("spawn")
    responses = context.Queue()
    process = context.Process(target=respond, args=(crops, keys[::-1], responses))
    process.start()
    assert responses.get(timeout=60) == here[::-1]
    process.join(60)


@pytest.mark.parametrize("workers", [0, 2])
def test_cached_frames_make_the_same_batches(dataset, workers, alarm, recwarn):
    cached = build_cache(dataset, dataset.train, "raw")
    batches = KeyedBatches([1.0] * 8, 3, 5, 0, 4)
    decoded = build_loader(TrainingCrops(FrameStore(dataset, dataset.train), EVERYTHING, 5), batches, 0)
    from_disk = build_loader(TrainingCrops(cached, EVERYTHING, 5), batches, workers)
    for one, two in zip(decoded, from_disk, strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    whole = zip(
        build_loader(WholeFrames(FrameStore(dataset, dataset.train)), in_batches(range(8), 3), 0),
        build_loader(WholeFrames(cached), in_batches(range(8), 3), workers),
        strict=True,
    )
    assert all(torch.equal(one[0], two[0]) and torch.equal(one[1], two[1]) for one, two in whole)
    untouched = TrainingCrops(cached, Augmentation((64, 128), (1.0, 1.0), False, 0.0), 5)[1, 0, 0]
    untouched[0].zero_()
    assert cached[0][0].any(), "a crop that is the whole frame is a copy"
    assert not [str(warning.message) for warning in recwarn if "writ" in str(warning.message)]


def test_crops_know_the_weights_of_their_frames(dataset):
    frames = [replace(frame, weight=0.5 + index) for index, frame in enumerate(dataset.train[:3])]
    assert TrainingCrops(FrameStore(dataset, frames), EVERYTHING, 0).weights == (0.5, 1.5, 2.5)
