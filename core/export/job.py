"""Making and checking a run's exported file as a job, which lies in the run's folder beside the file."""

import os
from dataclasses import asdict

from core.errors import writing
from core.export.files import Format, check_exportable, export_folder, export_path
from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.paths import runs_folder
from core.progress import ProgressCallback
from core.runs.store import Run, find_run


def start_export(run: Run, format: Format) -> Job:
    """Start to make a run's file; the result is an `ExportCheck`, field by field.

    Raises:
        LabError: it can't be exported, is being exported already, or its folder can't be written to.
    """
    check_exportable(run, format)
    with writing(run.path):
        return kinds.start("export", {"run": run.id, "format": format}, export_folder(run.path, format))


def export(request: Values, progress: ProgressCallback) -> Values:
    """Make and check the requested file. Raises LabError."""
    # Read by torch when it is imported: threads that wait busily would time whatever else this machine does.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from core.export.export import export_run

    run = find_run(request["run"], runs_folder())
    return asdict(export_run(run, request["format"], export_path(run.path, request["format"]), progress))
