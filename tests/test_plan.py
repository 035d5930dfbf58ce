"""A run's plan: how minutes become steps, how often it is looked at, and how it follows the speed that was found."""

from dataclasses import replace
from itertools import pairwise

import pytest

from core.config import TrainingConfig
from core.training.plan import (
    HALF_SIZE_COST,
    Plan,
    count_eval_frames,
    count_steps,
    frames_to_score,
    interval,
    mean_cost,
)
from core.training.throughput import Throughput

FIRST = Plan(
    steps_total=400,
    eval_every=100,
    log_every=1,
    threads=1,
    precision="fp32",
    class_pixels=(1, 1),
    train_frames=10,
    val_frames=100,
    sample_frames=(),
    pretrained=False,
    weights="",
    hardware="",
    parameters=1,
    seconds_per_step=0.5,
    classes=("road", "sky"),
    colors=((0, 0, 0), (1, 1, 1)),
    space="",
    eval_frames=50,
    setup_seconds=20,
)


def test_a_schedule_goes_on_from_where_it_stands_whenever_the_plan_changes():
    first = replace(FIRST, steps_total=100, eval_every=25)
    for second in (40, 100, 300):
        new = replace(first, steps_total=second, eval_every=5, replans=((25, 100),))
        assert [new.progress(step) for step in range(1, 26)] == [first.progress(step) for step in range(1, 26)]
        third = replace(new, steps_total=60, eval_every=30, replans=((25, 100), (30, second)))
        assert [third.progress(step) for step in range(1, 31)] == [new.progress(step) for step in range(1, 31)]
        for plan in (new, third):
            places = [plan.progress(step) for step in range(1, plan.steps_total + 1)]
            assert places[0] > 0 and all(before < after for before, after in pairwise(places)) and places[-1] < 1
            # The last step ends at the end of the schedule: it is done in the middle of its share.
            assert places[-1] + (places[-1] - places[-2]) / 2 == pytest.approx(1)


def test_evaluations_are_counted_from_the_last_change():
    assert [step for step in range(1, 401) if FIRST.evaluates(step)] == [100, 200, 300, 400]
    plan = replace(FIRST, steps_total=350, eval_every=70, replans=((100, 400), (180, 380)))
    assert [step for step in range(1, 351) if plan.evaluates(step)] == [100, 180, 250, 320, 350]


def test_a_plan_follows_the_speed_that_was_found(tiny_config):
    training = tiny_config(minutes=5, evaluations=4).training
    assert FIRST.is_adjustable(training) and not FIRST.is_adjustable(tiny_config(epochs=3).training)
    assert not replace(FIRST, setup_seconds=0).is_adjustable(training), "one of before that was not said"

    def replanned(seconds_per_step, seconds_used=100):
        new = FIRST.replan(training, 100, seconds_used, 50, seconds_per_step, seconds_per_eval_frame=0.1)
        assert new.replans == ((100, 400),) and new.last_step(training) == FIRST.last_step(training) == 1600
        return new

    # Of 300 s 100 are gone, and two evaluations of 50 frames and one of 100 take 20.
    as_quick, slower = replanned(0.5), replanned(1.8)
    assert (as_quick.steps_total, slower.steps_total) == (100 + 360, 100 + 100)
    assert [step for step in range(1, 461) if as_quick.evaluates(step)] == [100, 220, 340, 460]
    assert replanned(0.001).steps_total == 4 * 400, "no more than four times as many"
    assert replanned(0.5, seconds_used=400).steps_total == 101, "the time is over, and sixty steps are done"

    early = replace(FIRST, steps_total=60, eval_every=15)
    late = [early.replan(training, 15, 5000, used, 5, 0.1).steps_total for used in (100, 400, 560, 5000)]
    # Twice the budget are 600 s, in which start and scoring don't count.
    assert late == [60, 15 + 40, 15 + 8, 16]

    again = as_quick.replan(training, 220, 200, 110, 0.5, 0.1)
    assert again.steps_total == 220 + 170 and again.replans == ((100, 400), (220, 460))
    assert [step for step in range(1, 391) if again.evaluates(step)] == [100, 220, 305, 390]


@pytest.mark.parametrize(
    ("minutes", "evaluations", "seconds", "expected"),
    [(0, 8, 9, 500), (5, 1, 9, 500), (5, 6, 0.01, 500), (5, 6, 0.06, 100), (1, 4, 0.06, 33), (1, 4, 5, 8)],
)
def test_evaluations_before_the_last_look_at_what_fits(tiny_config, minutes, evaluations, seconds, expected):
    length = {"minutes": minutes} if minutes else {"epochs": 1}
    training = tiny_config(evaluations=evaluations, **length).training
    assert count_eval_frames(training, 500, seconds) == expected
    assert frames_to_score(training, 500, seconds) == 500 + (evaluations - 1) * expected


def test_count_steps_by_hand(tiny_config):
    epochs = tiny_config(epochs=2.5, batch_size=4).training
    assert count_steps(epochs, 10, 0, 1, 1) == 7  # 25 frames in batches of 4
    minutes = tiny_config(minutes=1, evaluations=3).training
    assert count_steps(minutes, 10, seconds_used=10, seconds_per_step=0.5, seconds_to_score=15) == 70
    assert count_steps(minutes, 10, seconds_used=100, seconds_per_step=0.5, seconds_to_score=15) == 60
    assert count_steps(minutes, 10, seconds_used=40, seconds_per_step=3, seconds_to_score=15) == 40, "two minutes"
    assert count_steps(minutes, 10, seconds_used=40, seconds_per_step=300, seconds_to_score=15) == 3
    assert count_steps(tiny_config(epochs=0.001).training, 10, 0, 1, 1) == 1


def test_interval_happens_as_often_as_asked():
    assert [interval(100, times) for times in (1, 3, 100, 1000)] == [100, 34, 1, 1]


def test_steps_at_half_size_take_less_of_the_minutes(tiny_config):
    assert mean_cost(TrainingConfig()) == 1
    half = TrainingConfig(minutes=1, half_size_share=0.5, evaluations=1)
    assert mean_cost(half) == pytest.approx(0.5 * HALF_SIZE_COST + 0.5)
    assert mean_cost(half, 0.25, half_size_cost=0.4) == pytest.approx(1 / 3 * 0.4 + 2 / 3)
    assert mean_cost(half, 0.5) == mean_cost(half, 0.9) == 1
    plain = half.model_copy(update={"half_size_share": 0})
    more, fewer = (count_steps(each, 10, 0, 0.1, 0) for each in (half, plain))
    assert fewer == 600 and more == int(60 / (0.1 * mean_cost(half)))


def test_the_first_share_of_the_steps_is_at_half_size():
    half = TrainingConfig(half_size_share=0.5)
    assert [FIRST.is_half_size(step, half) for step in (1, FIRST.steps_total // 2)] == [True, True]
    assert not FIRST.is_half_size(FIRST.steps_total // 2 + 1, half)
    assert not FIRST.is_half_size(1, TrainingConfig())


def test_the_time_left_knows_how_many_steps_are_at_half_size(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("core.training.throughput.time.monotonic", lambda: now[0])
    throughput = Throughput(replace(FIRST, steps_total=100), TrainingConfig(half_size_share=0.5))
    for _step in range(1, 21):
        now[0] += 0.3
        throughput.tick(is_half_size=True)
    full = 0.3 / HALF_SIZE_COST
    assert throughput.seconds_left(20) == pytest.approx(30 * 0.3 + 50 * full, rel=0.02)
    for _step in range(21, 51):
        now[0] += 0.3
        throughput.tick(is_half_size=True)
    for _step in range(51, 71):
        now[0] += 0.5
        throughput.tick()
    assert throughput.seconds_left(70) == pytest.approx(30 * 0.5, rel=0.02)
