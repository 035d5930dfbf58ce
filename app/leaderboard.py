"""Scores of runs at a glance: a tile for each, and the leaderboard of all."""

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from app.html import joined, show
from app.tables import MISSING, Cell, badge, dot, run_link, table
from app.widgets import run_name
from core.evaluation.leaderboard import COSTS, METRICS, Board, Entry, describe_protocol
from core.evaluation.results import EvaluationResult
from core.runs.repeats import groups_of_repeats, spread_of
from core.runs.store import Run
from core.text import format_percent, plural

STALE = "outdated"
STALE_HELP = "The checkpoint or the data may have changed since it was scored. Score it again."
FROM_TRAINING = "from training"
SHOWN_BESIDE = ("miiou", "pixel_accuracy", "boundary_f1", "ece")


def upper_bound_text(share: float | None, pixels: int) -> str:
    """Return what the truth itself scores in cells as coarse as a network's; it can be passed."""
    if share is None:
        return ""
    return (
        f"against {share:.1%} for the truth itself in cells of {pixels} pixels"
        if pixels > 1
        else "it scores single pixels"
    )


def score_tile(
    result: EvaluationResult, name: str, color: str, stale: bool, others: Mapping[str, float | None]
) -> None:
    """Show a run's score with what it means: its upper bound, other scores, and the protocol.

    Args:
        result: of the run.
        name: to show, with the run's `color`.
        stale: the result may no longer hold.
        others: scores 0..1 by the keys of `METRICS`.
    """
    metadata = result.metadata
    text = [f"{METRICS[key].title} {others[key]:.1%}" for key in SHOWN_BESIDE if others.get(key) is not None]
    note = badge(STALE, "stopped", STALE_HELP) if stale else ""
    card = Markup(
        '<article class="lab-card"><header><span>{}{}</span>{}</header><div class="lab-score"><b>{}</b> mIoU'
        ' <span>{}</span></div><div class="lab-facts">{}</div><small>{}</small></article>'
    )
    facts = joined(Markup("<span>{}</span>").format(item) for item in text)
    bound = upper_bound_text(metadata.upper_bound, metadata.pixels_per_cell)
    score = format_percent(result.scores.miou)
    show(card.format(dot(color), name, note, score, bound, facts, describe_protocol(metadata)))


def board_table(board: Board, runs: Mapping[str, Run], colors: Mapping[str, str], by: str) -> None:
    """Show a board sorted by a metric or a cost, the best of each column in bold.

    Of latencies on different hardware, or measured beside other work, none is.

    Args:
        board: whose entries' runs are all in `runs`.
        runs: by id.
        colors: of the runs, by id.
        by: a key of `METRICS` or `COSTS`.
    """
    metrics = [key for key in METRICS if any(entry.scores[key] is not None for entry in board.entries)]
    costs = [key for key in COSTS if any(entry.costs[key] is not None for entry in board.entries)]
    titles = {key: METRICS[key].title for key in metrics}
    titles |= {key: ", ".join(filter(None, (COSTS[key].title, COSTS[key].unit))) for key in costs}
    heads = [Cell(title, "lab-sorted" if key == by else "") for key, title in titles.items()]
    columns = [_cells([entry.scores[key] for entry in board.entries], METRICS[key].best, "{:.1%}") for key in metrics]
    for key in costs:
        can_rank = key != "milliseconds" or board.is_timed_alike
        columns.append(
            _cells([entry.costs[key] for entry in board.entries], min if can_rank else None, COSTS[key].number_format)
        )
    rows = []
    for index in sorted(range(len(board.entries)), key=lambda index: _rank(board.entries[index], by)):
        entry = board.entries[index]
        rows.append([_name(entry, runs[entry.run], colors[entry.run]), *(column[index] for column in columns)])
    known = {entry.run: entry for entry in board.entries}
    for group in groups_of_repeats([runs[run_id] for run_id in known]):
        entries = [known[run.id] for run in group]
        spreads = [_spread([entry.scores[key] for entry in entries], percent=True) for key in metrics]
        spreads += [_spread([entry.costs[key] for entry in entries], COSTS[key].number_format) for key in costs]
        title = f"{plural(len(entries), 'repeat')} of {group[0].title}, mean ± standard deviation"
        rows.append([Markup("<small>{}</small>").format(title), *spreads])
    table(["", *heads], rows, style="lab-board")


def _name(entry: Entry, run: Run, color: str) -> Markup:
    name = joined([dot(color), run_link(run.id, run_name(run))])
    if entry.metadata is None:
        note = badge(FROM_TRAINING, title="Its own validation score, in training. Not scored yet.")
        return joined([name, " ", note])
    if entry.is_stale:
        name = joined([name, " ", badge(STALE, "stopped", STALE_HELP)])
    if entry.metadata.disturbance:
        text = f"{entry.metadata.disturbance[:1].upper()}{entry.metadata.disturbance[1:]} while it was timed."
        name = joined([name, " ", badge("timed beside other work", title=text)])
    bound = upper_bound_text(entry.metadata.upper_bound, entry.metadata.pixels_per_cell)
    return joined([name, Markup("<br><small>"), bound, Markup("</small>")])


def _cells(values: Sequence[float | None], best_of: Callable[..., float] | None, number_format: str) -> list[Cell]:
    known = [value for value in values if value is not None]
    best = best_of(known) if best_of and len(known) > 1 and min(known) < max(known) else None
    return [
        MISSING if value is None else Cell(number_format.format(value), "lab-best" if value == best else "")
        for value in values
    ]


def _spread(values: Sequence[float | None], number_format: str = "{:.1f}", percent: bool = False) -> Cell:
    """Return the mean and deviation of repeats; missing where one of them has no value."""
    known = [100 * value if percent else value for value in values if value is not None]
    if len(known) < len(values):
        return MISSING
    spread = spread_of(known)
    text = f"{number_format.format(spread.mean)} ± {number_format.format(spread.deviation)}"
    return Cell(f"{text}%" if percent else text)


def _rank(entry: Entry, by: str) -> tuple[bool, float, str]:
    value = entry.scores[by] if by in METRICS else entry.costs[by]
    falls = by in METRICS and METRICS[by].best is max
    return value is None, -(value or 0.0) if falls else (value or 0.0), entry.run
