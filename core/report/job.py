"""Writing a report as a job: what starts it, and what its process does."""

from dataclasses import asdict

from pydantic import TypeAdapter

from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.paths import reports_folder
from core.progress import ProgressCallback
from core.report.saved_reports import REPORT_ID, new_id
from core.report.settings import ReportSettings, checked_settings


def start_report(settings: ReportSettings) -> Job:
    """Start to write a report; its id stands in the request. Raises LabError while another one is being written."""
    return kinds.start("report", {"settings": asdict(checked_settings(settings)), "id": new_id()})


def write(request: Values, progress: ProgressCallback) -> Values:
    """Write the requested report into the reports' folder. Raises LabError where nothing can be said of its runs."""
    from core.report.writing import write_report
    from core.training.malloc import keep_freed_memory

    keep_freed_memory()
    settings = TypeAdapter(ReportSettings).validate_python(request["settings"])
    if not REPORT_ID.fullmatch(request["id"]):
        raise ValueError(request["id"])
    saved = write_report(settings, reports_folder() / request["id"], progress)
    return {"id": saved.id, "notes": list(saved.notes)}
