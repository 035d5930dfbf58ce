"""What SLURM says of the jobs of a cluster, asked with its own `squeue`: which outlasts a controller that is away, and
is asked never oftener than once in a few seconds. Knows no runs, and starts and ends nothing; that is
core.runner.slurm.engine.
"""

import shutil
import subprocess
import threading
import time
from typing import Literal

JobState = Literal["waiting", "there", "gone", "unknown"]
"""In the queue; on its nodes, or about to come or go; not on the cluster any more; or the cluster didn't answer."""
CACHE_SECONDS = 5.0
"""An answer is taken for true for so long: many tabs look at many runs, and a controller serves a whole university."""
PATIENCE_SECONDS = 4.0
"""How long one question may take before the controller counts as away."""
AWAY_SECONDS = 30.0
"""How long it then isn't asked again: a page must not wait at every tick."""
_WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})

_cache: dict[tuple[str, ...], tuple[float, list[list[str]] | None]] = {}
_asking = threading.Lock()


def cluster_is_there() -> bool:
    """Return True on a machine from which jobs can be submitted."""
    return shutil.which("sbatch") is not None


def job_state(job: str, user: int, since: float = 0.0) -> JobState:
    """Return how a job stands.

    Args:
        job: its number.
        user: whose it is, by number.
        since: an answer from before this moment, in seconds since 1970, doesn't say that a job still waits.
    """
    request, rows = _ask("squeue", "--noheader", f"--user={user}", "--format=%A %T")
    if rows is None:
        return "unknown"
    result = next((row for row in rows if row[:1] == [job]), None)
    if result is None:
        return "gone"
    return "waiting" if result[-1] in _WAITING and request >= since else "there"


def jobs_before(job: str) -> int:
    """Return how many waiting jobs the cluster would rather start in a waiting job's partition.

    0 where it isn't known.
    """
    _, rows = _ask("squeue", "--noheader", "--states=PENDING", "--sort=-p,i", "--format=%A %P")
    order = [row for row in rows or [] if len(row) == 2]
    partition = next((partition for job_id, partition in order if job_id == job), None)
    queue = [job_id for job_id, name in order if name == partition]
    return queue.index(job) if job in queue else 0


def ask_anew() -> None:
    """Forget what was answered: for who is about to act on it."""
    with _asking:
        _cache.clear()


def _ask(*command: str) -> tuple[float, list[list[str]] | None]:
    """Return when it was asked, and the words of each line of the answer; None when there was none."""
    with _asking:
        request, rows = _cache.get(command, (0.0, None))
        if time.time() - request > (AWAY_SECONDS if rows is None else CACHE_SECONDS):
            request = time.time()
            _cache[command] = request, _run(command)
        return _cache[command]


def _run(command: tuple[str, ...]) -> list[list[str]] | None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [line.split() for line in done.stdout.splitlines()] if done.returncode == 0 else None
