"""Commands about runs: training, trying first, listing, stopping, naming, deleting."""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from core import runner
from core.commands.options import (
    add_config,
    add_fields,
    add_moved_root,
    json_option,
    moved,
    overrides,
    requested_config,
    say,
)
from core.commands.progress_bar import ProgressBar
from core.data.folds import check_folds
from core.errors import LabError
from core.paths import runs_folder
from core.runner.move_data import move_data
from core.runs.ensembles import make_ensemble
from core.runs.metrics_log import best_evaluation, evaluations
from core.runs.notes import write_notes
from core.runs.repeats import NO_FOLD_LEFT, By, Spread, folds_of, repeats_of, summarize_repeats
from core.runs.store import Run, find_run, list_runs, read_run
from core.text import format_bytes, format_percent, join_items, plural
from core.tracking.tracker import check_trackers

TEXT_HELP = {
    "list": "show only the runs that have all of these words",
    "rename": "the new name; none removes the one it has",
    "tag": "the new tags; none removes all",
    "note": "the new note; none removes the one it has",
    "move-data": "the folder in which the data lie now",
}
"""What the words after an action mean."""


def add_runs(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands train, dry_run, lr-find and runs."""
    command = commands.add_parser("train", parents=[common], help="train a network", argument_default=None)
    command.add_argument("--detach", action="store_true", help="don't wait for the end")
    add_config(command)
    command.set_defaults(command=train)

    for name, function, text in (
        ("dry-run", dry_run, "try what a training would take"),
        ("lr-find", find_lr, "find a good learning rate by a short test"),
    ):
        command = commands.add_parser(name, parents=[common], help=text)
        add_config(command)
        command.set_defaults(command=function)

    command = commands.add_parser("ensemble", parents=[common], help="several runs as one: the mean of their answers")
    command.add_argument("runs", nargs="+", metavar="RUN", help="ids, or parts of them; the first one's data are kept")
    command.set_defaults(command=ensemble)

    command = commands.add_parser("average", parents=[common], help="the mean of runs' weights, where it is better")
    command.add_argument("runs", nargs="+", metavar="RUN", help="ids, or parts of them; of one network and one start")
    command.set_defaults(command=average)

    command = commands.add_parser("runs", parents=[common], help="list runs, or stop, resume, clone, name, delete one")
    command.set_defaults(command=_list, text=[])
    _add_run_actions(command)


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Make a run, start it, and follow it to its end unless told to detach. Ctrl-C stops the run with a checkpoint."""
    config = requested_config(options)
    check_trackers(config.tracking)
    path = runner.launch(config, runs_folder())
    say(options, f"Run {path.name}: {config.model.title}. It goes on without this terminal.")
    if options.detach:
        return {"run": path.name, "state": "queued"}
    return _follow(path, options)


def ensemble(options: argparse.Namespace) -> dict[str, Any]:
    """Put runs together as one, which answers with the mean of their probabilities."""
    folder = runs_folder()
    path = make_ensemble([find_run(run_id, folder) for run_id in options.runs], folder)
    say(
        options,
        f"Run {path.name} averages {plural(len(options.runs), 'run')}. Score it: python -m core score {path.name}",
    )
    return {"run": path.name}


def average(options: argparse.Namespace) -> dict[str, Any]:
    """Average the weights of runs as long as that scores better than the best of them."""
    from core.evaluation.soup import make_soup

    folder = runs_folder()
    with ProgressBar(options) as progress:
        soup = make_soup([find_run(run_id, folder) for run_id in options.runs], folder, progress)
    say(
        options,
        f"Run {soup.path.name} averages the weights of {join_items(list(soup.members), 'and')}: mean IoU"
        f" {format_percent(soup.miou)} instead of {format_percent(soup.best_miou)} on the validation frames.",
    )
    return {"run": soup.path.name, "members": list(soup.members), "miou": soup.miou, "best_miou": soup.best_miou}


def dry_run(options: argparse.Namespace) -> dict[str, Any]:
    """Try two steps and a validation batch of a run, and say what the whole would take and what speaks against it."""
    from core.training.probe.dry_run import dry_run

    estimate = dry_run(requested_config(options))
    if estimate.cost and not options.json:
        cost = estimate.cost
        print(f"{cost.hardware} {cost.steps} steps, about {cost.seconds_total / 60:.1f} minutes in all:")
        print(
            f"{cost.seconds_per_step:.2f} s a step, {cost.seconds_per_epoch / 60:.1f} minutes a pass over the data, "
            f"{cost.seconds_per_evaluation:.1f} s to score it once"
        )
        print(
            f"{format_bytes(cost.memory_bytes)} of {format_bytes(cost.memory_free_bytes)} free memory, "
            f"{format_bytes(cost.checkpoint_bytes)} on disk"
        )
    for problem in estimate.problems:
        say(options, problem.sentence)
    return estimate.as_dict()


def find_lr(options: argparse.Namespace) -> dict[str, Any]:
    """Raise the learning rate over some steps and suggest one."""
    from core.training.probe import lr_finder as find_lr

    steps = find_lr.find_lr(requested_config(options))
    points = list(tqdm(steps, total=find_lr.STEPS, unit="step", disable=options.json))
    result = find_lr.suggest_lr(points)
    say(options, result.sentence)
    return {"points": [asdict(point) for point in points], **asdict(result)}


def _list(options: argparse.Namespace) -> dict[str, Any]:
    rows = [_as_row(run) for run in list_runs(runs_folder()) if run.matches(" ".join(options.text))]
    say(options, "\n".join(map(_line, rows)) or "No run yet. Start one: python -m core train --preset taste")
    return {"runs": rows}


def _empty_trash(options: argparse.Namespace) -> dict[str, Any]:
    gone = runner.empty_trash(runs_folder(), options.older_than)
    size = sum(trashed.size for trashed in gone)
    say(options, f"{plural(len(gone), 'run')} removed for good, {format_bytes(size)} freed.")
    return {"removed": [trashed.run.id for trashed in gone], "bytes": size}


def _restore(options: argparse.Namespace) -> dict[str, Any]:
    path = runner.restore(_name_of_run(options), runs_folder())
    say(options, f"Run {path.name} is back.")
    return _as_row(read_run(path))


def _name_of_run(options: argparse.Namespace) -> str:
    if not options.run:
        raise LabError(
            f"Name the run to {options.action}: python -m core runs {options.action} RUN. Any part of its id that no"
            " other has will do."
        )
    return options.run


def _on_run(
    act: Callable[[Run, argparse.Namespace], Any], outcome: str | Callable[[Run], str] = ""
) -> Callable[[argparse.Namespace], dict[str, Any]]:
    """Return the command that does something with a run and says the outcome.

    Without one, `act` says and returns it.
    """

    def command(options: argparse.Namespace) -> dict[str, Any]:
        run = find_run(_name_of_run(options), runs_folder())
        result = act(run, options)
        if not outcome:
            return result
        run = read_run(run.path)
        say(options, f"Run {run.id} {outcome if isinstance(outcome, str) else outcome(run)}.")
        return _as_row(run)

    return command


def _show(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    metadata = _as_row(run) | {
        "path": str(run.path),
        "note": run.notes.note,
        "parent": run.notes.parent,
        "failure": run.status.failure,
        "remedy": run.status.suggested_change,
        "config": run.config.model_dump() if run.config else None,
    }
    lines = [_line(metadata), f"    {run.path}"]
    if run.notes.parent:
        lines.append(f"    cloned from {run.notes.parent}")
    lines += [f"    {line}" for line in run.notes.note.splitlines()]
    if run.config:
        lines.append(run.config.model_dump_json(indent=2))
    say(options, "\n".join(lines))
    return metadata


def _delete(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    runner.delete(run.path)
    say(options, f"Run {run.id} is in the trash. Bring it back: python -m core runs restore {run.id}")
    return {"run": run.id, "deleted": True}


def _clone(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    path = runner.clone(run.path, overrides(options))
    say(options, f"Run {path.name} is queued: {run.id} once more, with what you changed.")
    return _as_row(read_run(path))


def _repeat(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    if options.folds is not None:
        for sentence in check_folds(run.config.dataset, options.folds) if run.config else ():
            say(options, sentence)
        paths = runner.cross_validate(run.path, options.folds)
        say(options, f"Queued with folds: {', '.join(path.name for path in paths)}." if paths else NO_FOLD_LEFT)
    else:
        if options.seeds < 1:
            raise LabError(f"--seeds is {options.seeds}, but must be at least 1.")
        paths = runner.repeat(run.path, options.seeds)
        say(options, f"Queued with other seeds: {', '.join(path.name for path in paths)}.")
    return {"run": run.id, "repeats": [path.name for path in paths]}


def _repeats(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    everyone = list_runs(runs_folder())
    if options.by == "seed":
        repeats = summarize_repeats(repeats_of(run, everyone))
    else:
        own = run.config.dataset.folds if run.config else 0
        by_count = {count: summarize_repeats(several, "fold") for count, several in folds_of(run, everyone).items()}
        known = [each for count, each in by_count.items() if each and own in (0, count)]
        repeats = known[-1] if known else None
    if repeats is None:
        raise LabError(f"No run of the recipe of {run.id} is finished and scored yet.")
    lines = [repeats.sentence]
    if repeats.miou.count > 1:
        for name, spread in zip(run.class_names, repeats.iou, strict=True):
            if spread:
                mean, deviation, low, high = (
                    100 * value for value in (spread.mean, spread.deviation, spread.low, spread.high)
                )
                lines.append(f"{name:20} {mean:5.1f} ± {deviation:.1f}, 95 % interval {low:.1f} to {high:.1f}")
    say(options, "\n".join(lines))
    return {
        "runs": [each.id for each in repeats.runs],
        "miou": _finite(repeats.miou),
        "iou": {name: _finite(spread) for name, spread in zip(run.class_names, repeats.iou, strict=True)},
    }


def _finite(spread: Spread | None) -> dict[str, float | None] | None:
    """Return a spread for JSON, which has no NaN."""
    values = asdict(spread).items() if spread else ()
    return {name: None if value != value else value for name, value in values} or None


def _annotate(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """Rename, tag or note: the words that follow take the place of what was there; none at all take it away."""
    text = " ".join(options.text)
    change = {"rename": {"name": text}, "tag": {"tags": tuple(options.text)}, "note": {"note": text}}[options.action]
    write_notes(run.path, replace(run.notes, **change))
    return _summary(run.path, options)


def _follow(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Show a run's progress until it ends. Ctrl-C asks it to stop, and waits for its checkpoint."""
    with tqdm(unit="step", dynamic_ncols=True, disable=options.json or None) as bar:

        def write(text: str) -> None:
            if not options.json:
                bar.write(text)

        scored = 0
        while True:
            try:
                run = read_run(path)
                bar.total, bar.n = run.status.steps_total, run.status.step
                bar.set_description(run.status.phase or run.state)
                for row in evaluations(path)[scored:]:
                    scored += 1
                    if row["miou"] is None:
                        text = "not scored, for no pixel of the validation labels belongs to a class"
                    else:
                        text = f"mean IoU {row['miou']:.1%}, pixel accuracy {row['pixel_accuracy']:.1%}"
                    write(f"step {row['step']}: {text}")
                if not run.is_active:
                    break
                time.sleep(0.5)
            except KeyboardInterrupt:
                write("Stopping after this step, with a checkpoint.")
                runner.stop(path)
    return _summary(path, options)


def _summary(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    row = _as_row(read_run(path))
    say(options, _line(row))
    return row


def _as_row(run: Run) -> dict[str, Any]:
    scores = evaluations(run.path)
    best = best_evaluation(scores)
    status = run.status
    return {
        "run": run.id,
        "title": run.title,
        "name": run.notes.name,
        "tags": list(run.notes.tags),
        "state": run.state,
        "step": status.step,
        "steps_total": status.steps_total,
        "best_miou": best and best["miou"],
        "minutes": round(((status.ended or status.updated) - status.started) / 60, 2) if status.started else None,
        "error": status.error or run.problem,
    }


def _line(row: dict[str, Any]) -> str:
    miou = f"mean IoU {row['best_miou']:.1%}" if row["best_miou"] is not None else "not scored yet"
    line = (
        f"{row['run']}  {row['state']:8}  step {row['step']}/{row['steps_total'] or '?'}  {miou} "
        f" {row['name'] or row['title']}"
    )
    line += "".join(f"  #{tag}" for tag in row["tags"])
    return f"{line}\n    {row['error']}" if row["error"] else line


def _is_behind(run: Run) -> str:
    return f"has {runner.queue_position(run)} before it now"


ACTIONS: dict[str, tuple[str, Callable[[argparse.Namespace], dict[str, Any]]]] = {
    "list": ("list all runs, or those that have all of some words; also what is done when no action is named", _list),
    "empty-trash": ("remove what was deleted, for good", _empty_trash),
    "show": ("show a run with its config", _on_run(_show)),
    "stop": (
        "stop a run after its present step, with a checkpoint",
        _on_run(lambda run, _: runner.stop(run.path), "will write a checkpoint and stop"),
    ),
    "stop-now": (
        "the same, but end a trainer that doesn't stop in time",
        _on_run(lambda run, options: runner.stop_now(run.path, options.patience), lambda run: f"is {run.state}"),
    ),
    "pause": (
        "set a run aside, with a checkpoint; the next one in the queue begins",
        _on_run(lambda run, _: runner.pause(run.path), "will write a checkpoint and pause"),
    ),
    "resume": (
        "queue a run that was stopped, paused, lost or has failed",
        _on_run(lambda run, options: runner.resume(moved(run, options).path), "is queued again"),
    ),
    "move-data": (
        "tell where the data of a run lie now, if they were moved",
        _on_run(lambda run, options: move_data(run.path, " ".join(options.text)), "has its data there"),
    ),
    "follow": ("watch a run until it ends", _on_run(lambda run, options: _follow(run.path, options))),
    "clone": ("train once more, with some fields changed", _on_run(_clone)),
    "repeat": ("train once more with other seeds, or scored on other folds, to see what is chance", _on_run(_repeat)),
    "repeats": ("what the runs that differ from one in the seed or the fold alone come to together", _on_run(_repeats)),
    "rename": ("give a run a name", _on_run(_annotate)),
    "tag": ("give a run these tags instead of those it has", _on_run(_annotate)),
    "note": ("give a run a note", _on_run(_annotate)),
    "delete": ("move a run into the trash", _on_run(_delete)),
    "restore": ("bring a run back from the trash", _restore),
    "up": (
        "move a queued run one place nearer to its turn",
        _on_run(lambda run, _: runner.move(run.path, -1), _is_behind),
    ),
    "down": ("move a queued run one place back", _on_run(lambda run, _: runner.move(run.path, 1), _is_behind)),
}
"""What can be done with runs: the help, and what does it."""


def _add_run_actions(command: argparse.ArgumentParser) -> None:
    """Add what can be done with runs, each with the options that it takes."""
    actions = command.add_subparsers(dest="action", metavar="ACTION")
    for name, (text, function) in ACTIONS.items():
        action = actions.add_parser(name, parents=[json_option()], help=text)
        action.set_defaults(command=function)
        if name == "empty-trash":
            action.add_argument("--older-than", type=float, default=0.0, metavar="DAYS", help="keep what is younger")
        elif name != "list":
            action.add_argument("run", nargs="?", help="id of a run, or a part of it")
        if name in TEXT_HELP:
            action.add_argument("text", nargs="*", help=TEXT_HELP[name])
        elif name == "resume":
            add_moved_root(action)
        elif name == "stop-now":
            action.add_argument(
                "--patience",
                type=float,
                default=runner.STOP_SECONDS,
                metavar="S",
                help=f"seconds that the trainer has for its checkpoint; default {runner.STOP_SECONDS:g}",
            )
        elif name == "clone":
            add_fields(action)
        elif name == "repeat":
            how = action.add_mutually_exclusive_group()
            how.add_argument("--seeds", type=int, default=2, metavar="N", help="how many more seeds; default 2")
            how.add_argument("--folds", type=int, metavar="K", help="part the data in K folds, and train for each")
        elif name == "repeats":
            action.add_argument("--by", choices=get_args(By), default="seed", help="what they differ in; default seed")
