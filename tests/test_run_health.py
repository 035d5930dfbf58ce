"""Each remark fires on rows made for it and on none of the others, and a run that goes well gets none."""

import math
import time

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import DivergedError
from core.hardware import choose_hardware
from core.runs.metrics_log import MetricsLog, minutes_trained, read_metrics
from core.runs.run_health import diagnose
from core.runs.store import create_run, read_plan, read_run
from core.training.divergence import find_culprit
from core.training.loop import train
from core.training.losses import SummedLoss
from core.training.throughput import Throughput
from core.training.usage import Usage, free_memory, peak_memory

CLASSES = ("road", "sky", "pole")
TRUTH = [0.6, 0.35, 0.05]
PLAN = {"steps_total": 200}


def train_rows(losses, **fields):
    return [
        {"kind": "train", "step": step, "epoch": (step - 1) // 10 + 1, "loss": loss, "waiting": 0.01} | fields
        for step, loss in enumerate(losses, start=1)
    ]


def eval_rows(losses=None, scores=None, **fields):
    """Ten evaluations in 200 steps."""
    losses = [math.exp(-index / 5) + 0.3 for index in range(10)] if losses is None else losses
    scores = [0.3 + 0.03 * number for number in range(10)] if scores is None else scores
    healthy = {"iou": [0.8, 0.7, 0.1], "predicted": TRUTH, "truth": TRUTH}
    return [
        {"kind": "eval", "step": 20 * number, "epoch": 2 * number, "loss": loss, "miou": score} | healthy | fields
        for number, (loss, score) in enumerate(zip(losses, scores, strict=True), start=1)
    ]


def falling(count=200, seed=0):
    """Losses of a run that goes well: they fall, and then stay where they are, with noise."""
    rng = np.random.default_rng(seed)
    return [2.5 * math.exp(-step / 30) + 0.4 + 0.1 * abs(rng.standard_normal()) for step in range(count)]


def flat(count=200):
    rng = np.random.default_rng(1)
    return [2.9 + 0.05 * rng.standard_normal() for _ in range(count)]


def by_step(rows):
    return sorted(rows, key=lambda row: row["step"])


def codes(rows, plan=PLAN):
    return [remark.code for remark in diagnose(by_step(rows), CLASSES, plan)]


HEALTHY = train_rows(falling()) + eval_rows()
OVERFIT = [1.0, 0.8, 0.6, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85]
CASES = {
    "one-class": train_rows(falling()) + eval_rows(predicted=[0.95, 0.04, 0.01]),
    "zero-classes": train_rows(falling()) + eval_rows(iou=[0.8, 0.7, 0.0]),
    "flat-loss": train_rows(flat()) + eval_rows(),
    "jumping-loss": train_rows([8.0 if step in (90, 120, 150) else loss for step, loss in enumerate(falling())])
    + eval_rows(),
    "overfitting": train_rows(falling()) + eval_rows(losses=OVERFIT),
    "best-long-ago": train_rows(falling())
    + eval_rows(scores=[0.3, 0.5, 0.6, 0.58, 0.57, 0.58, 0.59, 0.57, 0.58, 0.58]),
    "waiting": train_rows(falling(), waiting=0.43) + eval_rows(),
    "diverged": [*HEALTHY, {"kind": "diverged", "step": 201, "where": "First in conv1 (Conv2d)."}],
}


def test_a_healthy_run_gets_no_remark():
    assert codes(HEALTHY) == []


def test_a_real_tiny_run_gets_none_that_it_does_not_deserve(trained_run):
    rows = read_metrics(trained_run)[0]
    plan = read_plan(trained_run)
    assert {row["kind"] for row in rows} == {"train", "eval"} and len(rows) > 50
    # In 60 steps the rare classes aren't found, and nothing else is wrong.
    assert {remark.code for remark in diagnose(rows, plan["classes"], plan)} <= {"zero-classes"}


@pytest.mark.parametrize("code", CASES)
def test_each_remark_fires_alone_on_rows_made_for_it(code):
    assert codes(CASES[code]) == [code]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("one-class", "95% of the pixels, though it has 60%"),
        ("zero-classes", "One class is never found on the validation frames: pole."),
        ("overfitting", "From epoch 8 on"),
        ("best-long-ago", "step 60 (60.0%); 7 evaluations since"),
        ("waiting", "during 43% of the time"),
        ("diverged", "step 201. First in conv1 (Conv2d)."),
    ],
)
def test_a_remark_says_what_was_seen(code, text):
    (remark,) = diagnose(by_step(CASES[code]), CLASSES, PLAN)
    assert text in remark.sentence and remark.fix.endswith((".", "kept."))


@pytest.mark.parametrize("code", [code for code in CASES if code != "diverged"])
def test_few_rows_are_no_reason_for_a_remark(code):
    early = [row for row in CASES[code] if row["step"] < 20]
    assert codes(early[:9]) == [] and codes([]) == [] and codes([], plan={}) == []


def test_rows_of_an_older_lab_are_read_too():
    fields = ("waiting", "predicted", "truth")
    old = [{name: value for name, value in row.items() if name not in fields} for row in HEALTHY]
    assert codes(old) == []
    # Without shares nobody knows whether a class occurs; a score of zero says that it does, or is seen where it doesn't.
    assert codes([row | {"iou": [0.8, 0.7, 0.0]} if row["kind"] == "eval" else row for row in old]) == ["zero-classes"]
    assert codes([row | {"iou": [0.8, 0.7, None]} if row["kind"] == "eval" else row for row in old]) == []


def test_a_class_that_is_most_of_the_truth_may_be_most_of_the_predictions():
    rows = train_rows(falling()) + eval_rows(predicted=[0.95, 0.04, 0.01], truth=[0.9, 0.08, 0.02])
    assert codes(rows) == []


def test_rows_that_a_resume_made_void_count_no_more():
    bad = [*by_step(HEALTHY), {"kind": "diverged", "step": 201, "where": ""}]
    assert [remark.code for remark in diagnose(bad, CLASSES, PLAN)] == ["diverged"]
    assert diagnose([*bad, {"kind": "resume", "step": 200}], CLASSES, PLAN) == []


def test_the_time_it_takes_grows_with_the_rows_and_no_faster():
    def seconds(steps: int) -> float:
        rows = by_step(train_rows(falling(steps)) + eval_rows())
        times = []
        for _ in range(5):
            began = time.perf_counter()
            diagnose(rows, CLASSES, {"steps_total": steps})
            times.append(time.perf_counter() - began)
        return min(times)

    assert seconds(20_000) < 30 * seconds(2_000), "ten times the rows; a hundred times the time would be quadratic"


class Fragile(nn.Module):
    """Two convolutions; the second may give, or send back, what is no number."""

    class Breaking(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values, forward, backward):
            ctx.backward_factor = backward
            return values * forward

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.backward_factor, None, None

    class Middle(nn.Module):
        def __init__(self, forward_factor, backward_factor):
            super().__init__()
            self.factors = forward_factor, backward_factor

        def forward(self, values):
            return Fragile.Breaking.apply(values, *self.factors)

    def __init__(self, forward_factor=1.0, backward_factor=1.0):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.middle = Fragile.Middle(forward_factor, backward_factor)
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, images):
        return self.last(self.middle(self.first(images)))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Fragile(), ""),
        (Fragile(forward_factor=math.nan), "output was no number: middle (Middle)."),
        (Fragile(backward_factor=math.inf), "gradient was no number: first (Conv2d)."),
    ],
)
def test_the_layer_that_ran_away_is_named(tiny_config, model, text):
    training = tiny_config().training
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    targets = torch.randint(0, 3, (2, 8, 8), dtype=torch.uint8)
    result = find_culprit(model, images, targets, SummedLoss(training, torch.ones(3)), choose_hardware(training), 2)
    assert result.endswith(text) and bool(result) == bool(text)


def test_weights_that_are_no_numbers_are_named_first(tiny_config):
    training = tiny_config().training
    model = Fragile()
    with torch.no_grad():
        model.last.bias[0] = math.nan
    images, targets = torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, 8, 8, dtype=torch.uint8)
    result = find_culprit(model, images, targets, SummedLoss(training, torch.ones(3)), choose_hardware(training))
    assert result == "The weights 'last.bias' were no numbers any more."


def train_here(run, config, should_stop=lambda: False):
    return train(run, config, lambda **_: None, should_stop)


def test_a_run_that_diverges_names_the_layer_in_its_error_and_its_rows(lab_folders, tiny_config, monkeypatch):
    monkeypatch.setattr("core.training.loop.lr_scale", lambda *_: 1e30)
    config = tiny_config(epochs=100, grad_clip_norm=0)
    run = create_run(config, lab_folders.runs)
    with pytest.raises(
        DivergedError, match=r"at step 2: the training diverged\. The first layer whose output .*\(\w+\)\."
    ):
        train_here(run, config)
    rows = read_metrics(run)[0]
    (remark,) = diagnose(rows, CLASSES, read_plan(run))
    assert remark.code == "diverged" and "step 2. The first layer" in remark.sentence


def test_train_rows_say_what_the_machine_gave_and_minutes_go_on_after_a_break(lab_folders, tiny_config):
    config = tiny_config(epochs=2)
    run = create_run(config, lab_folders.runs)
    assert train_here(run, config, lambda: bool(read_metrics(run)[0])) == "stopped"
    assert [row["step"] for row in read_metrics(run)[0]] == [1]
    assert train_here(run, config) == "finished"
    rows = [row for row in read_metrics(run)[0] if row["kind"] in ("train", "eval")]
    trained = [row for row in rows if row["kind"] == "train"]
    assert all(0 <= row["waiting"] <= 1 and 0 <= row["cpu"] <= 1 and 0 < row["machine_memory"] < 1 for row in trained)
    assert all(row["memory"] > 50e6 and "gpu_memory" not in row for row in trained)
    minutes = [row["minutes"] for row in rows]
    assert minutes == sorted(minutes) and minutes[0] >= 0 and minutes[-1] > 0
    last = [row for row in rows if row["kind"] == "eval"][-1]
    assert sum(last["predicted"]) == pytest.approx(1, abs=1e-4) and sum(last["truth"]) == pytest.approx(1, abs=1e-4)


def test_minutes_begin_where_the_last_row_that_counts_ended(tmp_path):
    assert minutes_trained(tmp_path) == 0
    log = MetricsLog(tmp_path)
    for row in ({"step": 10, "minutes": 1.5}, {"step": 20, "minutes": 3.0}):
        log.append({"kind": "train"} | row)
    assert minutes_trained(tmp_path) == 3.0
    log.append({"kind": "resume", "step": 10})
    assert minutes_trained(tmp_path) == 1.5
    log.append({"kind": "train", "step": 11})  # of an older lab
    assert minutes_trained(tmp_path) == 1.5


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("core.training.usage.time.monotonic", lambda: self.now)


@pytest.fixture
def pace(trained_run):
    from core.training.plan import Plan

    return Throughput(Plan.load(trained_run), read_run(trained_run).config.training)


def test_waiting_is_the_share_of_the_steps_without_pauses(monkeypatch, pace):
    clock = Clock(monkeypatch)

    def slow():
        for batch in range(2):
            clock.now += 3
            yield batch

    usage = Usage(pace, torch.device("cpu"), minutes=2.0)
    rows = []
    for _ in usage.watch(slow()):
        clock.now += 1
        rows.append(usage.row())
        with pace.pause():
            clock.now += 10
    assert [row["waiting"] for row in rows] == [0.75, 0.75]
    assert [row["minutes"] for row in rows] == [pytest.approx(2 + 4 / 60, abs=1e-3), pytest.approx(2.3, abs=1e-3)]


def test_memory_is_told_in_bytes_of_this_machine():
    assert 30e6 < peak_memory() <= free_memory() + 1e9
