"""Runs that differ in the seed alone: which they are, what they come to together, and how more of them are launched."""

import json

import numpy as np
import pytest

from core import runner
from core.__main__ import main
from core.runner.device_lock import DeviceLock
from core.runs.repeats import T_975, are_repeats, groups_of_repeats, repeats_of, spread_of, summarize_repeats
from core.runs.status import update_status
from core.runs.store import create_run, list_runs, read_run


@pytest.fixture
def finished(lab_folders, tiny_config):
    """`finished(seed, mious, iou)`: a finished run with one evaluation for each score, all of the same IoU a class."""

    def make(seed, mious=(0.4,), iou=(), plan=None, **training):
        run = create_run(tiny_config(seed=seed, **training), lab_folders.runs)
        names = [f"class {index}" for index in range(len(iou))]
        colors = [[index, 0, 0] for index in range(len(iou))]
        (run / "plan.json").write_text(
            json.dumps({"classes": names, "colors": colors, "data": "frames"} | (plan or {}))
        )
        rows = [
            {"kind": "eval", "step": step + 1, "epoch": 1, "miou": miou, "iou": list(iou), "minutes": 1.0}
            for step, miou in enumerate(mious)
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        update_status(run, state="finished", step=len(rows), steps_total=len(rows))
        return read_run(run)

    return make


def test_a_spread_is_what_numpy_has():
    values = [0.41, 0.44, 0.425, 0.43]
    spread = spread_of(values)
    half = 3.182 * np.std(values, ddof=1) / np.sqrt(4)
    assert (spread.count, spread.mean, spread.deviation) == pytest.approx((4, np.mean(values), np.std(values, ddof=1)))
    assert (spread.low, spread.high) == pytest.approx((np.mean(values) - half, np.mean(values) + half))
    assert np.isnan(spread_of([0.4]).deviation) and spread_of([0.4]).mean == 0.4


@pytest.mark.parametrize("count", [2, 3, 5, 10, 40])
def test_the_interval_covers_the_true_mean_95_times_of_100(count, figure):
    rng = np.random.default_rng(count)
    spreads = [spread_of(list(rng.normal(0.4, 0.02, count))) for _ in range(4000)]
    covered = np.mean([spread.low <= 0.4 <= spread.high for spread in spreads])
    figure(f"{covered:.1%} with {count} seeds")
    assert 0.93 <= covered <= 0.97


def test_the_quantiles_are_those_of_students_t():
    stats = pytest.importorskip("scipy.stats", reason="scipy comes with the extras")
    assert pytest.approx([stats.t.ppf(0.975, freedom) for freedom in range(1, 31)], abs=6e-4) == T_975


def test_repeats_differ_in_the_seed_or_in_what_is_about_a_machine(finished, lab_folders, tiny_config):
    first, second, third = finished(1), finished(0), finished(2, threads=2)
    finished(0, learning_rate=1e-3)
    finished(4, plan={"data": "other frames"})
    create_run(tiny_config(seed=3, epochs=1), lab_folders.runs)
    found = repeats_of(first, list_runs(lab_folders.runs))
    assert [run.id for run in found] == [second.id, first.id, third.id]
    groups = groups_of_repeats(list_runs(lab_folders.runs))
    assert [{run.id for run in group} for group in groups] == [{first.id, second.id, third.id}]
    by_minutes = [finished(seed, minutes=1.0, threads=1 + seed) for seed in (0, 1)]
    assert not are_repeats(*by_minutes), "the minutes hold other steps then"


def test_the_card_equals_what_is_computed_by_hand(finished, lab_folders):
    scores = {0: [0.30, 0.42], 1: [0.40, 0.39], 2: [0.44, 0.41]}
    classes = {0: [0.5, None, 0.2], 1: [0.6, None, 0.3], 2: [0.7, 0.1, 0.1]}
    runs = [finished(seed, scores[seed], classes[seed]) for seed in scores]
    summary = summarize_repeats(repeats_of(runs[0], list_runs(lab_folders.runs)))
    best = [max(each) for each in scores.values()]
    half = 4.303 * np.std(best, ddof=1) / np.sqrt(3)
    assert summary.miou.mean == pytest.approx(np.mean(best)) and summary.miou.deviation == pytest.approx(
        np.std(best, ddof=1)
    )
    assert [summary.miou.low, summary.miou.high] == pytest.approx([np.mean(best) - half, np.mean(best) + half])
    assert summary.iou[0].mean == pytest.approx(0.6) and summary.iou[1] is None
    assert summary.iou[2].deviation == pytest.approx(np.std([0.2, 0.3, 0.1], ddof=1))
    assert summary.sentence.startswith("Mean IoU 42.0 ± 2.0 % over 3 seeds")


def test_of_two_runs_of_a_seed_the_newer_counts_and_one_alone_says_so(finished, lab_folders):
    finished(0, [0.1], [0.5])
    newer = finished(0, [0.3], [0.5])
    runs = sorted(list_runs(lab_folders.runs), key=lambda run: run.id)
    summary = summarize_repeats(repeats_of(newer, runs))
    assert summary.miou.count == 1 and "one seed" in summary.sentence
    assert summarize_repeats([]) is None


def test_more_seeds_are_launched_that_no_run_has(finished, lab_folders, capsys):
    run = finished(1, [0.4], [0.5])
    with DeviceLock(lab_folders.runs / ".slots", "cpu") as lock:
        assert lock.acquire()
        paths = runner.repeat(run.path, 2)
        assert [read_run(path).config.training.seed for path in paths] == [0, 2]
        assert {read_run(path).notes.parent for path in paths} == {run.id}
        assert main(["runs", "repeat", run.id, "--seeds", "1", "--json"]) == 0
        (third,) = json.loads(capsys.readouterr().out)["repeats"]
        assert read_run(lab_folders.runs / third).config.training.seed == 3
        for path in (*paths, lab_folders.runs / third):
            runner.stop(path)
    assert main(["runs", "repeats", run.id, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["runs"] == [run.id] and said["miou"]["mean"] == pytest.approx(0.4)
    assert said["miou"]["deviation"] is None, "one seed has no deviation, and JSON no NaN"
    assert main(["runs", "repeat", run.id, "--seeds", "0"]) != 0
