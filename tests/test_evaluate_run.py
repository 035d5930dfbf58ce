"""Evaluation results: what is kept of a scoring, read back as it was, and scoring in the background."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.config import read_config
from core.data.frames import content_digest
from core.errors import LabError
from core.evaluation import evaluate_run as evaluate_run_module
from core.evaluation.bootstrap import compare
from core.evaluation.evaluate_run import evaluate_robustness, evaluate_run
from core.evaluation.job import start_evaluation
from core.evaluation.metrics.robustness import STRENGTHS
from core.evaluation.results import (
    EvaluationSettings,
    list_results,
    list_robustness,
    read_metadata,
    read_result,
    result_key,
)
from core.evaluation.staleness import is_stale, padding_of
from core.inference.prediction_cache import checkpoint_digest
from core.jobs.kinds import latest, stop
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


def test_the_same_is_not_scored_twice_and_something_else_is(run):
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
    config = read_config({"model": model, "dataset": dataset})
    size = (config.dataset.height, config.dataset.width)
    assert padding_of(config, EvaluationSettings(**settings), size) == padding
