"""Commands about the Hugging Face Hub: push a run, pull one."""

import argparse
from dataclasses import asdict
from typing import Any

from huggingface_hub.utils import disable_progress_bars, logging

from core.commands.options import json_option, say
from core.commands.progress_bar import ProgressBar
from core.paths import runs_folder
from core.runs.store import find_run


def add_hub(command: argparse.ArgumentParser) -> None:
    """Add what can be done with the Hub."""
    common = json_option()
    actions = command.add_subparsers(required=True, metavar="ACTION")

    action = actions.add_parser("push", parents=[common], help="publish a run, privately unless told otherwise")
    action.add_argument("run", help="id of a run, or a part of it")
    action.add_argument("repo", metavar="OWNER/NAME", help="the repository; made where it isn't there")
    action.add_argument("--public", action="store_true", help="everyone may see it")
    action.add_argument(
        "--own-pictures", dest="own_images", action="store_true", help="show sample pictures of a folder of your own"
    )
    action.set_defaults(command=push_run)

    action = actions.add_parser("pull", parents=[common], help="bring a published run here")
    action.add_argument("repo", metavar="OWNER/NAME")
    action.add_argument("--revision", default="", help="branch, tag or commit; default: the newest commit")
    action.set_defaults(command=pull_run)


def push_run(options: argparse.Namespace) -> dict[str, Any]:
    """Publish the best checkpoint of a run."""
    from core.hub.push import push

    run = find_run(options.run, runs_folder())
    with _bar(options) as progress:
        pushed = push(run, options.repo, options.public, options.own_images, progress)
    visibility = "private" if pushed.is_private else "public"
    say(options, f"Run {run.id} is at {pushed.address}, {visibility}, commit {pushed.commit}.")
    return asdict(pushed) | {"run": run.id}


def pull_run(options: argparse.Namespace) -> dict[str, Any]:
    """Bring a published network here as a finished run."""
    from core.hub.origin import read_origin
    from core.hub.pull import pull

    with _bar(options) as progress:
        path = pull(options.repo, options.revision, progress=progress)
    origin = read_origin(path)
    say(options, f"Run {path.name}. {origin.sentence}")
    return {"run": path.name, "path": str(path)} | asdict(origin)


def _bar(options: argparse.Namespace) -> ProgressBar:
    """Return a bar; what the Hub's client would say of its own gets between."""
    disable_progress_bars()
    logging.set_verbosity_error()
    return ProgressBar(options, "B")
