"""`python -m core report`: runs as a document, in HTML and in LaTeX."""

import argparse
from pathlib import Path
from typing import Any

from core.commands.options import say
from core.commands.progress_bar import ProgressBar
from core.errors import LabError
from core.paths import runs_folder
from core.report.saved_reports import FILES
from core.report.settings import SECTIONS, ReportSettings, checked_settings
from core.runs.store import find_run


def add_report(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to a parser's."""
    command = commands.add_parser(
        "report", parents=[common], help="write a report of runs: one HTML file, and LaTeX source in a ZIP"
    )
    command.add_argument("runs", nargs="+", metavar="RUN", help="ids of runs, or parts of them")
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new folder for the report")
    command.add_argument("--title", default="", help="default: the networks' names")
    command.add_argument("--author", default="")
    command.add_argument("--course", default="")
    command.add_argument(
        "--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), metavar="SECTION",
        help=f"default: all of {', '.join(SECTIONS)}",
    )  # fmt: skip
    command.add_argument(
        "--pictures",
        action=argparse.BooleanOptionalAction,
        help="show photographs and masks; default: unless they are of Cityscapes, which may not be passed on",
    )
    command.add_argument("--robustness", action="store_true", help="score under corruptions where that wasn't done yet")
    command.set_defaults(command=report)


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Write a report of runs; those that have no evaluation result are scored first."""
    from core.report.writing import write_report

    if options.out.exists():
        raise LabError(f"'{options.out}' is there already. Name a new folder, or remove that one.")
    fields = vars(options) | {
        "runs": tuple(find_run(run_id, runs_folder()).id for run_id in options.runs),
        "sections": tuple(options.sections),
    }
    settings = checked_settings(ReportSettings(**{name: fields[name] for name in ReportSettings.__annotations__}))
    with ProgressBar(options) as progress:
        written = write_report(settings, options.out.resolve(), progress)
    files = [str(options.out / name) for name in FILES]
    say(options, "\n".join((*written.notes, *files)))
    return {"title": written.title, "files": files, "notes": list(written.notes)}
