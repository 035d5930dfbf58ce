"""What runs inside a SLURM job, once on each of its nodes: starts the trainer there, and gives the nodes back when the
cluster wants them.

The trainer doesn't hear the cluster's signals, for a team in which each decides for itself would lose its checkpoint.
This process does: it asks the trainer through the run folder to write a checkpoint, then sees how the job stands, and
queues it again unless the cluster has done so, or a user has cancelled it. A job that starts again finds the same run,
and goes on from its last checkpoint.

Never two trainers on one run: only the job whose number the status names trains, and not before an earlier trainer has
let go of the lock of the run folder.
"""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from core.paths import PROJECT
from core.processes import ProcessId
from core.runner.device_lock import TRAINER_LOCK, DeviceLock, queue_lock
from core.runner.exit_reasons import end_of
from core.runner.local import end_trees
from core.runner.quotas import out_of_hours
from core.runner.trainer import Node, trainer_command
from core.runs.status import ACTIVE_STATES, clear_request, read_status, request_requeue, requested, update_status
from core.runs.store import read_run

WARNING_SECONDS = 120.0
"""So long before its time is up a job is told: enough for a step, a checkpoint, and SLURM's own half minute."""
JOB_ID_SECONDS = 60.0
"""How long a job waits for its number to be written down by who submitted it, and for an earlier trainer of its run to
go.
"""
TIME_UP = 0.4
"""A turn that lasted for this share of its limit was ended by the clock."""
KILL_SECONDS = 3.0
"""When the trainer dies without a word this process waits so long whether it is killed too: then there is nothing to be
said.
"""
PATIENCE = 0.2
CONTROL_SECONDS = 30.0
"""How long scontrol may take."""
AGAIN_SECONDS = 5.0
"""Between two questions to a controller that is away."""


def warning_seconds(limit: float) -> int:
    """Return how long before the end of a turn of so many seconds the job is told: at most half of it."""
    return int(min(WARNING_SECONDS, limit / 2))


@dataclass(frozen=True)
class Training:
    """What submitit carries into a job and calls there: the training of a run, in turns of so many seconds."""

    run: Path
    limit: float

    def __call__(self) -> None:
        """Train the run on this node for one turn."""
        job = os.environ["SLURM_JOB_ID"]
        node = Node(
            node=int(os.environ["SLURM_NODEID"]),
            nodes=int(os.environ["SLURM_JOB_NUM_NODES"]),
            # Where the step was started from, which is the first node: an address that needs no name service.
            address=os.environ["SLURM_LAUNCH_NODE_IPADDR"],
            port=20_000 + int(job) % 10_000,
        )
        if node.node == 0:
            _run_first_node(self.run, job, self.limit, node)
        else:
            _run_other_node(self.run, job, node)


def _watch_preemption() -> threading.Event:
    """Return what is set once the cluster wants its nodes back."""
    preempted = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(signum, lambda *_: preempted.set())
    return preempted


def _run_first_node(run: Path, job: str, limit: float, node: Node) -> None:
    """The first node: claims the run, trains it, and says how it ended where the trainer can't."""
    began = time.monotonic()
    preempted = _watch_preemption()
    if not _in_time(lambda: _has_job_id(run)) or not _in_time(lambda: _is_free(run)) or not _claim(run, job):
        print(
            f"Job {job} leaves run {run.name} alone: it has ended, has another job, or a trainer that is still at it."
        )
        return
    first_step = read_run(run).status.step
    trainer = _start(run, node)
    request = False
    # A checkpoint that was written for the cluster is all that is waited for: time is short then, and processes end
    # slowly.
    while trainer.poll() is None and not (request and _stands(run, job, "queued")):
        if preempted.is_set() and not request:
            request = _ask_for_checkpoint(run)
        time.sleep(PATIENCE)
    status = read_status(run)
    if status is None or status.job != job:
        return
    if status.state == "queued":
        if time.monotonic() - began > TIME_UP * limit and status.step == first_step:
            _give_up(run, limit)
        elif sentence := out_of_hours(run):
            _stop(run, job, sentence)
        else:
            _queue_again(run, job)
    elif status.state == "running":
        time.sleep(KILL_SECONDS)
        if (metadata := _job_info(job)) is None or metadata.is_running:
            update_status(run, **end_of(run, trainer.returncode))


def _run_other_node(run: Path, job: str, node: Node) -> None:
    """Any other node: trains with the first one for as long as the run goes on."""
    _watch_preemption()  # the first node decides
    if not _in_time(lambda: _stands(run, job, "running")):
        return
    trainer = _start(run, node)
    myself = ProcessId.of(trainer.pid).process()
    ended = None
    while trainer.poll() is None:
        if _stands(run, job, "running"):
            ended = None
        else:
            ended = ended or time.monotonic()
            if myself and time.monotonic() - ended > JOB_ID_SECONDS:
                end_trees([myself])
        time.sleep(1.0)


def _start(run: Path, node: Node) -> subprocess.Popen[bytes]:
    # srun's own output is a terminal, and would get a progress bar.
    with open(run / "train.log", "ab") as log:
        trainer = subprocess.Popen(
            trainer_command(read_run(run), node),
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=_ignore_signals,
        )
    trainer.stdin.close()  # it may begin: from here on the status is the trainer's
    return trainer


def _ignore_signals() -> None:
    for signum in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)


def _has_job_id(run: Path) -> bool:
    """Return whether status.json names the job that trains the run, or the run is gone."""
    status = read_status(run)
    return status is None or status.job != ""


def _is_free(run: Path) -> bool:
    with DeviceLock(run, TRAINER_LOCK) as alone:
        return alone.acquire()


def _claim(run: Path, job: str) -> bool:
    """Write the run down as running, unless it has ended or was asked to.

    One that has failed under this job was queued again since.
    """
    with queue_lock(run.parent):
        status = read_status(run)
        if status is None or status.job != job or status.state not in (*ACTIVE_STATES, "failed"):
            return False
        if (request := requested(run)) in ("stop", "pause"):
            update_status(run, state="stopped" if request == "stop" else "paused", phase="", ended=time.time(), exit=0)
            return False
        clear_request(run)
        update_status(run, state="running", phase="starting", supervisor=None, trainer=None)
    return True


def _ask_for_checkpoint(run: Path) -> bool:
    with queue_lock(run.parent):
        if requested(run) is None:  # else it ends anyway
            request_requeue(run)
    return True


def _give_up(run: Path, limit: float) -> None:
    hours = limit / 3600
    update_status(
        run,
        state="failed",
        failure="user",
        ended=time.time(),
        error=f"The job's time, {hours:.2g} hours, was up before a single step was done. Give it more: runner.hours.",
        suggested_change={"runner": {"hours": round(2 * hours, 2)}},
    )


def _stop(run: Path, job: str, sentence: str) -> None:
    """End a run that was to queue again, unless its status was changed meanwhile."""
    with queue_lock(run.parent):
        if _stands(run, job, "queued"):
            update_status(run, state="stopped", ended=time.time(), error=sentence)


def _queue_again(run: Path, job: str) -> None:
    """Put the job back into the queue, unless that was done by the cluster, or the job was cancelled.

    Doesn't give up on its own:
    a controller that is away doesn't end jobs either."""
    while True:
        metadata = _job_info(job)
        if metadata and metadata.restarts != int(os.environ.get("SLURM_RESTART_COUNT", "0")):
            return  # it is in the queue: this was done here, or the cluster gave no time of grace
        if metadata and not metadata.is_running:
            _stop(run, job, "Its job was ended on the cluster. Resume it to go on from its last checkpoint.")
            return
        if not _stands(run, job, "queued"):
            return  # stopped meanwhile
        if metadata:
            _control("requeue", job)
        time.sleep(PATIENCE if metadata else AGAIN_SECONDS)


class _JobInfo(NamedTuple):
    """How a job stands: whether it runs, and how often it was queued again."""

    is_running: bool
    restarts: int


def _job_info(job: str) -> _JobInfo | None:
    """Return what the controller says of a job; None when it says nothing."""
    text = _control("--oneliner", "show", "job", job)
    state, restarts = re.search(r"\bJobState=(\w+)", text), re.search(r"\bRestarts=(\d+)", text)
    return _JobInfo(state[1] == "RUNNING", int(restarts[1])) if state and restarts else None


def _control(*arguments: str) -> str:
    """Return what scontrol answers, nothing when the controller is away."""
    try:
        return subprocess.run(
            ["scontrol", *arguments], capture_output=True, text=True, timeout=CONTROL_SECONDS, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _stands(run: Path, job: str, state: str) -> bool:
    status = read_status(run)
    return status is not None and status.job == job and status.state == state


def _in_time(question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + JOB_ID_SECONDS
    while not (result := question()) and time.monotonic() < deadline:
        time.sleep(PATIENCE)
    return result
