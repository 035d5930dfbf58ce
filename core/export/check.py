"""Does an exported program answer as its network does? Both see the same frames, one after the other."""

import statistics
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from core.data.dataset import Dataset, spread
from core.export.files import Agreement
from core.export.program import Logits

FRAMES = 10
ENOUGH = 0.999
"""Share of pixels that must have the same class in both."""


def frames_of(dataset: Dataset) -> list[np.ndarray]:
    """Ten photographs of a data set, uint8 (H, W, 3): of its validation frames, and of those it learns from where these
    are fewer.
    """
    chosen = spread(dataset.val, FRAMES)[:FRAMES]
    chosen += spread(dataset.train, FRAMES)[: FRAMES - len(chosen)]
    return [dataset.image(frame) for frame in chosen]


@torch.no_grad()
def compare(
    network: Logits, program: Logits, images: Sequence[np.ndarray], any_size: bool, progress: Callable[[int], None]
) -> Agreement:
    """Show some images to a network and to the program that was made of it.

    Args:
        network: in fp32.
        program: of it.
        images: uint8 (H, W, 3), of one size.
        any_size: the program shall take other sizes: then the first picture is also shown at one that no stride
            divides.
        progress: called with the number of images that are done.
    """
    same = pixels = 0
    largest = 0.0
    spreads: list[float] = []
    times: list[tuple[float, float]] = []
    shown = list(images)
    if any_size:
        height, width = images[0].shape[:2]
        shown.append(cv2.resize(images[0], (width * 3 // 4 + 1, height * 5 // 4 + 3), interpolation=cv2.INTER_LINEAR))
    network(as_input(images[0])), program(as_input(images[0]))  # the first call of each also prepares
    for index, image in enumerate(shown, start=1):
        values = as_input(image)
        began = time.perf_counter()
        expected = network(values)
        between = time.perf_counter()
        result = program(values)
        times.append((between - began, time.perf_counter() - between))
        same += int((expected.argmax(dim=1) == result.argmax(dim=1)).sum())
        pixels += values.shape[-2] * values.shape[-1]
        # A difference that is no number is one as well.
        difference = (expected - result).abs().max().item()
        largest = max(largest, difference if np.isfinite(difference) else np.inf)
        spreads.append(expected.std().item())
        progress(index)
    network_ms, file_ms = (statistics.median(taken) * 1000 for taken in zip(*times[: len(images)], strict=True))
    return Agreement(len(images), same / pixels, largest, statistics.mean(spreads), network_ms, file_ms)


def as_input(image: np.ndarray) -> torch.Tensor:
    """Return an image uint8 (H, W, 3) as an exported program takes it: float (1, 3, H, W) in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))[None]).float() / 255
