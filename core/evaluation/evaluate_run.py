"""Scoring a run's checkpoint: over frames as they are, and over the same frames made worse."""

import hashlib
import itertools
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.auth import is_read_only, require_write
from core.data.bands import sensible_size
from core.data.dataset import Dataset, open_dataset, read_target
from core.data.decoding import read_image
from core.data.frames import Frame, content_digest, fingerprint
from core.data.sources import SOURCES
from core.errors import LabError
from core.evaluation.metrics.instances import read_instances
from core.evaluation.metrics.protocol import FULL_SIZE, Protocol, protocol_of
from core.evaluation.metrics.robustness import CORRUPTIONS, STRENGTHS, VERSION, corrupt
from core.evaluation.metrics.scorer import Scorer
from core.evaluation.metrics.scores import or_none
from core.evaluation.metrics.upper_bounds import STRIDES, upper_bounds
from core.evaluation.results import (
    MIN_TIMED,
    EvaluationResult,
    EvaluationSettings,
    ResultMetadata,
    RobustnessResult,
    read_result,
    result_key,
    write_result,
    write_robustness,
)
from core.evaluation.staleness import padding_of, scored_data, scored_frames
from core.evaluation.timing import Stopwatch
from core.files import parse_json, write_atomically
from core.hardware import Hardware, choose_hardware
from core.inference.predictor import Predictor, load_predictor
from core.models.build import build_model
from core.models.model_summary import output_stride
from core.paths import cache_folder
from core.progress import ProgressCallback, no_progress
from core.runs.store import Run


@dataclass(frozen=True)
class _Bench:
    """A run's network beside the frames that it is scored on."""

    run: Run
    settings: EvaluationSettings
    predictor: Predictor
    hardware: Hardware
    dataset: Dataset
    frames: tuple[Frame, ...]
    protocol: Protocol
    weights: str
    data: str
    fingerprint: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width at which pixels are counted."""
        return self.target(self.frames[0]).shape

    @property
    def padding(self) -> str:
        return padding_of(self.run.config, self.settings, self.size)

    @property
    def key(self) -> str:
        return result_key(self.settings, self.weights, self.data, self.dataset.space.digest, self.padding)

    def target(self, frame: Frame) -> np.ndarray:
        """uint8 (H, W), at the size at which pixels are counted."""
        if self.settings.size == "training" or frame.labels is None:
            return self.dataset.target(frame)
        return read_target(frame.labels, self.dataset.space)

    def samples(self) -> Iterator[tuple[Frame, np.ndarray, np.ndarray]]:
        """Yield each frame with its image uint8 (H, W, 3) and its target uint8 (H, W)."""
        for frame in self.frames:
            target = self.target(frame)
            yield frame, read_image(frame.image, target.shape, self.dataset.pixels), target


def evaluate_run(run: Run, settings: EvaluationSettings, progress: ProgressCallback = no_progress) -> Path:
    """Score a run and write the result into its folder; one that is there already is left as it is.

    Args:
        run: whose checkpoint is scored.
        settings: how.
        progress: called before each frame; may raise to break off, and nothing is written then.

    Returns:
        The card's JSON file.

    Raises:
        LabError: the run or its data can't be read, there are no such frames, or it wasn't scored yet and the current
            user may only look.
    """
    began = time.perf_counter()
    bench = _set_up(run, settings)
    path = run.path / "scores" / f"{bench.key}.json"
    known = read_result(path)
    if known and known.metadata.fingerprint == bench.fingerprint:
        return path if known.metadata.is_timed_well or is_read_only() else _timed_again(bench, known)
    require_write()
    if known:  # these very frames, moved or touched since
        metadata = replace(known.metadata, fingerprint=bench.fingerprint)
        return write_result(run.path, bench.key, replace(known, metadata=metadata))
    size = bench.size
    # Smaller frames have smaller instances, by the same factor as their pixels are fewer.
    scorer = Scorer(bench.protocol, settings.boundary, math.prod(size) / math.prod(FULL_SIZE))
    watch = Stopwatch(bench.hardware)
    for done, (frame, image, target) in enumerate(bench.samples()):
        progress("Scoring frames", done, len(bench.frames))
        with watch.timing():
            prediction = bench.predictor.predict(image, settings.options)
        instances = read_instances(frame.labels, target.shape) if bench.protocol.has_instances else None
        scorer.update(frame.id, target, prediction.labels, prediction.confidence, instances, frame.city)
    _time_until_enough(bench, watch)
    metadata = _metadata(bench, size, watch, progress)
    result = EvaluationResult(replace(metadata, seconds=time.perf_counter() - began), scorer.scores())
    return write_result(run.path, bench.key, result)


def _timed_again(bench: _Bench, known: EvaluationResult) -> Path:
    """Return the path of a card whose time was no measurement, with that of a few predictions now where those are."""
    watch = Stopwatch(bench.hardware)
    bench.predictor.predict(np.zeros((*known.metadata.size, bench.dataset.pixels.num_bands), np.uint8))
    _time_until_enough(bench, watch)
    if watch.disturbance:
        return bench.run.path / "scores" / f"{bench.key}.json"
    metadata = replace(known.metadata, hardware=bench.hardware.sentence, **watch.fields())
    return write_result(bench.run.path, bench.key, replace(known, metadata=metadata))


def _time_until_enough(bench: _Bench, watch: Stopwatch) -> None:
    """Predict the first frames again until there are enough times."""
    while len(watch.milliseconds) < MIN_TIMED:
        for _, image, _ in itertools.islice(bench.samples(), MIN_TIMED - len(watch.milliseconds)):
            with watch.timing():
                bench.predictor.predict(image, bench.settings.options)


def evaluate_robustness(
    run: Run,
    settings: EvaluationSettings,
    progress: ProgressCallback = no_progress,
    kinds: Sequence[str] = tuple(CORRUPTIONS),
    seed: int = 0,
) -> Path:
    """Score a run under corruptions in five strengths and write the robustness result.

    Arguments and errors as `evaluate_run`.
    """
    require_write()
    began = time.perf_counter()
    bench = _set_up(run, replace(settings, boundary=False))
    size = bench.size
    if bench.predictor.num_bands != 3:
        raise LabError("Fog, rain and the like are made for photographs in colours: other bands have none of them.")
    conditions = [("none", 0), *((kind, strength) for kind in kinds for strength in STRENGTHS)]
    scorers = {condition: Scorer(bench.protocol) for condition in conditions}
    watch = Stopwatch(bench.hardware)
    total, done = len(conditions) * len(bench.frames), 0
    for frame, image, target in bench.samples():
        for kind, strength in conditions:
            progress(f"Scoring under {kind}" if strength else "Scoring as it is", done, total)
            input_image = corrupt(image, kind, strength, frame.id, seed) if strength else image
            with watch.timing():
                labels = bench.predictor.predict(input_image, settings.options).labels
            scorers[kind, strength].update(frame.id, target, labels)
            done += 1
    miou: dict[str, dict[int, float | None]] = {}
    for (kind, strength), scorer in scorers.items():
        miou.setdefault(kind, {})[strength] = or_none(scorer.scores().miou)
    metadata = _metadata(bench, size, watch, progress)
    result = RobustnessResult(replace(metadata, seconds=time.perf_counter() - began), seed, miou, VERSION)
    return write_robustness(run.path, bench.key, result)


def _set_up(run: Run, settings: EvaluationSettings) -> _Bench:
    if run.config is None:
        raise LabError(run.problem)
    hardware = choose_hardware(run.config.training)
    predictor, weights = load_predictor(run.path, settings.checkpoint, hardware)
    dataset = open_dataset(scored_data(run.config, settings), with_test=settings.split == "test")
    if settings.split == "test" and SOURCES[dataset.name].has_test_split:
        raise LabError(
            "The labels of Cityscapes' test split are kept secret: its server scores what python -m core submission"
            " writes."
        )
    # Read as the network learned it: what is white is no matter of the frames that are scored.
    dataset = replace(dataset, pixels=predictor.checkpoint.config.dataset.pixels)
    if dataset.space.class_names != predictor.checkpoint.class_names:
        hint = "The class table was changed since: bring it back as it was, or train a new run."
        if settings.root:
            hint = "Choose data with the run's classes, or leave the other data set empty."
        raise LabError(
            f"The run was trained on {len(predictor.checkpoint.class_names)} classes, and these data have"
            f" {len(dataset.space.class_names)} that differ. {hint}"
        )
    frames = scored_frames(dataset, settings)
    if not frames:
        raise LabError(f"These data have no {settings.split} frames with masks. Choose another split, or other data.")
    stamp = fingerprint(frames)  # before their contents: what changes from here on makes the card stale
    digest = content_digest(frames)
    protocol = protocol_of(dataset.space)
    return _Bench(run, settings, predictor, hardware, dataset, frames, protocol, weights, digest, stamp)


def _metadata(bench: _Bench, size: tuple[int, int], watch: Stopwatch, progress: ProgressCallback) -> ResultMetadata:
    run, settings = bench.run, bench.settings
    input_size = sensible_size(size, bench.predictor.shown_size)
    bands = bench.dataset.pixels.num_bands
    model = build_model(run.config.model, len(bench.dataset.space.class_names), bands).eval()
    with FlopCounterMode(display=False) as counter:
        bench.predictor.predict(np.zeros((*size, bands), np.uint8), settings.options)
    example = torch.zeros(1, bands, *input_size, device=bench.hardware.device)
    stride = output_stride(bench.hardware.prepare(model), example, bench.hardware)
    # A network sees a larger picture scaled down: one of its cells covers more of that.
    cell = max(1, round(stride * (math.prod(size) / math.prod(input_size)) ** 0.5))
    coarse = _upper_bounds(bench, size, cell, progress)
    return ResultMetadata(
        run=run.id,
        settings=settings,
        step=bench.predictor.checkpoint.step,
        weights=bench.weights,
        data=bench.data,
        dataset=bench.dataset.name,
        size=size,
        frames=len(bench.frames),
        made=time.time(),
        seconds=0.0,
        **watch.fields(),
        hardware=bench.hardware.sentence,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        flops=counter.get_total_flops(),
        pixels_per_cell=cell,
        upper_bound=coarse["smooth"][str(cell)],
        upper_bounds={int(stride): value for stride, value in coarse["nearest"].items()},
        fingerprint=bench.fingerprint,
        space=bench.dataset.space.digest,
        padding=bench.padding,
    )


def _upper_bounds(
    bench: _Bench, size: tuple[int, int], cell: int, progress: ProgressCallback
) -> dict[str, dict[str, float | None]]:
    """Yield mean IoU of coarsened truth: "nearest" at the paper's strides, "smooth" at this cell.

    Kept, for every run asks the same.
    """
    text = f"3|{bench.data}|{size}|{bench.dataset.space.digest}"
    path = cache_folder() / "upper_bounds" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    try:
        known = parse_json(path.read_bytes())
    except (OSError, ValueError):
        known = {"nearest": {}, "smooth": {}}

    def targets() -> Iterator[np.ndarray]:
        for frame in bench.frames:
            progress("Scoring the truth itself", len(bench.frames), len(bench.frames))
            yield bench.target(frame)

    if not known["nearest"]:
        result = upper_bounds(targets(), bench.protocol, STRIDES, "nearest")
        known["nearest"] = {str(stride): or_none(scores.miou) for stride, scores in result.items()}
    if str(cell) not in known["smooth"]:
        result = upper_bounds(targets(), bench.protocol, (cell,), "bilinear")
        known["smooth"][str(cell)] = or_none(result[cell].miou)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(known))
    return known
