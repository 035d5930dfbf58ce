"""Scoring from a page: how it is to be done, the job that does it, and the cards that are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.datasets import SPLIT_LABELS
from app.job_panel import show_job, try_start
from app.widgets import failed_state, run_name
from core.data.sources import SOURCES
from core.evaluation.job import Task, start_evaluation, start_submission
from core.evaluation.leaderboard import summary_at
from core.evaluation.metrics.robustness import CORRUPTIONS, STRENGTHS
from core.evaluation.results import (
    EvaluationResult,
    EvaluationSettings,
    RobustnessResult,
    list_results,
    list_robustness,
    read_result,
)
from core.evaluation.staleness import is_robustness_stale, is_stale
from core.evaluation.submission_archives import Split
from core.jobs.engine import Job
from core.jobs.kinds import latest
from core.runs.store import Run
from core.text import join_first

SIZE_LABELS = {"training": "Training size", "full": "Full size"}
ROBUSTNESS_FRAMES = 20
CONDITIONS = 1 + len(CORRUPTIONS) * len(STRENGTHS)
_TASK_LABELS = {"robustness": "The robustness of", "submission": "The benchmark's archive of"}


def choose_settings(runs: Sequence[Run]) -> EvaluationSettings:
    """Draw the widgets for how runs are scored, which keep their values in the page's address.

    A test split is offered where data may have one of their own; that of Cityscapes is scored by its server alone.
    """
    own = any(SOURCES[run.config.dataset.name].group == "folder" for run in runs)
    splits = ["val", "train", *(["test"] if own else [])]
    if st.session_state.get("scored-on") not in (None, *splits):
        del st.session_state["scored-on"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = st.segmented_control(
            "Frames",
            splits,
            format_func=SPLIT_LABELS.get,
            default="val",
            required=True,
            key="scored-on",
            bind="query-params",
        )
        size = st.segmented_control(
            "Size",
            list(SIZE_LABELS),
            format_func=SIZE_LABELS.get,
            default="training",
            required=True,
            key="scored-at",
            bind="query-params",
            help=(
                "Where pixels are counted. At full size the network's scores are enlarged to that of the files, "
                "2048 x 1024 in Cityscapes, as the benchmark does it."
            ),
        )
        window = st.toggle(
            "Sliding window",
            key="scored-window",
            bind="query-params",
            help="Show windows of the training crops' size, half overlapping.",
        )
        flip = st.toggle(
            "Mirrored too",
            key="scored-flip",
            bind="query-params",
            help="Show the mirrored picture as well, and average.",
        )
        boundary = st.toggle(
            "Boundaries",
            value=True,
            key="scored-boundary",
            bind="query-params",
            help="Look at boundaries too; takes longer, most so at full size.",
        )
        with st.popover("More", icon=":material/tune:"):
            checkpoint = st.segmented_control(
                "Checkpoint",
                ["best", "last"],
                format_func=str.capitalize,
                default="best",
                required=True,
                key="scored-checkpoint",
            )
            root = st.text_input(
                "Another data set",
                placeholder="the run's own",
                help="A folder in any layout, with the same classes.",
                key="scored-root",
            ).strip()
    return EvaluationSettings(checkpoint, split, size, window, flip, (1.0,), boundary, root)


@dataclass(frozen=True)
class Scored:
    """A run's card: everything that was counted, the scores as `Scores.to_json` gives them, and whether that may no
    longer hold.
    """

    result: EvaluationResult
    scores: dict[str, Any]
    is_stale: bool


def find_score(run: Run, settings: EvaluationSettings) -> Scored | None:
    """Return the scores of a run for these settings; None where there are none.

    One of the present weights and data goes before a newer one of others; one with boundaries will do where they
    weren't asked for.
    """
    accepted = {settings, replace(settings, boundary=True)}
    stale = None
    for path in list_results(run.path):
        summary = summary_at(path)
        if summary is None or summary.metadata.settings not in accepted:
            continue
        is_old = is_stale(run, summary.metadata)
        result = None if is_old and stale else _result(path, summary.metadata.made, summary.metadata.fingerprint)
        if result and not is_old:
            return Scored(result, summary.scores, False)
        if result:
            stale = Scored(result, summary.scores, True)
    return stale


def find_robustness(run: Run) -> tuple[RobustnessResult, bool] | None:
    """Return a run's newest robustness result, of the present weights if possible, and whether it may no longer
    hold.
    """
    results = list_robustness(run.path)
    if not results:
        return None
    fresh = [result for result in results if not is_robustness_stale(run, result)]
    return (fresh[0], False) if fresh else (results[0], True)


def robustness_settings(settings: EvaluationSettings, frames: int = ROBUSTNESS_FRAMES) -> EvaluationSettings:
    """Return how robustness is measured for these settings: on fewer frames, without boundaries."""
    return replace(settings, boundary=False, frames=frames)


def robustness_seconds(run: Run, milliseconds: float | None, frames: int) -> float | None:
    """Return an estimate of the time for robustness: by an earlier one's pace, else by what a prediction takes."""
    earlier = find_robustness(run)
    if earlier and earlier[0].metadata.frames:
        return earlier[0].metadata.seconds / earlier[0].metadata.frames * frames
    return None if milliseconds is None else frames * CONDITIONS * milliseconds / 1000


def start(run_ids: Sequence[str], settings: EvaluationSettings, task: Task = "scores") -> None:
    """Start an evaluation, as a button's callback; what keeps it from starting is said where `work_panel` is drawn."""
    try_start("evaluation", lambda: start_evaluation(run_ids, settings, task))


def start_archive(run_id: str, split: Split, settings: EvaluationSettings) -> None:
    """Start to make a run's archive for the benchmark server, as `start` does."""
    try_start("evaluation", lambda: start_submission(run_id, split, settings))


def work_panel(runs: Mapping[str, Run]) -> bool:
    """Show how far an evaluation is that goes on, or how the last one ended. Returns True while one goes on."""
    job = latest("evaluation")
    if show_job("evaluation", job, _describe(job, runs) if job else ""):
        return True
    for run_id, problem in job.result.get("problems", {}).items() if job else ():
        name = run_name(runs[run_id]) if run_id in runs else run_id
        failed_state(f"{name} could not be scored: {problem}")
    return False


def _describe(job: Job, runs: Mapping[str, Run]) -> str:
    """Return what an evaluation does, in a line."""
    request = job.request
    names = [run_name(runs[run_id]) if run_id in runs else run_id for run_id in request.get("runs", ())]
    what = f"{_TASK_LABELS.get(request.get('task', ''), 'Scoring')} {join_first(names, 3)}"
    if request.get("task") == "submission":
        return what
    values = dict(request.get("settings", {}))
    values["scales"] = tuple(values.get("scales", (1.0,)))
    return f"{what}: {EvaluationSettings(**values).description}"


@lru_cache(maxsize=16)
def _result(path: Path, _made: float, _fingerprint: str) -> EvaluationResult | None:
    return read_result(path)
