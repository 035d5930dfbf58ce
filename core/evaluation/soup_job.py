"""Averaging the weights of runs, as a job."""

from collections.abc import Sequence

from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.paths import runs_folder
from core.progress import ProgressCallback
from core.runs.store import find_run


def start_soup(run_ids: Sequence[str]) -> Job:
    """Start to average runs' weights, see `core.evaluation.soup`.

    The job's result names the new `run`, the runs that are in it, `members`, its `miou` and that of the best of them,
    `best_miou`.

    Raises:
        LabError: another such job of this person goes on, or the current user may only look.
    """
    return kinds.start("average", {"runs": list(run_ids)})


def average(request: Values, progress: ProgressCallback) -> Values:
    """Do it. Raises LabError where the runs have no mean, or none that is better than the best of them."""
    from core.evaluation.soup import make_soup

    folder = runs_folder()
    soup = make_soup([find_run(run_id, folder) for run_id in request["runs"]], folder, progress)
    return {"run": soup.path.name, "members": list(soup.members), "miou": soup.miou, "best_miou": soup.best_miou}
