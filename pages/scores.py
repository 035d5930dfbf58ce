"""Scores: what runs are worth on which frames, where they go wrong, who is better than whom, and at what cost."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from markupsafe import Markup

from app.benchmark import benchmark_view
from app.comparing import compare_view, cost_view
from app.html import show
from app.leaderboard import board_table, score_tile
from app.robustness import robustness_view
from app.score_views import Shown, calibration_view, classes_view, confusion_view, upper_bounds_view, where_view
from app.scoring import Scored, choose_settings, find_score, start, work_panel
from app.tables import badge, dot
from app.widgets import empty_state, latest_of_each_family, pick_runs, run_colors, run_name
from core.escaping import escape_markdown
from core.evaluation.leaderboard import COSTS, METRICS, Board, key_of_result, leaderboard
from core.evaluation.published import scores_table
from core.evaluation.results import EvaluationSettings
from core.paths import runs_folder
from core.runs.store import best_miou, list_runs

QUESTIONS = {
    "How good": {"board": "Leaderboard", "classes": "Classes", "compare": "A or B", "benchmark": "Benchmark"},
    "Where it fails": {"where": "Where it fails", "confusion": "Confusion", "upper_bounds": "Upper bounds"},
    "How sure": {"calibration": "Calibration", "robustness": "Robustness"},
    "At what cost": {"cost": "Cost"},
}
"""What is asked of runs, and the views that tell it."""


def choose_view() -> str:
    """Return the view that is looked at, one of those of a question; the address names it."""
    titles = {name: title for views in QUESTIONS.values() for name, title in views.items()}
    first = next(iter(titles))
    named = next((name for name, title in titles.items() if title == st.query_params.get("view")), first)
    if "view" not in st.session_state or st.session_state.get("view-named") != named:
        st.session_state["view"] = named  # a link, or a step back
    question = next(question for question, views in QUESTIONS.items() if st.session_state["view"] in views)
    st.session_state["question"] = question

    def ask() -> None:
        st.session_state["view"] = next(iter(QUESTIONS[st.session_state["question"]]))

    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        st.segmented_control("What is asked", list(QUESTIONS), required=True, key="question", on_change=ask)
        views = QUESTIONS[question]
        view = st.session_state["view"]
        if len(views) > 1:
            view = st.segmented_control("Look at", list(views), format_func=views.get, required=True, key="view")
    st.session_state["view-named"] = view
    if view != named:
        st.query_params["view"] = titles[view]
    return view


def score_button(chosen: Sequence[str], missing: Sequence[str], settings: EvaluationSettings, busy: bool) -> None:
    """Show what is still to be scored, in words and as a button."""
    st.caption(f"How it's scored: {settings.description}.")
    if missing:
        what = f"{len(missing)} runs" if len(missing) > 1 else "this run" if len(chosen) == 1 else "one run"
        st.button(
            f"Score {what}",
            type="primary",
            icon=":material/scoreboard:",
            disabled=busy,
            key="score",
            on_click=start,
            args=(missing, settings),
            help=(
                "Counts every pixel of these frames, in a process of its own. The scores are kept in the run's folder."
            ),
        )


def at_a_glance(chosen: Sequence[str], results: dict[str, Scored], shown: Shown) -> None:
    """Show every chosen run on a card: its scores, or that it has none yet."""
    with st.grid(3, min_column_width=300):
        for run_id in chosen:
            name, color = shown.names[run_id], shown.colors[run_id]
            if run_id in results:
                scored = results[run_id]
                others = {key: metric.read(scored.scores) for key, metric in METRICS.items()}
                score_tile(scored.result, name, color, scored.is_stale, others)
                continue
            miou = best_miou(shown.runs[run_id].path)
            card = Markup(
                '<article class="lab-card"><header><span>{}{}</span>{}</header>{}<small>Its own validation score, at'
                " the training size and seen whole.</small></article>"
            )
            score = Markup('<div class="lab-score"><b>{:.1%}</b> mIoU <span>from training</span></div>')
            known = score.format(miou) if miou else ""
            show(card.format(dot(color), name, badge("not scored with these settings"), known))


def boards_panel(boards: Sequence[Board], shown: Shown) -> None:
    """Show the leaderboard: what was scored alike stands together."""
    if not boards:
        st.caption("No run has a score yet.")
        return
    titles = {key: metric.title for key, metric in METRICS.items()} | {key: cost.title for key, cost in COSTS.items()}
    by = st.selectbox("Sort by", list(titles), format_func=titles.get, key="sort-by", width=220)
    for board in boards:
        mark = f" · data {board.data[:6]}" if board.data else ""
        st.caption(f"{escape_markdown(board.protocol)}{mark}")
        board_table(board, shown.runs, shown.colors, by)
    if len(boards) > 1:
        st.caption(
            "Runs in different tables were scored on other frames, at another size or otherwise: don't compare them."
        )
    with st.expander("What others published on Cityscapes", icon=":material/menu_book:"):
        st.markdown(scores_table())
        st.caption(
            "Read the settings before you set a number beside these: data, crops, and what the network was shown at"
            " once differ from row to row. docs/published-scores.md says how they were read."
        )


# page layout
st.title("Scores")
everyone = list_runs(runs_folder())
able = {run.id: run for run in everyone if run.config and (run.has_checkpoint("best") or run.has_checkpoint("last"))}
if not able:
    empty_state(
        "Nothing to score yet",
        "A run can be scored from its first evaluation on: every class, where it errs, how sure it is, and what it"
        " costs.",
        "Train networks",
        page="train",
    )
    st.stop()
chosen = pick_runs("Runs", able, latest_of_each_family(able), limit=8)
settings = choose_settings([able[run_id] for run_id in chosen])
busy = work_panel(able)
boards = leaderboard(everyone)
by_id = {run.id: run for run in everyone}
everything = Shown({}, by_id, {run.id: run_name(run) for run in everyone}, run_colors(everyone), settings)
by_run = {run_id: scored for run_id in chosen if (scored := find_score(able[run_id], settings))}
if chosen:
    score_button(
        chosen, [run_id for run_id in chosen if run_id not in by_run or by_run[run_id].is_stale], settings, busy
    )
    at_a_glance(chosen, by_run, everything)
alike = {}
for run_id, scored in by_run.items():
    first, result = next(iter(by_run.values())).result, scored.result
    if key_of_result(result) == key_of_result(first):
        alike[run_id] = result
shown = replace(everything, results=alike)
view = choose_view()
if len(alike) < len(by_run) and view not in ("board", "cost", "robustness", "benchmark"):
    others = ", ".join(escape_markdown(shown.names[run_id]) for run_id in by_run if run_id not in alike)
    st.caption(f"Left out: {others}, scored on other data or other classes.")
match view:
    case "board":
        boards_panel(boards, shown)
    case "cost":
        cost_view(boards, shown)
    case _ if not chosen:
        st.caption("Choose at least one run.")
    case "robustness":
        robustness_view(chosen, shown, busy)
    case "benchmark":
        benchmark_view(chosen, shown, busy)
    case _ if not alike:
        st.caption("None of the chosen runs is scored with these settings yet. Score them with the button above.")
    case "classes":
        classes_view(shown)
    case "confusion":
        confusion_view(shown)
    case "calibration":
        calibration_view(shown)
    case "where":
        where_view(shown)
    case "compare":
        compare_view(shown)
    case "upper_bounds":
        upper_bounds_view(shown)
