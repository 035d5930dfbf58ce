"""`python -m core score`, `compare` and `leaderboard`: what trained runs are worth."""

import argparse
from dataclasses import replace
from typing import Any

from core.commands.options import say
from core.commands.progress_bar import ProgressBar
from core.errors import LabError
from core.places import runs_folder
from core.runs import Run, find_run, list_runs
from core.scorecards.card import CardSettings, RobustnessCard, ScoreCard, list_robustness, read_card
from core.scorecards.leaderboard import COSTS, METRICS, Board, Entry, leaderboard
from core.scoring.bootstrap import compare as bootstrap


def add_scores(commands: Any, common: argparse.ArgumentParser) -> None:
    """Adds the commands to a parser's."""
    command = commands.add_parser("score", parents=[common], help="score a run, and keep the scorecard in its folder")
    command.add_argument("run", help="id of a run, or a part of it")
    _add_settings(command)
    command.add_argument("--robustness", action="store_true", help="score under corruptions in five strengths instead")
    command.set_defaults(command=score)

    command = commands.add_parser(
        "compare", parents=[common], help="is one run better than another, by paired bootstrap"
    )
    command.add_argument("runs", nargs=2, metavar="RUN", help="ids of two runs, or parts of them")
    _add_settings(command)
    command.set_defaults(command=compare)

    command = commands.add_parser("leaderboard", parents=[common], help="what every run scored and cost")
    command.add_argument("--metric", choices=list(METRICS), default="miou", help="what to sort by; default: miou")
    command.set_defaults(command=show_leaderboard)


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--checkpoint", choices=["best", "last"], default="best")
    command.add_argument("--split", choices=["val", "train"], default="val", help="frames to score on")
    command.add_argument("--root", default="", help="score on another data set in the Cityscapes layout")
    command.add_argument(
        "--size", choices=["training", "full"], default="training", help="score there; full is the files' own size"
    )
    command.add_argument("--sliding-window", action="store_true", help="show windows of the training crops' size")
    command.add_argument("--flip", action="store_true", help="show the mirrored picture too")
    command.add_argument("--frames", type=int, default=0, metavar="N", help="so many at even distances; default: all")
    command.add_argument("--no-boundary", action="store_true", help="leave boundaries out, which is faster")


def _settings(options: argparse.Namespace) -> CardSettings:
    return CardSettings(
        checkpoint=options.checkpoint,
        split=options.split,
        size=options.size,
        sliding_window=options.sliding_window,
        flip=options.flip,
        boundary=not options.no_boundary,
        root=options.root,
        frames=max(0, options.frames),
    )


def score(options: argparse.Namespace) -> dict[str, Any]:
    """Scores a run's checkpoint; what was scored before in the same way is read."""
    from core.scorecards.making import make_robustness

    run = find_run(options.run, runs_folder())
    if not options.robustness:
        card = _card(run, options)
        if not options.json:
            _print_card(card)
        return _card_facts(card)
    with ProgressBar(options) as progress:
        make_robustness(run, _settings(options), progress)
    robustness = list_robustness(run.path)[0]
    if not options.json:
        _print_robustness(robustness)
    facts = robustness.facts
    return {"run": run.id, "miou": robustness.miou, "frames": facts.frames, "size": list(facts.size)}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Whether one run is better than another on the same frames."""
    runs = [find_run(run_id, runs_folder()) for run_id in options.runs]
    one, other = (_card(run, options) for run in runs)
    found = bootstrap(one.scores, other.scores, (runs[0].name, runs[1].name))
    say(options, found.sentence)
    return {
        "runs": [run.id for run in runs],
        "difference": found.difference,
        "spread": found.spread,
        "low": found.low,
        "high": found.high,
        "frames": found.frames,
        "sentence": found.sentence,
    }


def show_leaderboard(options: argparse.Namespace) -> dict[str, Any]:
    """Every run that has a score, those that were scored alike together, the best first."""
    boards = [_sorted(board, options.metric) for board in leaderboard(list_runs(runs_folder()))]
    if not boards:
        say(options, "No run has a score yet. `python -m core score RUN` scores one.")
    for place, board in enumerate(boards):
        say(options, ("\n" if place else "") + board.words)
        for entry in board.entries:
            say(options, _entry_line(entry, options.metric))
    return {"boards": [_board_facts(board) for board in boards]}


def _sorted(board: Board, metric: str) -> Board:
    def place(entry: Entry) -> tuple[bool, float]:
        value = entry.scores[metric]
        return value is None, (value or 0.0) * (-1 if METRICS[metric].best is max else 1)

    return replace(board, entries=tuple(sorted(board.entries, key=place)))


def _entry_line(entry: Entry, metric: str) -> str:
    scores = "  ".join(
        f"{METRICS[name].title} {_percent(entry.scores[name])}"
        for name in dict.fromkeys((metric, "miou", "pixel_accuracy"))
        if entry.scores[name] is not None
    )
    costs = "  ".join(
        f"{cost.form.format(entry.costs[name])} {cost.unit or cost.title}"
        for name, cost in COSTS.items()
        if entry.costs[name] is not None
    )
    mark = "  outdated" if entry.is_stale else ""
    return f"  {entry.run}  {entry.name}  {scores}  {costs}{mark}"


def _board_facts(board: Board) -> dict[str, Any]:
    entries = [
        {
            "run": entry.run,
            "name": entry.name,
            "scores": entry.scores,
            "costs": entry.costs,
            "stale": entry.is_stale,
            "ceiling": entry.facts.ceiling if entry.facts else None,
            "pixels_per_cell": entry.facts.pixels_per_cell if entry.facts else None,
        }
        for entry in board.entries
    ]
    return {"protocol": board.words, "scored": board.is_scored, "data": board.data, "entries": entries}


def _card(run: Run, options: argparse.Namespace) -> ScoreCard:
    from core.scorecards.making import make_card

    with ProgressBar(options) as progress:
        path = make_card(run, _settings(options), progress)
    card = read_card(path)
    if card is None:
        raise LabError(f"'{path}' was written and can't be read. Is the disk full? Free some space, and score again.")
    return card


def _card_facts(card: ScoreCard) -> dict[str, Any]:
    facts, settings = card.facts, card.facts.settings
    return card.scores.to_json() | {
        "run": facts.run,
        "checkpoint": settings.checkpoint,
        "step": facts.step,
        "size": list(facts.size),
        "scored_at": settings.size,
        "protocol": settings.words,
        "sliding_window": settings.sliding_window,
        "milliseconds": facts.milliseconds,
        "ceiling": {"pixels_per_cell": facts.pixels_per_cell, "miou": facts.ceiling},
        "ceilings": facts.ceilings,
    }


def _print_card(card: ScoreCard) -> None:
    result, facts = card.scores.to_json(), card.facts
    for name, value in result["iou"].items():
        print(f"{name:15} {_percent(value)}")
    if len(result["groups"]) > 1:
        print()
        for name, row in result["groups"].items():
            print(f"{name:15} {_percent(row['miou'])}  {row['frames']} frames")
        print()
    print(f"mean IoU {_percent(result['miou'])}, pixel accuracy {_percent(result['pixel_accuracy'])}")
    print(f"on {facts.frames} frames at {facts.size[1]} x {facts.size[0]} pixels ({facts.settings.words})")
    if result["miiou"] is not None:
        print(f"mean iIoU {_percent(result['miiou'])}")
    if result["mean_boundary_f1"] is not None:
        print(f"mean boundary F1 {_percent(result['mean_boundary_f1'])}")
    print(f"calibration error {_percent(result['calibration']['ece'])}")
    print(f"the truth itself, seen in cells of {facts.pixels_per_cell} pixels, would have {_percent(facts.ceiling)}")


def _print_robustness(card: RobustnessCard) -> None:
    print(f"mean IoU on {card.facts.frames} frames ({card.facts.settings.words}), by strength 1 to 5")
    print(f"{'as they are':15} {_percent(card.miou['none'][0])}")
    for kind, row in card.miou.items():
        if kind != "none":
            print(f"{kind:15} {'  '.join(_percent(value) for value in row.values())}")


def _percent(value: float | None) -> str:
    return " absent" if value is None else f"{value:.1%}"
