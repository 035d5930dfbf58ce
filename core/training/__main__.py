"""`python -m core.training RUN_DIR`: the trainer's process.

Writes how it stands into status.json, prints into train.log (or, run by hand, onto the terminal with a progress bar),
and ends with exit code 0 when finished, stopped, paused or about to queue again, 42 when the user can mend what went
wrong, 1 when the lab is at fault.
"""

import argparse
import errno
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.config import RunConfig, read_config
from core.errors import DivergedError, LabError, storage_sentence
from core.processes import ProcessId
from core.runner.device_lock import LOCKS, TRAINER_LOCK, DeviceLock
from core.runner.local import devices_of
from core.runs.status import Failure, clear_request, read_status, update_status
from core.runs.store import read_run
from core.tracking.start import start_trackers
from core.training.malloc import keep_freed_memory

USER_ERROR = 42
REPORT_SECONDS = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Train the run of a folder; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m core.training", description="Train the run of a folder, from where it stands."
    )
    parser.add_argument("run", type=Path, help="a run folder, checkpoints/<id>")
    parser.add_argument("--supervised", action="store_true", help="the runner holds the device for this run")
    options = parser.parse_args(arguments)
    run = options.run.resolve()
    is_interactive = sys.stdout.isatty()
    # Read by torch when it is imported. Threads that wait for each other busily keep each other from working as soon as
    # anything else wants a core: a step of FCN-8s on two cores took 0.8 s with this and 1.3 to 9.9 s without, beside
    # other jobs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    if options.supervised:
        sys.stdin.read()  # ends when the supervisor has written down who trains: one writer of the status at a time
    record = read_run(run)
    if record.config is None:
        print(record.problem, file=sys.stderr)
        return USER_ERROR
    if int(os.environ.get("RANK", "0")) > 0:
        return _run_other_rank(run, record.config)
    lock = None if options.supervised else DeviceLock(run.parent / LOCKS, *sorted(devices_of(record)))
    if lock:
        processes = (record.status.supervisor, record.status.trainer)
        if any(process is not None and process.is_alive() for process in processes) or (
            record.status.job and record.is_active
        ):
            print(f"Run {record.id} is {record.state} already: stop it first.", file=sys.stderr)
            return USER_ERROR
        if not lock.acquire():
            print(
                "Another run is training on this device. Wait for it, or let the lab queue this one.", file=sys.stderr
            )
            return USER_ERROR
        clear_request(run)
    alone = DeviceLock(run, TRAINER_LOCK) if record.config.runner.engine == "slurm" else None
    if alone and not alone.acquire():
        print(f"Another trainer is at run {record.id}.", file=sys.stderr)
        return USER_ERROR
    stop = _StopSignal()
    if not is_interactive and hasattr(os, "nice"):
        os.nice(5)  # the page that shows the curves must stay quick
    status = _StatusReport(run, is_interactive)
    # A resumed run keeps the time of its first start.
    started = record.status.started or time.time()
    update_status(
        run,
        state="running",
        trainer=ProcessId.of(os.getpid()),
        job=record.status.job if options.supervised else "",
        started=started,
        ended=None,
        error=None,
        exit=None,
        failure="",
        suggested_change={},
    )
    start_trackers(run, record.config.tracking)
    try:
        status(phase="starting")
        from core.training.loop import train  # torch takes seconds to import: say that we are here first

        state = train(run, record.config, status, stop.is_set)
        status.close()
        ended = None if state == "queued" else time.time()
        update_status(run, state=state, phase="", seconds_left=None, ended=ended, exit=0, **status.pending)
        print(f"The run is {state}.")
        return 0
    except BaseException as error:
        traceback.print_exc()
        status.close()
        ending = explain(error, record.config)
        _end_status(
            run,
            error=ending.sentence,
            exit=ending.code,
            failure=ending.failure,
            suggested_change=ending.suggested_change,
            **status.pending,
        )
        print(ending.sentence, file=sys.stderr)
        return ending.code


def _run_other_rank(run: Path, config: RunConfig) -> int:
    """Return a process of several that doesn't lead: it trains with the others and writes nothing, unless the leader
    hangs.
    """
    # Torchrun ends the team politely when one fails; the leader alone decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        from core.training.loop import train

        train(run, config, lambda **_changes: None, lambda: False)
        return 0
    except BaseException as error:
        traceback.print_exc()
        ending = explain(error, config)
        status = read_status(run)
        if _timed_out(error) and status and status.state == "running":
            _end_status(run, error=ending.sentence, exit=ending.code, failure=ending.failure)
        return ending.code


def _timed_out(error: BaseException) -> bool:
    return "Timed out waiting" in str(error) or "Watchdog caught collective operation timeout" in str(error)


@dataclass(frozen=True)
class Ending:
    """Why a training failed: the exit code, the word and the sentence for it, and changes of the config that may well
    mend it.
    """

    code: int
    failure: Failure
    sentence: str
    suggested_change: dict[str, dict[str, Any]] = field(default_factory=dict)


def explain(error: BaseException, config: RunConfig) -> Ending:
    """Say what ended the training of a config."""
    text = str(error)
    if isinstance(error, DivergedError):
        rate = max(config.training.learning_rate / 3, 1e-6)
        return Ending(USER_ERROR, "diverged", text, _valid(config, learning_rate=float(f"{rate:.2g}")))
    if isinstance(error, LabError):
        # Torch wraps what a loading process raised into its traceback; the sentence stands at the end.
        _, wrapped, sentence = text.rpartition("core.errors.LabError: ")
        return Ending(USER_ERROR, "data" if wrapped or _came_from(error, "core.data") else "user", sentence.strip())
    lower = f"{type(error).__name__}: {text}".lower()
    # A loading process that the system kills takes a word of its own.
    if isinstance(error, MemoryError) or any(
        sign in lower for sign in ("out of memory", "can't allocate memory", "alloc_failed", "killed by signal: killed")
    ):
        gpu = any(name in lower for name in ("cuda", "cudnn", "cublas", "mps"))
        return Ending(
            USER_ERROR,
            "gpu-memory" if gpu else "memory",
            f"The {'graphics card' if gpu else 'machine'} ran out of memory. Halve training.batch_size, or make the"
            " crop smaller, and start again.",
            _less_memory(config),
        )
    # Where not even the semaphores of loading processes fit into /dev/shm, the system says that there is no space.
    is_full = getattr(error, "errno", None) == errno.ENOSPC
    if (
        "shared memory" in lower
        or "(shm)" in lower
        or "bus error" in lower
        or (is_full and _came_from(error, "multiprocessing"))
    ):
        return Ending(
            USER_ERROR,
            "user",
            "The shared memory of this machine (/dev/shm) is too small for the processes that load frames. Set"
            " training.workers to 0, or give a container more of it (docker run --shm-size 2g), and start again.",
            _valid(config, workers=0),
        )
    if config.training.compile and any(
        sign in lower for sign in ("invalidcxxcompiler", "no working c++ compiler", "inductorerror", "triton")
    ):
        return Ending(
            USER_ERROR,
            "user",
            "training.compile needs a C++ compiler, and none that works is here. Install one (g++ or clang), or switch"
            " compiling off, and start again.",
            _valid(config, compile=False),
        )
    if _timed_out(error):
        return Ending(
            1,
            "killed",
            "One of the processes that trained together no longer answers. Resume the run to go on from its last"
            " checkpoint.",
        )
    if config.training.num_processes > 1 and any(
        sign in text for sign in ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
    ):
        return Ending(
            1,
            "killed",
            "One of the processes that trained together has ended; the log says why. Resume the run to go on from its"
            " last checkpoint.",
        )
    # safetensors has an error of its own, without a number
    if is_full or "os error 28" in text:
        return Ending(
            USER_ERROR, "disk", "The disk is full. Free some space, then resume: the last checkpoint is intact."
        )
    if isinstance(error, OSError) and (sentence := storage_sentence(error)):
        return Ending(USER_ERROR, "disk", f"{sentence} Then resume the run: its last checkpoint is intact.")
    return Ending(
        1,
        "fault",
        f"The training ended with a fault of the lab: {type(error).__name__}: {text[:300]}. The log has the details.",
    )


def _less_memory(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Half the batch; where that can't be, a crop of half the height and width."""
    training = config.training
    half = training.batch_size // 2
    # Twice as many batches of half the size are the same step, but for batch normalisation and losses of regions.
    times = 1 if training.batch_size % 2 else 2
    batch = _valid(config, batch_size=half, accumulate_grad_batches=training.accumulate_grad_batches * times)
    return batch or _valid(config, crop_height=training.crop_height // 2, crop_width=training.crop_width // 2)


def _valid(config: RunConfig, **changes: Any) -> dict[str, dict[str, Any]]:
    """Return those of some training fields that would change, as a remedy.

    None at all where a run wouldn't take them.
    """
    old = config.training.model_dump()
    changes = {name: value for name, value in changes.items() if old[name] != value}
    try:
        read_config(config.model_dump() | {"training": old | changes})
    except LabError:
        return {}
    return {"training": changes} if changes else {}


def _came_from(error: BaseException, package: str) -> bool:
    """Return whether an error was raised in a package, or in what it called."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(module.startswith(f"{package}.") for module in modules)


def _end_status(run: Path, **fields: Any) -> None:
    """Write how a failed run ended; on a full disk even that may fail, and its supervisor tries again."""
    with suppress(OSError):
        update_status(run, state="failed", phase="", seconds_left=None, ended=time.time(), **fields)


class _StopSignal:
    """Ctrl-C or a polite kill ends the training after its present step, with a checkpoint.

    A second one ends it at once.

    A signal that was ignored when this process began stays so: its parent decides in its stead, as in a cluster's job.
    """

    def __init__(self) -> None:
        self._set = False
        for signum in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._receive)

    def is_set(self) -> bool:
        return self._set

    def _receive(self, signum: int, _frame: object) -> None:
        self._set = True
        signal.signal(signum, signal.SIG_DFL)


class _StatusReport:
    """Carries what the loop reports into status.json, twice a second at most, and onto a progress bar when run by
    hand.
    """

    def __init__(self, run: Path, is_interactive: bool) -> None:
        self.pending: dict[str, Any] = {}
        self._run = run
        self._written = 0.0
        self._phase = ""
        self._bar = tqdm(unit="step", dynamic_ncols=True) if is_interactive else None

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
