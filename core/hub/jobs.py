"""Pushing and pulling as jobs: each in a process of its own, which outlives page and server; of each kind one at a time.

What comes from the Hub is opened in that process, and so is torch.
"""

from pathlib import Path
from typing import Literal

from core.auth import require_admin, require_owner
from core.hub.client import checked_repo
from core.jobs.engine import Job, is_stopping, latest_job, start_job, stop_job
from core.paths import cache_folder
from core.runs.store import Run

Action = Literal["push", "pull"]


def jobs_folder(action: Action) -> Path:
    """Where a push or a pull says how far it is."""
    return cache_folder() / "jobs" / f"hub-{action}"


def start_push(run: Run, repo: str, public: bool, own_pictures: bool) -> Job:
    """Pushes a run in the background, see `core.hub.push.push`; its result is a `Pushed`, field by field.

    Raises:
        LabError: that is no name, the run is another's, the one who asks has no part in the lab's login, or something is being pushed.
    """
    require_owner(run.owner, f"Run {run.id}")
    require_admin("push a run")
    request = {
        "action": "push",
        "repo": checked_repo(repo),
        "run": run.id,
        "public": public,
        "own_pictures": own_pictures,
    }
    return start_job("core.hub", request, jobs_folder("push"))


def start_pull(repo: str, revision: str = "") -> Job:
    """Pulls a repository in the background, see `core.hub.pull.pull`; its result names the `run`.

    Raises:
        LabError: that is no name, the lab is read-only, or something is being pulled.
    """
    request = {"action": "pull", "repo": checked_repo(repo), "revision": revision}
    return start_job("core.hub", request, jobs_folder("pull"))


def latest(action: Action) -> Job | None:
    """The push or pull that was started last, whoever did."""
    return latest_job(jobs_folder(action))


def cancel(action: Action, job: Job) -> None:
    """Ends a push or pull, wherever it is. Nothing half done is seen by anybody. Raises LabError where it is another's."""
    stop_job(jobs_folder(action), job)


def was_cancelled(action: Action, job: Job) -> bool:
    """True of a push or pull that is being ended, or has been."""
    return is_stopping(jobs_folder(action), job)
