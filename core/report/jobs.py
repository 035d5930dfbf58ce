"""Writing a report as a job, which outlives page and server."""

from pathlib import Path

from core.jobs.engine import Job, is_stopping, latest_job, start_job, stop_job
from core.paths import cache_folder
from core.report.saved_reports import new_id
from core.report.settings import ReportSettings, checked_settings


def jobs_folder() -> Path:
    """Where the writing of reports says how far it is."""
    return cache_folder() / "jobs" / "report"


def start_report(settings: ReportSettings) -> Job:
    """Begins to write a report; its id stands in what the job was asked for. Raises LabError while another one is being written."""
    request = {"settings": checked_settings(settings).to_json(), "id": new_id()}
    return start_job("core.report", request, jobs_folder())


def latest_writing() -> Job | None:
    """The writing that was begun last."""
    return latest_job(jobs_folder())


def stop_writing(job: Job) -> None:
    """Stops at the next frame. Scorecards that are made stay; the report is not written."""
    stop_job(jobs_folder(), job)


def is_being_stopped(job: Job) -> bool:
    """True once it was asked to stop."""
    return is_stopping(jobs_folder(), job)
