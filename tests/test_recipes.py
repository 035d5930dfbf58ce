"""The recipes of docs/house.md, done as they stand there in a copy of the lab: style, types, the form, a training, its report."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.paths import PROJECT

BLOCK = re.compile(
    r"^(?:`(?P<file>[^`\n]+)`|In `(?P<place>[^`\n]+)`, (?P<how>before|instead of) `(?P<line>[^\n]+)`):\n\n```\w+\n(?P<code>.*?)```$",
    re.M | re.S,
)
USE = """
import json, sys
from pathlib import Path

from streamlit.testing.v1 import AppTest

import core.jobs.kinds as kinds
from core.config import read_config
from core.data.class_table import read_class_table
from core.evaluation.results import EvaluationSettings
from core.export.export import export_run
from core.jobs.engine import latest_job
from core.paths import runs_folder
from core.report.settings import SECTIONS, ReportSettings
from core.report.writing import write_report
from core.runs.metrics_log import evaluations
from core.runs.status import update_status
from core.runs.store import create_run, read_run
from core.training.loop import train

out = Path(sys.argv[1])
size = {"height": 64, "width": 128}
quick = {"minutes": 0, "epochs": 1, "batch_size": 4, "crop_height": 32, "crop_width": 64, "evaluations": 1, "threads": 1,
         "precision": "fp32", "device": "cpu", "loss": "tversky", "noise": 4}


def trained(model):
    config = read_config({"dataset": size, "model": model | {"weights": "none"}, "training": quick})
    run = create_run(config, runs_folder())
    state = train(run, config, report=lambda **_: None, should_stop=lambda: False)
    update_status(run, state=state, step=2, steps_total=2)
    return read_run(run)


linear = trained({"family": "linear", "encoder": "test_resnet"})
head = trained({"family": "vit", "encoder": "test_vit", "head": "conv"})
assert evaluations(linear.path)[-1]["weighted_iou"] >= 0
check = export_run(linear, "weights", out / "weights.safetensors", lambda *_: None)
assert check.agreement == 1 and (out / "weights.safetensors").is_file()
(out / "classes.tsv").write_text("road\\t1\\nsky\\t2\\n")
assert read_class_table(out / "classes.tsv").class_names == ("road", "sky")
assert linear.colors[0] == (90, 90, 90) and read_config({}).training.learning_rate == 1e-3
report = write_report(ReportSettings((linear.id, head.id), "", "", "", tuple(SECTIONS), None, False), out / "report", lambda *_: None)
page = (report.path / "report.html").read_text()
assert "the Tversky loss" in page and "Noise" in page and "weighed by" not in page

app = AppTest.from_file("app/navigation.py", default_timeout=240).run().switch_page("../pages/train.py").run()
assert not app.exception, app.exception
assert "Linear" in app.button_group(key="families").options, app.button_group(key="families").options
assert "tversky" in app.selectbox(key="rarely-loss").options
app.selectbox(key="rarely-loss").set_value("tversky").run()
assert not [box for box in app.selectbox if str(box.key) == "rarely-class_weights"], "this loss reads none"
labels = [widget.label for widget in app.number_input]
assert "Highest learning rate" in labels and "Noise (levels)" in labels
hello = app.switch_page("../pages/hello.py").run()
assert hello.title[0].value == "Hello"
kinds.start("count", {})
import time
deadline = time.monotonic() + 60
while (job := kinds.latest("count")).is_active and time.monotonic() < deadline:
    time.sleep(0.1)
assert job.state == "finished" and job.result == {"count": 2}, job
print("done")
"""


def apply(recipes: str, copy: Path) -> list[Path]:
    """Does what the recipes say; returns the files that were written or changed."""
    touched = []
    for block in BLOCK.finditer(recipes):
        path = copy / (block["file"] or block["place"])
        touched.append(path)
        if block["file"]:
            assert not path.exists(), path
            path.write_text(block["code"])
            continue
        lines = path.read_text().splitlines(keepends=True)
        result = [index for index, line in enumerate(lines) if line.startswith(block["line"])]
        assert len(result) == 1, f"{block['place']} has {len(result)} lines that begin with {block['line']!r}"
        end = result[0] + (block["how"] == "instead of")
        path.write_text("".join([*lines[: result[0]], block["code"], *lines[end:]]))
    return touched


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the lab in which every recipe was done, and the files that this touched."""
    copy = tmp_path_factory.mktemp("recipes")
    files = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True).stdout.splitlines()
    for file in files:
        if not file.startswith(("tests/lab_0_1/", "docs/images/")) and (PROJECT / file).is_file():
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / file, copy / file)
    house = (PROJECT / "docs/house.md").read_text()
    recipes = house[house.index("## Where do I change") : house.index("## What stands where")]
    touched = apply(recipes, copy)
    assert len(re.findall(r"^### ", recipes, re.M)) == 12 and len(touched) >= 20
    return copy, touched


def run(copy, *command, **environment):
    done = subprocess.run(
        [sys.executable, *command], cwd=copy, capture_output=True, text=True, timeout=400, env=os.environ | environment
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_what_the_recipes_write_is_in_style(copy):
    folder, touched = copy
    python = [str(path) for path in touched if path.suffix == ".py"]
    run(folder, "-m", "ruff", "check", *python)
    run(folder, "-m", "ruff", "format", "--check", *python)


def test_what_the_recipes_write_is_used_everywhere(copy, lab_folders, tmp_path):
    folder, _ = copy
    (tmp_path / "out").mkdir()
    response = run(folder, "-c", USE, str(tmp_path / "out"), PYTHONPATH=str(folder))
    assert response.strip().endswith("done")


def test_the_labs_own_tests_take_what_the_recipes_write(copy):
    folder, _ = copy
    run(folder, "docs/house.py")
    tests = (
        "test_config.py",
        "test_architecture.py",
        "test_losses_schedule.py",
        "test_dead_code.py",
        "test_class_table.py",
    )
    rest = ("-k", "not needs_no_timm")  # no recipe has a say in that
    options = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider", *rest)
    run(folder, "-m", "pytest", *options, *(f"tests/{name}" for name in tests))


def test_the_command_line_offers_what_the_recipes_write(copy):
    folder, _ = copy
    text = run(folder, "-m", "core", "train", "--help")
    assert "tversky" in text and "linear" in text and "--training.noise" in text
    assert "weights" in run(folder, "-m", "core", "export", "--help")
