"""Where reports are kept, to be opened again.

<reports folder>/<YYYYMMDD-HHMMSS-report-xxxx>/
    report.html     the document in one file
    report.zip      its LaTeX source
    owner.txt       whose it is; not there for the lab's own
    report.json     what it was asked for with, and what has to be said about it; written last
"""

import json
import re
import secrets
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from core.auth import read_owner, require_owner, write_owner
from core.errors import LabError
from core.files import parse_json, write_atomically
from core.paths import named_folders, reports_folder
from core.report.settings import ReportSettings

REPORT_ID = re.compile(r"\d{8}-\d{6}-report-[0-9a-f]{4}")
FILES = {"report.html": "text/html; charset=utf-8", "report.zip": "application/zip"}
"""What can be taken from a report's folder, with its type."""


@dataclass(frozen=True)
class SavedReport:
    """A report that was written. `notes` are sentences about what is missing in it, and why."""

    path: Path
    title: str
    made: float
    settings: ReportSettings
    notes: tuple[str, ...]
    owner: str = ""

    @property
    def id(self) -> str:
        return self.path.name


_SAVED = TypeAdapter(SavedReport)


def new_id() -> str:
    """Return an id for a report that begins now."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-report-{secrets.token_hex(2)}"


def shelve(report: SavedReport) -> None:
    """Write owner and report.json into a report's folder, by which it becomes one."""
    write_owner(report.path)
    values = asdict(report)
    del values["path"], values["owner"]
    write_atomically(report.path / "report.json", json.dumps(values, indent=1))


def list_reports() -> list[SavedReport]:
    """Return every report that is whole, the newest first."""
    return [report for path in named_folders(reports_folder(), REPORT_ID) if (report := _read(path))]


def find_report(report_id: str) -> SavedReport:
    """Return the report of that very id. Raises LabError where there is none."""
    # What arrives from an address must name a report and nothing else.
    path = reports_folder() / report_id if REPORT_ID.fullmatch(report_id) else None
    result = _read(path) if path and not path.is_symlink() else None
    if result is None:
        raise LabError("There is no such report. It may have been deleted; look at the list of reports.")
    return result


def delete_report(report_id: str) -> None:
    """Remove a report. Raises LabError where there is none, or it is another's."""
    report = find_report(report_id)
    require_owner(report.owner, "This report")
    shutil.rmtree(report.path)


def _read(path: Path) -> SavedReport | None:
    try:
        values = parse_json((path / "report.json").read_bytes())
        report = _SAVED.validate_python(values | {"path": path, "owner": read_owner(path)})
    except (OSError, ValueError, TypeError):
        return None
    return report if all((path / name).is_file() for name in FILES) else None
