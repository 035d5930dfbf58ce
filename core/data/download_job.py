"""Getting Cityscapes as a job, a process of its own that outlives page and server: `python -m core.data.download_job JOB`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from core.data.download import check_credentials, check_names, get_packages, login, target_folder
from core.jobs.engine import Facts, Job, Progress, check_none_runs, run_job, start_job
from core.paths import cache_folder


def jobs_folder() -> Path:
    """Where a download says how far it is."""
    return cache_folder() / "jobs" / "cityscapes"


def start_getting(packages: Sequence[str], folder: str, username: str, password: str) -> Job:
    """Starts a download. The credentials go through a pipe: no command line or file shows them.

    Its result says what the packages are `lacking` by the official counts, in sentences.

    Raises:
        LabError: a package, the folder or the credentials can't be right, a download is going on already, or the one who is asking
            may only look.
    """
    check_names(packages)
    check_credentials(username, password)
    check_none_runs(jobs_folder())
    request = {"packages": list(packages), "folder": str(target_folder(folder))}
    return start_job("core.data.download_job", request, jobs_folder(), f"{username.strip()}\n{password}\n".encode())


def get_asked(asked: Facts, progress: Progress) -> Facts:
    """Gets what was asked for; the credentials are the two lines of stdin. Raises LabError."""
    username, password = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    lacking = get_packages(lambda: login(username, password), asked["packages"], Path(asked["folder"]), progress)
    return {"lacking": [sentence for sentence in lacking.values() if sentence]}


if __name__ == "__main__":
    sys.exit(run_job(Path(sys.argv[1]), get_asked))
