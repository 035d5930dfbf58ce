"""`python -m core.export JOB`: the process that makes and checks a run's file; see `core.export.offer`."""

import os
import sys
from dataclasses import asdict
from pathlib import Path

from core.export.offer import export_path
from core.jobs.engine import Facts, Progress, run_job
from core.paths import runs_folder
from core.runs.store import find_run


def export_one(asked: Facts, progress: Progress) -> Facts:
    """Makes the file that was asked for; returns its report."""
    # Read by torch when it is imported: threads that wait busily would time whatever else this machine does.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from core.export.export import export_run

    run = find_run(asked["run"], runs_folder())
    return asdict(export_run(run, asked["format"], export_path(run.path, asked["format"]), progress))


if __name__ == "__main__":
    sys.exit(run_job(Path(sys.argv[1]), export_one))
