"""From run ids to report data: missing scores are made, networks described, pictures labelled, runs compared."""

import importlib.metadata
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

from core.data.sources import SOURCES
from core.errors import LabError
from core.evaluation.bootstrap import compare
from core.evaluation.evaluate_run import evaluate_robustness, evaluate_run
from core.evaluation.results import (
    FOLDER,
    EvaluationResult,
    RobustnessResult,
    list_results,
    list_robustness,
    read_metadata,
    read_result,
    read_values,
)
from core.evaluation.staleness import is_robustness_stale, is_stale
from core.labelling.effort import read_labelling
from core.models.model_summary import describe
from core.models.summary_types import ModelSummary
from core.paths import PROJECT, runs_folder
from core.report.panels import add_images
from core.report.progress import ProgressTracker
from core.report.report_data import COLORS, Group, ReportData, RunSummary, labels_of
from core.report.settings import SCORED_AS, ReportSettings
from core.runs.metrics_log import read_metrics, valid_rows
from core.runs.repeats import Repeats, folds_of, repeats_of, summarize_repeats
from core.runs.store import Run, find_run, list_runs
from core.sweeps import Sweep, list_sweeps
from core.sweeps.trials import read_trials

ROBUSTNESS_FRAMES = 24
"""Each is scored some forty times."""


def gather(settings: ReportSettings, tracker: ProgressTracker) -> ReportData:
    """Read and make what the report is written from.

    Args:
        settings: checked.
        tracker: called with how far it is; may raise to break off. Scores that are made stay.

    Raises:
        LabError: nothing can be said of any of the runs.
    """
    runs, left_out = [], []
    for run_id in settings.runs:
        try:
            run = find_run(run_id, runs_folder())
            if run.config is None:
                raise LabError(run.problem)
            runs.append(run)
        except LabError as error:
            left_out.append((run_id, str(error)))
    if not runs:
        raise LabError(f"Nothing can be said of these runs. {' '.join(reason for _, reason in left_out)}")
    tracker.plan(frames=[run.plan.get("val_frames", 0) for run in runs], robustness=settings.robustness)
    summaries = [
        _run_summary(run, label, COLORS[index % len(COLORS)], settings, tracker)
        for index, (run, label) in enumerate(zip(runs, labels_of(runs), strict=True))
    ]
    groups = []
    for index, members in enumerate(_grouped(summaries), start=1):
        group = _compared(Group(index, tuple(members)))
        groups.append(add_images(group, settings.pictures, tracker))
    return ReportData(
        settings=settings,
        groups=tuple(groups),
        left_out=tuple(left_out),
        sweeps=_sweeps_of(runs),
        versions=_versions(),
        commit=_commit(),
        made=time.time(),
    )


def _run_summary(run: Run, label: str, color: str, settings: ReportSettings, tracker: ProgressTracker) -> RunSummary:
    rows = valid_rows(read_metrics(run.path)[0])
    files: dict[str, Any] = {
        "config.json": run.config.model_dump(mode="json"),
        "plan.json": run.plan,
        "status.json": asdict(run.status),
        "eval": [row for row in rows if row.get("kind") == "eval"],
        "train": [row for row in rows if row.get("kind") == "train"],
    }
    labelling = _labelling(run)
    if labelling:
        files["labelling"] = labelling
    result_file, result, problem = _result(run, label, tracker)
    summary = RunSummary(
        run, label, color, files, result=result, result_file=result_file, problem=problem, repeats=_repeats(run)
    )
    if result:
        files[result_file] = read_values(run.path / result_file)
        robustness = _robustness(run, label, settings.robustness, tracker)
        if robustness:
            path = _robustness_file(run, robustness)
            files[path] = read_values(run.path / path)
            summary = replace(summary, robustness=robustness, robustness_file=path)
    if "architectures" not in settings.sections:
        tracker.done("anatomy")
        return summary
    return replace(summary, model_summary=_model_summary(run, label, tracker))


def _labelling(run: Run) -> dict[str, Any] | None:
    """Return what had been painted in the lab when a run was made, where its data are of that kind, and whether labels
    were corrected so.
    """
    dataset = run.config.dataset
    try:
        history = read_labelling(SOURCES[dataset.name].root(dataset.root))
    except LabError:  # the data are gone
        return None
    return asdict(history.effort(run.status.created)) | {"is_mended": history.is_mended} if history else None


def _repeats(run: Run) -> tuple[Repeats, ...]:
    everyone = list_runs(runs_folder())
    summaries = [summarize_repeats(repeats_of(run, everyone))]
    summaries += [summarize_repeats(several, "fold") for several in folds_of(run, everyone).values()]
    return tuple(each for each in summaries if each and each.miou.count > 1)


def _result(run: Run, label: str, tracker: ProgressTracker) -> tuple[str, EvaluationResult | None, str]:
    """Return the file and the content of a run's scores, made where there are none; or why there is none."""
    try:
        if not run.has_checkpoint("best"):
            if any(row.get("kind") == "eval" for row in read_metrics(run.path)[0]):
                return "", None, "its best checkpoint is missing, or no validation pixel belonged to a class"
            return "", None, "it has not been scored yet, so it has no best checkpoint"
        path = evaluate_run(run, SCORED_AS, tracker.of("scores", f"Scoring {label}"))
        result = read_result(path)
        return (f"{FOLDER}/{path.name}", result, "") if result else ("", None, "its scores can't be read")
    except LabError as error:
        for path in list_results(run.path):  # one of before still holds where the data can't be opened any more
            metadata = read_metadata(path)
            holds = metadata and metadata.settings == SCORED_AS and not is_stale(run, metadata)
            if holds and (result := read_result(path)):
                return f"{FOLDER}/{path.name}", result, ""
        return "", None, str(error)
    finally:
        tracker.done("scores")


def _robustness(run: Run, label: str, requested: bool, tracker: ProgressTracker) -> RobustnessResult | None:
    """Return the robustness that the report measures, or else the newest that is there, of the weights and the data
    that are scored.
    """
    settings = replace(SCORED_AS, boundary=False, frames=ROBUSTNESS_FRAMES)

    def known() -> list[RobustnessResult]:
        """Return those that hold, of the settings that are wanted before the others."""
        results = [
            result
            for result in list_robustness(run.path)
            if result.metadata.settings.checkpoint == SCORED_AS.checkpoint and not is_robustness_stale(run, result)
        ]
        return sorted(results, key=lambda result: not is_alike(result))

    def is_alike(result: RobustnessResult) -> bool:
        return replace(result.metadata.settings, boundary=False) == settings

    results = known()
    if requested:
        if not any(map(is_alike, results)):
            try:
                evaluate_robustness(run, settings, tracker.of("robustness", f"Scoring {label} under corruptions"))
            except LabError:
                return None  # what kept it from being scored is said of its scores
            results = known()
        tracker.done("robustness")
    return next(iter(results), None)


def _robustness_file(run: Run, result: RobustnessResult) -> str:
    """Return the file of a result, by the moment at which it was made."""
    for path in (run.path / FOLDER).glob("robustness-*.json"):
        metadata = read_metadata(path)
        if metadata and metadata.made == result.metadata.made:
            return f"{FOLDER}/{path.name}"
    raise LabError(f"The scores of run {run.id} were deleted just now. Write the report again.")


def _model_summary(run: Run, label: str, tracker: ProgressTracker) -> ModelSummary | None:
    tracker.of("anatomy", f"Looking at the network of {label}")("", 0, 1)
    try:
        bands = run.config.dataset.pixels.num_bands
        return describe(run.config.model, run.config.shown_size, len(run.class_names), num_bands=bands)
    except LabError:
        return None
    finally:
        tracker.done("anatomy")


def _grouped(summaries: Sequence[RunSummary]) -> list[list[RunSummary]]:
    """Return groups of runs that can be compared with each other, in the order of the first of each."""
    groups: dict[Any, list[RunSummary]] = {}
    for summary in summaries:
        dataset, plan = summary.config.dataset, summary.run.plan
        data = (dataset.name, dataset.root, dataset.height, dataset.width, dataset.folds, dataset.fold)
        key = (data, plan.get("space", dataset.classes), plan.get("val_frames", dataset.max_val_samples))
        groups.setdefault(key, []).append(summary)
    # One that has no plan yet goes with those that it will be like.
    for key in [key for key, members in groups.items() if not any(member.run.plan for member in members)]:
        like = [other for other in groups if other != key and other[0] == key[0]]
        if len(like) == 1:
            groups[like[0]] += groups.pop(key)
    ordered = [sorted(members, key=summaries.index) for members in groups.values()]
    return sorted(ordered, key=lambda members: summaries.index(members[0]))


def _compared(group: Group) -> Group:
    comparisons, problem = {}, ""
    for (one, first), (other, second) in combinations(enumerate(group.summaries), 2):
        if first.result and second.result:
            try:
                scores = first.result.scores, second.result.scores
                comparisons[one, other] = compare(*scores, (first.label, second.label))
            except LabError as error:
                problem = str(error)
    return replace(group, comparisons=comparisons, problem=problem)


def _sweeps_of(runs: Sequence[Run]) -> tuple[Sweep, ...]:
    ids = {run.id for run in runs}
    results = []
    for sweep in list_sweeps(runs_folder()):
        try:
            if sweep.spec and any(ids & set(trial.runs) for trial in read_trials(sweep)):
                results.append(sweep)
        except LabError:
            continue
    return tuple(results)


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version(), "System": f"{platform.system()} {platform.machine()}"}
    for line in (PROJECT / "requirements.txt").read_text().splitlines():
        name = re.match(r"[A-Za-z0-9_.-]+", line)
        if name and not line.startswith("#"):
            try:
                versions[name[0]] = importlib.metadata.version(name[0])
            except importlib.metadata.PackageNotFoundError:
                continue
    return versions


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""

    if not (PROJECT / ".git").exists():
        return ""
    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit} and changes" if commit and git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.TimeoutExpired):
        return ""
