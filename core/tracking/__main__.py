"""`python -m core.tracking RUN_DIR TRACKER`: reads a run's metrics as they grow and tells one tracker, until the run
has ended.

By hand, it tells a tracker of a run that has ended what it wasn't told: what arrived is written down in the run's
folder.
"""

import argparse
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from core.errors import LabError
from core.jobs.engine import NICENESS
from core.runner.device_lock import DeviceLock
from core.runs.metrics_log import read_metrics, valid_rows
from core.runs.store import Run, read_run
from core.tracking.points import points_of
from core.tracking.start import PATIENCE
from core.tracking.table import TRACKERS
from core.tracking.tracker import (
    FOLDER,
    Progress,
    Tracker,
    TrackerError,
    load_tracker,
    read_progress,
    write_progress,
)

POLL_SECONDS = 1.0
"""Between two looks at the metrics."""
MAX_PAUSE = 30.0
"""Seconds between two tries with a tracker that doesn't answer."""

Printer = Callable[[str], None]


def main(arguments: list[str] | None = None) -> int:
    """Tell one tracker of one run; returns 0 when it has been told everything."""
    parser = argparse.ArgumentParser(prog="python -m core.tracking", description="Tell a tracker of a run.")
    parser.add_argument("run", type=Path, help="a run folder, checkpoints/<id>")
    parser.add_argument("tracker", choices=list(TRACKERS))
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds to go on after the run's end")
    options = parser.parse_args(arguments)
    say = _redirect_output()
    run = options.run.resolve()
    if hasattr(os, "nice") and read_run(run).is_active:
        os.nice(NICENESS)
    if not run.is_dir():
        say(f"There is no run folder '{run}'.")
        return 1
    (run / FOLDER).mkdir(exist_ok=True)
    with DeviceLock(run / FOLDER, options.tracker) as lock:
        while not lock.acquire():  # that of an earlier start of the run, which is about to end
            time.sleep(POLL_SECONDS)
        try:
            begin = load_tracker(options.tracker)
            return TrackerProcess(run, options.tracker, begin, say).go_on(options.patience)
        except LabError as error:
            say(f"{TRACKERS[options.tracker].title} is not told of this run. {error}")
            return 1
        except Exception as error:
            # Where, but not what it says: that may hold an address.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            fault = f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
            say(
                f"{TRACKERS[options.tracker].title} is not told any more, by a fault of the lab: {fault}. The training"
                " goes on."
            )
            return 1


class TrackerProcess:
    """What one tracker is told of one run, and how far that is."""

    def __init__(self, run: Path, name: str, begin: Callable[[Run, Progress], Tracker], say: Printer) -> None:
        self._run = run
        self._name = name
        self._title = TRACKERS[name].title
        self._begin = begin
        self._say = say
        self._progress: Progress = read_progress(run, name)
        self._tracker: Tracker | None = None
        self._problem = ""
        self._offset = 0
        self._queued = Progress()

    def go_on(self, patience: float) -> int:
        """Tell until the run has ended and everything is told, or `patience` seconds longer. Returns the exit code."""
        signal.signal(signal.SIGTERM, lambda *_: self._give_up())
        # In a thread: whatever the tracker's own code is stuck in, this process ends.
        threading.Thread(target=self._end_in_time, args=(patience,), daemon=True).start()
        pause = POLL_SECONDS
        while True:
            run = read_run(self._run)
            ended = not run.is_active  # looked at before the rows: then those that follow are all
            try:
                self._send(run)
                if ended:
                    self._tracker.close(run.state == "finished")
                    self._say(f"{self._title}: told of all {self._rows()} rows.")
                    return 0
                pause = POLL_SECONDS
            except TrackerError as error:
                self._fails(str(error))
                self._tracker = None  # it is begun anew: what it still holds of the last try can't be known
                pause = min(2 * pause, POLL_SECONDS if ended else MAX_PAUSE)
            except OSError:
                return 1  # the folder was moved away, or the disk is full: then nothing can be written down either
            time.sleep(pause)

    def _send(self, run: Run) -> None:
        """Read what is new and hands it over. Raises TrackerError where it doesn't arrive."""
        if self._tracker is None:
            self._tracker = self._begin(run, self._progress)
            write_progress(self._run, self._name, self._progress)
            self._queued = Progress(dict(self._progress.sent))
            self._offset = 0
        rows, self._offset = read_metrics(self._run, self._offset)
        waiting = []
        for point in points_of(valid_rows(rows), run.class_names, run.status.started or run.status.created):
            if self._queued.lacks(point):
                self._queued.add([point])
                waiting.append(point)
        for start in range(0, len(waiting), self._tracker.batch):
            part = waiting[start : start + self._tracker.batch]
            self._tracker.send(part)
            self._progress.add(part)
            write_progress(self._run, self._name, self._progress)
        if self._problem:
            self._say(f"{self._title} answers again.")
            self._problem = ""

    def _fails(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._say(f"{self._title}: {problem}. The training goes on; this is tried again.")

    def _end_in_time(self, patience: float) -> None:
        left = patience
        while left > 0:
            time.sleep(POLL_SECONDS)
            left = patience if read_run(self._run).is_active else left - POLL_SECONDS
        self._give_up()

    def _give_up(self) -> None:
        """Say what wasn't told, and end this process at once."""
        with suppress(Exception):
            lacking = self._rows(self._progress)
            if lacking:
                why = f" ({self._problem})" if self._problem else ""
                self._say(
                    f"{self._title} was not told {lacking} of {self._rows()} rows{why}. They are kept in metrics.jsonl;"
                    f" to tell it of them: python -m core.tracking '{self._run}' {self._name}"
                )
            else:
                self._say(f"{self._title}: told of all {self._rows()} rows, but it didn't end as it should.")
        os._exit(1)

    def _rows(self, reported: Progress | None = None) -> int:
        """Return how many of the run's rows a tracker is told of, or with `reported` how many of them it lacks."""
        points = points_of(valid_rows(read_metrics(self._run)[0]), (), 0.0)
        return sum(reported is None or reported.lacks(point) for point in points)


def _redirect_output() -> Printer:
    """Return what this process says, a line each, onto where its output goes.

    What libraries print there is dropped, addresses included.
    """
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(nowhere, stream.fileno())

    def say(text: str) -> None:
        print(text, file=output, flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main())
