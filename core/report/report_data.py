"""What a report is written from: runs with their files, evaluation results and networks, gathered once and looked up by
name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from core.config import RunConfig, used_settings
from core.evaluation.bootstrap import Comparison
from core.evaluation.results import EvaluationResult, RobustnessResult, timed_alike
from core.labels import Color
from core.models.summary_types import ModelSummary
from core.report.settings import ReportSettings
from core.report.structure import ImageRows, Number
from core.runs.metrics_log import best_evaluation
from core.runs.repeats import Repeats
from core.runs.store import Run
from core.sweeps import Sweep

COLORS = ("#2f62b5", "#c9622b", "#2f8a64", "#8a4fa8", "#b3374f", "#5f6b76", "#a8821c", "#2a91a8")
"""Of the runs, in their order; dark enough for thin lines on white paper."""


@dataclass(frozen=True)
class NumberFormat:
    """How a number is printed: multiplied, rounded to so many digits, and followed by its unit."""

    scale: float = 1.0
    digits: int = 0
    unit: str = ""
    signed: bool = False

    def format(self, value: float) -> str:
        sign = "+" if self.signed else ""
        text = f"{value * self.scale:{sign},.{self.digits}f}".replace("-", "−")
        return f"{text}\N{NO-BREAK SPACE}{self.unit}" if self.unit else text


SHARE = NumberFormat(100, 1)
PERCENT = NumberFormat(100, 1, "%")
POINTS = NumberFormat(100, 1, "points")
COUNT = NumberFormat()


@dataclass(frozen=True)
class RunSummary:
    """A run as the report sees it.

    Attributes:
        run: its folder, as it was read.
        label: what it is called here; no two have the same.
        color: of its lines.
        files: what can be looked up, by name: `config.json`, `plan.json`, `status.json`, `eval` and `train` (the rows
            of metrics.jsonl), and where there are any `scores/KEY.json` and `scores/robustness-KEY.json`, and
            `labelling`, what was painted in the lab when the run was made (`core.labelling.effort`).
        result: its scores, or None; `problem` then says why.
        result_file, robustness_file: their names in `files`.
        robustness: its scores under corruptions, or None.
        model_summary: of its network, or None where it can't be built.
        problem: a sentence about why it has no evaluation result; empty where it has one.
        repeats: what its recipe comes to over several seeds, and over several folds; none where there is one of each.
    """

    run: Run
    label: str
    color: str
    files: dict[str, Any]
    result: EvaluationResult | None = None
    result_file: str = ""
    robustness: RobustnessResult | None = None
    robustness_file: str = ""
    model_summary: ModelSummary | None = None
    problem: str = ""
    repeats: tuple[Repeats, ...] = ()

    @property
    def config(self) -> RunConfig:
        assert self.run.config is not None  # who has none is not gathered
        return self.run.config

    @property
    def state_text(self) -> str:
        """Its state in words."""
        text = {"lost": "lost, its process is gone", "failed": self.run.status.failure or "failed"}
        return text.get(self.run.state, self.run.state)

    def read(self, file: str, pointer: str) -> Any:
        """Return what stands in a file at a JSON pointer; None where nothing does."""
        result = self.files.get(file)
        for part in pointer.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            try:
                result = result[int(part)] if isinstance(result, (list, tuple)) else result[part]
            except (KeyError, IndexError, TypeError, ValueError):
                return None
        return result

    def number(self, file: str, pointer: str, number_format: NumberFormat = COUNT) -> Number | None:
        """Return a number of a file, ready to print; None where none stands there."""
        value = self.read(file, pointer)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            return None
        return Number(number_format.format(value), value, f"{self.run.id}/{file}:{pointer}", number_format.scale)

    def score(self, pointer: str, number_format: NumberFormat = SHARE) -> Number | None:
        """Return a number of its evaluation result, `/scores/miou` for example."""
        return self.number(self.result_file, pointer, number_format)

    def result_value(self, pointer: str) -> Any:
        """Return what stands in its evaluation result; None where nothing does."""
        return self.read(self.result_file, pointer)

    @cached_property
    def best_evaluation(self) -> int | None:
        """Which evaluation during the training had the highest mean IoU, from 0; None before there is one."""
        rows = self.files.get("eval", [])
        best = best_evaluation(rows)
        return None if best is None else rows.index(best)

    @cached_property
    def used_settings(self) -> frozenset[tuple[str, str]]:
        """Part and name of each setting that has a say in it."""
        return frozenset(used_settings(self.config))

    def miou(self, number_format: NumberFormat = SHARE) -> Number | None:
        """Return the mean IoU of its evaluation result, or else of its best evaluation."""
        return self.measured("miou", "miou", number_format)

    def class_iou(self, index: int, name: str, number_format: NumberFormat = SHARE) -> Number | None:
        """Return the IoU of a class that goes with `miou`."""
        return self.measured(f"iou/{escaped(name)}", f"iou/{index}", number_format)

    def measured(self, scored: str, evaluated: str, number_format: NumberFormat = SHARE) -> Number | None:
        """Return a number of its scores, or else of its best evaluation during the training."""
        if self.result_file:
            return self.score(f"/scores/{scored}", number_format)
        return self.number("eval", f"/{self.best_evaluation}/{evaluated}", number_format)

    def class_share(self, index: int, number_format: NumberFormat) -> Number | None:
        """Return the share of the counted training pixels that a class has."""
        pixels = self.read("plan.json", "/class_pixels")
        if not pixels or not sum(pixels):
            return None
        value = pixels[index] / sum(pixels)
        return Number(
            number_format.format(value),
            value,
            f"share {self.run.id}/plan.json:/class_pixels/{index}",
            number_format.scale,
        )


def escaped(name: str) -> str:
    """Return a name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True)
class Group:
    """Runs that can be compared: they tell the same classes apart, on frames of the same data at the same size.

    Attributes:
        number: from 1.
        summaries: in the report's order.
        comparisons: of the pairs that have evaluation results, by their labels' places in `summaries`.
        problem: why some pairs can't be compared; empty where all can.
        examples: pictures for the introduction, in rows of what stands before them and pictures; `example_columns`
            their heads.
        panels: the same for the results.
        images_problem: why there are no pictures; empty where there are.
        cities: how many frames of each city there are, by split; empty where the data couldn't be opened.
    """

    number: int
    summaries: tuple[RunSummary, ...]
    comparisons: dict[tuple[int, int], Comparison] = field(default_factory=dict)
    problem: str = ""
    example_columns: tuple[str, ...] = ()
    examples: ImageRows = ()
    panel_columns: tuple[str, ...] = ()
    panels: ImageRows = ()
    images_problem: str = ""
    cities: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def first(self) -> RunSummary:
        return self.summaries[0]

    @property
    def planned(self) -> RunSummary | None:
        """A run that has counted its training frames."""
        return next((summary for summary in self.summaries if summary.run.plan.get("class_pixels")), None)

    @property
    def scored(self) -> tuple[RunSummary, ...]:
        """Those that have a mean IoU, from an evaluation result or from their own evaluations."""
        return tuple(summary for summary in self.summaries if summary.miou() is not None)

    @property
    def evaluated(self) -> tuple[RunSummary, ...]:
        """Those that have an evaluation result."""
        return tuple(summary for summary in self.summaries if summary.result)

    def having(self, pointer: str) -> list[RunSummary]:
        """Return those whose evaluation result says something at a pointer."""
        return [summary for summary in self.evaluated if summary.result_value(pointer)]

    @property
    def ranked(self) -> tuple[RunSummary, ...]:
        """Those that were scored, the best first."""
        return tuple(sorted(self.scored, key=lambda summary: -summary.miou().value))

    @property
    def leaders(self) -> tuple[RunSummary, ...]:
        """Those whose mean IoU prints like the highest."""
        ranked = self.ranked
        return tuple(summary for summary in ranked if summary.miou().text == ranked[0].miou().text)

    @property
    def hardware(self) -> set[str]:
        """What the frames were timed on, in words."""
        return {summary.result.metadata.hardware for summary in self.evaluated}

    @property
    def is_timed_alike(self) -> bool:
        """Whether times can be ranked, see `core.evaluation.results.timed_alike`."""
        return timed_alike(summary.result.metadata for summary in self.evaluated)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.first.run.class_names

    @property
    def colors(self) -> dict[str, str]:
        """Of the runs' lines, by label."""
        return {summary.label: summary.color for summary in self.summaries}

    @property
    def class_colors(self) -> tuple[tuple[str, Color], ...]:
        """Each class with its colour."""
        return tuple(zip(self.class_names, self.first.run.colors, strict=True))


@dataclass(frozen=True)
class ReportData:
    """All that a report is written from.

    Attributes:
        settings: what was asked for.
        groups: the runs, by what can be compared.
        left_out: runs of which nothing can be said, each with the reason.
        sweeps: those in which some of the runs were tried.
        versions: of programs, by name.
        commit: of the lab, where it is a git checkout; with ` and changes` where files differ from it.
        made: seconds since 1970.
    """

    settings: ReportSettings
    groups: tuple[Group, ...]
    left_out: tuple[tuple[str, str], ...]
    sweeps: tuple[Sweep, ...]
    versions: dict[str, str]
    commit: str
    made: float

    @property
    def summaries(self) -> tuple[RunSummary, ...]:
        return tuple(summary for group in self.groups for summary in group.summaries)

    def suffix(self, group: Group) -> str:
        """Return what the ids of a group's tables end with: nothing where there is one group only."""
        return "" if len(self.groups) == 1 else f"-{group.number}"


def labels_of(runs: Sequence[Run]) -> list[str]:
    """Return what the runs are called: their names, and where two have the same, the letters that tell their ids
    apart.
    """
    names = [run.name for run in runs]
    return [f"{name} · {run.id[-4:]}" if names.count(name) > 1 else name for name, run in zip(names, runs, strict=True)]


def each_once(values: Sequence[Any], key: Callable[[Any], Any] = lambda value: value) -> list[Any]:
    """Return the values without repetition, in their order."""
    results: dict[Any, Any] = {}
    for value in values:
        results.setdefault(key(value), value)
    return list(results.values())
