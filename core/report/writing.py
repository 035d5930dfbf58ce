"""Writing a report: from run ids to a folder with the page, the LaTeX source, and what has to be said about them."""

from dataclasses import replace
from pathlib import Path

from core.errors import writing
from core.files import replacing
from core.progress import ProgressCallback, no_progress
from core.report.contents import contents
from core.report.gathering import gather
from core.report.html import html_page
from core.report.latex import latex_archive
from core.report.phrases import plain_text
from core.report.progress import ProgressTracker
from core.report.saved_reports import SavedReport, shelve
from core.report.settings import ReportSettings, checked_settings


def write_report(settings: ReportSettings, folder: Path, progress: ProgressCallback = no_progress) -> SavedReport:
    """Write a report into a folder, which must not be there yet; it appears complete or not at all.

    Args:
        settings: what is asked for.
        folder: to be made.
        progress: called often; may raise to break off, and nothing but the runs' new evaluation results is left behind
            then.

    Raises:
        LabError: the settings make no sense, nothing can be said of any of the runs, or the folder can't be written.
    """
    settings = checked_settings(settings)
    tracker = ProgressTracker(progress)
    data = gather(settings, tracker)
    tracker.of("figures", "Drawing and writing")("", 0, 1)
    report = contents(data)
    page, archive = html_page(report), latex_archive(report)
    saved = SavedReport(folder, report.title, report.made, settings, tuple(map(plain_text, report.notes)))
    with writing(folder), replacing(folder) as draft:
        draft.mkdir(parents=True)
        (draft / "report.html").write_text(page, encoding="utf-8")
        (draft / "report.zip").write_bytes(archive)
        shelve(replace(saved, path=draft))
    return saved
