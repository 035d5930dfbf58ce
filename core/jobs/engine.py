"""Jobs: long work beside the trainings, each a process of its own that outlives page and server.

    <folder>/<id>.json   the request and how it stands; written by who starts it, from then on by its process alone
    <folder>/<id>.stop   there once it was asked to stop
    <folder>/<id>.log    what it printed, tracebacks included

`core.jobs.kinds` says what kinds there are, and is what pages call.

A person who is no admin has `MAX_OWN_JOBS` at a time, and the machine as many as it has cores, whatever their kinds and
wherever their folders lie: `<cache folder>/jobs/active/<id>` names the file of each that was started.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from core.auth import QuotaError, build_user, current_user, require_owner, require_write, set_current_user
from core.disk_usage import check_disk_quota
from core.errors import LabError, storage_sentence, writing
from core.files import parse_json, write_atomically
from core.paths import cache_folder
from core.processes import ProcessId, available_cores, start_detached
from core.progress import ProgressCallback
from core.text import plural

JobState = Literal["starting", "running", "finished", "stopped", "failed"]
Values = dict[str, Any]
"""Plain values, as JSON has them."""
Work = Callable[[Values, ProgressCallback], Values | Iterator[Values]]
"""What does a job's work, see `run_job`."""

MAX_OWN_JOBS = 2
"""Jobs that one person who is no admin may have at a time."""
LOCK_SECONDS = 20.0
"""Starting a job takes a few milliseconds; a process that waits this long for another's start gives up."""
START_SECONDS = 60.0
"""A process that hasn't written after this is not coming."""
WRITE_SECONDS = 0.3
NICENESS = 10
"""Trainings and pages go before."""
OLD_NAMES = {"asked": "request", "began": "started"}
"""What fields were called in the files of earlier versions; an export's stays in its run's folder."""


class JobStoppedError(Exception):
    """The job was asked to stop."""


@dataclass(frozen=True)
class Job:
    """A job as its process last wrote that it stands. Times are seconds since 1970.

    Attributes:
        id: of the job in its folder.
        request: what it was started with.
        owner: who started it.
        state: as written; see `is_active` for whether it goes on.
        what: what is being done, in words.
        done, total: how far it is, in whatever it counts; total is 0 while it isn't known.
        counted_from, counted_since: where and when this count began.
        started: when it was, and `updated` when its file was last written.
        error: the sentence of a failed job.
        result: of a finished job; of one that goes on, what it has so far.
    """

    id: str
    request: Values
    owner: str = ""
    state: JobState = "starting"
    what: str = "Starting"
    done: int = 0
    total: int = 0
    counted_from: int = 0
    counted_since: float = 0.0
    started: float = 0.0
    updated: float = 0.0
    process: ProcessId | None = None
    error: str = ""
    result: Values = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """Return whether it goes on; a job whose process is gone does not, whatever its file says."""
        if self.state == "running":
            return self.process is not None and self.process.is_alive()
        return self.state == "starting" and time.time() - self.updated < START_SECONDS

    @property
    def share(self) -> float:
        """Return how far it is, 0..1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Return an estimate from the pace of this count so far; None while there is none."""
        if not self.counted_since or self.done <= self.counted_from or not self.total:
            return None
        return (self.updated - self.counted_since) / (self.done - self.counted_from) * (self.total - self.done)

    @property
    def problem(self) -> str:
        """Return the sentence of a job that failed or is gone; empty otherwise."""
        if self.state == "failed":
            return self.error
        if self.state in ("starting", "running") and not self.is_active:
            return (
                "This stopped unexpectedly: its process was killed, the disk was full, or the machine was switched off."
                " Start it again."
            )
        return ""


_JOB = TypeAdapter(Job)


def start_job(kind: str, request: Values, folder: Path, secret: bytes = b"") -> Job:
    """Start `python -m core.jobs KIND FILE` as a job of that folder, and forget those that ended there before it.

    Args:
        kind: a name of `core.jobs.kinds.JOBS`.
        request: what for; stands in the job's file.
        folder: one job at a time.
        secret: what the process reads from stdin; stands in no file and on no command line.

    Raises:
        QuotaError: the one who is asking, or the machine, has as many jobs as may go on at a time; or their things take
            as much of the disk as they may.
        LabError: another job of this folder goes on, or the current user may only look.
    """
    require_write()
    check_disk_quota()
    with _locked_registry() as registry:  # two clicks at once start one job
        check_none_runs(folder)
        _check_quota(registry)
        job = _prepare(request, folder)
        (registry / job.id).write_text(str(_path(folder, job)), encoding="utf-8")
    path = _path(folder, job)
    command = [sys.executable, "-X", "utf8", "-m", "core.jobs", kind, str(path)]
    child = start_detached(command, path.with_suffix(".log"), subprocess.PIPE if secret else subprocess.DEVNULL)
    if secret:
        with suppress(OSError), child.stdin as pipe:  # where it is gone already, its log says why
            pipe.write(secret)
    return job


@contextmanager
def _locked_registry() -> Iterator[Path]:
    """Yield the folder that names what goes on, while no other process starts a job. Raises LabError."""
    registry = _registry()
    with writing(registry):
        registry.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(registry.with_name("start.lock"), LOCK_SECONDS).acquire()
        except Timeout:
            raise LabError(
                "Another process of the lab has been starting work for a while. Try again; if it stays so, start the"
                " lab again."
            ) from None
    with lock:
        yield registry


def _check_quota(registry: Path) -> None:
    """Raise QuotaError where no more jobs may go on; those that ended leave the registry."""
    active = []
    for link, job in _registered(registry):
        if job and job.is_active:
            active.append(job)
        else:
            link.unlink()
    cores, limit = available_cores(), max_jobs()
    own = sum(job.owner == current_user().id for job in active)
    if limit and own >= limit:
        raise QuotaError(
            f"You have {own} of the {limit} jobs that one person may have at a time: exports, reports, scorings,"
            " downloads, work on data. Wait for one to end, or stop one."
        )
    if len(active) >= cores:
        raise QuotaError(
            f"{plural(len(active), 'job')} go on, and this machine has {plural(cores, 'core')}. Wait for one to end, or"
            " stop one."
        )


def _registered(registry: Path) -> Iterator[tuple[Path, Job | None]]:
    """Yield the links of a registry, each with the job that it names, or None where that is gone."""
    for link in registry.iterdir():
        yield link, _read(Path(link.read_text(encoding="utf-8")))


def max_jobs() -> int:
    """Return how many jobs the one who is asking may have at a time; 0 is any number, as admins may."""
    return 0 if current_user().is_admin else MAX_OWN_JOBS


def count_jobs(user_id: str) -> int:
    """Return how many jobs of a user go on."""
    try:
        return sum(bool(job and job.is_active and job.owner == user_id) for _, job in _registered(_registry()))
    except OSError:  # none was ever started, or one ended at this moment
        return 0


def _registry() -> Path:
    return cache_folder() / "jobs" / "active"


def _prepare(request: Values, folder: Path) -> Job:
    """Write the file of a new job, and forget those that ended in its folder before."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}\.(json|stop|log)", old.name):
            old.unlink()
    now = time.time()
    job_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    job = Job(job_id, request, current_user().id, started=now, updated=now)
    _write(folder, job)
    return job


def check_none_runs(folder: Path) -> None:
    """Raise LabError where a job of that folder goes on."""
    running = latest_job(folder)
    if running and running.is_active:
        raise LabError(f"This is being done already ({running.what.lower()}). Wait for its end, or stop it.")


def latest_job(folder: Path) -> Job | None:
    """Return the job that was started last in a folder, or None."""
    try:
        paths = sorted(folder.glob("*.json"), key=lambda path: path.name, reverse=True)
    except OSError:
        return None
    return next((job for path in paths if (job := _read(path))), None)


def stop_job(folder: Path, job: Job) -> None:
    """Ask a job to stop at the next point where it says how far it is. Raises LabError where it is another user's."""
    require_owner(job.owner, "This work")
    (folder / f"{job.id}.stop").touch()


def is_stopping(folder: Path, job: Job) -> bool:
    """Return whether a job was asked to stop."""
    return (folder / f"{job.id}.stop").exists()


def run_job(path: Path, work: Work, niceness: int = NICENESS) -> int:
    """Do a job's work in its process and keep its file; returns the exit code.

    Args:
        path: of the job's file.
        work: takes the request and a callback to call often, which raises `JobStoppedError` once that was asked for,
            and returns the result, or yields what it has so far, the result last. A LabError is shown to the user;
            anything else is a fault, whose traceback goes into the log.
        niceness: how far it stands back behind other processes, 0..19.
    """
    job = _read(path)
    if job is None:
        print(f"There is no job '{path}'.", file=sys.stderr)
        return 2
    if job.owner:
        owner = build_user(job.owner)
        set_current_user(lambda: owner)  # what it makes is theirs
    if hasattr(os, "nice"):
        os.nice(niceness)
    written = 0.0

    def write(**changes: Any) -> None:
        nonlocal job, written
        written = time.time()
        job = replace(job, updated=written, **changes)
        _write(path.parent, job)

    def progress(what: str, done: int, total: int) -> None:
        if path.with_suffix(".stop").exists():
            raise JobStoppedError
        if total != job.total or done < job.done:
            write(what=what, done=done, total=total, counted_from=done, counted_since=time.time())
        if what != job.what or time.time() - written >= WRITE_SECONDS:
            write(what=what, done=done, total=total)

    try:
        write(state="running", process=ProcessId.of(os.getpid()))
        made = work(job.request, progress)
        for result in made if isinstance(made, Iterator) else (made,):
            write(result=result)
        write(state="finished")
        return 0
    except JobStoppedError:
        write(state="stopped")
        return 0
    except LabError as error:
        write(state="failed", error=str(error))
        return 1
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        if isinstance(error, OSError) and (sentence := storage_sentence(error)):
            write(state="failed", error=sentence)
            return 1
        text = "there was not enough memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        write(state="failed", error=f"This broke off ({text[:200]}). The log beside it, {path.stem}.log, says where.")
        return 1


def _path(folder: Path, job: Job) -> Path:
    return folder / f"{job.id}.json"


def _write(folder: Path, job: Job) -> None:
    write_atomically(_path(folder, job), json.dumps(asdict(job)))


def _read(path: Path) -> Job | None:
    try:
        values = parse_json(path.read_bytes())
        return _JOB.validate_python({OLD_NAMES.get(name, name): value for name, value in values.items()})
    except (OSError, ValueError, AttributeError):  # AttributeError: no JSON object
        return None
