"""Scoring from a page: how it is to be done, the job that does it, and the cards that are there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.datasets import SPLIT_WORDS
from app.widgets import failed_state, plain, run_name, time_words
from core.auth import may_change
from core.errors import LabError
from core.evaluation.jobs import (
    Kind,
    is_scoring_stopping,
    latest_scoring,
    start_scoring,
    start_submission,
    stop_scoring,
)
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
from core.evaluation.staleness import is_stale
from core.evaluation.submission_archives import Split
from core.jobs.engine import Job
from core.runs.store import Run

SIZE_WORDS = {"training": "Training size", "full": "Full size"}
ROBUSTNESS_FRAMES = 20
POLL_SECONDS = 1.0
CONDITIONS = 1 + len(CORRUPTIONS) * len(STRENGTHS)
_OTHER_WORK = {"robustness": "The robustness of", "submission": "The benchmark's archive of"}


def choose_settings() -> EvaluationSettings:
    """Widgets for how runs are scored. What is chosen stands in the page's address."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = st.segmented_control(
            "Frames",
            ["val", "train"],
            format_func=SPLIT_WORDS.get,
            default="val",
            required=True,
            key="scored-on",
            bind="query-params",
        )
        size = st.segmented_control(
            "Size",
            list(SIZE_WORDS),
            format_func=SIZE_WORDS.get,
            default="training",
            required=True,
            key="scored-at",
            bind="query-params",
            help="Where pixels are counted. At full size the network's scores are enlarged to that of the files, "
            "2048 x 1024 in Cityscapes, as the benchmark does it.",
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
                "Checkpoint", ["best", "last"], default="best", required=True, key="scored-checkpoint"
            )
            root = st.text_input(
                "Another data set",
                placeholder="the run's own",
                help="A folder in the Cityscapes layout, with the same classes.",
                key="scored-root",
            ).strip()
    return EvaluationSettings(checkpoint, split, size, window, flip, (1.0,), boundary, root)


@dataclass(frozen=True)
class Scored:
    """A run's card: everything that was counted, the scores as `Scores.to_json` gives them, and whether that may no longer hold."""

    result: EvaluationResult
    scores: dict[str, Any]
    is_stale: bool


def find_score(run: Run, settings: EvaluationSettings) -> Scored | None:
    """The card of a run for these settings; None where there is none.

    One of the present weights and data goes before a newer one of others; one with boundaries will do where they weren't asked for.
    """
    wanted = {settings, replace(settings, boundary=True)}
    stale = None
    for path in list_results(run.path):
        summary = summary_at(path)
        if summary is None or summary.metadata.settings not in wanted:
            continue
        is_old = is_stale(run, summary.metadata)
        result = None if is_old and stale else _result(path, summary.metadata.made, summary.metadata.fingerprint)
        if result and not is_old:
            return Scored(result, summary.scores, False)
        if result:
            stale = Scored(result, summary.scores, True)
    return stale


def find_robustness(run: Run) -> tuple[RobustnessResult, bool] | None:
    """A run's newest robustness card, one of the present weights and data if there is any, and whether it may no longer hold."""
    results = list_robustness(run.path)
    if not results:
        return None
    fresh = [result for result in results if not is_stale(run, result.metadata)]
    return (fresh[0], False) if fresh else (results[0], True)


def robustness_settings(settings: EvaluationSettings, frames: int = ROBUSTNESS_FRAMES) -> EvaluationSettings:
    """How the robustness card of these settings is made: on fewer frames, without boundaries."""
    return replace(settings, boundary=False, frames=frames)


def robustness_seconds(run: Run, milliseconds: float | None, frames: int) -> float | None:
    """An estimate of what a robustness card will take: by an earlier one's pace, else by what a prediction takes."""
    earlier = find_robustness(run)
    if earlier and earlier[0].metadata.frames:
        return earlier[0].metadata.seconds / earlier[0].metadata.frames * frames
    return None if milliseconds is None else frames * CONDITIONS * milliseconds / 1000


def start(run_ids: Sequence[str], settings: EvaluationSettings, kind: Kind = "card") -> None:
    """Starts a scoring, as a button's callback; what keeps it from starting is said where `work_panel` is drawn."""
    _start(lambda: start_scoring(run_ids, settings, kind))


def start_archive(run_id: str, split: Split, settings: EvaluationSettings) -> None:
    """Starts making a run's archive for the benchmark server, as `start` does."""
    _start(lambda: start_submission(run_id, split, settings))


def work_panel(runs: Mapping[str, Run]) -> bool:
    """How far a scoring is that goes on, whoever started it, or how the last one ended. Returns True while one goes on."""
    if "scoring-error" in st.session_state:
        failed_state(st.session_state.pop("scoring-error"))
    job = latest_scoring()
    if job is None:
        return False
    if job.is_active:
        st.fragment(_progress, run_every=POLL_SECONDS)(job.id, _of_what(job, runs))
        return True
    if job.problem:
        failed_state(f"{_of_what(job, runs)} broke off: {job.problem}")
    elif job.state == "stopped":
        st.info(plain(f"{_of_what(job, runs)} was stopped. What was done until then is kept."), icon=":material/stop:")
    for run_id, problem in job.result.get("problems", {}).items():
        name = run_name(runs[run_id]) if run_id in runs else run_id
        failed_state(f"{name} could not be scored: {problem}")
    return False


def _start(job: Callable[[], object]) -> None:
    try:
        job()
    except LabError as error:
        st.session_state["scoring-error"] = str(error)
    except OSError as error:
        st.session_state["scoring-error"] = f"This can't be started: {error.strerror}. Free some space, and try again."


def _progress(job_id: str, words: str) -> None:
    """Drawn again every second; at the job's end the page is."""
    job = latest_scoring()
    if job is None or job.id != job_id or not job.is_active:
        st.rerun()
    metadata = [job.what]
    if job.total:
        metadata.append(f"{job.done} of {job.total}")
    if job.seconds_left is not None:
        metadata.append(f"about {time_words(job.seconds_left)} left")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.progress(job.share, plain(" · ".join(metadata)))
        request = is_scoring_stopping(job)
        if may_change(job.owner):
            st.button(
                "Stopping" if request else "Stop",
                key="stop-scoring",
                disabled=request,
                icon=":material/stop:",
                on_click=stop_scoring,
                args=(job,),
            )
    st.caption(f"{plain(words)}. This goes on when you close the tab.")


def _of_what(job: Job, runs: Mapping[str, Run]) -> str:
    """What a job does, in a line."""
    named = [run_name(runs[run_id]) if run_id in runs else run_id for run_id in job.asked.get("runs", ())]
    listed = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
    what = f"{_OTHER_WORK.get(job.asked.get('kind', ''), 'Scoring')} {listed}"
    if job.asked.get("kind") == "submission":
        return what
    values = dict(job.asked.get("settings", {}))
    values["scales"] = tuple(values.get("scales", (1.0,)))
    return f"{what}: {EvaluationSettings(**values).words}"


@lru_cache(maxsize=16)
def _result(path: Path, _made: float, _fingerprint: str) -> EvaluationResult | None:
    return read_result(path)
