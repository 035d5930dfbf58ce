"""The rehearsal and the learning-rate range test: plausible figures, proposals that hold, and deaths that are answers."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from core.__main__ import main
from core.errors import LabError
from core.paths import PROJECT
from core.training.checkpoint import TrainingState, save_checkpoint
from core.training.probe import dry_run as dry_run_module
from core.training.probe.dry_run import MEMORY_SHARE, Cost, changed, dry_run, fits, judge, smaller
from core.training.probe.lr_finder import LrPoint, suggest_lr
from core.training.probe.lr_range_test import lr_range_test
from core.training.probe.measure_cost import measure
from core.training.probe.probe import open_probe
from core.training.probe.probe_process import OutOfMemoryError, run_probe

COST = Cost(
    seconds_per_step=0.5,
    seconds_per_evaluation=4.0,
    seconds_per_epoch=20.0,
    steps=100,
    seconds_total=60.0,
    memory_bytes=9_000_000_000,
    memory_fixed_bytes=1_000_000_000,
    memory_scoring_bytes=2_000_000_000,
    memory_free_bytes=20_000_000_000,
    checkpoint_bytes=100_000_000,
    disk_free_bytes=10_000_000_000,
    hardware="On the CPU.",
)


LITTLE_MEMORY = """
from core.training import usage

usage.free_memory = lambda: {free}
from core.training.probe.measure_cost import main

raise SystemExit(main())
"""


def test_a_rehearsal_gives_plausible_figures_and_with_less_memory_a_proposal_that_holds(
    lab_folders, tiny_config, module, monkeypatch
):
    config = tiny_config(epochs=3, batch_size=8, crop_height=64, crop_width=128, model={"width": 16})
    result = dry_run(config, timeout=120)
    cost = result.cost
    assert result.problems == ()
    assert cost.steps == 3  # three epochs of eight frames
    assert 0 < cost.seconds_per_step < 10
    assert cost.seconds_per_epoch == pytest.approx(cost.seconds_per_step)
    assert cost.seconds_total > 3 * cost.seconds_per_step + 2 * cost.seconds_per_evaluation
    assert 50e6 < cost.memory_fixed_bytes < cost.memory_bytes < cost.memory_free_bytes <= psutil.virtual_memory().total
    assert 10_000 < cost.checkpoint_bytes < 100e6 < cost.disk_free_bytes
    assert "CPU" in cost.hardware

    free = int((cost.memory_fixed_bytes + 0.75 * (cost.memory_bytes - cost.memory_fixed_bytes)) / MEMORY_SHARE)
    (problem,) = judge(replace(cost, memory_free_bytes=free), config)
    assert problem.suggested_change == {"training": {"batch_size": 4, "accumulate_grad_batches": 2}}
    name = module("little_memory", LITTLE_MEMORY.format(free=free))
    monkeypatch.setattr(
        dry_run_module, "run_probe", lambda _module, requests, timeout: run_probe(name, requests, timeout)
    )
    again = dry_run(changed(config, problem.suggested_change), timeout=120)
    assert again.problems == () and again.cost.memory_free_bytes == free


def test_what_a_checkpoint_takes_is_told_to_the_tenth(lab_folders, tiny_config, tmp_path):
    config = tiny_config(model={"width": 8})
    probe = open_probe(config)
    for batch in probe.load(2):
        probe.step(batch)
    space = probe.dataset.space
    state = TrainingState(probe.model, probe.optimizer, probe.hardware.scaler(), step=2, best_miou=0.5)
    save_checkpoint(tmp_path, "best", state, config, space)
    save_checkpoint(tmp_path, "last", state, config, space)
    written = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    assert measure(config).checkpoint_bytes == pytest.approx(written, rel=0.1)


@pytest.mark.parametrize(
    ("free", "suggested_change"),
    [
        (11e9, {}),
        (10e9, {"batch_size": 4, "accumulate_grad_batches": 2}),
        (3.6e9, {"batch_size": 2, "accumulate_grad_batches": 4}),
        (2.5e9, {"batch_size": 1, "accumulate_grad_batches": 8}),
        (1.8e9, {"batch_size": 2, "accumulate_grad_batches": 4, "crop_height": 96, "crop_width": 192}),
        (1.1e9, None),
    ],
)
def test_the_proposal_is_the_mildest_that_fits(tiny_config, free, suggested_change):
    config = tiny_config(batch_size=8, crop_height=192, crop_width=384)
    cost = replace(COST, memory_free_bytes=int(free))
    problems = judge(cost, config)
    if suggested_change == {}:
        assert problems == ()
        return
    assert len(problems) == 1 and "GB of memory" in problems[0].sentence
    if suggested_change is None:
        assert problems[0].suggested_change == {}
        return
    other = changed(config, problems[0].suggested_change)
    assert fits(cost, config, other) and not fits(cost, config, config)
    first = next(change for change in smaller(config) if fits(cost, config, changed(config, change)))
    assert problems[0].suggested_change == first
    assert f"{next(iter(first['training'].values()))}" in problems[0].sentence


def test_the_same_step_in_smaller_batches_comes_before_everything_else(tiny_config):
    config = tiny_config(batch_size=8, crop_height=192, crop_width=384)
    changes = list(smaller(config))
    assert changes[:2] == [
        {"training": {"batch_size": 4, "accumulate_grad_batches": 2}},
        {"training": {"batch_size": 2, "accumulate_grad_batches": 4}},
    ]
    for change in changes[:3]:
        assert changed(config, change).training.samples_per_step == 8
    assert {"training": {"crop_height": 96, "crop_width": 192}} in changes
    # A batch of one small crop is refused, and a crop has a least size.
    assert list(smaller(tiny_config(batch_size=2, crop_height=32, crop_width=32))) == []


def test_a_full_disk_and_a_pass_of_a_day_are_said(tiny_config):
    config = tiny_config()
    cost = replace(COST, disk_free_bytes=150_000_000, seconds_per_epoch=100_000.0)
    disk, day = judge(cost, config)
    assert "SEGLAB_CHECKPOINTS" in disk.sentence and disk.suggested_change == {}
    assert "28 hours" in day.sentence
    assert judge(replace(cost, disk_free_bytes=10**12), changed(config, day.suggested_change)) == ()


def test_a_budget_of_a_few_steps_is_said_with_the_minutes_that_would_do(tiny_config):
    config = tiny_config(minutes=1)
    (problem,) = judge(replace(COST, seconds_per_step=6.0, steps=8, seconds_total=70.0), config)
    assert problem.sentence.startswith("No more than 8 steps fit into the 1 min given")
    assert problem.suggested_change == {
        "training": {"minutes": 5.0}
    }  # 22 s of everything else, 180 s of thirty steps, and one more
    assert problem.sentence.endswith("Take 5 minutes.")
    assert judge(replace(COST, steps=8), tiny_config(minutes=0)) == () == judge(replace(COST, steps=30), config)


def test_streets_that_are_not_drawn_are_not_drawn_for_a_rehearsal(lab_folders, tiny_config, monkeypatch, tmp_path):
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "nothing"))
    with pytest.raises(LabError, match="aren't drawn yet"):
        measure(tiny_config())
    assert not (tmp_path / "nothing").exists()


SELF_KILLER = """
import os, signal
from core.training.probe.probe_process import serve_probe

def work(config):
    yield {"half": "an answer"}
    os.kill(os.getpid(), signal.SIGKILL)

raise SystemExit(serve_probe(work))
"""
OTHER_ENDS = {
    "hungry": ("raise MemoryError", OutOfMemoryError, "ran out of memory"),
    "faulty": ("raise KeyError('x')", LabError, "fault of the lab"),
    "silent": ("os._exit(3)", LabError, "exit code 3"),
    "slow": ("import time; time.sleep(600)", LabError, "longer than 2 s"),
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """`module(name, text)`: a module that a child can be started with."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(PROJECT)]))

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def test_a_process_that_is_killed_is_an_answer_with_a_proposal(module, tiny_config, monkeypatch):
    name = module("self_killer", SELF_KILLER)
    lines = run_probe(name, tiny_config(), timeout=60)
    assert next(lines) == {"half": "an answer"}
    with pytest.raises(OutOfMemoryError):
        next(lines)
    monkeypatch.setattr(dry_run_module, "run_probe", lambda *_: run_probe(name, tiny_config(), 60))
    module("self_killer", SELF_KILLER.replace("    yield", "    os.kill(os.getpid(), signal.SIGKILL)\n    yield"))
    result = dry_run(tiny_config(batch_size=8))
    assert result.cost is None
    assert result.problems[0].suggested_change == {"training": {"batch_size": 4, "accumulate_grad_batches": 2}}
    assert result.problems[0].sentence == "It needs more memory than there is. Take batch size 4, batches per step 2."


@pytest.mark.parametrize("end", OTHER_ENDS)
def test_other_ends_are_a_sentence_each(module, tiny_config, end):
    statement, kind, sentence = OTHER_ENDS[end]
    text = SELF_KILLER.replace("os.kill(os.getpid(), signal.SIGKILL)", statement)
    with pytest.raises(kind, match=sentence):
        list(run_probe(module(end, text), tiny_config(), timeout=2 if end == "slow" else 60))


def test_the_process_ends_with_whoever_asks(module, tiny_config):
    text = SELF_KILLER.replace('{"half": "an answer"}', '{"pid": os.getpid()}').replace(
        "os.kill(os.getpid(), signal.SIGKILL)", "import time; time.sleep(600)"
    )
    lines = run_probe(module("patient", text), tiny_config(), timeout=60)
    pid = next(lines)["pid"]
    assert psutil.pid_exists(pid)
    lines.close()
    assert not psutil.pid_exists(pid)


def test_who_asks_loads_no_torch():
    program = "import sys, core.training.probe.dry_run, core.training.probe.lr_finder; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


def test_the_command_line_rehearses(lab_folders, tiny_config, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(
        dry_run_module,
        "dry_run",
        lambda config: seen.append(config) or dry_run_module.DryRun(COST, judge(COST, config)),
    )
    arguments = ["dry-run", "--preset", "quick", "--model.family", "unet", "--training.batch-size", "4"]
    assert main([*arguments, "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert reports["steps"] == 100 and reports["problems"] == []
    assert (seen[0].model.family, seen[0].training.minutes, seen[0].training.batch_size) == ("unet", 5.0, 4)
    assert main(arguments) == 0
    assert "9.0 GB of 20.0 GB free memory" in capsys.readouterr().out


def curve(middle, burst=None):
    """A smoothed loss that falls around a rate and bursts at another."""
    rates = [10 ** (-6 + 0.1 * index) for index in range(60)]
    points = [LrPoint(rate, 0.0, 3 - 2 / (1 + (middle / rate) ** 1.5)) for rate in rates]
    if burst:
        points = [replace(point, smoothed=point.smoothed * max(1.0, (point.rate / burst) ** 2)) for point in points]
    return points


@pytest.mark.parametrize("middle", [1e-5, 1e-3, 1e-2])
def test_a_third_of_the_steepest_rate_is_suggested(middle):
    result = suggest_lr(curve(middle, burst=30 * middle))
    assert middle / 10 < result.rate < middle
    assert f"{result.rate:g}" in result.sentence


def test_without_a_fall_nothing_is_suggested():
    assert suggest_lr(curve(1e3)).rate is None
    assert suggest_lr(curve(1e-3)[:5]).rate is None and suggest_lr([]).rate is None


def test_the_range_test_finds_a_rate_within_a_decade_of_a_good_one(lab_folders, tiny_config):
    config = tiny_config(model={"width": 8}, batch_size=4, crop_height=64, crop_width=128)
    points = list(lr_range_test(config))
    assert points[0].rate == pytest.approx(1e-6) and len(points) > 30
    steps = [second.rate / first.rate for first, second in zip(points, points[1:], strict=False)]
    assert steps == pytest.approx([10 ** (6 / 59)] * len(steps))
    # At 1e-2 the same network learns to score well in sixty steps: see the fixture trained_run.
    assert 1e-3 <= suggest_lr(points).rate <= 1e-1


def test_the_command_line_finds_a_rate_in_a_process_of_its_own(lab_folders, tiny_config, tmp_path, capsys):
    (tmp_path / "config.json").write_text(tiny_config(class_weights="none").model_dump_json())
    assert main(["lr-find", "--config", str(tmp_path / "config.json"), "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert len(reports["points"]) > 30 and set(reports) == {"points", "rate", "sentence"}
