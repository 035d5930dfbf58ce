"""Scoring and predicting for the benchmark as jobs: each goes through any number of runs, and outlives page and server."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from core.evaluation.results import EvaluationSettings
from core.evaluation.submission_archives import Split
from core.jobs.engine import Job, is_stopping, latest_job, start_job, stop_job
from core.paths import cache_folder

Kind = Literal["card", "robustness"]


def jobs_folder() -> Path:
    """Where the lab's scoring says how far it is."""
    return cache_folder() / "jobs" / "scoring"


def start_scoring(run_ids: Sequence[str], settings: EvaluationSettings, kind: Kind = "card") -> Job:
    """Scores runs one after the other in the background. Raises LabError while another scoring goes on."""
    request = {"runs": list(run_ids), "settings": asdict(settings), "kind": kind}
    return start_job("core.evaluation", request, jobs_folder())


def start_submission(run_id: str, split: Split, settings: EvaluationSettings) -> Job:
    """Makes a run's archive for the benchmark server in the background; of the settings only how frames are shown counts.

    Raises:
        LabError: a scoring or another archive is under way.
    """
    request = {"runs": [run_id], "settings": asdict(settings), "kind": "submission", "split": split}
    return start_job("core.evaluation", request, jobs_folder())


def latest_scoring() -> Job | None:
    """The job that was started last. Its result names the `runs` that were scored, and the `problems` of others by run."""
    return latest_job(jobs_folder())


def stop_scoring(job: Job) -> None:
    """Stops after the frame at hand; the runs that are done keep their cards."""
    stop_job(jobs_folder(), job)


def is_scoring_stopping(job: Job) -> bool:
    """True once a job was asked to stop."""
    return is_stopping(jobs_folder(), job)
