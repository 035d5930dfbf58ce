"""`python -m core sweep`: sweeps without a browser."""

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.commands.options import say
from core.errors import LabError
from core.paths import runs_folder
from core.sweeps.space import read_spec
from core.sweeps.sweep import (
    Sweep,
    delete_sweep,
    find_sweep,
    list_sweeps,
    read_spec_file,
    read_sweep,
    resume_sweep,
    start_sweep,
    stop_sweep,
)

SHOWN_TRIALS = 50
PATIENCE = 0.5
"""Seconds between two looks at a sweep that is followed."""


def add_sweep(command: argparse.ArgumentParser) -> None:
    """Give a parser the actions of the command `sweep`."""
    command.add_argument(
        "action",
        choices=["list", "start", "show", "stop", "resume", "follow", "delete"],
        nargs="?",
        default="list",
        help="start takes the file that describes a sweep, like docs/study.json; the others an id, or a part of one",
    )
    command.add_argument("sweep", nargs="?", metavar="SPEC|ID")
    command.add_argument("--detach", action="store_true", help="don't wait for the end of a sweep that is started")
    command.add_argument("--yes", action="store_true", help="delete without asking; it is for good, and runs stay")
    command.set_defaults(command=sweep)


def sweep(options: argparse.Namespace) -> dict[str, Any]:
    """List sweeps, or start, show, stop, resume, follow or delete one.

    Ctrl-C stops one that is followed, with a checkpoint.
    """
    if options.action == "list":
        metadata = [_as_row(each) for each in list_sweeps(runs_folder())]
        say(
            options,
            "\n".join(map(_line, metadata)) or "No sweep yet. Start one: python -m core sweep start docs/study.json",
        )
        return {"sweeps": metadata}
    if not options.sweep:
        what = "the file that describes it" if options.action == "start" else "its id, or a part of it"
        raise LabError(f"Which sweep? Name {what}: python -m core sweep {options.action} ...")
    if options.action == "start":
        path = start_sweep(read_spec(read_spec_file(Path(options.sweep))), runs_folder())
        say(options, f"Sweep {path.name}: {read_sweep(path).spec.count} trials. It goes on without this terminal.")
        return _as_row(read_sweep(path)) if options.detach else _follow(path, options)
    path = find_sweep(options.sweep, runs_folder()).path
    if options.action == "stop":
        stop_sweep(path)
        say(options, f"Sweep {path.name} will stop its run with a checkpoint, and end.")
    elif options.action == "resume":
        resume_sweep(path)
        say(options, f"Sweep {path.name} goes on.")
    elif options.action == "delete":
        if not options.yes:
            raise LabError(f"Sweep {path.name} would be removed for good, its runs not. To do it, add --yes.")
        delete_sweep(path)
        say(options, f"Sweep {path.name} is removed. Its runs are still there.")
        return {"sweep": path.name, "deleted": True}
    elif options.action == "follow":
        return _follow(path, options)
    else:
        return _shown(read_sweep(path), options)
    return _as_row(read_sweep(path))


def _follow(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    from core.sweeps.trials import progress_of, read_trials

    with tqdm(unit="run", dynamic_ncols=True, disable=options.json or None) as bar:
        while True:
            try:
                result = read_sweep(path)
                progress = progress_of(result, read_trials(result))
                bar.total, bar.n = progress.total, progress.done
                bar.refresh()
                if not result.is_active:
                    break
                time.sleep(PATIENCE)
            except KeyboardInterrupt:
                if not options.json:
                    bar.write("Stopping the run with a checkpoint, then the sweep.")
                stop_sweep(path)
    return _shown(read_sweep(path), options)


def _shown(sweep: Sweep, options: argparse.Namespace) -> dict[str, Any]:
    """Return a sweep with its trials, the best first."""
    from core.sweeps.trials import importances, ranked, read_trials

    trials = read_trials(sweep)
    best_first = ranked(trials)
    best_first += [trial for trial in trials if trial not in best_first]
    metadata = _as_row(sweep) | {
        "trials": [asdict(trial) for trial in best_first],
        "importance": importances(sweep.spec, trials) if sweep.spec else {},
    }
    if not options.json:
        print(_line(metadata))
        names = list(sweep.spec.vary) if sweep.spec else []
        widths = [max(len(name), 8) for name in names]
        heads = (f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
        print(f"{'trial':>5}  {'mIoU':>6}  {'rounds':>6}  {'state':8}  {'  '.join(heads)}")
        for trial in best_first[:SHOWN_TRIALS]:
            values = (f"{_text(trial.params.get(name)):>{width}}" for name, width in zip(names, widths, strict=True))
            miou = f"{trial.score:6.1%}" if trial.scores else "     -"
            print(f"{trial.number:5}  {miou}  {len(trial.scores):6}  {trial.state:8}  {'  '.join(values)}")
        if metadata["importance"]:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in metadata["importance"].items())
            print(f"What sets the best apart: {shares}")
    return metadata


def _as_row(sweep: Sweep) -> dict[str, Any]:
    status = sweep.status
    return {
        "sweep": sweep.id,
        "state": sweep.state,
        "method": sweep.spec.method if sweep.spec else None,
        "count": sweep.spec.count if sweep.spec else None,
        "rounds": [[planned.contestants, planned.frames] for planned in sweep.rounds],
        "minutes": round(((status.ended or time.time()) - status.created) / 60, 2) if status.created else None,
        "error": status.error or sweep.problem,
    }


def _line(row: dict[str, Any]) -> str:
    line = f"{row['sweep']}  {row['state']:8}  {row['method']}, {row['count']} trials, {row['minutes']} minutes"
    return f"{line}\n    {row['error']}" if row["error"] else line


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
