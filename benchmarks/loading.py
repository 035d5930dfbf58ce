"""How many training crops one core prepares in a second: the lab, from its cache and without, against the loader of the
tutorials.

    python benchmarks/loading.py [--root ../shared/data/cityscapes-fullres] [--rounds 5]

All three read the same frames of Cityscapes and make the same of them: scaled by 0.5 to 2, a piece of 512 x 1024,
mirrored half of the time, brightness, contrast and saturation varied, turned by up to 10 degrees, a fifth blurred;
image as float32 (3, h, w) in 0..1, classes as int64 (h, w). The lab centres every second piece on a rare class besides,
which the tutorial has no step for. The three take turns on one core, each as it is run: the lab as in its trainer's
process, the tutorial in a plain one. Figures are medians of the rounds. The last lines are the ratios, the tutorial's
time over the lab's.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from core.data.cache import build_cache, cache_size
from core.data.cityscapes import list_frames
from core.data.dataset import Dataset
from core.data.frames import Frame
from core.data.loaders import Budget, FrameSource, FrameStore, KeyedBatches, TrainingCrops, build_loader
from core.data.statistics import count_classes
from core.data.transforms import Augmentation
from core.labels import CITYSCAPES_19, IGNORED
from core.paths import PROJECT
from core.text import format_bytes
from core.training.malloc import keep_freed_memory

SIZE = (1024, 2048)
CROP = (512, 1024)
ZOOM = (0.5, 2.0)
JITTER = 0.3
ROTATION = 10.0
BLUR = 0.2
RARE = 0.5
WORKERS = (0, 1, 2)
MANY_FRAMES = 10_000


def main() -> None:
    """Print seconds per item, items per second by workers, memory, and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PROJECT.parent / "shared/data/cityscapes-fullres")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; the first isn't counted")
    options = parser.parse_args()
    keep_freed_memory()
    cores = use_one_core()
    frames = tuple(list_frames(options.root, "train", "fine")[:8])
    dataset = Dataset("cityscapes", options.root, CITYSCAPES_19, SIZE, frames, frames)
    shares = count_classes(dataset, frames).shares
    augmentation = Augmentation(
        CROP, ZOOM, True, JITTER, rotation=ROTATION, blur=BLUR, rare_crops=RARE, class_shares=tuple(shares)
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEGLAB_CACHE"] = folder
        began = time.monotonic()
        cached = build_cache(dataset, frames, "raw")
        print(f"{len(frames)} frames of {SIZE[1]} x {SIZE[0]}, cached in {time.monotonic() - began:.1f} s")
        sources: dict[str, FrameSource] = {"cache": cached, "no cache": FrameStore(dataset, frames, Budget(0))}
        with tutorial_rounds(frames) as tutorial_round:
            rounds: dict[str, Callable[[], float]] = {
                name: our_round(TrainingCrops(source, augmentation, seed=0)) for name, source in sources.items()
            } | {"tutorial": tutorial_round}
            seconds = alternate(rounds, options.rounds)
        for name, each in seconds.items():
            print(f"  {name:9} {each * 1e3:7.1f} ms an item, {1 / each:6.1f} items a second")
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        print(f"through the loader, on {len(cores)} cores, batches of 4:")
        for workers in WORKERS:
            rates = ", ".join(
                f"{name} {loader_rate(TrainingCrops(source, augmentation, seed=0), workers):.1f}"
                for name, source in sources.items()
            )
            print(f"  {workers} workers: {rates} items a second")
        print_memory(dataset, frames)
    print(f"ratio without cache: {seconds['tutorial'] / seconds['no cache']:.1f}")
    print(f"ratio: {seconds['tutorial'] / seconds['cache']:.1f}")


def use_one_core() -> set[int]:
    """Bind this process to one core, where the system can, and return those it had."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if not hasattr(os, "sched_setaffinity"):
        return set(range(os.cpu_count() or 1))
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    return cores


def alternate(rounds: dict[str, Callable[[], float]], count: int) -> dict[str, float]:
    """Median seconds per item of so many rounds of each, after one to warm up."""
    spent: dict[str, list[float]] = {name: [] for name in rounds}
    for _ in range(count + 1):
        for name, one_round in rounds.items():
            spent[name].append(one_round())
    return {name: statistics.median(times[1:]) for name, times in spent.items()}


def seconds_an_item(item: Callable[[int], object], frames: int) -> float:
    """Of a round that asks for every frame once."""
    began = time.perf_counter()
    for index in range(frames):
        item(index)
    return (time.perf_counter() - began) / frames


def our_round(crops: TrainingCrops) -> Callable[[], float]:
    """Return a round of the lab's items, every time another epoch's, each then to float as a training step does."""
    epoch = 0

    def item(index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, target = crops[epoch, index, 0]
        return image.float().div_(255), target.long()

    def one_round() -> float:
        nonlocal epoch
        epoch += 1
        return seconds_an_item(item, len(crops))

    return one_round


@contextmanager
def tutorial_rounds(frames: tuple[Frame, ...]) -> Iterator[Callable[[], float]]:
    """Yield rounds of the tutorial's items, in a process of their own on the same core."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve_tutorial, args=(frames, there), daemon=True)
    process.start()

    def one_round() -> float:
        here.send(True)
        return here.recv()

    yield one_round
    here.send(False)
    process.join()


def serve_tutorial(frames: tuple[Frame, ...], pipe: Connection) -> None:
    """Do a round as often as it is told to."""
    torch.set_num_threads(1)
    item = tutorial(frames)
    while pipe.recv():
        pipe.send(seconds_an_item(item, len(frames)))


def tutorial(frames: tuple[Frame, ...]) -> Callable[[int], object]:
    """PIL decodes, torchvision's transforms do the rest.

    A piece is cut before it is turned, which spares them half of the work.
    """
    transforms = v2.Compose(
        [
            v2.ScaleJitter(target_size=SIZE, scale_range=ZOOM, antialias=True),
            v2.RandomCrop(CROP, pad_if_needed=True, fill={tv_tensors.Image: 0, tv_tensors.Mask: IGNORED}),
            v2.RandomHorizontalFlip(0.5),
            v2.ColorJitter(brightness=JITTER, contrast=JITTER, saturation=JITTER),
            v2.RandomRotation(
                ROTATION,
                interpolation=v2.InterpolationMode.BILINEAR,
                fill={tv_tensors.Image: 0, tv_tensors.Mask: IGNORED},
            ),
            v2.RandomApply([v2.GaussianBlur(kernel_size=9, sigma=(0.3, 1.5))], p=BLUR),
            v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True),
        ]
    )
    lookup = CITYSCAPES_19.lookup
    torch.manual_seed(0)

    def item(index: int) -> tuple[torch.Tensor, torch.Tensor]:
        with Image.open(frames[index].image) as pixels:
            image = tv_tensors.Image(pixels.convert("RGB"))
        with Image.open(frames[index].labels) as pixels:
            target = tv_tensors.Mask(lookup[np.array(pixels)])
        return transforms(image, target)

    return item


def loader_rate(crops: TrainingCrops, workers: int, batch_size: int = 4, seconds: float = 2.0) -> float:
    """Return the items per second that leave `build_loader` once it runs."""
    steps = 10_000
    loader = iter(build_loader(crops, KeyedBatches(crops.weights, batch_size, 0, 0, steps), workers))
    for _ in range(1 + 2 * workers):
        next(loader)
    began, batches = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(loader)
        batches += 1
    return batches * batch_size / (time.perf_counter() - began)


def print_memory(dataset: Dataset, frames: tuple[Frame, ...]) -> None:
    """Print what many frames take, by multiplication."""
    each = sum(array.nbytes for array in FrameStore(dataset, frames)[0])
    raw = cache_size(dataset, frames, "raw") // len(frames)
    jpeg = cache_size(dataset, frames, "jpeg") // len(frames)
    print(f"{MANY_FRAMES} frames, by multiplication:")
    print(
        f"  in memory {format_bytes(MANY_FRAMES * each)}, of which a training keeps {format_bytes(Budget().left)}"
        " and decodes the rest anew"
    )
    print(
        f"  on disk {format_bytes(MANY_FRAMES * raw)} as raw, {format_bytes(MANY_FRAMES * jpeg)} as jpeg"
        "; a process maps them and keeps none of its own"
    )


if __name__ == "__main__":
    main()
