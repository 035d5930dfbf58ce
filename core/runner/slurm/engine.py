"""Runs on a cluster: every run gets a SLURM job, submitted through submitit, in which core.runner.slurm.job starts the
trainer.

One of the engines of core.runner.control. How jobs stand is asked by core.squeue. A job that the cluster takes its
nodes from, or whose time is up, queues itself again under the same number; a run that is resumed gets a new one, and a
job with an older number does nothing.
"""

import math
import subprocess
import time
from pathlib import Path

from core.errors import LabError
from core.paths import PROJECT
from core.runner import local
from core.runner.device_lock import queue_lock
from core.runner.slurm.job import Training, warning_seconds
from core.runs.status import read_status, update_status
from core.runs.store import Run, read_run
from core.squeue import ask_anew, cluster_is_there, job_state, jobs_before

COMMAND_SECONDS = 30.0
"""How long scancel may take."""
END_SECONDS = 90.0
"""How long the cluster has to end a job. Its own patience with processes, KillWait, is 30 s unless it was set."""


def start(path: Path) -> None:
    """Submit the job of a queued run and note its number. Raises LabError where no cluster is here, or takes it."""
    run = read_run(path)
    job = _submit(run)
    with queue_lock(path.parent):
        status = read_status(path)
        if status and status.state == "queued" and not status.job:
            update_status(path, job=job)
            return
    _cancel(job, run.id)  # stopped meanwhile


def withdraw(run: Run) -> None:
    """Take a waiting run out of the cluster's queue.

    One that stays there for want of an answer will find that it isn't wanted.
    """
    if run.status.job:
        _cancel(run.status.job, run.id)


def end(run: Run) -> bool:
    """Have the cluster end a run's job: a polite signal, and when its patience is over the last one.

    True when it is gone.

    Raises:
        LabError: the job is still there after a while.
    """
    status = run.status
    if not status.job:
        return local.end(run)  # trained by hand
    _cancel(status.job, run.id)
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        ask_anew()
        if job_state(status.job, run.path.stat().st_uid) == "gone":
            return True
        time.sleep(1.0)
    raise LabError(
        f"The cluster has not ended job {status.job} of run {run.id} yet. Look again in some minutes, or ask who keeps"
        " the cluster."
    )


def move(path: Path, by: int) -> None:
    """Raise LabError: a cluster orders its own queue."""
    raise LabError(f"Run {path.name} waits on a cluster, which decides itself who is next.")


def queue_position(run: Run) -> int:
    """Return how many jobs the cluster would rather start in the partition of a queued run."""
    return jobs_before(run.status.job)


def _submit(run: Run) -> str:
    """Return the number of a run's new job."""
    if not cluster_is_there():
        raise LabError(
            "There is no SLURM here: sbatch isn't found. Open the lab on a machine that submits to the cluster."
        )
    import submitit

    requested = run.config.runner
    log = str(run.path / "train.log").replace("%", "%%")
    minutes = math.ceil(requested.hours * 60)
    executor = submitit.SlurmExecutor(run.path / "slurm")
    executor.update_parameters(
        job_name=run.id,
        time=minutes,
        nodes=requested.nodes,
        ntasks_per_node=1,
        cpus_per_task=requested.cpus,
        **({"gpus_per_node": requested.gpus} if requested.gpus else {}),
        **({"mem": f"{math.ceil(requested.memory * 1024)}M"} if requested.memory else {}),
        **({"partition": requested.partition} if requested.partition else {}),
        **({"account": requested.account} if requested.account else {}),
        signal_delay_s=warning_seconds(60.0 * minutes),
        stderr_to_stdout=True,
        # Since 22.05 a step no longer inherits the cores of its job.
        srun_args=["--output", log, "--open-mode=append", f"--cpus-per-task={requested.cpus}"],
        additional_parameters={"requeue": True, "chdir": str(PROJECT), "output": log, "open-mode": "append"},
    )
    try:
        return str(executor.submit(Training(run.path, 60.0 * minutes)).job_id)
    except (RuntimeError, OSError) as error:  # submitit's own are all the former
        raise LabError(
            f"The cluster didn't take the job: {_last_line(error)}. Change what is asked of it, or try again."
        ) from None


def _last_line(error: Exception) -> str:
    """Return what sbatch complained of, in a line."""
    lines = [line.partition("error: ")[2] or line for line in str(error).splitlines() if "error:" in line]
    return (lines[-1] if lines else str(error)).strip()[:300].rstrip(".")


def _cancel(job: str, name: str) -> None:
    """Cancel a job, if it is the one of a run of this name; what can't be cancelled finds out by itself."""
    if job.isdecimal():
        try:
            subprocess.run(
                ["scancel", f"--jobname={name}", job],
                capture_output=True,
                timeout=COMMAND_SECONDS,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            return
