"""Getting Cityscapes as a job: what starts it, and what its process does."""

import sys
from collections.abc import Sequence
from pathlib import Path

from core.data.download import check_credentials, check_names, get_packages, login, target_folder
from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.progress import ProgressCallback


def start_download(packages: Sequence[str], folder: str, username: str, password: str) -> Job:
    """Start a download. The credentials go through a pipe: no command line or file shows them.

    The job's result says what the packages are `lacking` by the official counts, in sentences.

    Raises:
        LabError: a package, the folder or the credentials can't be right, a download is going on already, or the
            current user may only look.
    """
    check_names(packages)
    check_credentials(username, password)
    kinds.check_idle("download")  # before the folder is made
    request = {"packages": list(packages), "folder": str(target_folder(folder))}
    return kinds.start("download", request, secret=f"{username.strip()}\n{password}\n".encode())


def download_packages(request: Values, progress: ProgressCallback) -> Values:
    """Get the requested packages; the credentials are the two lines of stdin. Raises LabError."""
    username, password = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    lacking = get_packages(lambda: login(username, password), request["packages"], Path(request["folder"]), progress)
    return {"lacking": [sentence for sentence in lacking.values() if sentence]}
