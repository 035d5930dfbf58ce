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
from core.runs import MetricsLog, checkpoint_path, evaluations, minutes_trained, read_metrics, requested
from core.training.averaging import WeightAverage
from core.training.checkpoint import (
    TrainingState,
    load_average,
    load_optimizer,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from core.training.divergence import DivergenceWatch
from core.training.evaluation import Evaluation, evaluate
from core.training.optimizer import build_optimizer
from core.training.preparation import prepare
from core.training.progress import Pace, check_loss, eval_row, has_stalled, train_row
from core.training.schedule import rate_share
from core.training.step import step_seed, train_step
from core.training.team import Team, join_team
from core.training.usage import Usage

Report = Callable[..., None]
"""Called with fields of `core.runs.Status` that changed: phase, step, steps_total, seconds_left."""


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
    team = join_team(config.training.processes, config.training.device)
    try:
        state = _train(run, config, report, lambda: should_stop() or requested(run) is not None, team)
    except _StopAsked:
        state = "stopped"
    finally:
        team.leave()
    if state != "stopped":
        return state
    asked = requested(run)
    return "paused" if asked == "pause" else "queued" if asked == "requeue" else "stopped"


def _train(
    run: Path, config: RunConfig, report: Report, should_stop: Callable[[], bool], team: Team
) -> Literal["finished", "stopped"]:
    def enter(phase: str) -> None:
        # One process of several can't leave while the others wait for it: they look at the first step.
        if team.size == 1 and should_stop():
            raise _StopAsked
        report(phase=phase)

    made = prepare(run, config, enter, team)
    training, dataset, hardware, model, plan = config.training, made.dataset, made.hardware, made.model, made.plan
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
    average = WeightAverage(model, training.ema) if training.ema else None
    if average and resumes:
        load_average(average, checkpoint)
    sample_numbers = tuple(number for number, frame in enumerate(dataset.val) if frame.id in plan.sample_frames)

    log = MetricsLog(run) if team.leads else None
    if log and read_metrics(run)[0]:
        # Also where a run ended before its first checkpoint: what is done again counts once.
        log.append({"kind": "resume", "step": step})
    if team.leads:
        print(f"{config.model.title}. {plan.weights} {plan.hardware}")
        print(f"{plan.train_frames} frames to learn from, {plan.val_frames} to score on, {plan.steps_total} steps.")

    def save(which: Literal["last", "best"]) -> None:
        rest = TrainingState(optimizer, scaler, average) if which == "last" else None
        with team.leader_first():
            if team.leads:
                save_checkpoint(run, which, model, config, dataset.space, step, best_miou, rest)

    batches = KeyedBatches(made.crops.weights, training.batch_size, training.seed, step, plan.steps_total)
    loader = build_loader(
        made.crops,
        part_of(batches, team.rank, team.size),
        hardware.workers,
        pin_memory=hardware.device.type == "cuda",
    )
    network = team.wrap(model)
    network = torch.compile(network) if training.compile else network
    pace = Pace(plan, training.batch_size)
    usage = Usage(pace, hardware.device, minutes_trained(run))
    divergence = DivergenceWatch(model, optimizer, made.loss, hardware, training, log, step, plan.log_every)
    saved_at = time.monotonic()
    stops = stalls = False
    model.train()
    report(phase="training", step=step, steps_total=plan.steps_total)

    for images, targets in divergence.watch(usage.watch(loader)):
        step += 1
        # ---- one step of training
        torch.manual_seed(step_seed(training.seed, step) + team.rank)
        share = rate_share(training, step, plan.steps_total, made.items / training.batch_size)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * share
        loss = train_step(network, optimizer, images, targets, made.loss, hardware, training, scaler, team)
        if average and loss is not None:
            average.update(model, step)
        # ---- and what is done once in a while
        pace.tick()
        if step % plan.log_every == 0 or step == plan.steps_total:
            row = train_row(step, loss, training.learning_rate * share, pace, made.items, training.batch_size)
            if log:
                log.append(row | usage.row())
            report(phase="training", step=step, steps_total=plan.steps_total, seconds_left=row["seconds_left"])
        if step % plan.eval_every == 0 or step == plan.steps_total:
            check_loss(step, loss)
            report(phase="scoring", step=step)
            team.align(model)
            with pace.pause(), average.applied(model) if average else nullcontext():
                found = evaluate(model, made.val_loader, made.loss, hardware, team, keep=sample_numbers)
                if log:
                    log.append(eval_row(step, found, made.items, training.batch_size) | {"minutes": usage.minutes()})
                _save_samples(run, step, dataset, found)
                if found.confusion.miou() > best_miou:
                    best_miou = found.confusion.miou()
                    save("best")
            stalls = has_stalled(evaluations(run), training.stop_early, training.patience)
        overdue = time.monotonic() - saved_at >= training.checkpoint_seconds
        stops, stalls, overdue = team.agree((should_stop(), stalls, overdue))
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
