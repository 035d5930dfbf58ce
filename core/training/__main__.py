"""`python -m core.training RUN_DIR`: the trainer's process.

Writes how it stands into status.json, prints into train.log (or, run by hand, onto the terminal with a progress bar), and
ends with exit code 0 when finished or stopped, 42 when the user can mend what went wrong, 1 when the lab is at fault.
"""

import argparse
import errno
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.errors import LabError
from core.runner.local import device_of
from core.runner.slots import Slot
from core.runs import ProcessId, clear_request, read_run, update_status
from core.training.memory import keep_freed_memory

USER_ERROR = 42
REPORT_SECONDS = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Trains the run of a folder; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m core.training", description="Train the run of a folder, from where it stands."
    )
    parser.add_argument("run", type=Path, help="a run folder, checkpoints/<id>")
    parser.add_argument("--supervised", action="store_true", help="the runner holds the device for this run")
    options = parser.parse_args(arguments)
    run = options.run.resolve()
    by_hand = sys.stdout.isatty()
    # Read by torch when it is imported. Threads that wait for each other busily keep each other from working as soon as
    # anything else wants a core: a step of FCN-8s on two cores took 0.8 s with this and 1.3 to 9.9 s without, beside other jobs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    found = read_run(run)
    if found.config is None:
        print(found.problem, file=sys.stderr)
        return USER_ERROR
    slot = None if options.supervised else Slot(run.parent / ".slots", device_of(found))
    if slot:
        if any(hand is not None and hand.is_alive() for hand in (found.status.supervisor, found.status.trainer)):
            print(f"Run {found.id} is {found.state} already: stop it first.", file=sys.stderr)
            return USER_ERROR
        if not slot.acquire():
            print(
                "Another run is training on this device. Wait for it, or let the lab queue this one.", file=sys.stderr
            )
            return USER_ERROR
        clear_request(run)
    stop = _StopSignal()
    if not by_hand and hasattr(os, "nice"):
        os.nice(5)  # the page that shows the curves must stay quick
    status = _StatusReport(run, by_hand)
    # A resumed run keeps the time of its first start.
    started = found.status.started or time.time()
    update_status(
        run, state="running", trainer=ProcessId.of(os.getpid()), started=started, ended=None, error=None, exit=None
    )
    try:
        status(phase="starting")
        from core.training.loop import train  # torch takes seconds to import: say that we are here first

        state = train(run, found.config, status, stop.is_set)
        status.close()
        update_status(run, state=state, phase="", seconds_left=None, ended=time.time(), exit=0, **status.pending)
        print(f"The run is {state}.")
        return 0
    except BaseException as error:
        traceback.print_exc()
        status.close()
        code, sentence = explain(error)
        _end_status(
            run,
            error=sentence,
            exit=code,
            **status.pending,
        )
        print(sentence, file=sys.stderr)
        return code


def explain(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence for whatever ended a training."""
    if isinstance(error, LabError):
        # Torch wraps what a loading process raised into its traceback; the sentence stands at the end.
        return USER_ERROR, str(error).rpartition("core.errors.LabError: ")[2].strip()
    if (
        isinstance(error, MemoryError)
        or "out of memory" in str(error).lower()
        or "can't allocate memory" in str(error).lower()
    ):
        return (
            USER_ERROR,
            "The machine ran out of memory. Halve training.batch_size, or make the crop smaller, and start again.",
        )
    # safetensors has an error of its own, without a number
    if getattr(error, "errno", None) == errno.ENOSPC or "os error 28" in str(error):
        return USER_ERROR, "The disk is full. Free some space, then resume: the last checkpoint is intact."
    return (
        1,
        f"The training ended with a fault of the lab: {type(error).__name__}: {str(error)[:300]}. The log has the details.",
    )


def _end_status(run: Path, **facts: Any) -> None:
    """Writes how a failed run ended; on a full disk even that may fail, and its supervisor tries again."""
    with suppress(OSError):
        update_status(run, state="failed", phase="", seconds_left=None, ended=time.time(), **facts)


class _StopSignal:
    """Ctrl-C or a polite kill ends the training after its present step, with a checkpoint; a second one ends it at once."""

    def __init__(self) -> None:
        self._set = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def is_set(self) -> bool:
        return self._set

    def _receive(self, number: int, _frame: object) -> None:
        self._set = True
        signal.signal(number, signal.SIG_DFL)


class _StatusReport:
    """Carries what the loop reports into status.json, twice a second at most, and onto a progress bar when run by hand."""

    def __init__(self, run: Path, by_hand: bool) -> None:
        self.pending: dict[str, Any] = {}
        self._run = run
        self._written = 0.0
        self._phase = ""
        self._bar = tqdm(unit="step", dynamic_ncols=True) if by_hand else None

    def __call__(self, **changes: Any) -> None:
        self.pending |= changes
        now = time.monotonic()
        new_phase = changes.get("phase", self._phase) != self._phase
        if new_phase or now - self._written >= REPORT_SECONDS:
            self._phase = self.pending.get("phase", self._phase)
            self._written = now
            update_status(self._run, **self.pending)
        if self._bar is not None:
            self._bar.total = self.pending.get("steps_total")
            self._bar.n = self.pending.get("step", 0)
            self._bar.set_description(self.pending.get("phase", ""))

    def close(self) -> None:
        self.pending = {name: value for name, value in self.pending.items() if name in ("step", "steps_total")}
        if self._bar is not None:
            self._bar.close()


if __name__ == "__main__":
    sys.exit(main())
