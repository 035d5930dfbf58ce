"""`python -m core report`: runs as a document, in HTML and in LaTeX."""

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.commands.options import say
from core.errors import LabError
from core.paths import runs_folder
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
    settings = checked_settings(
        ReportSettings(
            runs=tuple(find_run(run_id, runs_folder()).id for run_id in options.runs),
            title=options.title,
            author=options.author,
            course=options.course,
            sections=tuple(options.sections),
            pictures=options.pictures,
            robustness=options.robustness,
        )
    )
    with tqdm(unit="frame", dynamic_ncols=True, disable=options.json or None) as bar:

        def show_progress(what: str, done: int, total: int) -> None:
            bar.set_description(what, refresh=False)
            bar.total, bar.n = total, done
            bar.refresh()

        written = write_report(settings, options.out.resolve(), show_progress)
    for sentence in written.notes:
        say(options, sentence)
    files = [str(options.out / name) for name in ("report.html", "report.zip")]
    for file in files:
        say(options, file)
    return {"title": written.title, "files": files, "notes": list(written.notes)}
