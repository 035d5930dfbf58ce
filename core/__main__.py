"""`python -m core`: the lab without a browser, for a server or a script. The same core, the same run folders."""

import argparse
import io
import json
import sys

from core.commands.data import add_data
from core.commands.export import add_export
from core.commands.hub import add_hub
from core.commands.predictions import add_predictions
from core.commands.report import add_report
from core.commands.runs import add_runs
from core.commands.scores import add_scores
from core.commands.sweeps import add_sweep
from core.config import OLD_NAMES, todays_name
from core.errors import LabError, storage_sentence

USER_ERROR = 42
OLD_COMMANDS = {("rehearse",): "dry-run", ("rate-test",): "lr-find", ("runs", "empty-bin"): "runs empty-trash"}
"""Commands of version 0.1 and what they are called now."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code: 0, or 42 when the user can mend what went wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a narrow code page must not end a command
            stream.reconfigure(errors="backslashreplace")
    for old, new in OLD_COMMANDS.items():
        if tuple(arguments[: len(old)]) == old:
            print(f"'{' '.join(old)}' is called '{new}' now. Type: python -m core {new} ...", file=sys.stderr)
            return USER_ERROR
    for option in (argument.split("=")[0] for argument in arguments if argument.startswith("--")):
        field = option.removeprefix("--").removeprefix("no-").replace("-", "_")
        if field in OLD_NAMES:
            print(f"'{option}' is called '--{todays_name(field).replace('_', '-')}' now.", file=sys.stderr)
            return USER_ERROR
    options = _parser().parse_args(arguments)
    try:
        result = options.command(options)
    except (LabError, OSError) as error:
        # A file that can't be read or written is the user's to mend as well.
        sentence = str(error)
        if isinstance(error, OSError):
            named = f"'{error.filename}' can't be used: {error.strerror}." if error.filename else sentence
            sentence = storage_sentence(error) or named
        if options.json:
            print(json.dumps({"error": sentence}))
        else:
            print(sentence, file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps(result))
    if result.get("healthy") is False:
        return USER_ERROR
    return 1 if result.get("state") in ("failed", "lost") else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description="The segmentation lab without a browser.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add_data(commands, common)
    add_runs(commands, common)
    add_export(commands.add_parser("export", parents=[common], help="write a run's network as a file for other tools"))
    add_sweep(commands.add_parser("sweep", parents=[common], help="study settings: start, list, show, stop sweeps"))
    add_scores(commands, common)
    add_hub(commands.add_parser("hub", parents=[common], help="the Hugging Face Hub: push a run, pull one"))
    add_predictions(commands, common)
    add_report(commands, common)
    return parser


if __name__ == "__main__":
    sys.exit(main())
