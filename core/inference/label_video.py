"""A video on disk to videos of its masks: same size, same frames a second, one frame in memory at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from core.data.bands import sensible_size
from core.errors import LabError
from core.files import replacing
from core.inference.batches import NO_VIDEO, open_video
from core.inference.exports import overlay_of
from core.inference.predictor import Predictor, decide
from core.inference.tta import WHOLE, PredictOptions
from core.inference.uploads import MAX_PIXELS
from core.labels import palette_of
from core.progress import CountCallback

Kind = Literal["colors", "overlay"]
USUAL_RATE = 25.0
"""Frames a second of a video that doesn't say."""
MAX_RATE = 240.0
WHOLE_SHARE = 0.95
"""A video with less of the frames that it speaks of is damaged; containers miscount by a few."""


def label_video(
    predictor: Predictor,
    path: Path,
    targets: dict[Kind, Path],
    options: PredictOptions = WHOLE,
    smooth: float = 0.0,
    progress: CountCallback = lambda done, total: None,
) -> None:
    """Label every frame of a video and write its masks as MP4s, without sound, that any player shows.

    They are MPEG-4 part 2, which OpenCV can write wherever it runs; sides of an odd length lose a pixel, as it must be.

    Args:
        predictor: the network.
        path: the video.
        targets: what to write: the masks in colours, or the frames under them.
        options: of each frame.
        smooth: share of a pixel's probabilities that comes from the frames before, 0 to below 1: an exponential
            average, which calms masks that flicker, and trails behind what moves fast.
        progress: called with (frames done, frames in all, or 0 where the video doesn't say) before each frame.

    Raises:
        LabError: it can't be read, or its frames are too large; or it is damaged, once what could be read is written.
    """
    palette = palette_of(predictor.checkpoint.colors)
    done = 0
    with ExitStack() as stack:
        try:
            video = stack.enter_context(open_video(path))
            pixels = video.get(cv2.CAP_PROP_FRAME_WIDTH) * video.get(cv2.CAP_PROP_FRAME_HEIGHT)
            frames = _frames(video)
            first = next(frames) if pixels <= MAX_PIXELS else None
        except (LabError, StopIteration):
            raise LabError(f"'{path}': {NO_VIDEO}") from None
        if first is None:
            raise LabError(
                f"'{path}' has frames of {pixels / 1e6:.0f} million pixels; the limit is {MAX_PIXELS // 10**6} million."
                " Save it smaller."
            )
        size = first.shape[:2]
        rate, claimed = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = rate if 0 < rate <= MAX_RATE else USUAL_RATE
        total = int(claimed) if 0 < claimed < 2**31 else 0
        writers = {kind: stack.enter_context(_writer(target, size, rate)) for kind, target in targets.items()}
        input_size, average = sensible_size(size, predictor.shown_size), None
        for frame in chain([first], frames):
            progress(done, max(total, done) if total else 0)
            probabilities = predictor.probabilities(frame, input_size, options)
            average = probabilities if average is None else average.mul_(smooth).add_(probabilities, alpha=1 - smooth)
            colors = palette[decide(average.clamp_min(1e-30).log(), size).labels]
            for kind, writer in writers.items():
                writer.write((colors if kind == "colors" else overlay_of(frame, colors))[..., ::-1].copy())
            done += 1
    if done < WHOLE_SHARE * total:
        raise LabError(
            f"'{path}' ends after {done} of {total} frames: it is damaged. What could be read of it is labelled;"
            " download or copy that file again for the rest."
        )


def check_smooth(smooth: float) -> None:
    """Raise LabError for a share that makes no sense."""
    if not 0 <= smooth < 1:
        raise LabError("The share of earlier frames is a number from 0 to below 1, such as 0.7. Choose one of these.")


def _frames(video: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Yield the frames of a video, uint8 (H, W, 3), all of the first one's size."""
    size = None
    while True:
        is_there, frame = video.read()
        if not is_there:
            return
        size = size or frame.shape[:2]
        if frame.shape[:2] != size:  # some streams change it on their way
            frame = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


@contextmanager
def _writer(path: Path, size: tuple[int, int], rate: float) -> Iterator[cv2.VideoWriter]:
    """Open an MP4 for writing that has its name once it is whole."""
    with replacing(path) as draft:
        writer = cv2.VideoWriter(str(draft), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, size[::-1])
        try:
            if not writer.isOpened():
                raise LabError(f"'{path}' can't be written as a video. Check that its folder may be written to.")
            yield writer
        finally:
            writer.release()
