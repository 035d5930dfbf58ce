"""A process of its own that tries a training out and answers in JSON lines.

The server never imports torch, and what is tried may ask for more memory than there is: the process may die of that,
and its end is an answer as well. One side is `run_probe`, the other `serve_probe`.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from core.auth import User, current_user, require_write
from core.config import RunConfig, read_config
from core.errors import LabError, writing
from core.files import parse_json
from core.paths import PROJECT, runs_folder
from core.runner.device_lock import LOCKS, DeviceLock
from core.runner.exit_reasons import KILLED
from core.runner.quotas import check_machine
from core.training.__main__ import explain
from core.training.malloc import keep_freed_memory

Line = dict[str, Any]
MEMORY = ("memory", "gpu-memory")


class OutOfMemoryError(LabError):
    """The process wanted more memory than there was, and said so or was killed for it."""


def run_probe(module: str, config: RunConfig, timeout: float) -> Iterator[Line]:
    """Try a config out for the one who is asking, who has one such trial at a time unless they are an admin.

    See `_run_probe`.

    Raises:
        OutOfMemoryError: it ran out of memory.
        LabError: as `_run_probe` says; or the one who is asking may only look, has a trial already, or asks for more
            than the machine has.
    """
    require_write()
    check_machine(config.training)
    with _probe_lock(current_user()):
        yield from _run_probe(module, config, timeout)


@contextmanager
def _probe_lock(asking: User) -> Iterator[None]:
    """Hold the user's lock on probes: one at a time for each user who is no admin. Raises LabError."""
    if asking.is_admin:
        yield
        return
    name = hashlib.sha256(asking.id.encode()).hexdigest()[:16]
    with writing(runs_folder()):
        lock = DeviceLock(runs_folder() / LOCKS, f"trial-{name}")
    with lock:
        if not lock.acquire():
            raise LabError("You are trying something out already, here or in another tab. Wait for its end.")
        yield


def _run_probe(module: str, config: RunConfig, timeout: float) -> Iterator[Line]:
    """Start a module with a config on its standard input and yield the objects that it prints, as they come.

    The process is ended with the iterator, whether or not all was read.

    Args:
        module: `python -m` finds it; its `main` calls `serve_probe`.
        config: of the run that is tried.
        timeout: seconds after which the process is ended.

    Raises:
        OutOfMemoryError: it ran out of memory.
        LabError: the user can mend it, it took too long, or it stopped unexpectedly.
    """
    # A copy of the lab's folders and settings reaches it through the environment.
    process = subprocess.Popen(
        [sys.executable, "-m", module], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    timed_out = threading.Event()

    def end() -> None:
        timed_out.set()
        process.kill()

    alarm = threading.Timer(timeout, end)
    alarm.daemon = True
    alarm.start()
    try:
        with process.stdin:
            process.stdin.write(config.model_dump_json())
        for text in process.stdout:
            line = parse_json(text)
            if "error" in line:
                raise (OutOfMemoryError if line.get("failure") in MEMORY else LabError)(line["error"])
            yield line
        code = process.wait()
    except BrokenPipeError:
        code = process.wait()
    finally:
        alarm.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    if timed_out.is_set():
        raise LabError(
            f"This took longer than {timeout:.0f} s and was given up. The machine may be busy with a training, or the"
            " network is too large for it: try a smaller crop or batch."
        )
    if code == KILLED:
        raise OutOfMemoryError(
            "The process was killed from outside, most likely because the machine ran out of memory."
        )
    if code:
        raise LabError(
            f"The process stopped unexpectedly (exit code {code}). Try again; if it stays so, the terminal in which the"
            " lab runs says more."
        )


def serve_probe(work: Callable[[RunConfig], Iterable[Line]]) -> int:
    """Read a config from standard input and prints what `work` makes of it; an error is a line too.

    Returns the exit code.
    """
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that a library prints may get between the lines
    # As in a trainer, for the figures are meant for one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    config = read_config({})
    try:
        config = read_config(json.load(sys.stdin))
        for line in work(config):
            print(json.dumps(line), file=lines, flush=True)
        return 0
    except Exception as error:
        ending = explain(error, config)
        if ending.failure == "fault":
            traceback.print_exc()
        print(json.dumps({"error": ending.sentence, "failure": ending.failure}), file=lines, flush=True)
        return ending.code
