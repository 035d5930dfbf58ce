"""From frames to batches of tensors.

One loader serves a whole training: its sampler walks through all epochs, so that no epoch begins with a stall, and a
resumed run enters at any step. Items are keyed by (seed, epoch, frame), hence independent of who loads them and when.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from core.data.augment import Augmentation
from core.data.frames import Frame
from core.data.dataset import Dataset

Key = tuple[int, int]
"""(epoch, index of the frame); epochs count from 1."""

MEMORY_BUDGET = 2 * 1024**3
"""Bytes of decoded frames that one process keeps: all 2975 of Cityscapes at 256x512 take 1.5e9."""


class FrameStore:
    """Decoded frames, kept in memory up to a budget; past that they are decoded anew each time."""

    def __init__(self, dataset: Dataset, frames: Sequence[Frame], budget: int = MEMORY_BUDGET) -> None:
        self.frames = tuple(frames)
        self._dataset = dataset
        self._budget = budget
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 (H, W, 3) and target uint8 (H, W) of a frame. Not to be written to."""
        if index in self._kept:
            return self._kept[index]
        frame = self.frames[index]
        pair = self._dataset.image(frame), self._dataset.target(frame)
        size = pair[0].nbytes + pair[1].nbytes
        if size <= self._budget:
            self._budget -= size
            self._kept[index] = pair
        return pair


class TrainingCrops(TorchDataset):
    """Augmented crops by key: image uint8 (3, h, w) and target uint8 (h, w)."""

    def __init__(self, store: FrameStore, augmentation: Augmentation, seed: int) -> None:
        self.store = store
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        image, target = self.augmentation(*self.store[index], rng)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(target)


class WholeFrames(TorchDataset):
    """Frames as they are, in order: image uint8 (3, H, W) and target uint8 (H, W)."""

    def __init__(self, store: FrameStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, target = self.store[index]
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(target)


class KeyedBatches(Sampler[list[Key]]):
    """Keys of the batches of steps first_step+1 .. last_step.

    The frames of all epochs stand in one long row, each epoch shuffled by (seed, epoch); a batch is the next
    `batch_size` of them and may reach over an epoch's end, so no frame is ever dropped.
    """

    def __init__(self, frames: int, batch_size: int, seed: int, first_step: int, last_step: int) -> None:
        self.frames = frames
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step
        self.last_step = last_step

    def __len__(self) -> int:
        return self.last_step - self.first_step

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, order = 0, np.empty(0, np.int64)
        for step in range(self.first_step, self.last_step):
            keys = []
            for position in range(step * self.batch_size, (step + 1) * self.batch_size):
                if position // self.frames + 1 != epoch:
                    epoch = position // self.frames + 1
                    order = np.random.default_rng((self.seed, epoch)).permutation(self.frames)
                keys.append((epoch, int(order[position % self.frames])))
            yield keys


def epoch_of_step(step: int, frames: int, batch_size: int) -> int:
    """The epoch, from 1, in which a step (from 1) ends."""
    return (max(1, step) * batch_size - 1) // frames + 1


def build_loader(
    items: TrainingCrops | WholeFrames, batches: KeyedBatches | int, workers: int, pin_memory: bool = False
) -> DataLoader:
    """A loader of batches: images uint8 (B, 3, h, w), targets uint8 (B, h, w).

    Args:
        items: crops with a `KeyedBatches`, or whole frames with a batch size.
        batches: which items form a batch.
        workers: loading processes; 0 loads in this one.
        pin_memory: for a CUDA device.
    """
    if workers:
        # A forked worker inherits OpenCV's pool without its threads, and would wait for them for ever.
        cv2.setNumThreads(1)
    # Without a generator of its own, iterating would draw from torch's global one and disturb what follows.
    generator = torch.Generator().manual_seed(0)
    options = {"num_workers": workers, "generator": generator, "pin_memory": pin_memory, "worker_init_fn": _one_thread}
    if isinstance(batches, int):
        return DataLoader(items, batch_size=batches, shuffle=False, **options)
    return DataLoader(items, batch_sampler=batches, **options)


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
