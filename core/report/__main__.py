"""`python -m core.report JOB`: the process that writes a report; see `core.report.jobs`."""

import sys
from pathlib import Path

from pydantic import TypeAdapter

from core.jobs.engine import Facts, Progress, run_job
from core.paths import reports_folder
from core.report.saved_reports import REPORT_ID
from core.report.settings import ReportSettings


def write(asked: Facts, progress: Progress) -> Facts:
    """Writes what was asked for onto the shelf. Raises LabError where nothing can be said of these runs."""
    from core.report.writing import write_report
    from core.training.malloc import keep_freed_memory

    keep_freed_memory()
    settings = TypeAdapter(ReportSettings).validate_python(asked["settings"])
    if not REPORT_ID.fullmatch(asked["id"]):
        raise ValueError(asked["id"])
    saved = write_report(settings, reports_folder() / asked["id"], progress)
    return {"id": saved.id, "notes": list(saved.notes)}


if __name__ == "__main__":
    sys.exit(run_job(Path(sys.argv[1]), write))
