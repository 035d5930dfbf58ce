"""The training loop: set up, train, evaluate, save. Reads top to bottom."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import DataLoader

from core.config import RunConfig, TrainingConfig
from core.data.loaders import KeyedBatches, build_loader, epoch_of_step, part_of
from core.runs.metrics_log import evaluations, minutes_trained
from core.runs.status import requested
from core.training.checkpoint import TrainingState, restore_state
from core.training.distillation import MeanTeacher
from core.training.distributed import Distributed, init_distributed
from core.training.divergence import DivergenceWatch, check_loss
from core.training.early_stopping import has_stalled
from core.training.ema import ModelEma
from core.training.evaluate import evaluate
from core.training.metric_rows import eval_row, train_row
from core.training.optimizer import build_optimizer
from core.training.plan import Plan
from core.training.recorder import Recorder
from core.training.schedule import lr_scale
from core.training.setup import TrainingSetup, set_up_training
from core.training.step import at_half_size, step_seed, train_step
from core.training.throughput import Throughput
from core.training.usage import MINUTE, Usage

StatusCallback = Callable[..., None]
"""Called with fields of `core.runs.status.Status` that changed: phase, step, steps_total, seconds_left."""


class _StopRequested(BaseException):
    """The run was asked to stop while it was being set up."""


def train(
    run: Path, config: RunConfig, report: StatusCallback, should_stop: Callable[[], bool]
) -> Literal["finished", "stopped", "paused", "queued"]:
    """Train a run from where it stands to its end, or until it is asked to stop, to pause or to queue again.

    Args:
        run: its folder. A `last` checkpoint there is gone on from, and the result is the same to the last bit (on a
            CPU) as if there had been no break.
        config: what the folder's config.json says.
        report: told how far things are.
        should_stop: asked after every step, and between the steps of setting up, besides the run's own request file.

    Raises:
        LabError: something the user can mend: data, weights, device, a loss that is no number.
    """
    distributed = init_distributed(config.training.num_processes, config.training.device)
    try:
        state = _train(run, config, report, lambda: should_stop() or requested(run) is not None, distributed)
    except _StopRequested:
        state = "stopped"
    finally:
        distributed.destroy()
    if state != "stopped":
        return state
    request = requested(run)
    return "paused" if request == "pause" else "queued" if request == "requeue" else "stopped"


def _train(
    run: Path, config: RunConfig, report: StatusCallback, should_stop: Callable[[], bool], distributed: Distributed
) -> Literal["finished", "stopped"]:
    def on_phase(phase: str) -> None:
        # One process of several can't leave while the others wait for it: they look at the first step.
        if distributed.world_size == 1 and should_stop():
            raise _StopRequested
        report(phase=phase)

    # ---- set up
    setup = set_up_training(run, config, on_phase, distributed)
    config = config.model_copy(
        update={"dataset": config.dataset.model_copy(update={"white_level": setup.dataset.pixels.white_text})}
    )
    training, plan, hardware, loss = config.training, setup.plan, setup.hardware, setup.loss
    model = setup.model
    state = TrainingState(model, build_optimizer(model, config, plan.pretrained, plan.rules), hardware.scaler())
    state.ema = ModelEma(model, training.ema) if training.ema else None
    restore_state(run, state)
    if state.ema and isinstance(setup.teacher, MeanTeacher):
        setup.teacher.follow(state.ema)
    recorder = Recorder(run, config, setup.dataset, distributed)
    recorder.begin(state.step)
    recorder.say(f"{config.model.title}. {plan.weights} {plan.hardware}")
    recorder.say(f"{plan.train_frames} frames to learn from, {plan.val_frames} to score on, {plan.steps_total} steps.")
    if training.sync_batch_norm and distributed.world_size > 1 and not distributed.syncs_batch_norm:
        recorder.say("Each process normalises by its own part of the batch: SyncBatchNorm works on GPUs alone.")
    network = distributed.wrap(model, training.sync_batch_norm)
    network = torch.compile(network) if training.compile else network
    throughput = Throughput(plan, training)
    usage = Usage(throughput, hardware.device, minutes_trained(run))
    divergence = DivergenceWatch(
        model, state.optimizer, loss, hardware, training, recorder.row, state.step, plan.log_every
    )
    steps_per_epoch = setup.items / training.samples_per_step
    saved_at = time.monotonic()
    stops = stalls = False
    frames_scored = 0
    model.train()
    report(phase="training", step=state.step, steps_total=plan.steps_total)

    for images, targets in divergence.watch(usage.watch(_loader(setup, training, state.step, distributed))):
        # ---- one step of training
        state.step += 1
        step, is_last = state.step, state.step == plan.steps_total
        torch.manual_seed(step_seed(training.seed, step) + distributed.rank)
        scale = lr_scale(training, plan.progress(step), (step - 0.5) / steps_per_epoch)
        for group in state.optimizer.param_groups:
            group["lr"] = group["base_lr"] * scale
        if training.unfreeze and config.model.freeze and not setup.thaws:
            thawed = min(1.0, plan.progress(step) / training.unfreeze)
            model.freeze_encoder(config.model.freeze * (1 - thawed))
        is_half_size = plan.is_half_size(step, training)
        if is_half_size:
            images, targets = at_half_size(images, targets)
        value = train_step(
            network,
            state.optimizer,
            images,
            targets,
            loss,
            hardware,
            training,
            state.scaler,
            distributed,
            setup.teacher,
        )
        if state.ema and value is not None:
            state.ema.update(model, step)
        throughput.tick(is_half_size)
        # ---- once in a while: a row, an evaluation, a checkpoint
        epoch = epoch_of_step(step, setup.items, training.samples_per_step)
        if step % plan.log_every == 0 or is_last:
            row = train_row(step, value, training.learning_rate * scale, throughput, usage, epoch)
            recorder.row(row)
            report(phase="training", step=step, steps_total=plan.steps_total, seconds_left=row["seconds_left"])
        if plan.evaluates(step):
            check_loss(step, value)
            report(phase="scoring", step=step)
            with throughput.pause():
                _evaluate(setup, state, recorder, usage, epoch, distributed, is_last)
            stalls = has_stalled(evaluations(run), training.stop_early, training.patience)
            frames_scored += len(setup.previewed)
            # Not twice at one step, which a run may come to again that was killed after it.
            if not is_last and plan.is_adjustable(training) and all(step > replan for replan, _ in plan.replans):
                plan = _replan(plan, training, step, frames_scored, throughput, usage, distributed)
                recorder.plan(plan)
                throughput.plan = plan
        overdue = time.monotonic() - saved_at >= training.checkpoint_seconds
        stops, stalls, overdue = distributed.broadcast_object((should_stop(), stalls, overdue))
        if stops or stalls or is_last or overdue:
            check_loss(step, value)
            with throughput.pause():
                recorder.checkpoint("last", state)
            saved_at = time.monotonic()
        if stops or stalls or is_last:
            break
    if state.step == 0:
        recorder.checkpoint("last", state)
    recorder.close()
    ended_early = state.step < plan.steps_total
    if stalls and ended_early:
        recorder.say(
            f"Stopped early at step {state.step}: {training.patience} evaluations brought no better"
            f" {training.stop_early}."
        )
    elif stops and ended_early:
        report(step=state.step)
    return "stopped" if stops and ended_early else "finished"


def _loader(setup: TrainingSetup, training: TrainingConfig, step: int, distributed: Distributed) -> DataLoader:
    """Build the loader of this process's share of all steps after `step`."""
    last_step = setup.plan.last_step(training)
    batches = KeyedBatches(setup.crops.weights, training.samples_per_step, training.seed, step, last_step)
    return build_loader(
        setup.crops,
        part_of(batches, distributed.rank, distributed.world_size),
        setup.hardware.workers,
        pin_memory=setup.hardware.device.type == "cuda",
    )


def _replan(
    plan: Plan,
    training: TrainingConfig,
    step: int,
    frames_scored: int,
    throughput: Throughput,
    usage: Usage,
    distributed: Distributed,
) -> Plan:
    """Return the plan that suits the speed so far, as the leader sees it."""
    suited = plan.replan(
        training,
        step,
        seconds_used=plan.setup_seconds + usage.minutes() * MINUTE,
        seconds_of_steps=usage.minutes() * MINUTE - throughput.paused,
        seconds_per_step=throughput.seconds_per_step_left(step),
        seconds_per_eval_frame=throughput.paused / frames_scored,
    )
    return distributed.all_gather(suited)[0]


def _evaluate(
    setup: TrainingSetup,
    state: TrainingState,
    recorder: Recorder,
    usage: Usage,
    epoch: int,
    distributed: Distributed,
    is_last: bool,
) -> None:
    """Score the validation frames, with the averaged weights where there are any, and keep the best checkpoint.

    Before the last step those that the plan says; a score of all then counts more than any of those.
    """
    loader = setup.val_loader if is_last else setup.preview_loader
    has_previews = len(setup.previewed) < len(setup.dataset.val)
    sample_frames = set(setup.plan.sample_frames)
    samples = tuple(index for index, frame in enumerate(setup.dataset.val) if frame.id in sample_frames)
    with state.ema.applied(state.model) if state.ema else nullcontext():
        # Inside: the mean's batch statistics, too, are the leader's, who saves them.
        distributed.broadcast_buffers(state.model)
        evaluation = evaluate(state.model, loader, setup.loss, setup.hardware, distributed, keep=samples)
        state.fitted = evaluation.fitted
        row = eval_row(state.step, evaluation, epoch, usage.minutes())
        if has_previews and not is_last:
            row["frames"] = len(setup.previewed)
        recorder.row(row)
        recorder.samples(state.step, evaluation)
        miou = evaluation.confusion.miou()
        if miou > state.best_miou or (has_previews and is_last):
            state.best_miou = miou
            recorder.checkpoint("best", state)
