"""A run on a folder of one's own: its data are moved, changed, and scored on a test split or another folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.__main__ import main
from core.config import read_config
from core.runs.status import update_status
from core.runs.store import create_run, read_run
from core.training.loop import train
from tests.pages.test_pages import opened, text_of

TABLE = [{"name": name, "ids": [index]} for index, name in enumerate(("ground", "thing"))]


def draw(root: Path, split: str, count: int, seed: int = 0) -> None:
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        mask = np.zeros((64, 96), np.uint8)
        top, left = rng.integers(0, (32, 48))
        mask[top : top + 32, left : left + 48] = 1
        image = (mask[..., None] * 120 + rng.integers(0, 100, (64, 96, 3))).astype(np.uint8)
        for kind, pixels in (("images", image), ("masks", mask)):
            path = root / split / kind / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


@pytest.fixture
def data(lab_folders) -> Path:
    root = lab_folders.other / "mine"
    draw(root, "train", 6)
    draw(root, "val", 2, seed=1)
    draw(root, "test", 3, seed=2)
    (root / "classes.json").write_text(json.dumps(TABLE))
    return root


@pytest.fixture
def run(lab_folders, data: Path, tiny_config) -> Path:
    config = tiny_config(dataset={"name": "folder", "root": str(data), "height": 64, "width": 96})
    path = create_run(config, lab_folders.runs)
    update_status(path, state="running")
    state = train(path, config, lambda **_: None, lambda: False)
    update_status(path, state=state)
    return path


def cli(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_run_is_told_where_its_data_are_now(run, data, capsys):
    moved = data.with_name("moved")
    data.rename(moved)
    code, _, error = cli(capsys, "score", run.name)
    assert code == 42 and "There is no folder" in error
    code, out, _ = cli(capsys, "score", run.name, "--dataset.root", moved, "--json")
    assert code == 0 and json.loads(out)
    assert read_run(run).config.dataset.root == str(moved)
    moved.rename(data)
    assert cli(capsys, "runs", "move-data", run.name, data)[0] == 0
    assert cli(capsys, "score", run.name)[0] == 0


def test_other_data_are_not_taken_for_those_of_a_run(run, data, capsys):
    other = shutil.copytree(data, data.with_name("other"))
    mask = other / "train/masks/0.png"
    Image.fromarray(1 - np.asarray(Image.open(mask))).save(mask)
    code, _, error = cli(capsys, "runs", "move-data", run.name, other)
    assert code == 42 and "holds other photographs or masks" in error
    shutil.rmtree(other / "val/images")
    assert cli(capsys, "runs", "move-data", run.name, other)[0] == 42
    assert read_run(run).config.dataset.root == str(data)


def test_masks_that_were_changed_since_are_noticed_on_resume(run, data):
    mask = data / "train/masks/0.png"
    Image.fromarray(1 - np.asarray(Image.open(mask))).save(mask)
    with pytest.raises(Exception, match="a mask's pixels, were changed since"):
        train(run, read_run(run).config, lambda **_: None, lambda: False)


def test_a_test_split_of_ones_own_is_scored(run, data, capsys):
    code, out, _ = cli(capsys, "score", run.name, "--split", "test", "--json")
    assert code == 0 and json.loads(out)["frames"] == 3
    code, out, _ = cli(capsys, "score", run.name, "--split", "test")
    assert "test frames" in out


def test_another_folder_is_scored_with_the_classes_of_the_run(run, data, capsys):
    other = data.with_name("elsewhere")
    draw(other, "test", 4, seed=3)
    code, out, _ = cli(capsys, "score", run.name, "--root", other, "--split", "test", "--json")
    assert code == 0 and json.loads(out)["frames"] == 4
    code, _, error = cli(capsys, "score", run.name, "--root", other, "--split", "val")
    assert code == 42 and "0 to score on" in error
    assert read_config({}).dataset.root == ""


def test_the_page_runs_asks_where_the_data_are(run, data):
    moved = data.with_name("moved")
    data.rename(moved)
    app = opened("runs")
    assert "aren't at" in app.warning[0].value
    app.text_input(key=f"moved-{run.name}").set_value(str(moved.parent / "nowhere")).run()
    app.button(key="take-folder").click().run()
    assert "There is no folder" in text_of(app) and not app.exception
    app.text_input(key=f"moved-{run.name}").set_value(str(moved)).run()
    app.button(key="take-folder").click().run()
    assert not app.exception and not app.warning and read_run(run).config.dataset.root == str(moved)
