"""The training loop: set up, look at two batches, then train, evaluate, save, log. Reads top to bottom."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import nn

from core.config import RunConfig
from core.data.augment import Augmentation
from core.data.dataset import Dataset, open_dataset, spread
from core.data.loaders import FrameStore, KeyedBatches, TrainingCrops, WholeFrames, build_loader, epoch_of_step
from core.data.statistics import count_classes
from core.errors import LabError
from core.models import SegmentationModel, build_model
from core.models.encoders import hub_repo_of, load_encoder
from core.runs import MetricsLog, checkpoint_path, stop_is_requested
from core.training.checkpoint import load_optimizer, load_weights, read_checkpoint, save_checkpoint
from core.training.evaluation import Evaluation, evaluate, to_device
from core.training.hardware import Hardware, choose_hardware
from core.training.losses import class_weights, summed_loss
from core.training.plan import CURVE_POINTS, Plan, count_steps, interval
from core.training.schedule import one_cycle
from core.weights import WeightsSource, fetch_weights, find_weights

SAMPLES = 6
SANITY_BATCHES = 2
MEASURED_STEPS = 8
MEASURED_SECONDS = 4.0
"""Enough is measured after so many seconds, but not before the fourth step: the first ones also compile kernels."""

Report = Callable[..., None]
"""Called with fields of `core.runs.Status` that changed: phase, step, steps_total, seconds_left."""


def train(
    run: Path, config: RunConfig, report: Report, should_stop: Callable[[], bool]
) -> Literal["finished", "stopped"]:
    """Trains a run from where it stands to its end, or until it is asked to stop.

    Args:
        run: its folder. A `last` checkpoint there is gone on from, and the result is the same to the last bit (on a CPU)
            as if there had been no break.
        config: what the folder's config.json says.
        report: told how far things are.
        should_stop: asked after every step, besides the run's own request file.

    Raises:
        LabError: something the user can mend: data, weights, device, a loss that is no number.
    """
    began = time.monotonic()
    training = config.training
    plan = Plan.load(run)
    resumes = plan is not None and checkpoint_path(run, "last") is not None

    # What is learned from, and where.
    hardware = choose_hardware(training, threads=plan.threads if plan else 0)
    report(phase="opening the data")
    dataset = open_dataset(
        config.dataset, progress=lambda done, count: report(phase=f"drawing streets, {done} of {count}")
    )
    train_store = FrameStore(dataset, dataset.train)
    val_store = FrameStore(dataset, dataset.val)
    crops = TrainingCrops(train_store, Augmentation.from_config(training), training.seed)
    val_loader = build_loader(WholeFrames(val_store), training.batch_size, hardware.workers)

    # The network, and what it starts from.
    report(phase="building the network")
    torch.manual_seed(training.seed)
    model = build_model(config.model, len(dataset.space.classes))
    source = None if resumes else _load_start(model, config)
    model.to(hardware.device, memory_format=torch.channels_last)
    pretrained = plan.pretrained if resumes else source.pretrained
    optimizer = _build_optimizer(model, config, pretrained)

    if resumes:
        checkpoint = read_checkpoint(run, "last")
        load_weights(model, checkpoint)
        load_optimizer(model, optimizer, checkpoint)
        step, best_miou = checkpoint.step, checkpoint.best_miou
        weights = _weights(training.class_weights, np.array(plan.class_pixels)).to(hardware.device)
    else:
        step, best_miou = 0, -1.0
        report(phase="counting classes")
        pixels = count_classes(dataset, dataset.train).pixels
        if not pixels.any():
            raise LabError(
                f"No pixel of the training labels in '{dataset.root}' belongs to a class. Use the labelIds files."
            )
        weights = _weights(training.class_weights, pixels).to(hardware.device)
        # Two batches of the evaluation first: what would fail after an hour's training fails now.
        report(phase="checking two batches")
        sanity = evaluate(model, val_loader, weights, hardware, batches=SANITY_BATCHES)
        report(phase="measuring the speed")
        seconds_per_step = _measure(model, crops, weights, hardware, config)
        steps_total = count_steps(
            training,
            frames=len(train_store),
            seconds_used=time.monotonic() - began,
            seconds_per_step=seconds_per_step,
            seconds_per_evaluation=sanity.seconds_per_batch * len(val_loader),
        )
        plan = Plan(
            steps_total=steps_total,
            eval_every=interval(steps_total, training.evaluations),
            log_every=max(1, steps_total // CURVE_POINTS),
            threads=hardware.threads,
            class_pixels=tuple(pixels.tolist()),
            train_frames=len(train_store),
            val_frames=len(val_store),
            sample_frames=tuple(frame.id for frame in spread(dataset.val, SAMPLES)),
            pretrained=pretrained,
            weights=source.sentence,
            hardware=hardware.sentence,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            seconds_per_step=seconds_per_step,
        )
        plan.save(run)
    sample_numbers = tuple(number for number, frame in enumerate(dataset.val) if frame.id in plan.sample_frames)

    log = MetricsLog(run)
    if resumes:
        log.append({"kind": "resume", "step": step})
    print(f"{config.model.title}. {plan.weights} {plan.hardware}")
    print(
        f"{len(train_store)} frames to learn from, {len(val_store)} to score on, {plan.steps_total} steps.", flush=True
    )

    def save(which: Literal["last", "best"]) -> None:
        keeps_optimizer = optimizer if which == "last" else None
        save_checkpoint(run, which, model, keeps_optimizer, config, dataset.space, step, best_miou)

    batches = KeyedBatches(len(train_store), training.batch_size, training.seed, step, plan.steps_total)
    loader = build_loader(crops, batches, hardware.workers, pin_memory=hardware.device.type == "cuda")
    pace = _Pace(plan, step, training.batch_size)
    saved_at = time.monotonic()
    model.train()
    report(phase="training", step=step, steps_total=plan.steps_total)

    for images, targets in loader:
        step += 1
        # ---- one step of training
        torch.manual_seed(_step_seed(training.seed, step))
        share = one_cycle(step, plan.steps_total)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * share
        loss = _train_step(model, optimizer, images, targets, weights, hardware, training.clip_norm)
        # ---- and what is done once in a while
        pace.tick()
        if step % plan.log_every == 0 or step == plan.steps_total:
            row = _train_row(step, loss, training.learning_rate * share, pace, len(train_store), training.batch_size)
            log.append(row)
            report(phase="training", step=step, steps_total=plan.steps_total, seconds_left=row["seconds_left"])
        if step % plan.eval_every == 0 or step == plan.steps_total:
            report(phase="scoring", step=step)
            with pace.pause():
                found = evaluate(model, val_loader, weights, hardware, keep=sample_numbers)
                log.append(_eval_row(step, found, len(train_store), training.batch_size))
                _save_samples(run, step, dataset, found)
                if found.confusion.miou() > best_miou:
                    best_miou = found.confusion.miou()
                    save("best")
        stops = should_stop() or stop_is_requested(run)
        ends = stops or step == plan.steps_total
        if ends or time.monotonic() - saved_at >= training.checkpoint_seconds:
            with pace.pause():
                save("last")
            saved_at = time.monotonic()
        if stops and step < plan.steps_total:
            log.close()
            return "stopped"
    if step == 0 or checkpoint_path(run, "last") is None:
        save("last")
    log.close()
    return "finished"


def _load_start(model: SegmentationModel, config: RunConfig) -> WeightsSource:
    """Fills the encoder with its first weights and says where they came from. `auto` goes on from scratch when a download fails."""
    source = find_weights(config.model, hub_repo_of(config.model.encoder_name))
    if not source.pretrained or model.encoder is None:
        return source
    try:
        path = fetch_weights(source)
    except LabError as error:
        if config.model.weights != "auto":
            raise
        return WeightsSource("scratch", f"Starts from scratch. {error}")
    unused = load_encoder(model.encoder, path)
    print(
        f"Took the encoder's weights from {path.name}; {len(unused)} tensors of it, such as the classifier's, aren't needed."
    )
    return source


def _build_optimizer(model: SegmentationModel, config: RunConfig, pretrained: bool) -> torch.optim.Optimizer:
    """AdamW (Loshchilov, Hutter, https://arxiv.org/abs/1711.05101); norms, biases and embeddings aren't decayed."""
    training = config.training
    encoder_rate = training.encoder_rate or (0.1 if config.model.family == "vit" and pretrained else 1.0)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and not name.endswith(("pos_embed", "cls_token", "reg_token"))
        groups.setdefault((name.startswith("encoder."), decays), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "base_lr": training.learning_rate * (encoder_rate if in_encoder else 1.0),
                "weight_decay": training.weight_decay if decays else 0.0,
            }
            for (in_encoder, decays), parameters in groups.items()
        ],
        lr=training.learning_rate,
        fused=next(model.parameters()).device.type in ("cpu", "cuda"),
    )


def _weights(kind: str, pixels: np.ndarray) -> torch.Tensor:
    return class_weights(pixels) if kind == "sqrt" else torch.ones(len(pixels))


def _train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    hardware: Hardware,
    clip_norm: float,
) -> torch.Tensor | None:
    """One optimizer step; returns the mean loss, or None for a batch without a labelled pixel, from which nothing is learned."""
    with hardware.autocast():
        logits = model(to_device(images, hardware))
    loss_sum, weight_sum = summed_loss(logits, targets.to(hardware.device, non_blocking=True), weights)
    if weight_sum == 0:
        return None
    loss = loss_sum / weight_sum
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if clip_norm:
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    return loss.detach()


def _measure(
    model: nn.Module, crops: TrainingCrops, weights: torch.Tensor, hardware: Hardware, config: RunConfig
) -> float:
    """Seconds that a step takes, loading included: a few are done, the median is taken, and the network is put back."""
    training = config.training
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = _build_optimizer(model, config, pretrained=False)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    batches = KeyedBatches(len(crops), training.batch_size, training.seed, 0, MEASURED_STEPS)
    model.train()
    torch.manual_seed(training.seed)
    ends: list[float] = []
    for images, targets in build_loader(crops, batches, hardware.workers):
        loss = _train_step(model, optimizer, images, targets, weights, hardware, training.clip_norm)
        if loss is not None:
            loss.item()  # a GPU's work is done only when its result is asked for
        ends.append(time.monotonic())
        if len(ends) > 4 and ends[-1] - ends[0] > MEASURED_SECONDS:
            break
    model.load_state_dict(before)
    optimizer.zero_grad(set_to_none=True)
    return float(np.median(np.diff(ends)))


def _step_seed(seed: int, step: int) -> int:
    """The seed of dropout and its like in one step: with it, no random state needs to be stored or restored."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)


def _train_row(
    step: int, loss: torch.Tensor | None, rate: float, pace: "_Pace", frames: int, batch_size: int
) -> dict[str, Any]:
    value = None if loss is None else loss.item()
    if value is not None and not np.isfinite(value):
        raise LabError(
            f"The loss became {value} at step {step}: the weights have run away. Lower training.learning_rate (a third is a good try), "
            "or set training.clip_norm to 1, and start again."
        )
    return {
        "kind": "train",
        "step": step,
        "epoch": epoch_of_step(step, frames, batch_size),
        "loss": value,
        "learning_rate": rate,
        "images_per_second": round(pace.images_per_second(), 3),
        "seconds_left": round(pace.seconds_left(step), 1),
    }


def _eval_row(step: int, found: Evaluation, frames: int, batch_size: int) -> dict[str, Any]:
    iou = [None if np.isnan(value) else float(value) for value in found.confusion.iou()]
    return {
        "kind": "eval",
        "step": step,
        "epoch": epoch_of_step(step, frames, batch_size),
        "loss": found.loss,
        "miou": found.confusion.miou(),
        "pixel_accuracy": found.confusion.pixel_accuracy(),
        "iou": iou,
    }


def _save_samples(run: Path, step: int, dataset: Dataset, found: Evaluation) -> None:
    folder = run / "samples" / f"{step:08d}"
    folder.mkdir(parents=True, exist_ok=True)
    for number, labels in found.labels.items():
        path = folder / f"{dataset.val[number].id}.png"
        part = path.with_suffix(".part")
        Image.fromarray(labels).save(part, format="PNG")
        os.replace(part, path)


class _Pace:
    """How fast steps are done, and when the run will end; pauses for scoring and saving are kept apart."""

    def __init__(self, plan: Plan, first_step: int, batch_size: int) -> None:
        self._plan = plan
        self._batch_size = batch_size
        self._first_step = first_step
        self._steps = 0
        self._seconds_per_step = plan.seconds_per_step
        self._last = time.monotonic()
        self._paused = 0.0

    def tick(self) -> None:
        now = time.monotonic()
        self._steps += 1
        # The first steps are slower than the rest; afterwards a moving mean over about twenty follows the machine's mood.
        share = max(0.05, 1 / self._steps)
        self._seconds_per_step += share * (now - self._last - self._seconds_per_step)
        self._last = now

    def pause(self) -> "_Pace":
        return self

    def __enter__(self) -> None:
        self._pause_began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._paused += time.monotonic() - self._pause_began
        self._last = time.monotonic()

    def images_per_second(self) -> float:
        return self._batch_size / max(1e-9, self._seconds_per_step)

    def seconds_left(self, step: int) -> float:
        pause_per_step = self._paused / max(1, self._steps)
        return (self._plan.steps_total - step) * (self._seconds_per_step + pause_per_step)
