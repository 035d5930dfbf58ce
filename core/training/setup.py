"""What stands before the first step: data, network, loss, and the plan, each checked before an hour is spent on it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from core.config import ITSELF, OF_RUN, CacheKind, ModelConfig, RunConfig
from core.data.dataset import Dataset, generate_dataset, open_dataset, spread
from core.data.doctor import examine_dataset, refuse_broken
from core.data.frames import Frame, data_digest
from core.data.loaders import (
    Budget,
    FrameSource,
    TrainingCrops,
    WholeFrames,
    build_loader,
    in_batches,
    items_per_epoch,
    open_frames,
)
from core.data.sources import SOURCES
from core.data.statistics import SAMPLE, count_classes
from core.data.transforms import Augmentation
from core.errors import LabError
from core.hardware import Hardware, choose_hardware
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.models.encoders import hub_repo_of
from core.models.weights_source import WeightsSource, fetch_weights, find_weights
from core.runs.store import checkpoint_path
from core.text import format_bytes
from core.training.class_weights import class_weights
from core.training.distillation import MeanTeacher, RunTeacher, Teacher
from core.training.distributed import Distributed
from core.training.evaluate import evaluate
from core.training.losses import SummedLoss
from core.training.plan import CURVE_POINTS, Plan, count_eval_frames, count_steps, frames_to_score, interval
from core.training.start import RunStart, find_start, find_teacher
from core.training.step import measure_speed
from core.training.tables import RULES
from core.training.transfer import transfer

SAMPLES = 6
SANITY_BATCHES = 2

PhaseCallback = Callable[[str], None]
"""Called with the name of each phase as it begins; may raise to end the preparation."""


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a training works with.

    Attributes:
        dataset: its frames and classes.
        hardware: where it is computed.
        model: on the device, with its first weights; those of a checkpoint are still to be loaded.
        loss: the run's.
        crops: what is learned from, by key.
        val_loader: this process's part of the validation frames.
        preview_loader: of those that an evaluation before the last one looks at.
        previewed: numbers of these frames.
        plan: what was fixed for the run's whole life.
        teacher: whose probabilities are learned too; None without one.
        thaws: nothing stays frozen, since no weights were to be had that are worth keeping.
        items: crops in an epoch.
    """

    dataset: Dataset
    hardware: Hardware
    model: SegmentationModel
    loss: SummedLoss
    crops: TrainingCrops
    val_loader: DataLoader
    preview_loader: DataLoader
    previewed: tuple[int, ...]
    plan: Plan
    teacher: Teacher | None
    thaws: bool
    items: int


def set_up_training(run: Path, config: RunConfig, on_phase: PhaseCallback, distributed: Distributed) -> TrainingSetup:
    """Open the data, build the network, and make the plan where the run has none yet.

    Args:
        run: its folder.
        config: what its config.json says.
        on_phase: told of each phase.
        distributed: the processes that train together; all of them prepare.

    Raises:
        LabError: something the user can mend: data, weights, device.
    """
    began = time.monotonic()
    training = config.training
    plan = Plan.load(run)
    resumes = checkpoint_path(run, "last") is not None
    if resumes and plan is None:
        raise LabError(
            f"Run {run.name} has a checkpoint, but its plan.json is missing or half written, so it can't be resumed. "
            "Copy that file again, or start a new run; its checkpoints still predict."
        )

    # What is learned from, and where.
    hardware = choose_hardware(plan.settle(training) if plan else training, distributed.local_rank)
    on_phase("opening the data")
    drawing = time.monotonic()
    with distributed.main_process_first():
        generate_dataset(config.dataset, lambda done, count: on_phase(f"drawing streets, {done} of {count}"))
        # Drawn once, for all runs to come: that is no part of this one's minutes.
        began += time.monotonic() - drawing
        dataset = open_dataset(config.dataset, for_training=True)
    data = data_digest((*dataset.shown, *dataset.val))
    if plan:
        plan.check_data(len(dataset.train), len(dataset.val), dataset.space.digest, data)
    items = items_per_epoch([frame.weight for frame in dataset.shown])
    opening = time.monotonic()
    budget = Budget()
    with distributed.main_process_first():
        train_store, val_store = (
            _open_frames(dataset, frames, config.dataset.cache, budget, on_phase)
            for frames in (dataset.shown, dataset.val)
        )
    # Nor is a cache.
    began += time.monotonic() - opening
    val_frames = list(range(len(val_store)))
    samples = spread(val_frames, SAMPLES)

    def score_loader(frames: Sequence[int], workers: int = hardware.workers) -> DataLoader:
        batches = distributed.shard(in_batches(frames, training.batch_size))
        return build_loader(WholeFrames(val_store, config.shown_size), batches, workers)

    # The network, and what it starts from.
    on_phase("building the network")
    torch.manual_seed(training.seed)
    model = build_model(config.model, len(dataset.space.class_names), dataset.pixels.num_bands)
    with distributed.main_process_first():
        source = None if resumes else load_start(model, config, dataset.space.class_names, on_phase)
    if plan and source and source.pretrained != plan.pretrained:
        raise LabError(
            f"This run was planned like this: {plan.weights} Now it would be like this: {source.sentence} "
            "Bring the weights back and resume, or start a new run."
        )
    may_lack_weights = config.model.weights == "auto" or config.model.weights.startswith(OF_RUN)
    is_frozen = config.model.freeze > 0 or config.model.head_only
    thaws = is_frozen and may_lack_weights and not (source or plan).pretrained
    if thaws:
        model.thaw()  # nothing has been learned that is worth keeping
    hardware.prepare(model)
    pixels, image_pixels = _pixels_of(plan) if plan else _count(dataset, on_phase)
    augmentation = Augmentation.from_config(training, pixels / pixels.sum())
    crops = TrainingCrops(train_store, augmentation, training.seed)
    weights = class_weights(pixels, training.class_weights, image_pixels)
    loss = SummedLoss(training, weights, plan.rules if plan else RULES).to(hardware.device)
    run_that_teaches = find_teacher(training)
    teacher: Teacher | None = None
    if training.teacher == ITSELF:
        teacher = MeanTeacher(model, training, hardware)
    elif run_that_teaches:
        teacher = RunTeacher(run_that_teaches, dataset.space.class_names, dataset.pixels.num_bands, training, hardware)
    if plan and teacher and plan.teacher != teacher.digest:
        raise LabError(f"{teacher.sentence} Its network is another one than when this run began. Start a new run.")
    if plan is None:
        # Two batches of the evaluation first: what would fail after an hour's training fails now.
        on_phase("checking two batches")
        few = val_frames[: SANITY_BATCHES * training.batch_size * distributed.world_size]
        sanity = evaluate(model, score_loader(few, workers=0), loss, hardware, distributed)
        on_phase("measuring the speed")
        speed = measure_speed(model, crops, loss, hardware, config, distributed, teacher)
        seconds_per_frame = sanity.seconds_per_frame / distributed.world_size
        setup_seconds = time.monotonic() - began + speed.seconds_to_decode * (len(train_store) + len(val_store))
        steps_total = count_steps(
            training,
            frames=items,
            seconds_used=setup_seconds,
            seconds_per_step=speed.seconds_per_step,
            seconds_to_score=seconds_per_frame * frames_to_score(training, len(val_frames), seconds_per_frame),
        )
        plan = Plan(
            steps_total=steps_total,
            eval_every=interval(steps_total, training.evaluations),
            log_every=max(1, steps_total // CURVE_POINTS),
            threads=hardware.threads,
            precision=hardware.precision,
            class_pixels=tuple(pixels.tolist()),
            train_frames=len(dataset.train),
            val_frames=len(val_store),
            sample_frames=tuple(dataset.val[index].id for index in samples),
            pretrained=source.pretrained,
            weights=" ".join(
                [
                    source.sentence,
                    *(["So all of the network learns."] if thaws else []),
                    *([teacher.sentence] if teacher else []),
                ]
            ),
            hardware=hardware.sentence,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            seconds_per_step=speed.seconds_per_step,
            classes=dataset.space.class_names,
            colors=dataset.space.colors,
            space=dataset.space.digest,
            data=data,
            white=dataset.pixels.white,
            image_pixels=tuple(image_pixels.tolist()),
            rules=RULES,
            eval_frames=count_eval_frames(training, len(val_frames), seconds_per_frame),
            setup_seconds=setup_seconds,
            teacher=teacher.digest if teacher else "",
        )
        # What one process has measured holds for all.
        with distributed.main_process_first():
            if distributed.is_main_process:
                plan.save(run)
            plan = Plan.load(run)
    previewed = tuple(sorted({*spread(val_frames, plan.eval_frames), *samples}))
    val_loader, preview_loader = score_loader(val_frames), score_loader(previewed)
    return TrainingSetup(
        dataset, hardware, model, loss, crops, val_loader, preview_loader, previewed, plan, teacher, thaws, items
    )


def load_start(
    model: SegmentationModel, config: RunConfig, class_names: Sequence[str], on_phase: PhaseCallback
) -> WeightsSource | RunStart:
    """Fill a network with its first weights and say where they came from.

    `auto` goes on from scratch when a download fails.
    """
    start = find_start(config.model, hub_repo_of(config.model.encoder_name))
    if isinstance(start, WeightsSource):
        return _load_pretrained(model, config.model, start, on_phase)
    report = transfer(model, config.model, class_names, start.run)
    source: WeightsSource | None = None
    if model.encoder is not None and not report.encoder:
        own = config.model.model_copy(update={"weights": "auto", "class_map": ""})
        source = _load_pretrained(model, own, find_weights(own, hub_repo_of(own.encoder_name)), on_phase)
        report = transfer(model, config.model, class_names, start.run)  # what a file has for fc6 goes behind the run's
    print(report.sentence)
    sentence = " ".join([start.sentence, report.sentence, *([source.sentence] if source else [])])
    return replace(start, sentence=sentence, pretrained=source is None or source.pretrained)


def _load_pretrained(
    model: SegmentationModel, config: ModelConfig, source: WeightsSource, on_phase: PhaseCallback
) -> WeightsSource:
    if not source.pretrained or model.encoder is None:
        return source
    try:
        path = fetch_weights(
            source,
            lambda done, count: on_phase(f"downloading weights, {format_bytes(done)} of {format_bytes(count)}"),
        )
    except LabError as error:
        if config.weights != "auto":
            raise
        return WeightsSource("scratch", f"Starts from scratch. {error}")
    print(model.load_pretrained(path).sentence)
    return source


def _open_frames(
    dataset: Dataset, frames: Sequence[Frame], kind: CacheKind, budget: Budget, on_phase: PhaseCallback
) -> FrameSource:
    def show_progress(done: int, count: int) -> None:
        on_phase(f"keeping decoded frames, {done} of {count}")

    return open_frames(dataset, frames, kind, show_progress, budget=budget)


def _pixels_of(plan: Plan) -> tuple[np.ndarray, np.ndarray | None]:
    """Return pixels per class, and those of the frames that show it where the plan has them, int64 (K,) each."""
    return np.array(plan.class_pixels), np.array(plan.image_pixels) if plan.image_pixels else None


def _count(dataset: Dataset, on_phase: PhaseCallback) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels per class of the training frames, and labelled pixels of those that show it, int64 (K,) each.

    Raises LabError where the doctor finds what no training should start on.
    """
    if not SOURCES[dataset.name].is_generated:

        def on_frame(done: int, count: int) -> None:
            on_phase(f"examining the data, {done} of {count}")

        refuse_broken(examine_dataset(dataset, on_frame, max_frames=SAMPLE))
    on_phase("counting classes")
    counts = count_classes(dataset, dataset.train)
    if not counts.pixels.any():
        raise LabError(
            f"No pixel of the training labels in '{dataset.root}' belongs to a class. Use the labelIds files."
        )
    return counts.pixels, counts.image_pixels
