"""`python -m core score`, `compare` and `leaderboard`: what trained runs are worth."""

import argparse
from dataclasses import asdict, replace
from typing import Any

from core.commands.options import add_moved_root, moved, say
from core.commands.progress_bar import ProgressBar
from core.errors import LabError
from core.evaluation.bootstrap import compare as bootstrap
from core.evaluation.leaderboard import COSTS, METRICS, Board, Entry, leaderboard
from core.evaluation.results import EvaluationResult, EvaluationSettings, RobustnessResult, list_robustness, read_result
from core.paths import runs_folder
from core.runs.store import Run, find_run, list_runs


def add_scores(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands to a parser's."""
    command = commands.add_parser(
        "score", parents=[common], help="score a run, and keep the evaluation result in its folder"
    )
    command.add_argument("run", help="id of a run, or a part of it")
    add_moved_root(command)
    _add_settings(command)
    command.add_argument("--robustness", action="store_true", help="score under corruptions in five strengths instead")
    command.set_defaults(command=score)

    command = commands.add_parser(
        "compare",
        parents=[common],
        help="is one run better than another, by a paired bootstrap over blocks of neighbouring frames",
    )
    command.add_argument("runs", nargs=2, metavar="RUN", help="ids of two runs, or parts of them")
    _add_settings(command)
    command.set_defaults(command=compare)

    command = commands.add_parser("leaderboard", parents=[common], help="what every run scored and cost")
    command.add_argument("--metric", choices=list(METRICS), default="miou", help="what to sort by; default: miou")
    command.set_defaults(command=show_leaderboard)


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--checkpoint", choices=["best", "last"], default="best")
    command.add_argument("--split", choices=["val", "train", "test"], default="val", help="frames to score on")
    command.add_argument("--root", default="", help="score on another data set, in any layout")
    command.add_argument(
        "--size", choices=["training", "full"], default="training", help="score there; full is the files' own size"
    )
    command.add_argument("--sliding-window", action="store_true", help="show windows of the training crops' size")
    command.add_argument("--flip", action="store_true", help="show the mirrored picture too")
    command.add_argument("--frames", type=int, default=0, metavar="N", help="so many at even distances; default: all")
    command.add_argument(
        "--no-boundary", dest="boundary", action="store_false", help="leave boundaries out, which is faster"
    )


def _settings(options: argparse.Namespace) -> EvaluationSettings:
    fields = EvaluationSettings.__annotations__
    values = vars(options) | {"frames": max(0, options.frames)}
    return EvaluationSettings(**{name: value for name, value in values.items() if name in fields})


def score(options: argparse.Namespace) -> dict[str, Any]:
    """Score a run's checkpoint; what was scored before in the same way is read."""
    from core.evaluation.evaluate_run import evaluate_robustness

    run = moved(find_run(options.run, runs_folder()), options)
    if not options.robustness:
        result = _result(run, options)
        if not options.json:
            _print_result(result)
        return _result_values(result)
    with ProgressBar(options) as progress:
        evaluate_robustness(run, _settings(options), progress)
    robustness = list_robustness(run.path)[0]
    if not options.json:
        _print_robustness(robustness)
    metadata = robustness.metadata
    return {"run": run.id, "miou": robustness.miou, "frames": metadata.frames, "size": list(metadata.size)}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Return whether one run is better than another on the same frames."""
    runs = [find_run(run_id, runs_folder()) for run_id in options.runs]
    one, other = (_result(run, options) for run in runs)
    comparison = bootstrap(one.scores, other.scores, (runs[0].name, runs[1].name))
    say(options, comparison.sentence)
    values = asdict(comparison)
    del values["uncounted"]
    return {"runs": [run.id for run in runs]} | values


def show_leaderboard(options: argparse.Namespace) -> dict[str, Any]:
    """Return every run that has a score, those that were scored alike together, the best first."""
    boards = [_sorted(board, options.metric) for board in leaderboard(list_runs(runs_folder()))]
    if not boards:
        say(options, "No run has a score yet. `python -m core score RUN` scores one.")
    for index, board in enumerate(boards):
        say(options, ("\n" if index else "") + board.protocol)
        for entry in board.entries:
            say(options, _entry_line(entry, options.metric))
    return {"boards": [_board_as_json(board) for board in boards]}


def _sorted(board: Board, metric: str) -> Board:
    def sort_key(entry: Entry) -> tuple[bool, float]:
        value = entry.scores[metric]
        return value is None, (value or 0.0) * (-1 if METRICS[metric].best is max else 1)

    return replace(board, entries=tuple(sorted(board.entries, key=sort_key)))


def _entry_line(entry: Entry, metric: str) -> str:
    scores = "  ".join(
        f"{METRICS[name].title} {_percent(entry.scores[name])}"
        for name in dict.fromkeys((metric, "miou", "pixel_accuracy"))
        if entry.scores[name] is not None
    )
    costs = "  ".join(
        f"{cost.number_format.format(entry.costs[name])} {cost.unit or cost.title}"
        for name, cost in COSTS.items()
        if entry.costs[name] is not None
    )
    return f"  {entry.run}  {entry.name}  {scores}  {costs}{'  outdated' if entry.is_stale else ''}"


def _board_as_json(board: Board) -> dict[str, Any]:
    entries = [
        {
            "run": entry.run,
            "name": entry.name,
            "scores": entry.scores,
            "costs": entry.costs,
            "stale": entry.is_stale,
            "upper_bound": entry.metadata.upper_bound if entry.metadata else None,
            "pixels_per_cell": entry.metadata.pixels_per_cell if entry.metadata else None,
        }
        for entry in board.entries
    ]
    return {"protocol": board.protocol, "scored": board.is_scored, "data": board.data, "entries": entries}


def _result(run: Run, options: argparse.Namespace) -> EvaluationResult:
    from core.evaluation.evaluate_run import evaluate_run

    with ProgressBar(options) as progress:
        path = evaluate_run(run, _settings(options), progress)
    result = read_result(path)
    if result is None:
        raise LabError(f"'{path}' was written and can't be read. Is the disk full? Free some space, and score again.")
    return result


def _result_values(result: EvaluationResult) -> dict[str, Any]:
    metadata, settings = result.metadata, result.metadata.settings
    return result.scores.to_json() | {
        "run": metadata.run,
        "checkpoint": settings.checkpoint,
        "step": metadata.step,
        "size": list(metadata.size),
        "scored_at": settings.size,
        "protocol": settings.description,
        "sliding_window": settings.sliding_window,
        "milliseconds": metadata.milliseconds,
        "milliseconds_spread": metadata.milliseconds_spread,
        "timed": metadata.timed,
        "disturbance": metadata.disturbance,
        "upper_bound": {"pixels_per_cell": metadata.pixels_per_cell, "miou": metadata.upper_bound},
        "upper_bounds": metadata.upper_bounds,
    }


def _print_result(result: EvaluationResult) -> None:
    scores, metadata = result.scores.to_json(), result.metadata
    for name, value in scores["iou"].items():
        print(f"{name:15} {_percent(value)}")
    if len(scores["groups"]) > 1:
        print()
        for name, row in scores["groups"].items():
            print(f"{name:15} {_percent(row['miou'])}  {row['frames']} frames")
        print()
    print(f"mean IoU {_percent(scores['miou'])}, pixel accuracy {_percent(scores['pixel_accuracy'])}")
    print(
        f"on {metadata.frames} frames at {metadata.size[1]} x {metadata.size[0]} pixels"
        f" ({metadata.settings.description})"
    )
    if scores["miiou"] is not None:
        print(f"mean iIoU {_percent(scores['miiou'])}")
    if scores["mean_boundary_f1"] is not None:
        print(f"mean boundary F1 {_percent(scores['mean_boundary_f1'])}")
    print(f"calibration error {_percent(scores['calibration']['ece'])}")
    print(
        f"the truth itself, seen in cells of {metadata.pixels_per_cell} pixels, would have"
        f" {_percent(metadata.upper_bound)}"
    )


def _print_robustness(result: RobustnessResult) -> None:
    print(f"mean IoU on {result.metadata.frames} frames ({result.metadata.settings.description}), by strength 1 to 5")
    print(f"{'as they are':15} {_percent(result.miou['none'][0])}")
    for kind, row in result.miou.items():
        if kind != "none":
            print(f"{kind:15} {'  '.join(_percent(value) for value in row.values())}")


def _percent(value: float | None) -> str:
    return " absent" if value is None else f"{value:.1%}"
