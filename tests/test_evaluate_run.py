"""Evaluation results: what is kept of a scoring, read back as it was, and scoring in the background."""

import json
from dataclasses import replace

import numpy as np
import pytest

from app.reporting import scored_first
from app.scoring import find_robustness
from core.config import read_config
from core.data.frames import content_digest
from core.errors import LabError
from core.evaluation import evaluate_run as evaluate_run_module
from core.evaluation import timing
from core.evaluation.bootstrap import compare
from core.evaluation.evaluate_run import evaluate_robustness, evaluate_run
from core.evaluation.job import start_evaluation
from core.evaluation.metrics.robustness import STRENGTHS
from core.evaluation.results import (
    MIN_TIMED,
    EvaluationSettings,
    list_results,
    list_robustness,
    read_metadata,
    read_result,
    read_summary,
    read_values,
    result_key,
)
from core.evaluation.staleness import is_robustness_stale, is_stale, padding_of
from core.inference.prediction_cache import checkpoint_digest
from core.jobs.kinds import latest, stop
from core.report.settings import SCORED_AS, scoring_seconds, why_scored
from core.runs.metrics_log import evaluations
from core.runs.store import read_run


@pytest.fixture
def run(lab_folders, trained_run):
    import shutil

    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    return read_run(lab_folders.runs / trained_run.name)


def test_a_card_says_what_the_run_was_scored_with_in_training(run):
    message = []
    path = evaluate_run(run, EvaluationSettings(), lambda what, done, total: message.append((what, done, total)))
    result = read_result(path)
    best = max(evaluations(run.path), key=lambda row: row["miou"])
    assert result.scores.miou == pytest.approx(best["miou"], abs=1e-12)
    metadata = result.metadata
    assert (
        metadata.run == run.id and metadata.size == (64, 128) and metadata.frames == 4 and metadata.step == best["step"]
    )
    assert metadata.weights == checkpoint_digest(run.path, "best") and metadata.parameters == run.plan["parameters"]
    assert metadata.flops > 1e6 and metadata.milliseconds > 0 and metadata.seconds > 0
    assert (
        metadata.upper_bounds[2] > metadata.upper_bounds[8] > metadata.upper_bounds[32]
        and 0 < metadata.upper_bound <= 1
    )
    assert ("Scoring frames", 3, 4) in message
    assert json.loads(path.read_text())["scores"]["miou"] == result.scores.miou


def test_a_card_read_back_has_every_score(run):
    result = read_result(evaluate_run(run, EvaluationSettings()))
    outcome = result.scores.to_json()
    assert outcome == json.loads(list_results(run.path)[0].read_text())["scores"]
    assert outcome["mean_boundary_f1"] is not None and outcome["calibration"]["ece"] is not None
    assert compare(result.scores, result.scores).difference == 0
    assert result.scores.frames[0].confusion.sum() > 0


def test_the_frames_behind_a_cell_add_up_to_it(run):
    scores = read_result(evaluate_run(run, EvaluationSettings(boundary=False))).scores
    whole = scores.evaluated_confusion
    row, column = np.unravel_index(int(whole.argmax()), whole.shape)
    behind = scores.frames_behind(row, column)
    assert sum(pixels for _, pixels, _ in behind) == whole[row, column] > 0
    assert [pixels for _, pixels, _ in behind] == sorted((pixels for _, pixels, _ in behind), reverse=True)
    frame, pixels, share = behind[0]
    counts = next(each for each in scores.frames if each.id == frame)
    assert share == pixels / counts.confusion[row].sum()
    assert scores.frames_behind(row, whole.shape[1] - 1) == []


def test_a_time_beside_other_work_is_marked_and_measured_again_once_that_is_over(run, monkeypatch):
    waited = 900

    def thread_times():
        thread_times.calls += 1
        return {"1": (thread_times.calls * 1000, thread_times.calls * waited)}

    thread_times.calls = 0
    monkeypatch.setattr(timing, "_thread_times", thread_times)
    path = evaluate_run(run, EvaluationSettings(frames=2))
    disturbed = read_metadata(path)
    assert disturbed.timed == MIN_TIMED and not disturbed.is_timed_well
    assert disturbed.disturbance == "other work held it up for 47% of the time"
    before = path.read_bytes()
    assert evaluate_run(run, EvaluationSettings(frames=2)) == path and path.read_bytes() == before
    waited = 10
    evaluate_run(run, EvaluationSettings(frames=2))
    good = read_metadata(path)
    assert good.is_timed_well and good.milliseconds_spread > 0 and good.made == disturbed.made
    waited, before = 900, path.read_bytes()
    evaluate_run(run, EvaluationSettings(frames=2))
    assert path.read_bytes() == before


def test_the_same_is_not_scored_twice_and_something_else_is(run, monkeypatch):
    monkeypatch.setattr(timing, "_thread_times", dict)
    first = evaluate_run(run, EvaluationSettings())
    before = first.stat().st_mtime_ns
    assert evaluate_run(run, EvaluationSettings()) == first and first.stat().st_mtime_ns == before
    other = evaluate_run(run, EvaluationSettings(boundary=False, frames=2))
    assert other != first and read_metadata(other).frames == 2
    assert set(list_results(run.path)) == {first, other}
    assert read_metadata(first).frames == 4


def test_a_card_names_the_weights_that_it_was_scored_with_though_a_better_checkpoint_comes_meanwhile(run, monkeypatch):
    before = checkpoint_digest(run.path, "best")

    def read_slowly(frames):
        replace_checkpoint(run.path)
        return content_digest(frames)

    monkeypatch.setattr(evaluate_run_module, "content_digest", read_slowly)
    metadata = read_metadata(evaluate_run(run, EvaluationSettings(boundary=False, frames=2)))
    assert metadata.weights == before != checkpoint_digest(run.path, "best")


def replace_checkpoint(run):
    state = run / "best" / "state.json"
    state.write_text(state.read_text() + " ")


def test_operations_are_counted_over_every_pass_of_a_picture(run):
    def flops(**settings):
        return read_metadata(evaluate_run(run, EvaluationSettings(boundary=False, frames=1, **settings))).flops

    whole = flops()
    assert flops(flip=True) == 2 * whole
    assert flops(scales=(0.5, 1.0)) == 1.25 * whole
    assert flops(sliding_window=True) == whole, "the crops were as large as the frames"
    state = run.path / "best" / "state.json"
    message = json.loads(state.read_text())
    message["config"]["training"] |= {"crop_height": 32, "crop_width": 64}
    state.write_text(json.dumps(message))
    assert flops(sliding_window=True) == 9 / 4 * whole, "three by three windows of a quarter"


def test_a_torn_card_is_none(run):
    path = evaluate_run(run, EvaluationSettings(boundary=False))
    path.with_suffix(".npz").write_bytes(path.with_suffix(".npz").read_bytes()[:100])
    assert read_result(path) is None and read_metadata(path) is not None
    path.write_text("{")
    assert read_result(path) is None and read_metadata(path) is None


def test_the_robustness_card_knows_every_condition(run):
    evaluate_robustness(run, EvaluationSettings(frames=2), kinds=("noise", "resolution"))
    (result,) = list_robustness(run.path)
    assert set(result.miou) == {"none", "noise", "resolution"} and tuple(result.miou["noise"]) == STRENGTHS
    assert result.miou["none"][0] == pytest.approx(make_and_read(run).scores.miou)
    assert result.miou["resolution"][5] < result.miou["none"][0]
    (run.path / "scores" / "robustness-x.json").write_text("{}")
    assert list_robustness(run.path) == [result]


def make_and_read(run):
    return read_result(evaluate_run(run, EvaluationSettings(frames=2, boundary=False)))


def test_other_data_of_other_classes_are_refused(run, tmp_path):
    with pytest.raises(LabError, match="outside of the folders"):
        evaluate_run(run, EvaluationSettings(root="/etc"))


def test_a_job_scores_several_runs_and_says_which_could_not_be(run, lab_folders, wait_until):
    job = start_evaluation([run.id, "20200101-000000-fcn-0000"], EvaluationSettings(boundary=False))
    with pytest.raises(LabError, match="being done already"):
        start_evaluation([run.id], EvaluationSettings())
    done = wait_until(lambda: (now := latest("evaluation")) and not now.is_active and now)
    assert done.id == job.id and done.state == "finished", done
    assert done.result["runs"] == [run.id]
    assert done.result["problems"]["20200101-000000-fcn-0000"].startswith("There is no run")
    (path,) = list_results(run.path)
    assert read_result(path).metadata.frames == 4


def test_a_job_that_is_stopped_leaves_no_card(run, wait_until):
    job = start_evaluation([run.id], EvaluationSettings(), "robustness")
    stop("evaluation", job)
    done = wait_until(lambda: (now := latest("evaluation")) and not now.is_active and now)
    assert done.state == "stopped" and not list_robustness(run.path)


def test_a_job_that_fails_or_is_killed_says_so(run, lab_folders, wait_until):
    start_evaluation(["nothing"], EvaluationSettings())
    done = wait_until(lambda: (now := latest("evaluation")) and not now.is_active and now)
    assert done.state == "failed" and done.problem.startswith("There is no run 'nothing'")
    start_evaluation([run.id], EvaluationSettings(), "robustness")
    wait_until(lambda: latest("evaluation").state == "running")
    latest("evaluation").process.process().kill()
    done = wait_until(lambda: not (now := latest("evaluation")).is_active and now)
    assert "stopped unexpectedly" in done.problem
    assert not np.any([path.suffix == ".npz" for path in run.path.glob("scores/.*")])


def test_a_robustness_card_of_other_corruptions_is_stale(run):
    path = evaluate_robustness(run, EvaluationSettings(frames=2), kinds=("noise",))
    (result,) = list_robustness(run.path)
    assert not is_robustness_stale(run, result)
    values = json.loads(path.read_text())
    del values["version"]  # as it was written before
    path.write_text(json.dumps(values))
    (old,) = list_robustness(run.path)
    assert is_robustness_stale(run, old) and find_robustness(run) == (old, True)


def test_boundaries_of_a_card_of_before_are_averaged_as_today(run):
    path = evaluate_run(run, EvaluationSettings())
    today = read_values(path)
    old = json.loads(path.read_text())
    del old["scores"]["boundary_mean"]
    old["scores"] |= {"mean_boundary_f1": 0.123, "boundary_f1": dict.fromkeys(today["scores"]["boundary_f1"], 0.5)}
    path.write_text(json.dumps(old))
    assert read_values(path) == today and read_summary(path).scores == today["scores"]
    path.with_suffix(".npz").unlink()
    assert read_values(path)["scores"]["mean_boundary_f1"] is None


def test_the_protocol_names_its_scales():
    texts = [EvaluationSettings(scales=scales).description for scales in ((0.75,), (0.5, 1.0), (1.0, 2.0), (1.0,))]
    assert "at scale 0.75" in texts[0] and "at scales 0.5 and 1" in texts[1] and "scale" not in texts[3]
    assert len(set(texts)) == 4


def test_a_report_says_what_it_scores_first_and_how_long_that_takes(run):
    assert why_scored(run) == "was not scored yet" and scoring_seconds(run) is None
    evaluate_run(run, EvaluationSettings(frames=2))
    assert why_scored(run).startswith("was scored otherwise: validation frames, at the training size")
    text = scored_first([run.id], {run.id: run})
    assert "2 frames. That takes about " in text and text.startswith("Before the report is written")
    evaluate_run(run, SCORED_AS)
    assert why_scored(run) == "" and scored_first([run.id], {run.id: run}) == ""


def test_a_card_of_the_old_padding_is_stale_where_pictures_are_padded(run):
    """Until version 0.2 the last row was repeated: at the size of the training frames, a multiple of 16, nothing was."""
    odd = EvaluationSettings(boundary=False, frames=2, scales=(0.8,))
    path = evaluate_run(run, odd)
    metadata = read_metadata(path)
    assert metadata.padding == "reflect" and not is_stale(run, metadata)
    assert is_stale(run, replace(metadata, padding=""))
    before = result_key(odd, metadata.weights, metadata.data, metadata.space, "")
    assert path.stem != before, "one of before is scored again"

    even = read_metadata(evaluate_run(run, EvaluationSettings(boundary=False, frames=2)))
    assert even.padding == "" and not is_stale(run, even)


@pytest.mark.parametrize(
    ("model", "dataset", "settings", "padding"),
    [
        ({"family": "fcn"}, {"height": 256, "width": 512}, {}, ""),
        ({"family": "fcn"}, {"height": 360, "width": 480}, {}, "reflect"),
        ({"family": "fcn"}, {"height": 360, "width": 480}, {"sliding_window": True}, ""),
        ({"family": "fcn"}, {"height": 256, "width": 512}, {"scales": (1.0, 1.3)}, "reflect"),
        ({"family": "unet", "encoder": "plain", "depth": 3}, {"height": 360, "width": 480}, {}, ""),
        ({"family": "unet", "encoder": "vit_small_patch16_224"}, {"height": 272, "width": 512}, {}, "reflect"),
        ({"family": "vit"}, {"height": 360, "width": 480}, {}, ""),
    ],
)
def test_padding_is_told_from_the_config_alone(model, dataset, settings, padding):
    config = read_config({"model": model, "dataset": dataset, "training": {"test_scale": 1}})
    size = (config.dataset.height, config.dataset.width)
    assert padding_of(config, EvaluationSettings(**settings), size) == padding
