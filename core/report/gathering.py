"""From run ids to material: missing scorecards are made, networks described, pictures labelled, runs compared."""

import importlib.metadata
import json
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from core.errors import LabError
from core.evaluation.bootstrap import compare
from core.evaluation.evaluate_run import make_card, make_robustness
from core.evaluation.results import (
    FOLDER,
    CardSettings,
    RobustnessCard,
    ScoreCard,
    list_cards,
    list_robustness,
    read_card,
    read_facts,
)
from core.evaluation.staleness import is_stale
from core.models.model_summary import describe
from core.models.summary_types import Anatomy
from core.paths import PROJECT, runs_folder
from core.report.panels import add_pictures
from core.report.progress import Ladder
from core.report.report_data import COLORS, Group, Material, Subject, labels_of
from core.report.settings import ReportSettings
from core.runs.metrics_log import read_metrics, valid_rows
from core.runs.store import Run, find_run
from core.sweeps import Sweep, list_sweeps
from core.sweeps.trials import read_trials

CARD = CardSettings()
"""How the runs of a report are scored: all validation frames, at the training size, whole pictures, the best checkpoint."""
ROBUSTNESS_FRAMES = 24
"""Each is scored some forty times."""


def gather(settings: ReportSettings, ladder: Ladder) -> Material:
    """Reads and makes what the report is written from.

    Args:
        settings: checked.
        ladder: told how far it is; may raise to break off. Scorecards that are made stay.

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
    ladder.plan(cards=[run.plan.get("val_frames", 0) for run in runs], robustness=settings.robustness)
    subjects = [
        _subject(run, label, COLORS[place % len(COLORS)], settings, ladder)
        for place, (run, label) in enumerate(zip(runs, labels_of(runs), strict=True))
    ]
    groups = []
    for number, members in enumerate(_grouped(subjects), start=1):
        group = _compared(Group(number, tuple(members)))
        groups.append(add_pictures(group, settings.pictures, ladder))
    return Material(
        settings=settings,
        groups=tuple(groups),
        left_out=tuple(left_out),
        sweeps=_sweeps_of(runs),
        versions=_versions(),
        commit=_commit(),
        made=time.time(),
    )


def _subject(run: Run, label: str, color: str, settings: ReportSettings, ladder: Ladder) -> Subject:
    rows = valid_rows(read_metrics(run.path)[0])
    files: dict[str, Any] = {
        "config.json": run.config.model_dump(mode="json"),
        "plan.json": run.plan,
        "status.json": asdict(run.status),
        "eval": [row for row in rows if row.get("kind") == "eval"],
        "train": [row for row in rows if row.get("kind") == "train"],
    }
    card_file, card, problem = _card(run, label, ladder)
    subject = Subject(run, label, color, files, card=card, card_file=card_file, problem=problem)
    if card:
        files[card_file] = json.loads((run.path / card_file).read_bytes())
        robustness = _robustness(run, label, settings.robustness, ladder)
        if robustness:
            path = _robustness_file(run, robustness)
            files[path] = json.loads((run.path / path).read_bytes())
            subject = replace(subject, robustness=robustness, robustness_file=path)
    if "architectures" not in settings.sections:
        ladder.done("anatomy")
        return subject
    return replace(subject, anatomy=_anatomy(run, label, ladder))


def _card(run: Run, label: str, ladder: Ladder) -> tuple[str, ScoreCard | None, str]:
    """The file and the content of a run's scorecard, made where there is none; or why there is none."""
    try:
        if not run.has_checkpoint("best"):
            if any(row.get("kind") == "eval" for row in read_metrics(run.path)[0]):
                return "", None, "its best checkpoint is missing, or no validation pixel belonged to a class"
            return "", None, "it has not been scored yet, so it has no best checkpoint"
        path = make_card(run, CARD, ladder.of("card", f"Scoring {label}"))
        card = read_card(path)
        return (f"{FOLDER}/{path.name}", card, "") if card else ("", None, "its scorecard can't be read")
    except LabError as error:
        for path in list_cards(run.path):  # one of before still holds where the data can't be opened any more
            facts = read_facts(path)
            if facts and facts.settings == CARD and not is_stale(run, facts) and (card := read_card(path)):
                return f"{FOLDER}/{path.name}", card, ""
        return "", None, str(error)
    finally:
        ladder.done("card")


def _robustness(run: Run, label: str, wanted: bool, ladder: Ladder) -> RobustnessCard | None:
    """The card that the report makes, or else the newest that is there, of the weights and the data that are scored."""
    settings = replace(CARD, boundary=False, frames=ROBUSTNESS_FRAMES)
    known = _known_robustness(run)
    alike = [card for card in known if replace(card.facts.settings, boundary=False) == settings]
    if wanted and not alike:
        try:
            make_robustness(run, settings, ladder.of("robustness", f"Scoring {label} under corruptions"))
        except LabError:
            return None  # what kept it from being scored is said of its scorecard
        known = _known_robustness(run)
        alike = [card for card in known if replace(card.facts.settings, boundary=False) == settings]
    if wanted:
        ladder.done("robustness")
    return next(iter(alike or known), None)


def _known_robustness(run: Run) -> list[RobustnessCard]:
    best = [card for card in list_robustness(run.path) if card.facts.settings.checkpoint == CARD.checkpoint]
    return [card for card in best if not is_stale(run, card.facts)]


def _robustness_file(run: Run, card: RobustnessCard) -> str:
    """The file of a card, by the moment at which it was made."""
    for path in (run.path / FOLDER).glob("robustness-*.json"):
        facts = read_facts(path)
        if facts and facts.made == card.facts.made:
            return f"{FOLDER}/{path.name}"
    raise LabError(f"A scorecard of run {run.id} was deleted just now. Write the report again.")


def _anatomy(run: Run, label: str, ladder: Ladder) -> Anatomy | None:
    ladder.of("anatomy", f"Looking at the network of {label}")("", 0, 1)
    dataset = run.config.dataset
    try:
        return describe(run.config.model, (dataset.height, dataset.width), len(run.classes))
    except LabError:
        return None
    finally:
        ladder.done("anatomy")


def _grouped(subjects: Sequence[Subject]) -> list[list[Subject]]:
    """Subjects that can be compared with each other, in the order of the first of each."""
    groups: dict[Any, list[Subject]] = {}
    for subject in subjects:
        dataset = subject.config.dataset
        key = (
            subject.run.plan.get("space", dataset.classes),
            dataset.name,
            dataset.root,
            dataset.height,
            dataset.width,
            subject.run.plan.get("val_frames", dataset.val_limit),
        )
        groups.setdefault(key, []).append(subject)
    # One that has no plan yet goes with those that it will be like.
    for key in [key for key, members in groups.items() if not any(member.run.plan for member in members)]:
        like = [other for other in groups if other != key and other[1:5] == key[1:5]]
        if len(like) == 1:
            groups[like[0]] += groups.pop(key)
    order = {subject.run.id: place for place, subject in enumerate(subjects)}
    ordered = [sorted(members, key=lambda subject: order[subject.run.id]) for members in groups.values()]
    return sorted(ordered, key=lambda members: order[members[0].run.id])


def _compared(group: Group) -> Group:
    comparisons, problem = {}, ""
    for one, first in enumerate(group.subjects):
        for other, second in enumerate(group.subjects):
            if other <= one or not first.card or not second.card:
                continue
            try:
                comparisons[one, other] = compare(first.card.scores, second.card.scores, (first.label, second.label))
            except LabError as error:
                problem = str(error)
    return replace(group, comparisons=comparisons, problem=problem)


def _sweeps_of(runs: Sequence[Run]) -> tuple[Sweep, ...]:
    ids = {run.id for run in runs}
    found = []
    for sweep in list_sweeps(runs_folder()):
        try:
            if sweep.spec and any(ids & set(trial.runs) for trial in read_trials(sweep)):
                found.append(sweep)
        except LabError:
            continue
    return tuple(found)


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
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""

    if not (PROJECT / ".git").exists():
        return ""
    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit} and changes" if commit and git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.TimeoutExpired):
        return ""
