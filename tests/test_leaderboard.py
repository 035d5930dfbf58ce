"""The leaderboard: who stands beside whom, what is stale, and who can't be had better at no higher cost."""

import json
import os
import shutil
from pathlib import Path

import cv2
import pytest

from core.evaluation import staleness
from core.evaluation.evaluate_run import evaluate_run
from core.evaluation.leaderboard import METRICS, frontier, key_of_result, leaderboard
from core.evaluation.results import EvaluationSettings, list_results, read_metadata, read_result
from core.runs.store import read_run


@pytest.fixture
def runs(lab_folders, trained_run):
    """The same finished run three times."""
    paths = [lab_folders.runs / f"{trained_run.name[:-4]}{index:04}" for index in range(3)]
    for path in paths:
        shutil.copytree(trained_run, path)
    return [read_run(path) for path in paths]


def test_runs_scored_otherwise_stand_apart_and_unscored_ones_show_their_own_score(runs):
    plain = evaluate_run(runs[0], EvaluationSettings())
    evaluate_run(runs[1], EvaluationSettings(boundary=False))
    evaluate_run(runs[1], EvaluationSettings(flip=True, boundary=False))
    boards = leaderboard(runs)
    assert [(board.is_scored, [entry.run for entry in board.entries]) for board in boards] == [
        (True, [runs[0].id, runs[1].id]),
        (True, [runs[1].id]),
        (False, [runs[2].id]),
    ]
    assert boards[0].protocol == (
        "Generated streets at 128 x 64, 4 validation frames, at the training size, whole picture"
    )
    assert boards[1].protocol.endswith("mirrored too") and boards[2].protocol.endswith("in training")
    scored, unscored = boards[0].entries[0], boards[2].entries[0]
    result = read_result(plain)
    assert set(scored.scores) == set(METRICS)
    assert scored.scores["miou"] == result.scores.miou == pytest.approx(unscored.scores["miou"], abs=1e-9)
    assert scored.scores["category_miou"] == result.scores.category_miou
    assert scored.scores["ece"] == result.scores.calibration.error
    assert scored.scores["mean_accuracy"] == result.scores.mean_accuracy
    assert scored.costs["parameters"] == unscored.costs["parameters"] == result.metadata.parameters / 1e6
    assert scored.costs["minutes"] > 0 and scored.costs["flops"] == result.metadata.flops / 1e9
    assert unscored.metadata is None and unscored.scores["pixel_accuracy"] is None


def test_a_run_that_was_trained_on_is_stale_until_it_is_scored_again(runs):
    evaluate_run(runs[0], EvaluationSettings())
    assert not leaderboard(runs[:1])[0].entries[0].is_stale
    state = runs[0].path / "best" / "state.json"
    state.write_text(state.read_text() + " ")
    assert leaderboard(runs[:1])[0].entries[0].is_stale
    evaluate_run(runs[0], EvaluationSettings(boundary=False))
    (board,) = leaderboard(runs[:1])
    assert not board.entries[0].is_stale, "a card of these weights goes before one with boundaries"


@pytest.fixture
def masks(runs, lab_folders, monkeypatch) -> list[Path]:
    """Masks of the validation frames of streets that may be written to."""
    data = lab_folders.other / "data"
    shutil.copytree(lab_folders.data / "streets", data / "streets")
    monkeypatch.setenv("SEGLAB_DATA", str(data))
    return sorted((data / "streets" / "gtFine" / "val").rglob("*_labelIds.png"))


def is_stale_now(run):
    staleness.forget_data()
    (board,) = leaderboard([run])
    (entry,) = board.entries
    return entry.is_stale


def test_a_card_is_stale_once_a_mask_was_corrected_until_it_is_scored_again(runs, masks):
    first = evaluate_run(runs[0], EvaluationSettings(boundary=False))
    assert not is_stale_now(runs[0])
    mask = cv2.imread(str(masks[0]), cv2.IMREAD_UNCHANGED)
    mask[:] = 7
    cv2.imwrite(str(masks[0]), mask)
    assert is_stale_now(runs[0])
    second = evaluate_run(runs[0], EvaluationSettings(boundary=False))
    assert second != first and not is_stale_now(runs[0]), "and the table of the old masks is gone"


def test_frames_that_were_only_touched_need_no_second_scoring(runs, masks):
    path = evaluate_run(runs[0], EvaluationSettings(boundary=False))
    before = read_metadata(path)
    os.utime(masks[0], (1, 1))
    assert is_stale_now(runs[0])
    assert evaluate_run(runs[0], EvaluationSettings(boundary=False)) == path and not is_stale_now(runs[0])
    assert read_metadata(path).made == before.made and read_metadata(path).fingerprint != before.fingerprint
    assert read_result(path) is not None


def test_a_card_of_other_frames_than_todays_is_stale_and_one_whose_data_are_away_is_not(runs, masks, lab_folders):
    evaluate_run(runs[0], EvaluationSettings(boundary=False))
    image = next((lab_folders.other / "data" / "streets" / "leftImg8bit" / "val").rglob("*.png"))
    image.rename(lab_folders.other / "away.png")
    assert is_stale_now(runs[0])
    (lab_folders.other / "data" / "streets").rename(lab_folders.other / "elsewhere")
    assert not is_stale_now(runs[0])
    assert not (lab_folders.other / "data" / "streets").exists(), "looking draws no streets"


def test_a_card_of_before_is_read_and_is_stale(runs, masks):
    path = evaluate_run(runs[0], EvaluationSettings(boundary=False))
    message = json.loads(path.read_text())
    del message["metadata"]["fingerprint"], message["metadata"]["space"]
    path.write_text(json.dumps(message))
    assert read_result(path) is not None and is_stale_now(runs[0])


def test_equal_names_of_other_ids_share_no_board(runs, masks):
    config = json.loads((runs[1].path / "config.json").read_text())
    table = [
        {"name": name, "color": color, "ids": [index]}
        for index, (name, color) in enumerate(zip(runs[0].class_names, runs[0].colors, strict=True))
    ]
    (masks[0].parents[3] / "classes.json").write_text(json.dumps(table))
    config["dataset"]["classes"] = str(masks[0].parents[3] / "classes.json")
    (runs[1].path / "config.json").write_text(json.dumps(config))
    results = [read_result(evaluate_run(read_run(run.path), EvaluationSettings(boundary=False))) for run in runs[:2]]
    assert results[0].scores.protocol.classes == results[1].scores.protocol.classes
    assert key_of_result(results[0]) != key_of_result(results[1])
    assert len(list_results(runs[1].path)) == 1


def test_runs_that_scored_themselves_on_other_frames_or_classes_stand_apart(runs):
    def changed(run, plan=None, **dataset):
        config = json.loads((run.path / "config.json").read_text())
        config["dataset"] |= {"name": "folder", "root": "/data/own"} | dataset
        (run.path / "config.json").write_text(json.dumps(config))
        (run.path / "plan.json").write_text(json.dumps(run.plan | (plan or {})))
        return read_run(run.path)

    def together(first, second):
        return [len(board.entries) for board in leaderboard([first, second])] == [2]

    one = changed(runs[0], val_fraction=0.1)
    assert together(one, changed(runs[1], val_fraction=0.1))
    assert not together(one, changed(runs[1], val_fraction=0.5))
    assert not together(one, changed(runs[1], {"val_frames": 7}, val_fraction=0.1)), "frames were added in between"
    assert not together(one, changed(runs[1], {"space": "other ids"}, val_fraction=0.1))


def test_latencies_are_comparable_on_equal_hardware_only(runs):
    paths = [evaluate_run(run, EvaluationSettings(boundary=False)) for run in runs[:2]]

    def timed(path, **changes):
        values = json.loads(path.read_text())
        values["metadata"] |= {"timed": 20, "disturbance": ""} | changes
        path.write_text(json.dumps(values))

    for path in paths:
        timed(path)
    assert leaderboard(runs[:2])[0].is_timed_alike
    for changes in ({"hardware": "On another machine."}, {"disturbance": "a training went on"}, {"timed": 1}):
        before = paths[1].read_text()
        timed(paths[1], **changes)
        assert not leaderboard(runs[:2])[0].is_timed_alike
        paths[1].write_text(before)
    # A newer card with boundaries, timed beside a training, doesn't replace the good time of the same weights.
    timed(paths[0], milliseconds=7.0)
    timed(evaluate_run(runs[0], EvaluationSettings()), milliseconds=99.0, disturbance="a training went on")
    board = leaderboard(runs[:2])[0]
    entry = next(entry for entry in board.entries if entry.run == runs[0].id)
    assert entry.scores["boundary_f1"] is not None and entry.costs["milliseconds"] == 7.0 and board.is_timed_alike


def test_who_never_predicts_a_class_that_is_there_has_no_precision_in_it():
    read = METRICS["precision"].read
    assert read({"precision": {"a": 0.5, "b": None, "c": None}, "recall": {"a": 1.0, "b": 0.0, "c": None}}) == 0.25
    assert read({"precision": {"a": 0.6, "b": 0.0}, "recall": {"a": 1.0, "b": None}}) == 0.3
    assert read({"precision": {"a": None}, "recall": {"a": None}}) is None


def test_nothing_to_show_is_no_board(lab_folders, tmp_path):
    assert leaderboard([]) == []
    (lab_folders.runs / "20200101-000000-fcn-0000").mkdir()
    assert leaderboard([read_run(lab_folders.runs / "20200101-000000-fcn-0000")]) == []


def test_the_frontier_holds_who_is_better_than_all_that_are_cheaper():
    points = {"a": (1.0, 0.5), "b": (2.0, 0.4), "c": (3.0, 0.6), "d": (3.0, 0.55), "e": (9.0, 0.6)}
    assert frontier(points) == ["a", "c"]
    assert frontier({}) == []
