"""Pushing and pulling as jobs; of each kind one at a time.

What comes from the Hub is opened in the job's process, and so is torch.
"""

from dataclasses import asdict

from core.auth import require_admin, require_owner
from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.models.hub_client import checked_repo
from core.paths import runs_folder
from core.progress import ProgressCallback
from core.runs.store import Run, find_run


def start_push(run: Run, repo: str, public: bool, own_images: bool) -> Job:
    """Start to push a run, see `core.hub.push.push`; the result is a `Pushed`, field by field.

    Raises:
        LabError: that is no name, the run is another user's, the current user has no part in the lab's login, or
            something is being pushed.
    """
    require_owner(run.owner, f"Run {run.id}")
    require_admin("push a run")
    request = {"repo": checked_repo(repo), "run": run.id, "public": public, "own_pictures": own_images}
    return kinds.start("push", request)


def start_pull(repo: str, revision: str = "") -> Job:
    """Start to pull a repository, see `core.hub.pull.pull`; the result names the `run`.

    Raises:
        LabError: that is no name, the lab is read-only, or something is being pulled.
    """
    return kinds.start("pull", {"repo": checked_repo(repo), "revision": revision})


def push_run(request: Values, progress: ProgressCallback) -> Values:
    """Push the requested run. Raises LabError."""
    from core.hub.push import push

    run = find_run(request["run"], runs_folder())
    return asdict(push(run, request["repo"], request["public"], request["own_pictures"], progress))


def pull_run(request: Values, progress: ProgressCallback) -> Values:
    """Pull the requested repository. Raises LabError."""
    from core.hub.pull import pull

    return {"run": pull(request["repo"], request["revision"], progress=progress).name}
