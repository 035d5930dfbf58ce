"""From frames to batches of tensors.

One loader serves a whole training: its sampler walks through all epochs, so that no epoch begins with a stall, and a
resumed run enters at any step. Items are keyed by (seed, epoch, frame), hence independent of who loads them and when.
"""

import math
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from core.config import CacheKind
from core.data.bands import resize, sensible_size
from core.data.cache import CachedFrames, build_cache, find_cache
from core.data.dataset import Dataset
from core.data.frames import Frame
from core.data.transforms import Augmentation
from core.errors import LabError
from core.progress import CountCallback

Key = tuple[int, int, int]
"""(epoch, index of the frame, how often this epoch has shown it before); epochs count from 1."""

MEMORY_BUDGET = 2 * 1024**3
"""Bytes of decoded frames that a training keeps: all 2975 of Cityscapes at 256x512 take 1.5e9."""


class Budget:
    """Bytes that several stores may keep between them."""

    def __init__(self, size: int = MEMORY_BUDGET) -> None:
        self.left = size

    def take(self, size: int) -> bool:
        """Take so many bytes out of it, or none where they aren't there."""
        if size > self.left:
            return False
        self.left -= size
        return True


class FrameStore:
    """Decoded frames, kept in memory up to a budget; past that they are decoded anew each time."""

    def __init__(self, dataset: Dataset, frames: Sequence[Frame], budget: Budget | None = None) -> None:
        self.frames = tuple(frames)
        self._dataset = dataset
        self._budget = budget or Budget()
        self._cached: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 (H, W, C) and target uint8 (H, W) of a frame. Not to be written to."""
        if index in self._cached:
            return self._cached[index]
        frame = self.frames[index]
        pair = self._dataset.image(frame), self._dataset.target(frame)
        if self._budget.take(pair[0].nbytes + pair[1].nbytes):
            self._cached[index] = pair
        return pair

    def __getstate__(self) -> dict[str, Any]:
        # A spawned process decodes faster than gigabytes go through a pipe.
        return self.__dict__ | {"_cached": {}}

    def share(self, processes: int) -> None:
        """Called in one of so many processes that keep frames of their own: together they stay within the budget."""
        self._budget.left //= processes


FrameSource = FrameStore | CachedFrames
"""Where decoded frames come from: `len`, `[index]` and `frames`."""


def open_frames(
    dataset: Dataset,
    frames: Sequence[Frame],
    kind: CacheKind = "off",
    progress: CountCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    budget: Budget | None = None,
) -> FrameSource:
    """Decoded frames, from the disk or in memory.

    Args:
        dataset: whose frames these are.
        frames: in the order of their numbers.
        kind: raw and jpeg build that cache first, where it isn't there; auto takes a raw one that is there; off takes
            none.
        progress: called with (frames done, frames in all) while a cache is built.
        should_stop: asked meanwhile; after a yes the frames come without a cache.
        budget: bytes to keep in memory without a cache, which other stores may share.

    Raises:
        LabError: there is no room for the cache, or a frame can't be read.
    """
    result = None
    if kind in ("raw", "jpeg"):
        result = build_cache(dataset, frames, kind, progress, should_stop)
    elif kind == "auto":
        result = find_cache(dataset, frames, "raw")
    return result or FrameStore(dataset, frames, budget)


class TrainingCrops(TorchDataset):
    """Augmented crops by key: image uint8 (3, h, w) and target uint8 (h, w)."""

    def __init__(self, store: FrameSource, augmentation: Augmentation, seed: int) -> None:
        self.store = store
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.store)

    @property
    def weights(self) -> tuple[float, ...]:
        """How often each frame is shown in an epoch."""
        return tuple(frame.weight for frame in self.store.frames)

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, index, repetition = key
        # A first showing has the numbers it had before there were repetitions: NumPy fills a short seed up with zeros.
        rng = np.random.default_rng((self.seed, epoch, index, repetition))
        image, target = self.augmentation.crop_of(self.store, index, rng)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(target)


class WholeFrames(TorchDataset):
    """Frames in order: image uint8 (3, h, w), at the size at which it is shown, and target uint8 (H, W)."""

    def __init__(self, store: FrameSource, shown_size: tuple[int, int] | None = None) -> None:
        self.store, self.shown_size = store, shown_size

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, target = self.store[index]
        if self.shown_size:
            image = resize(image, sensible_size(image.shape[:2], self.shown_size))
        image, target = (np.require(array, requirements="W") for array in (image, target))
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(target)


class KeyedBatches(Sampler[list[Key]]):
    """Keys of the batches of steps first_step+1 .. last_step.

    The items of all epochs stand in one long row, each epoch shuffled by (seed, epoch); a batch is the next
    `batch_size` of them and may reach over an epoch's end, so no frame is ever dropped.

    A frame of weight w is shown floor(w) times in every epoch, and of all frames of that weight a random part once
    more, as many as make their items round(w * frames).
    """

    def __init__(self, weights: Sequence[float], batch_size: int, seed: int, first_step: int, last_step: int) -> None:
        self.weights = tuple(weights)
        self.items = items_per_epoch(self.weights)
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step
        self.last_step = last_step

    def __len__(self) -> int:
        return self.last_step - self.first_step

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, keys = 0, []
        for step in range(self.first_step, self.last_step):
            batch = []
            for position in range(step * self.batch_size, (step + 1) * self.batch_size):
                if position // self.items + 1 != epoch:
                    epoch = position // self.items + 1
                    keys = self.epoch(epoch)
                batch.append(keys[position % self.items])
            yield batch

    def epoch(self, epoch: int) -> list[Key]:
        """Return all keys of an epoch (from 1), in order."""
        rng = np.random.default_rng((self.seed, epoch))
        weights = np.array(self.weights)
        whole = np.floor(weights).astype(np.int64)
        for weight, frames in Counter(self.weights).items():
            more = round(weight * frames) - math.floor(weight) * frames
            if more:
                whole[rng.choice(np.flatnonzero(weights == weight), more, replace=False)] += 1
        order = rng.permutation(np.repeat(np.arange(len(weights)), whole))
        shown: Counter[int] = Counter()
        keys = []
        for index in order.tolist():
            keys.append((epoch, index, shown[index]))
            shown[index] += 1
        return keys


class _Part(Sampler[list[Key]]):
    def __init__(self, batches: KeyedBatches, rank: int, size: int) -> None:
        self._batches, self._rank, self._size = batches, rank, size

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Key]]:
        return (keys[self._rank :: self._size] for keys in self._batches)


def part_of(batches: KeyedBatches, rank: int, size: int) -> Sampler[list[Key]]:
    """Of every batch the items that process number `rank` of `size` takes."""
    return batches if size == 1 else _Part(batches, rank, size)


def items_per_epoch(weights: Sequence[float]) -> int:
    """Return how many crops an epoch has: the sum of the weights, rounded for each group of equal ones, and the same in
    every epoch.

    Raises:
        LabError: the weights are so small that there is none.
    """
    items = sum(round(weight * frames) for weight, frames in Counter(weights).items())
    if not items:
        raise LabError(
            "An epoch would show no frame at all: the weights of the fine and the coarse frames are too small for so"
            " few. Raise one."
        )
    return items


def epoch_of_step(step: int, items: int, batch_size: int) -> int:
    """Return the epoch, from 1, of so many items each, in which a step (from 1) ends."""
    return (max(1, step) * batch_size - 1) // items + 1


def in_batches(frames: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return numbers of frames in their order, `batch_size` to a batch, the last one smaller."""
    return [list(frames[first : first + batch_size]) for first in range(0, len(frames), batch_size)]


def build_loader(
    items: TrainingCrops | WholeFrames,
    batches: Sampler[list[Key]] | list[list[int]],
    workers: int,
    pin_memory: bool = False,
) -> DataLoader:
    """Return a loader of batches: images uint8 (B, 3, h, w), targets uint8 (B, h, w).

    Args:
        items: crops, by key, or whole frames, by number.
        batches: which items form a batch.
        workers: loading processes; 0 loads in this one.
        pin_memory: for a CUDA device.
    """
    if workers:
        # A forked worker inherits OpenCV's pool without its threads, and would wait for them for ever.
        cv2.setNumThreads(1)
    # Without a generator of its own, iterating would draw from torch's global one and disturb what follows.
    generator = torch.Generator().manual_seed(0)
    options = {
        "num_workers": workers,
        "generator": generator,
        "pin_memory": pin_memory,
        "worker_init_fn": _settle_worker,
    }
    return DataLoader(items, batch_sampler=batches, **options)


def _settle_worker(_worker: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        # Torch has just made a loading process mortal again. In a cluster's job everyone is sent the signal, and the
        # trainer needs its frames until its checkpoint is written.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worker = get_worker_info()
    # A loader of crops and one of whole frames may be at work at once.
    worker.dataset.store.share(2 * worker.num_workers)
