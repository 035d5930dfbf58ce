"""The training loop: set up, look at two batches, then train, evaluate, save, log. Reads top to bottom."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from core.config import CacheKind, RunConfig
from core.data.augment import Augmentation
from core.data.dataset import Dataset, open_dataset, spread
from core.data.doctor import examine_dataset, refuse_broken
from core.data.frames import Frame
from core.data.loaders import (
    Budget,
    FrameSource,
    KeyedBatches,
    TrainingCrops,
    WholeFrames,
    batches_in_order,
    build_loader,
    items_per_epoch,
    open_frames,
    part_of,
)
from core.data.statistics import SAMPLE, count_classes
from core.errors import LabError
from core.hardware import choose_hardware
from core.models import SegmentationModel, build_model
from core.models.encoders import hub_repo_of
from core.runs import MetricsLog, checkpoint_path, evaluations, read_metrics, requested
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
from core.training.losses import SummedLoss, class_weights
from core.training.optimizer import build_optimizer
from core.training.plan import CURVE_POINTS, Plan, count_steps, interval
from core.training.progress import Pace, check_loss, eval_row, has_stalled, train_row
from core.training.schedule import rate_share
from core.training.step import measure_speed, step_seed, train_step
from core.training.team import Team, join_team
from core.training.usage import Usage, minutes_before
from core.weights import WeightsSource, fetch_weights, find_weights

SAMPLES = 6
SANITY_BATCHES = 2

Report = Callable[..., None]
"""Called with fields of `core.runs.Status` that changed: phase, step, steps_total, seconds_left."""


class _StopAsked(BaseException):
    """The run was asked to stop while it was being set up."""


def train(
    run: Path, config: RunConfig, report: Report, should_stop: Callable[[], bool]
) -> Literal["finished", "stopped", "paused"]:
    """Trains a run from where it stands to its end, or until it is asked to stop or to pause.

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
    return "paused" if state == "stopped" and requested(run) == "pause" else state


def _train(
    run: Path, config: RunConfig, report: Report, should_stop: Callable[[], bool], team: Team
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
        # One process of several can't leave while the others wait for it: they look at the first step.
        if team.size == 1 and should_stop():
            raise _StopAsked
        report(phase=phase)

    # What is learned from, and where.
    hardware = choose_hardware(plan.settle(training) if plan else training, team.place)
    enter("opening the data")
    with team.leader_first():
        dataset = open_dataset(
            config.dataset, progress=lambda done, count: enter(f"drawing streets, {done} of {count}")
        )
    if plan:
        plan.check_data(len(dataset.train), len(dataset.val), dataset.space.digest)
    items = items_per_epoch([frame.weight for frame in dataset.train])
    opening = time.monotonic()
    budget = Budget()
    with team.leader_first():
        train_store, val_store = (
            _open_frames(dataset, frames, config.dataset.cache, budget, enter)
            for frames in (dataset.train, dataset.val)
        )
    # A cache is built once, for all runs to come: that is no part of this one's minutes.
    began += time.monotonic() - opening
    val_batches = team.part(batches_in_order(len(val_store), training.batch_size))
    val_loader = build_loader(WholeFrames(val_store), val_batches, hardware.workers)

    # The network, and what it starts from.
    enter("building the network")
    torch.manual_seed(training.seed)
    model = build_model(config.model, len(dataset.space.classes))
    with team.leader_first():
        source = None if resumes else load_start(model, config, enter)
    if plan and source and source.pretrained != plan.pretrained:
        raise LabError(
            f"This run was planned like this: {plan.weights} Now it would be like this: {source.sentence} "
            "Bring the weights back and resume, or start a new run."
        )
    hardware.prepare(model)
    pixels = np.array(plan.class_pixels) if plan else _count(dataset, enter)
    augmentation = Augmentation.from_config(training, pixels / pixels.sum())
    crops = TrainingCrops(train_store, augmentation, training.seed)
    loss_of = SummedLoss(training, class_weights(pixels, training.class_weights)).to(hardware.device)
    if plan is None:
        # Two batches of the evaluation first: what would fail after an hour's training fails now.
        enter("checking two batches")
        few = build_loader(WholeFrames(val_store), val_batches[:SANITY_BATCHES], workers=0)
        sanity = evaluate(model, few, loss_of, hardware, team)
        enter("measuring the speed")
        speed = measure_speed(model, crops, loss_of, hardware, config, team)
        steps_total = count_steps(
            training,
            frames=items,
            seconds_used=time.monotonic() - began + speed.seconds_to_decode * (len(train_store) + len(val_store)),
            seconds_per_step=speed.seconds_per_step,
            seconds_per_evaluation=sanity.seconds_per_batch * len(val_batches),
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
        # What one process has measured holds for all.
        with team.leader_first():
            if team.leads:
                plan.save(run)
            plan = Plan.load(run)
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

    log = MetricsLog(run) if team.leads else None
    if log and read_metrics(run)[0]:
        # Also where a run ended before its first checkpoint: what is done again counts once.
        log.append({"kind": "resume", "step": step})
    if team.leads:
        print(f"{config.model.title}. {plan.weights} {plan.hardware}")
        print(f"{len(train_store)} frames to learn from, {len(val_store)} to score on, {plan.steps_total} steps.")

    def save(which: Literal["last", "best"]) -> None:
        rest = TrainingState(optimizer, scaler, average) if which == "last" else None
        with team.leader_first():
            if team.leads:
                save_checkpoint(run, which, model, config, dataset.space, step, best_miou, rest)

    batches = KeyedBatches(crops.weights, training.batch_size, training.seed, step, plan.steps_total)
    loader = build_loader(
        crops,
        part_of(batches, team.rank, team.size),
        hardware.workers,
        pin_memory=hardware.device.type == "cuda",
    )
    network = team.wrap(model)
    network = torch.compile(network) if training.compile else network
    pace = Pace(plan, training.batch_size)
    usage = Usage(pace, hardware.device, minutes_before(run))
    divergence = DivergenceWatch(model, optimizer, loss_of, hardware, training, log, step, plan.log_every)
    saved_at = time.monotonic()
    stops = stalls = False
    model.train()
    report(phase="training", step=step, steps_total=plan.steps_total)

    for images, targets in divergence.watch(usage.watch(loader)):
        step += 1
        # ---- one step of training
        torch.manual_seed(step_seed(training.seed, step) + team.rank)
        share = rate_share(training, step, plan.steps_total, items / training.batch_size)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * share
        loss = train_step(network, optimizer, images, targets, loss_of, hardware, training, scaler, team)
        if average and loss is not None:
            average.update(model, step)
        # ---- and what is done once in a while
        pace.tick()
        if step % plan.log_every == 0 or step == plan.steps_total:
            row = train_row(step, loss, training.learning_rate * share, pace, items, training.batch_size)
            if log:
                log.append(row | usage.row())
            report(phase="training", step=step, steps_total=plan.steps_total, seconds_left=row["seconds_left"])
        if step % plan.eval_every == 0 or step == plan.steps_total:
            check_loss(step, loss)
            report(phase="scoring", step=step)
            team.align(model)
            with pace.pause(), average.applied(model) if average else nullcontext():
                found = evaluate(model, val_loader, loss_of, hardware, team, keep=sample_numbers)
                if log:
                    log.append(eval_row(step, found, items, training.batch_size) | {"minutes": usage.minutes()})
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


def load_start(model: SegmentationModel, config: RunConfig, enter: Callable[[str], None]) -> WeightsSource:
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


def _open_frames(
    dataset: Dataset, frames: Sequence[Frame], kind: CacheKind, budget: Budget, enter: Callable[[str], None]
) -> FrameSource:
    def tell(done: int, count: int) -> None:
        enter(f"keeping decoded frames, {done} of {count}")

    return open_frames(dataset, frames, kind, tell, budget=budget)


def _count(dataset: Dataset, enter: Callable[[str], None]) -> np.ndarray:
    """Pixels per class of the training frames, int64 (K,). Raises LabError where the doctor finds what no training should start on."""
    if dataset.name != "streets":

        def tell(done: int, count: int) -> None:
            enter(f"examining the data, {done} of {count}")

        refuse_broken(examine_dataset(dataset, tell, most=SAMPLE))
    enter("counting classes")
    pixels = count_classes(dataset, dataset.train).pixels
    if not pixels.any():
        raise LabError(
            f"No pixel of the training labels in '{dataset.root}' belongs to a class. Use the labelIds files."
        )
    return pixels


def _save_samples(run: Path, step: int, dataset: Dataset, found: Evaluation) -> None:
    folder = run / "samples" / f"{step:08d}"
    for number, labels in found.labels.items():
        path = folder / f"{dataset.val[number].id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)  # a frame's id may name folders
        part = path.with_suffix(".part")
        Image.fromarray(labels).save(part, format="PNG")
        os.replace(part, path)
