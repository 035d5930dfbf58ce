"""Scores of runs at a glance: a card for each, and the leaderboard of all."""

import html
from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from app.widgets import run_name, share_words
from core.evaluation.leaderboard import COSTS, METRICS, Board, Entry, protocol_words
from core.evaluation.results import EvaluationResult
from core.runs.store import Run

STALE = "outdated"
STALE_HELP = "The checkpoint or the data may have changed since it was scored. Score it again."
FROM_TRAINING = "from training"
SHOWN_BESIDE = ("miiou", "pixel_accuracy", "boundary_f1", "ece")


def upper_bound_text(share: float | None, pixels: int) -> str:
    """What the truth itself scores in cells as coarse as a network's, to stand behind a score; it can be passed."""
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
    """A run's score with what it means: its ceiling, other scores, and the protocol.

    Args:
        card: of the run.
        name: to show, with the run's `color`.
        stale: the card may no longer hold.
        others: scores 0..1 by the keys of `METRICS`.
    """
    metadata = result.metadata
    text = [f"{METRICS[key].title} {others[key]:.1%}" for key in SHOWN_BESIDE if others.get(key) is not None]
    badge = f'<span class="lab-badge stopped" title="{STALE_HELP}">{STALE}</span>' if stale else ""
    st.html(
        f'<article class="lab-card"><header><span><i class="lab-dot" style="background:{color}"></i>{html.escape(name)}</span>'
        f'{badge}</header><div class="lab-score"><b>{share_words(result.scores.miou)}</b> mIoU '
        f"<span>{upper_bound_text(metadata.upper_bound, metadata.pixels_per_cell)}</span></div>"
        f'<div class="lab-facts">{"".join(f"<span>{fact}</span>" for fact in text)}</div>'
        f"<small>{html.escape(protocol_words(metadata))}</small></article>"
    )


def board_table(board: Board, runs: Mapping[str, Run], colors: Mapping[str, str], by: str) -> None:
    """A board as a table, sorted by a metric or a cost, the best of each column in bold; of latencies on different hardware none is.

    Args:
        board: whose entries' runs are all in `runs`.
        runs: by id.
        colors: of the runs, by id.
        by: a key of `METRICS` or `COSTS`.
    """
    metrics = [key for key in METRICS if any(entry.scores[key] is not None for entry in board.entries)]
    costs = [key for key in COSTS if any(entry.costs[key] is not None for entry in board.entries)]
    heads = [_head(METRICS[key].title, key == by) for key in metrics]
    heads += [_head(f"{COSTS[key].title}{f', {COSTS[key].unit}' * bool(COSTS[key].unit)}", key == by) for key in costs]
    columns = [_cells([entry.scores[key] for entry in board.entries], METRICS[key].best, "{:.1%}") for key in metrics]
    for key in costs:
        can_rank = key != "milliseconds" or board.is_timed_alike
        columns.append(
            _cells([entry.costs[key] for entry in board.entries], min if can_rank else None, COSTS[key].form)
        )
    order = sorted(range(len(board.entries)), key=lambda place: _place(board.entries[place], by))
    rows = []
    for place in order:
        entry = board.entries[place]
        cells = "".join(column[place] for column in columns)
        rows.append(f"<tr><td>{_who(entry, runs[entry.run], colors[entry.run])}</td>{cells}</tr>")
    st.html(
        f'<div class="lab-scroll"><table class="lab-table lab-board"><tr><th></th>{"".join(heads)}</tr>'
        f"{''.join(rows)}</table></div>"
    )


def _who(entry: Entry, run: Run, color: str) -> str:
    name = (
        f'<i class="lab-dot" style="background:{color}"></i>'
        f'<a href="runs?runs={html.escape(run.id)}" target="_self">{html.escape(run_name(run))}</a>'
    )
    if entry.metadata is None:
        return f'{name} <span class="lab-badge" title="Its own validation score, in training. Not scored yet.">{FROM_TRAINING}</span>'
    if entry.is_stale:
        name += f' <span class="lab-badge stopped" title="{STALE_HELP}">{STALE}</span>'
    return f"{name}<br><small>{upper_bound_text(entry.metadata.upper_bound, entry.metadata.pixels_per_cell)}</small>"


def _head(title: str, is_sorted_by: bool) -> str:
    return f"<th{' class=lab-sorted' * is_sorted_by}>{html.escape(title)}</th>"


def _cells(values: Sequence[float | None], best_of: Callable[..., float] | None, form: str) -> list[str]:
    known = [value for value in values if value is not None]
    best = best_of(known) if best_of and len(known) > 1 and min(known) < max(known) else None
    return [
        '<td class="lab-quiet">–</td>'
        if value is None
        else f"<td{' class=lab-best' * (value == best)}>{form.format(value)}</td>"
        for value in values
    ]


def _place(entry: Entry, by: str) -> tuple[bool, float, str]:
    value = entry.scores[by] if by in METRICS else entry.costs[by]
    falls = by in METRICS and METRICS[by].best is max
    return value is None, -(value or 0.0) if falls else (value or 0.0), entry.run
