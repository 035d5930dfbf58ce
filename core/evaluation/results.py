"""What an evaluation result holds, and where it is kept.

    checkpoints/<run>/scores/
        <key>.json               settings, and every score in plain numbers, for people and other programs
        <key>.npz                the counts that they follow from, frame by frame
        robustness-<key>.json    mean IoU under corruptions

The key follows from the settings, the weights and the frames: scoring again replaces nothing that was scored otherwise.
Nothing here computes; `core.evaluation.evaluate_run` does.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from core.evaluation.metrics.protocol import Protocol
from core.evaluation.metrics.scores import ImageStatistics, Scores, boundary_scores
from core.files import parse_json, replacing, write_atomically
from core.inference.tta import PredictOptions
from core.runs.store import Which
from core.text import join_items

VERSION = 2
"""Raised when what is counted or written changes."""
FOLDER = "scores"
MIN_TIMED = 5
"""A time of fewer predictions than these is no measurement."""
_TIMING = ("milliseconds", "timed", "milliseconds_spread", "disturbance", "hardware")
_OPTIONAL = ("instances", "confidence", "boundaries", "bands")


@dataclass(frozen=True)
class EvaluationSettings:
    """How a run is scored.

    Attributes:
        checkpoint: the best or the last.
        split: frames that the run was scored on, those that it learned from, or those of the data's own test split.
        size: at the size of the training frames, or at that of the files.
        sliding_window, flip, scales: as in `PredictOptions`.
        boundary: look at boundaries too, which takes longer.
        root: of another data set, in any layout; empty for the run's own.
        frames: so many at even distances; 0 for all.
    """

    checkpoint: Which = "best"
    split: Literal["val", "train", "test"] = "val"
    size: Literal["training", "full"] = "training"
    sliding_window: bool = False
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    boundary: bool = True
    root: str = ""
    frames: int = 0

    @property
    def options(self) -> PredictOptions:
        return PredictOptions(self.sliding_window, self.flip, tuple(self.scales))

    @property
    def description(self) -> str:
        """The protocol in a line, to stand beside a score."""
        parts = [
            {"val": "validation frames", "train": "training frames", "test": "test frames"}[self.split],
            "at full size" if self.size == "full" else "at the training size",
            "sliding window" if self.sliding_window else "whole picture",
        ]
        if self.flip:
            parts.append("mirrored too")
        if tuple(self.scales) != (1.0,):
            scales = join_items([f"{scale:g}" for scale in self.scales])
            parts.append(f"at scale{'s' * (len(self.scales) > 1)} {scales}")
        if self.checkpoint == "last":
            parts.append("last checkpoint")
        if self.frames:
            parts.append(f"{self.frames} frames")
        if self.root:
            parts.append("another data set")
        return ", ".join(parts)


@dataclass(frozen=True)
class ResultMetadata:
    """What was scored, and what it took.

    Attributes:
        run: the run's id.
        settings: how.
        step: of the checkpoint.
        weights: digest of the checkpoint.
        data: digest of the frames' contents, the same on every machine.
        fingerprint: of the frames' files, by path, size and time, which is quickly compared; empty in cards of before.
        space: digest of the label space; empty in cards of before.
        timed: how many predictions were timed; 0 in cards of before.
        milliseconds_spread: distance of the quartiles of their times.
        disturbance: what else went on meanwhile, in words; empty where nothing did.
        padding: how pictures were padded, see `core.evaluation.staleness.padding_of`.
        dataset: its name, `streets`, `cityscapes` or `folder`.
        size: height and width at which pixels were counted.
        frames: how many.
        made: when, seconds since 1970.
        seconds: that the scoring took.
        milliseconds: median time of a prediction, one picture at a time; comparable where `timed_alike`.
        hardware: in words.
        parameters: of the network.
        flops: floating-point operations of one picture, in all the passes that the settings ask for; a multiply-add
            counts as two.
        pixels_per_cell: pixels of the frame, along a side, that one cell of the network's finest map of scores covers.
        upper_bound: mean IoU of the truth itself seen in such cells, enlarged smoothly, 0..1; None where nothing is
            scored.
        upper_bounds: the same with one label for each cell, at strides 2 to 32, as in the Cityscapes paper's Table 3,
            by stride.
    """

    run: str
    settings: EvaluationSettings
    step: int
    weights: str
    data: str
    dataset: str
    size: tuple[int, int]
    frames: int
    made: float
    seconds: float
    milliseconds: float
    hardware: str
    parameters: int
    flops: int
    pixels_per_cell: int
    upper_bound: float | None
    upper_bounds: dict[int, float | None] = field(default_factory=dict)
    fingerprint: str = ""
    space: str = ""
    timed: int = 0
    milliseconds_spread: float = 0.0
    disturbance: str = ""
    padding: str = ""

    @property
    def is_timed_well(self) -> bool:
        """Whether its time is a measurement: of several predictions, with nothing else going on."""
        return self.timed >= MIN_TIMED and not self.disturbance

    @property
    def timing(self) -> dict[str, Any]:
        """The fields that say how long a prediction takes, and where."""
        return {name: getattr(self, name) for name in _TIMING}


def timed_alike(cards: Iterable[ResultMetadata]) -> bool:
    """Return whether times can be ranked: all measured on the same hardware, with nothing else going on.

    On other machines, or beside a training, the slower network may be the faster one.
    """
    cards = list(cards)
    return len({card.hardware for card in cards}) < 2 and all(card.is_timed_well for card in cards)


@dataclass(frozen=True)
class EvaluationResult:
    """A run's scores on a set of frames, with all that they follow from."""

    metadata: ResultMetadata
    scores: Scores


@dataclass(frozen=True)
class RobustnessResult:
    """Mean IoU under corruptions: 0..1 by kind and strength 1..5.

    Under "none" and strength 0 that of the frames as they are. `version` is that of the corruptions.
    """

    metadata: ResultMetadata
    seed: int
    miou: dict[str, dict[int, float | None]]
    version: int = 1


@dataclass(frozen=True)
class Summary:
    """A card without its counts.

    Attributes:
        metadata: what was scored, and how.
        class_names: names of the classes that were told apart.
        scores: as `Scores.to_json` gives them.
    """

    metadata: ResultMetadata
    class_names: tuple[str, ...]
    scores: dict[str, Any]


_METADATA = TypeAdapter(ResultMetadata)
_PROTOCOL = TypeAdapter(Protocol)
_ROBUSTNESS = TypeAdapter(RobustnessResult)


def result_key(settings: EvaluationSettings, weights: str, data: str, space: str, padding: str) -> str:
    """Return a text that is the same for the same scores only; `space` is the digest of the label space, `padding` as
    in `ResultMetadata`.
    """
    # Spelled as version 0.1 did, so that what it evaluated is found again.
    fields = ", ".join(f"{name}={value!r}" for name, value in vars(settings).items())
    text = f"({VERSION}, CardSettings({fields}), {weights!r}, {data!r}, {space!r}{f', {padding!r}' if padding else ''})"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_result(run: Path, key: str, result: EvaluationResult) -> Path:
    """Write a card into a run's folder and return the path of its JSON file, which appears last."""
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{key}.json"
    frames = result.scores.frames
    held: dict[str, np.ndarray] = {"confusion": np.stack([frame.confusion for frame in frames])}
    for name in _OPTIONAL:
        parts = [getattr(frame, name) for frame in frames]
        if any(part is None for part in parts):
            continue
        if name == "instances":  # a different number in each frame
            held["instance_counts"] = np.array([len(part) for part in parts])
            held[name] = np.concatenate(parts)
        else:
            held[name] = np.stack(parts)
    with replacing(path.with_suffix(".npz")) as draft:
        np.savez_compressed(draft, **held)
    metadata = {
        "metadata": asdict(result.metadata),
        "protocol": asdict(result.scores.protocol),
        "pixel_scale": result.scores.pixel_scale,
        "scores": result.scores.to_json(),
    }
    write_atomically(path, json.dumps(metadata))
    return path


def read_result(path: Path) -> EvaluationResult | None:
    """Return a card from its JSON file; None where a file is missing, torn or of another version."""
    try:
        saved = read_values(path)
        protocol = _PROTOCOL.validate_python(saved["protocol"])
        images = saved["scores"]["images"]
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as held:
            counted = {name: held[name] for name in held.files}
        starts = np.cumsum(counted["instance_counts"])[:-1] if "instances" in counted else ()
        parts: dict[str, Any] = {name: counted[name] for name in ("confusion", *_OPTIONAL) if name in counted}
        if "instances" in parts:
            parts["instances"] = np.split(parts["instances"], starts)
        tallies = tuple(
            ImageStatistics(image["id"], image["group"], **{name: values[index] for name, values in parts.items()})
            for index, image in enumerate(images)
        )
        scores = Scores(protocol, tallies, float(saved["pixel_scale"]))
        return EvaluationResult(_METADATA.validate_python(saved["metadata"]), scores)
    except (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile):
        return None


def read_metadata(path: Path) -> ResultMetadata | None:
    """Return what was scored, and how, without the scores; None where it can't be read."""
    try:
        return _METADATA.validate_python(read_values(path)["metadata"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_summary(path: Path) -> Summary | None:
    """Return a card's scores as plain numbers, which is much quicker than all that they follow from.

    None where it can't be read.
    """
    try:
        values = read_values(path)
        metadata, scores = _METADATA.validate_python(values["metadata"]), values["scores"]
        return Summary(metadata, tuple(values["protocol"]["classes"]), scores) if isinstance(scores, dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def list_results(run: Path) -> list[Path]:
    """Return the JSON files of a run's cards, the newest first."""
    return _newest_first(path for path in (run / FOLDER).glob("*.json") if not path.name.startswith("robustness-"))


def write_robustness(run: Path, key: str, result: RobustnessResult) -> Path:
    """Write a robustness card into a run's folder."""
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"robustness-{key}.json"
    write_atomically(path, json.dumps(asdict(result)))
    return path


def list_robustness(run: Path) -> list[RobustnessResult]:
    """Return a run's robustness cards that can be read, the newest first."""
    results = []
    for path in _newest_first((run / FOLDER).glob("robustness-*.json")):
        try:
            results.append(_ROBUSTNESS.validate_python(read_values(path)))
        except (OSError, ValueError):
            continue
    return results


def read_values(path: Path) -> dict[str, Any]:
    """Read the JSON file of a result as plain values, those of version 0.1 under today's names.

    Raises OSError, ValueError.
    """
    values = parse_json(path.read_bytes())
    if isinstance(values, dict) and isinstance(values.get("facts"), dict):
        renamed = {"ceiling": "upper_bound", "ceilings": "upper_bounds"}
        values["metadata"] = {renamed.get(name, name): value for name, value in values.pop("facts").items()}
    scores = values.get("scores") if isinstance(values, dict) else None
    if isinstance(scores, dict) and scores.get("mean_boundary_f1") is not None and "boundary_mean" not in scores:
        scores |= _boundaries_of(path, values["protocol"])
    return values


def _boundaries_of(path: Path, protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return boundary F1 as it is averaged today, of a card that was averaged otherwise; none where its counts are
    gone.
    """
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as held:
            counts = held["boundaries"][:, list(protocol["evaluated"])]
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile):
        return {"boundary_f1": None, "mean_boundary_f1": None}
    return boundary_scores([protocol["classes"][index] for index in protocol["evaluated"]], counts)


def _newest_first(paths: Any) -> list[Path]:
    try:
        return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    except OSError:  # one was removed just now
        return []
