"""The training loop: train, evaluate, save, log. Reads top to bottom."""

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from core.config import RunConfig
from core.data.dataset import Dataset
from core.data.loaders import (
    KeyedBatches,
    build_loader,
    part_of,
)
from core.runs.metrics_log import MetricsLog, evaluations, minutes_trained, read_metrics
from core.runs.status import requested
from core.runs.store import checkpoint_path
from core.training.checkpoint import (
    TrainingState,
    load_ema,
    load_optimizer,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from core.training.distributed import Distributed, init_distributed
from core.training.divergence import DivergenceWatch
from core.training.ema import ModelEma
from core.training.evaluate import Evaluation, evaluate
from core.training.optimizer import build_optimizer
from core.training.progress import Pace, check_loss, eval_row, has_stalled, train_row
from core.training.schedule import lr_scale
from core.training.setup import set_up_training
from core.training.step import step_seed, train_step
from core.training.usage import Usage

Report = Callable[..., None]
"""Called with fields of `core.runs.status.Status` that changed: phase, step, steps_total, seconds_left."""


class _StopAsked(BaseException):
    """The run was asked to stop while it was being set up."""


def train(
    run: Path, config: RunConfig, report: Report, should_stop: Callable[[], bool]
) -> Literal["finished", "stopped", "paused", "queued"]:
    """Trains a run from where it stands to its end, or until it is asked to stop, to pause or to queue again.

    Args:
        run: its folder. A `last` checkpoint there is gone on from, and the result is the same to the last bit (on a CPU)
            as if there had been no break.
        config: what the folder's config.json says.
        report: told how far things are.
        should_stop: asked after every step, and between the steps of setting up, besides the run's own request file.

    Raises:
        LabError: something the user can mend: data, weights, device, a loss that is no number.
    """
    distributed = init_distributed(config.training.num_processes, config.training.device)
    try:
        state = _train(run, config, report, lambda: should_stop() or requested(run) is not None, distributed)
    except _StopAsked:
        state = "stopped"
    finally:
        distributed.destroy()
    meant = {"pause": "paused", "requeue": "queued"}.get(requested(run), state)
    return meant if state == "stopped" else state


def _train(
    run: Path, config: RunConfig, report: Report, should_stop: Callable[[], bool], distributed: Distributed
) -> Literal["finished", "stopped"]:
    def on_phase(phase: str) -> None:
        # One process of several can't leave while the others wait for it: they look at the first step.
        if distributed.world_size == 1 and should_stop():
            raise _StopAsked
        report(phase=phase)

    setup = set_up_training(run, config, on_phase, distributed)
    training, dataset, hardware, model, plan = config.training, setup.dataset, setup.hardware, setup.model, setup.plan
    optimizer = build_optimizer(model, config, plan.pretrained)
    scaler = hardware.scaler()
    step, best_miou = 0, -1.0
    resumes = checkpoint_path(run, "last") is not None
    if resumes:
        checkpoint = read_checkpoint(run, "last")
        load_weights(model, checkpoint)
        load_optimizer(model, optimizer, checkpoint)
        scaler.load_state_dict(checkpoint.scaler)
        step, best_miou = checkpoint.step, checkpoint.best_miou
    ema = ModelEma(model, training.ema) if training.ema else None
    if ema and resumes:
        load_ema(ema, checkpoint)
    sample_numbers = tuple(index for index, frame in enumerate(dataset.val) if frame.id in plan.sample_frames)

    log = MetricsLog(run) if distributed.is_main_process else None
    if log and read_metrics(run)[0]:
        # Also where a run ended before its first checkpoint: what is done again counts once.
        log.append({"kind": "resume", "step": step})
    if distributed.is_main_process:
        print(f"{config.model.title}. {plan.weights} {plan.hardware}")
        print(f"{plan.train_frames} frames to learn from, {plan.val_frames} to score on, {plan.steps_total} steps.")

    def save(which: Literal["last", "best"]) -> None:
        rest = TrainingState(optimizer, scaler, ema) if which == "last" else None
        with distributed.main_process_first():
            if distributed.is_main_process:
                save_checkpoint(run, which, model, config, dataset.space, step, best_miou, rest)

    batches = KeyedBatches(setup.crops.weights, training.samples_per_step, training.seed, step, plan.steps_total)
    loader = build_loader(
        setup.crops,
        part_of(batches, distributed.rank, distributed.world_size),
        hardware.workers,
        pin_memory=hardware.device.type == "cuda",
    )
    network = distributed.wrap(model)
    network = torch.compile(network) if training.compile else network
    pace = Pace(plan, training.samples_per_step)
    usage = Usage(pace, hardware.device, minutes_trained(run))
    divergence = DivergenceWatch(model, optimizer, setup.loss, hardware, training, log, step, plan.log_every)
    saved_at = time.monotonic()
    stops = stalls = False
    model.train()
    report(phase="training", step=step, steps_total=plan.steps_total)

    for images, targets in divergence.watch(usage.watch(loader)):
        step += 1
        # ---- one step of training
        torch.manual_seed(step_seed(training.seed, step) + distributed.rank)
        share = lr_scale(training, step, plan.steps_total, setup.items / training.samples_per_step)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * share
        loss = train_step(network, optimizer, images, targets, setup.loss, hardware, training, scaler, distributed)
        if ema and loss is not None:
            ema.update(model, step)
        # ---- and what is done once in a while
        pace.tick()
        if step % plan.log_every == 0 or step == plan.steps_total:
            row = train_row(step, loss, training.learning_rate * share, pace, setup.items, training.samples_per_step)
            if log:
                log.append(row | usage.row())
            report(phase="training", step=step, steps_total=plan.steps_total, seconds_left=row["seconds_left"])
        if step % plan.eval_every == 0 or step == plan.steps_total:
            check_loss(step, loss)
            report(phase="scoring", step=step)
            distributed.broadcast_buffers(model)
            with pace.pause(), ema.applied(model) if ema else nullcontext():
                evaluation = evaluate(model, setup.val_loader, setup.loss, hardware, distributed, keep=sample_numbers)
                if log:
                    log.append(
                        eval_row(step, evaluation, setup.items, training.samples_per_step)
                        | {"minutes": usage.minutes()}
                    )
                _save_samples(run, step, dataset, evaluation)
                if evaluation.confusion.miou() > best_miou:
                    best_miou = evaluation.confusion.miou()
                    save("best")
            stalls = has_stalled(evaluations(run), training.stop_early, training.patience)
        overdue = time.monotonic() - saved_at >= training.checkpoint_seconds
        stops, stalls, overdue = distributed.broadcast_object((should_stop(), stalls, overdue))
        ends = stops or stalls or step == plan.steps_total
        if ends or overdue:
            check_loss(step, loss)
            with pace.pause():
                save("last")
            saved_at = time.monotonic()
        if stalls and step < plan.steps_total:
            print(
                f"Stopped early at step {step}: {training.patience} evaluations brought no better {training.stop_early}."
            )
            break
        if stops and step < plan.steps_total:
            report(step=step)
            break
    if step == 0:
        save("last")
    if log:
        log.close()
    return "stopped" if stops and step < plan.steps_total else "finished"


def _save_samples(run: Path, step: int, dataset: Dataset, found: Evaluation) -> None:
    folder = run / "samples" / f"{step:08d}"
    for number, labels in found.labels.items():
        path = folder / f"{dataset.val[number].id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)  # a frame's id may name folders
        part = path.with_suffix(".part")
        Image.fromarray(labels).save(part, format="PNG")
        os.replace(part, path)
