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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from core.auth import read_owner, require_owner, write_owner
from core.errors import LabError
from core.files import write_atomically
from core.paths import reports_folder
from core.report.settings import ReportSettings

REPORT_ID = re.compile(r"\d{8}-\d{6}-report-[0-9a-f]{4}")
FILES = {"report.html": "text/html; charset=utf-8", "report.zip": "application/zip"}
"""What can be taken from a report's folder, with its type."""
_SETTINGS = TypeAdapter(ReportSettings)


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


def new_id() -> str:
    """Return an id for a report that begins now."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-report-{secrets.token_hex(2)}"


def shelve(folder: Path, title: str, made: float, settings: ReportSettings, notes: tuple[str, ...]) -> None:
    """Write owner and report.json into a report's folder, by which it becomes one."""
    write_owner(folder)
    metadata: dict[str, Any] = {"title": title, "made": made, "settings": settings.to_json(), "notes": notes}
    write_atomically(folder / "report.json", json.dumps(metadata, indent=1))


def list_reports() -> list[SavedReport]:
    """Return every report that is whole, the newest first."""
    paths = sorted(_folders(), key=lambda path: path.name, reverse=True)
    return [result for path in paths if (result := _read(path))]


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


def _folders() -> Iterator[Path]:
    if reports_folder().is_dir():
        for path in reports_folder().iterdir():
            if REPORT_ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield path


def _read(path: Path) -> SavedReport | None:
    try:
        metadata = json.loads((path / "report.json").read_bytes())
        settings = _SETTINGS.validate_python(metadata["settings"])
        if not all((path / name).is_file() for name in FILES):
            return None
        return SavedReport(
            path,
            str(metadata["title"]),
            float(metadata["made"]),
            settings,
            tuple(map(str, metadata["notes"])),
            read_owner(path),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
