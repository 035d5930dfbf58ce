"""The training loop: set up, look at two batches, then train, evaluate, save, log. Reads top to bottom."""

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from core.config import RunConfig
from core.data.augment import Augmentation
from core.data.dataset import Dataset, open_dataset, spread
from core.data.loaders import FrameStore, KeyedBatches, TrainingCrops, WholeFrames, build_loader
from core.data.statistics import count_classes
from core.errors import LabError
from core.hardware import choose_hardware
from core.models import SegmentationModel, build_model
from core.models.encoders import hub_repo_of
from core.runs import MetricsLog, checkpoint_path, evaluations, read_metrics, stop_is_requested
from core.training.averaging import WeightAverage
from core.training.checkpoint import (
    TrainingState,
    load_average,
    load_optimizer,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from core.training.evaluation import Evaluation, evaluate
from core.training.losses import SummedLoss, class_weights
from core.training.optimizer import build_optimizer
from core.training.plan import CURVE_POINTS, Plan, count_steps, interval
from core.training.progress import Pace, check_loss, eval_row, has_stalled, train_row
from core.training.schedule import rate_share
from core.training.step import measure_speed, step_seed, train_step
from core.weights import WeightsSource, fetch_weights, find_weights

SAMPLES = 6
SANITY_BATCHES = 2

Report = Callable[..., None]
"""Called with fields of `core.runs.Status` that changed: phase, step, steps_total, seconds_left."""


class _StopAsked(BaseException):
    """The run was asked to stop while it was being set up."""


def train(
    run: Path, config: RunConfig, report: Report, should_stop: Callable[[], bool]
) -> Literal["finished", "stopped"]:
    """Trains a run from where it stands to its end, or until it is asked to stop.

    Args:
        run: its folder. A `last` checkpoint there is gone on from, and the result is the same to the last bit (on a CPU)
            as if there had been no break.
        config: what the folder's config.json says.
        report: told how far things are.
        should_stop: asked after every step, and between the steps of setting up, besides the run's own request file.

    Raises:
        LabError: something the user can mend: data, weights, device, a loss that is no number.
    """
    try:
        return _train(run, config, report, lambda: should_stop() or stop_is_requested(run))
    except _StopAsked:
        return "stopped"


def _train(
    run: Path, config: RunConfig, report: Report, should_stop: Callable[[], bool]
) -> Literal["finished", "stopped"]:
    began = time.monotonic()
    training = config.training
    plan = Plan.load(run)
    resumes = checkpoint_path(run, "last") is not None
    if resumes and plan is None:
        raise LabError(
            f"Run {run.name} has a checkpoint, but its plan.json is missing or half written, so it can't be gone on from. "
            "Copy that file again, or start a new run; its checkpoints still predict."
        )

    def enter(phase: str) -> None:
        if should_stop():
            raise _StopAsked
        report(phase=phase)

    # What is learned from, and where.
    hardware = choose_hardware(plan.settle(training) if plan else training)
    enter("opening the data")
    dataset = open_dataset(config.dataset, progress=lambda done, count: enter(f"drawing streets, {done} of {count}"))
    if plan:
        plan.check_data(len(dataset.train), len(dataset.val), dataset.space.digest)
    train_store = FrameStore(dataset, dataset.train)
    val_store = FrameStore(dataset, dataset.val)
    crops = TrainingCrops(train_store, Augmentation.from_config(training), training.seed)
    val_loader = build_loader(WholeFrames(val_store), training.batch_size, hardware.workers)

    # The network, and what it starts from.
    enter("building the network")
    torch.manual_seed(training.seed)
    model = build_model(config.model, len(dataset.space.classes))
    source = None if resumes else _load_start(model, config, enter)
    if plan and source and source.pretrained != plan.pretrained:
        raise LabError(
            f"This run was planned like this: {plan.weights} Now it would be like this: {source.sentence} "
            "Bring the weights back and resume, or start a new run."
        )
    hardware.prepare(model)
    pixels = np.array(plan.class_pixels) if plan else _count(dataset, enter)
    loss_of = SummedLoss(training, class_weights(pixels, training.class_weights)).to(hardware.device)
    if plan is None:
        # Two batches of the evaluation first: what would fail after an hour's training fails now.
        enter("checking two batches")
        sanity = evaluate(model, val_loader, loss_of, hardware, batches=SANITY_BATCHES)
        enter("measuring the speed")
        speed = measure_speed(model, crops, loss_of, hardware, config)
        steps_total = count_steps(
            training,
            frames=len(train_store),
            seconds_used=time.monotonic() - began + speed.seconds_to_decode * (len(train_store) + len(val_store)),
            seconds_per_step=speed.seconds_per_step,
            seconds_per_evaluation=sanity.seconds_per_batch * len(val_loader),
        )
        plan = Plan(
            steps_total=steps_total,
            eval_every=interval(steps_total, training.evaluations),
            log_every=max(1, steps_total // CURVE_POINTS),
            threads=hardware.threads,
            precision=hardware.precision,
            class_pixels=tuple(pixels.tolist()),
            train_frames=len(train_store),
            val_frames=len(val_store),
            sample_frames=tuple(frame.id for frame in spread(dataset.val, SAMPLES)),
            pretrained=source.pretrained,
            weights=source.sentence,
            hardware=hardware.sentence,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            seconds_per_step=speed.seconds_per_step,
            classes=dataset.space.classes,
            colors=dataset.space.colors,
            space=dataset.space.digest,
        )
        plan.save(run)
    optimizer = build_optimizer(model, config, plan.pretrained)
    scaler = hardware.scaler()
    step, best_miou = 0, -1.0
    if resumes:
        checkpoint = read_checkpoint(run, "last")
        load_weights(model, checkpoint)
        load_optimizer(model, optimizer, checkpoint)
        scaler.load_state_dict(checkpoint.scaler)
        step, best_miou = checkpoint.step, checkpoint.best_miou
    average = WeightAverage(model, training.ema) if training.ema else None
    if average and resumes:
        load_average(average, checkpoint)
    sample_numbers = tuple(number for number, frame in enumerate(dataset.val) if frame.id in plan.sample_frames)

    log = MetricsLog(run)
    if read_metrics(run)[0]:
        # Also where a run ended before its first checkpoint: what is done again counts once.
        log.append({"kind": "resume", "step": step})
    print(f"{config.model.title}. {plan.weights} {plan.hardware}")
    print(
        f"{len(train_store)} frames to learn from, {len(val_store)} to score on, {plan.steps_total} steps.", flush=True
    )

    def save(which: Literal["last", "best"]) -> None:
        if which == "best":
            save_checkpoint(run, which, model, config, dataset.space, step, best_miou)
        else:
            rest = TrainingState(optimizer, scaler, average)
            save_checkpoint(run, which, model, config, dataset.space, step, best_miou, rest)

    batches = KeyedBatches(len(train_store), training.batch_size, training.seed, step, plan.steps_total)
    loader = build_loader(crops, batches, hardware.workers, pin_memory=hardware.device.type == "cuda")
    network = torch.compile(model) if training.compile else model
    pace = Pace(plan, training.batch_size)
    saved_at = time.monotonic()
    stalls = False
    model.train()
    report(phase="training", step=step, steps_total=plan.steps_total)

    for images, targets in loader:
        step += 1
        # ---- one step of training
        torch.manual_seed(step_seed(training.seed, step))
        share = rate_share(training, step, plan.steps_total, plan.train_frames / training.batch_size)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * share
        loss = train_step(network, optimizer, images, targets, loss_of, hardware, training, scaler)
        if average and loss is not None:
            average.update(model, step)
        # ---- and what is done once in a while
        pace.tick()
        if step % plan.log_every == 0 or step == plan.steps_total:
            row = train_row(step, loss, training.learning_rate * share, pace, len(train_store), training.batch_size)
            log.append(row)
            report(phase="training", step=step, steps_total=plan.steps_total, seconds_left=row["seconds_left"])
        if step % plan.eval_every == 0 or step == plan.steps_total:
            check_loss(step, loss)
            report(phase="scoring", step=step)
            with pace.pause(), average.applied(model) if average else nullcontext():
                found = evaluate(model, val_loader, loss_of, hardware, keep=sample_numbers)
                log.append(eval_row(step, found, len(train_store), training.batch_size))
                _save_samples(run, step, dataset, found)
                if found.confusion.miou() > best_miou:
                    best_miou = found.confusion.miou()
                    save("best")
            stalls = has_stalled(evaluations(run), training.stop_early, training.patience)
        stops = should_stop()
        ends = stops or stalls or step == plan.steps_total
        if ends or time.monotonic() - saved_at >= training.checkpoint_seconds:
            check_loss(step, loss)
            with pace.pause():
                save("last")
            saved_at = time.monotonic()
        if stalls:
            print(f"Stopped early at step {step}: {training.patience} evaluations brought no better {training.stop_early}.")
            break
        if stops and step < plan.steps_total:
            report(step=step)
            log.close()
            return "stopped"
    if step == 0 or checkpoint_path(run, "last") is None:
        save("last")
    log.close()
    return "finished"


def _load_start(model: SegmentationModel, config: RunConfig, enter: Callable[[str], None]) -> WeightsSource:
    """Fills the encoder with its first weights and says where they came from. `auto` goes on from scratch when a download fails."""
    source = find_weights(config.model, hub_repo_of(config.model.encoder_name))
    if not source.pretrained or model.encoder is None:
        return source
    try:
        path = fetch_weights(
            source,
            lambda done, count: enter(f"downloading weights, {done / 1e6:.0f} of {count / 1e6:.0f} MB"),
        )
    except LabError as error:
        if config.model.weights != "auto":
            raise
        return WeightsSource("scratch", f"Starts from scratch. {error}")
    print(model.load_pretrained(path).sentence)
    return source


def _count(dataset: Dataset, enter: Callable[[str], None]) -> np.ndarray:
    """Pixels per class of the training frames, int64 (K,)."""
    enter("counting classes")
    pixels = count_classes(dataset, dataset.train).pixels
    if not pixels.any():
        raise LabError(
            f"No pixel of the training labels in '{dataset.root}' belongs to a class. Use the labelIds files."
        )
    return pixels


def _save_samples(run: Path, step: int, dataset: Dataset, found: Evaluation) -> None:
    folder = run / "samples" / f"{step:08d}"
    folder.mkdir(parents=True, exist_ok=True)
    for number, labels in found.labels.items():
        path = folder / f"{dataset.val[number].id}.png"
        part = path.with_suffix(".part")
        Image.fromarray(labels).save(part, format="PNG")
        os.replace(part, path)
