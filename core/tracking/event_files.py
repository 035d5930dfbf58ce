"""TensorBoard's event files, in `tensorboard/` of the run's folder: `tensorboard --logdir checkpoints` shows every run.

Written by tensorboard's own writer, which needs neither torch nor TensorFlow. The files are made anew whenever their
process begins: they follow from metrics.jsonl alone, so nothing is in them twice.
"""

import shutil
from collections.abc import Sequence

from tensorboard.summary import Writer

from core.runs.store import Run
from core.tracking.points import Point
from core.tracking.tracker import Progress, TrackerError


class EventFiles:
    """A `Tracker` of one run."""

    batch = 1000

    def __init__(self, run: Run, progress: Progress) -> None:
        progress.sent.clear()  # the files begin empty
        folder = run.path / "tensorboard"
        try:
            shutil.rmtree(folder, ignore_errors=True)
            self._writer = Writer(str(folder))
        except OSError as error:
            raise TrackerError(f"they can't be written ({error.strerror})") from None

    def send(self, points: Sequence[Point]) -> None:
        for point in points:
            for name, value in point.values.items():
                self._writer.add_scalar(name, value, point.step, wall_time=point.time)
        self._flush()

    def close(self, finished: bool) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        try:
            self._writer.flush()
        except OSError as error:
            raise TrackerError(f"they can't be written ({error.strerror})") from None


open_tracker = EventFiles
