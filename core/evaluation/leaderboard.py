"""The leaderboard: what many runs scored and cost, apart for every protocol, so that no one compares apples with
pears.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.config import has_a_say
from core.data.sources import SOURCES
from core.evaluation.results import (
    EvaluationResult,
    EvaluationSettings,
    ResultMetadata,
    Summary,
    list_results,
    read_summary,
    timed_alike,
)
from core.evaluation.staleness import is_stale
from core.files import unless_changed
from core.runs.metrics_log import minutes_trained
from core.runs.store import Run, best_miou


@dataclass(frozen=True)
class Metric:
    """A score of a whole card. `read` takes `Scores.to_json`; values are 0..1 and None where there is none."""

    title: str
    read: Callable[[Mapping[str, Any]], float | None]
    best: Callable[..., float] = max


@dataclass(frozen=True)
class Cost:
    """What a network costs, in a unit; less is better. `number_format` prints it."""

    title: str
    unit: str
    number_format: str = "{:.1f}"


def _category(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda scores: (scores["categories"] or {}).get(name)


def _mean(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    def read(scores: Mapping[str, Any]) -> float | None:
        values = scores[name]
        # Who never predicts a class that is there has no precision in it, and earns none by that silence.
        known = [
            values[key] or 0.0 for key, recall in scores["recall"].items() if (values[key], recall) != (None, None)
        ]
        return sum(known) / len(known) if known else None

    return read


METRICS: dict[str, Metric] = {
    "miou": Metric("mIoU", lambda scores: scores["miou"]),
    "miiou": Metric("mean iIoU", lambda scores: scores["miiou"]),
    "category_miou": Metric("category mIoU", _category("miou")),
    "category_miiou": Metric("category iIoU", _category("miiou")),
    "pixel_accuracy": Metric("pixel accuracy", lambda scores: scores["pixel_accuracy"]),
    "mean_accuracy": Metric("mean accuracy", lambda scores: scores["mean_accuracy"]),
    "precision": Metric("mean precision", _mean("precision")),
    "f1": Metric("mean F1", _mean("f1")),
    "boundary_f1": Metric("boundary F1", lambda scores: scores["mean_boundary_f1"]),
    "ece": Metric("calibration error", lambda scores: (scores["calibration"] or {}).get("ece"), best=min),
}
"""Every score of a card, by the name that the command line gives it.

Mean accuracy is the mean of the classes' recall.
"""

COSTS: dict[str, Cost] = {
    "parameters": Cost("parameters", "M"),
    "flops": Cost("GFLOPs", ""),
    "milliseconds": Cost("latency", "ms", "{:.0f}"),
    "minutes": Cost("training", "min"),
}
"""What is weighed against a score: millions of parameters, GFLOPs and milliseconds of a picture, minutes of
training.
"""


@dataclass(frozen=True)
class Entry:
    """A run on a board.

    Attributes:
        run: its id, and `name` what people call it.
        scores: by the keys of `METRICS`, 0..1.
        costs: by the keys of `COSTS`, in the units there.
        metadata: of its card; None where the score is what it measured itself in training.
        is_stale: its card may no longer hold, see `core.evaluation.staleness`.
    """

    run: str
    name: str
    scores: dict[str, float | None]
    costs: dict[str, float | None]
    metadata: ResultMetadata | None = None
    is_stale: bool = False


@dataclass(frozen=True)
class Board:
    """Runs that were scored alike, the highest mIoU first.

    Attributes:
        key: as `protocol_key` has it.
        protocol: the protocol, data and size included, in a line.
        is_scored: there are evaluation results; false for what runs measured themselves in training.
        data: digest of the frames' contents; empty where it isn't known.
        entries: at least one.
    """

    key: tuple[Any, ...]
    protocol: str
    is_scored: bool
    data: str
    entries: tuple[Entry, ...]

    @property
    def is_timed_alike(self) -> bool:
        """Whether latencies can be ranked, see `timed_alike`."""
        return timed_alike(entry.metadata for entry in self.entries if entry.metadata)


def leaderboard(runs: Sequence[Run]) -> list[Board]:
    """Return boards of all runs that have a score, those with cards and the fullest first.

    A run stands on each board it has a card for.
    """
    boards: dict[tuple[Any, ...], dict[str, Entry]] = {}
    for run in runs:
        entries = {}
        for path in list_results(run.path):
            summary = summary_at(path)
            if summary is None:
                continue
            entry = _scored_entry(run, summary)
            key = protocol_key(summary.metadata, summary.class_names)
            if key in entries:
                entry = _best_timed(*sorted((entries[key], entry), key=_rank))
            entries[key] = entry
        fresh = {_settings_of(entry) for entry in entries.values() if not entry.is_stale}
        current = {
            key: entry for key, entry in entries.items() if not entry.is_stale or _settings_of(entry) not in fresh
        }
        for key, entry in (current or _trained_entry(run)).items():
            boards.setdefault(key, {})[run.id] = entry
    results = [_board(key, list(entries.values())) for key, entries in boards.items()]
    return sorted(results, key=lambda board: (not board.is_scored, -len(board.entries), board.protocol))


def protocol_key(metadata: ResultMetadata, class_names: Sequence[str]) -> tuple[Any, ...]:
    """Return what two cards must have in common to be compared: frames, size, classes, and how the frames were
    shown.
    """
    return metadata.data, metadata.size, metadata.space, tuple(class_names), metadata.settings.description


def key_of_result(result: EvaluationResult) -> tuple[Any, ...]:
    """Return the `protocol_key` of a card."""
    return protocol_key(result.metadata, result.scores.protocol.classes)


def describe_protocol(metadata: ResultMetadata) -> str:
    """Data, size and protocol of a card in a line."""
    return f"{_sized(metadata.dataset, metadata.size)}, {metadata.frames} {metadata.settings.description}"


def frontier(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return who can't be had better at no higher cost: of points (cost, score) by name, the names on the Pareto front,
    cheapest first.
    """
    best, front_points = float("-inf"), []
    for name, (_, score) in sorted(points.items(), key=lambda point: (point[1][0], -point[1][1], point[0])):
        if score > best:
            best = score
            front_points.append(name)
    return front_points


summary_at = unless_changed(read_summary)


def _scored_entry(run: Run, summary: Summary) -> Entry:
    metadata = summary.metadata
    costs = {
        "parameters": metadata.parameters / 1e6,
        "flops": metadata.flops / 1e9,
        "milliseconds": metadata.milliseconds,
        "minutes": minutes_trained(run.path) or None,
    }
    scores = {name: metric.read(summary.scores) for name, metric in METRICS.items()}
    return Entry(run.id, run.name, scores, costs, metadata, is_stale(run, metadata))


def _best_timed(other: Entry, entry: Entry) -> Entry:
    """Return an entry with the time of another of the same weights where that is a measurement and its own isn't."""
    one, two = entry.metadata, other.metadata
    if one.is_timed_well or not two.is_timed_well or one.weights != two.weights:
        return entry
    costs = entry.costs | {"milliseconds": two.milliseconds}
    return replace(entry, costs=costs, metadata=replace(one, **two.timing))


def _trained_entry(run: Run) -> dict[tuple[Any, ...], Entry]:
    """Return what a run without a card measured itself, under the key of its board; empty where it measured nothing."""
    miou = best_miou(run.path)
    if miou is None or run.config is None:
        return {}
    parameters = run.plan.get("parameters")
    costs = dict.fromkeys(COSTS) | {"parameters": parameters and parameters / 1e6}
    costs["minutes"] = minutes_trained(run.path) or None
    scores = dict.fromkeys(METRICS) | {"miou": miou}
    data = run.config.dataset
    share = (
        (data.val_fraction, data.group_by) if has_a_say(run.config.model_dump(), "dataset", "val_fraction") else None
    )
    fold = (data.folds, data.fold) if data.folds else None
    frames = data.name, data.root, data.max_val_samples, share, fold, run.plan.get("val_frames")
    key = ("", (data.height, data.width), run.class_names, *frames, run.plan.get("space"))
    return {key: Entry(run.id, run.name, scores, costs)}


def _rank(entry: Entry) -> tuple[Any, ...]:
    """Of two cards of a run under one protocol the one that counts: of these weights, with boundaries, newer."""
    return not entry.is_stale, entry.scores["boundary_f1"] is not None, entry.metadata.made


def _settings_of(entry: Entry) -> EvaluationSettings:
    """Return how a run was scored, boundaries or not: of one that was scored so again the older card says nothing any
    more.
    """
    return replace(entry.metadata.settings, boundary=True)


def _board(key: tuple[Any, ...], entries: list[Entry]) -> Board:
    entries.sort(key=lambda entry: (entry.scores["miou"] is None, -(entry.scores["miou"] or 0.0), entry.run))
    metadata = entries[0].metadata
    text = (
        describe_protocol(metadata)
        if metadata
        else f"{_sized(key[3], key[1])}, as the runs scored themselves in training"
    )
    return Board(key, text, metadata is not None, key[0], tuple(entries))


def _sized(dataset: str, size: tuple[int, int]) -> str:
    name = SOURCES[dataset].phrase if dataset in SOURCES else dataset
    return f"{name[:1].upper()}{name[1:]} at {size[1]} x {size[0]}"
