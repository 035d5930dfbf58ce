"""Folds: equal parts of all labelled frames, neighbours together, classes spread evenly, each scored by who hasn't seen
it.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from core import runner
from core.__main__ import main
from core.config import DatasetConfig, read_config
from core.data.dataset import open_dataset
from core.data.folds import check_folds, part_into_folds
from core.data.frames import Frame
from core.errors import LabError
from core.runner.device_lock import DeviceLock
from core.runs.repeats import folds_of, repeats_of, summarize_repeats
from core.runs.status import update_status
from core.runs.store import create_run, list_runs, read_run

SIZE = {"height": 64, "width": 128}


def frames_of(names: list[str], folder: str = "") -> list[Frame]:
    return [Frame(name, folder, "train", Path(f"{name}.png"), Path(f"{name}_mask.png")) for name in names]


def test_each_frame_is_scored_once_and_never_by_who_learned_from_it(lab_folders):
    whole = open_dataset(DatasetConfig(**SIZE))
    everything = {frame.id for frame in (*whole.train, *whole.val)}
    parts = [open_dataset(DatasetConfig(**SIZE, folds=3, fold=fold)) for fold in (1, 2, 3)]
    assert Counter(frame.id for part in parts for frame in part.val) == dict.fromkeys(everything, 1)
    for part in parts:
        train, val = ({frame.id for frame in frames} for frames in (part.train, part.val))
        assert not train & val and train | val == everything and 3 <= len(val) <= 5
        assert {frame.split for frame in part.val} == {"val"} and {frame.split for frame in part.train} == {"train"}


def test_a_rare_class_is_in_every_fold_where_there_are_frames_enough():
    rng = np.random.default_rng(0)
    frames = frames_of([f"{name:x}a" for name in rng.choice(10**6, 60, replace=False)])
    pixels = np.column_stack([rng.integers(500, 1000, 60), np.zeros(60, int), np.zeros(60, int)])
    pixels[[3, 4, 5, 6, 7], 1] = 50
    pixels[[3, 20, 21, 22, 59], 2] = [500, 10, 10, 10, 10]
    parts = np.array(part_into_folds(frames, pixels, 5))
    assert parts.tolist() == part_into_folds(frames, pixels, 5), "the same ones every time"
    assert sorted(Counter(parts.tolist()).values()) == pytest.approx([12] * 5, abs=2)
    for index in (1, 2):
        assert all(pixels[parts == part, index].any() for part in range(5)), index


def test_neighbours_stay_together():
    recording = frames_of([f"drive_{number:04d}" for number in range(100)])
    parts = part_into_folds(recording, np.ones((100, 1), int), 4)
    borders = sum(one != other for one, other in zip(parts, parts[1:], strict=False))
    assert borders <= 15 and Counter(parts) == dict.fromkeys(range(4), 25)
    cities = [frame for city in range(12) for frame in frames_of([f"{city}-x{i}z" for i in range(5)], f"city {city}")]
    parts = part_into_folds(cities, np.ones((60, 1), int), 3)
    assert all(len({part for part, frame in zip(parts, cities, strict=True) if frame.city == f"city {city}"}) == 1
               for city in range(12))  # fmt: skip


def test_what_can_not_be_parted_is_a_sentence(lab_folders):
    with pytest.raises(LabError, match="12 labelled frames can't be parted into 7 folds"):
        open_dataset(DatasetConfig(**SIZE, folds=7, fold=1))
    for values, text in (
        ({"folds": 3, "fold": 4}, "one of them is scored on"),
        ({"folds": 1}, "two folds at least"),
        ({"folds": 2, "annotations": "coarse", "name": "cityscapes"}, "fine masks alone"),
    ):
        with pytest.raises(LabError, match=text):
            read_config({"dataset": values})


def test_a_class_that_a_fold_lacks_is_named(lab_folders):
    sentences = check_folds(DatasetConfig(**SIZE), 6)
    shown = [open_dataset(DatasetConfig(**SIZE, folds=6, fold=fold)) for fold in range(1, 7)]
    there = np.array([[(part.target(f) == i).any() for i in range(19)] for part in shown for f in part.val])
    per_fold = np.array([rows.any(axis=0) for rows in np.split(there, np.cumsum([len(p.val) for p in shown])[:-1])])
    missing = per_fold.any(axis=0) & ~per_fold.all(axis=0)
    names = [name for name, is_missing in zip(shown[0].space.class_names, missing, strict=True) if is_missing]
    assert [sentence.split(" is nowhere in fold ")[0] for sentence in sentences] == names and names


def test_limits_to_the_frames_come_after_the_folds(lab_folders):
    limited = DatasetConfig(**SIZE, max_train_samples=3, max_val_samples=2)
    assert check_folds(limited, 6) == check_folds(DatasetConfig(**SIZE), 6)
    part = open_dataset(limited.model_copy(update={"folds": 3, "fold": 2}))
    assert (len(part.train), len(part.val)) == (3, 2)


def test_a_recipe_is_launched_for_each_fold_and_summed_up(lab_folders, tiny_config, capsys):
    run = create_run(tiny_config(), lab_folders.runs)
    update_status(run, state="finished")
    with DeviceLock(lab_folders.runs / ".slots", "cpu") as lock:
        assert lock.acquire()
        paths = runner.cross_validate(run, 3)
        assert [read_run(path).config.dataset.fold for path in paths] == [1, 2, 3]
        assert runner.cross_validate(paths[0], 3) == [], "each has its run"
        assert main(["runs", "repeat", run.name, "--folds", "2", "--json"]) == 0
        others = json.loads(capsys.readouterr().out)["repeats"]
        assert [read_run(lab_folders.runs / name).config.dataset.folds for name in others] == [2, 2]
        for path in (*paths, *(lab_folders.runs / name for name in others)):
            runner.stop(path)
    scores = (0.3, 0.5, 0.46)
    for path, score in zip(paths, scores, strict=True):
        plan = {"classes": ["road"], "colors": [[0, 0, 0]], "data": path.name}  # each fold has other frames
        (path / "plan.json").write_text(json.dumps(plan))
        row = {"kind": "eval", "step": 1, "epoch": 1, "miou": score, "iou": [score], "minutes": 1.0}
        (path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
        update_status(path, state="finished")
    first = read_run(paths[0])
    summary = summarize_repeats(folds_of(first, list_runs(lab_folders.runs))[3], "fold")
    assert summary.miou.mean == pytest.approx(np.mean(scores)) and summary.miou.deviation == pytest.approx(
        np.std(scores, ddof=1)
    )
    assert "over 3 folds" in summary.sentence
    everyone = list_runs(lab_folders.runs)
    assert {folds: len(runs) for folds, runs in folds_of(read_run(run), everyone).items()} == {2: 2, 3: 3}
    assert runner.cross_validate(run, 3) == [], "a second press launches none again"
    assert len(repeats_of(first, list_runs(lab_folders.runs))) == 1, "another fold is no other seed"
    assert main(["runs", "repeats", first.id, "--by", "fold", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["miou"]["count"] == 3
