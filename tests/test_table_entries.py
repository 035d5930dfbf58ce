"""A throw-away entry in each table whose lines need no file of the lab: form, command line, training, score and report take it.

The tables that need a file (families, heads, losses, readers, exports, jobs) are walked through by tests/test_recipes.py.
"""

import os
import subprocess
import sys

from core.paths import PROJECT

MODULE = """
def linear(_training, progress, _epochs):
    return 1 - progress


def cube(shares, _frequencies):
    return shares ** -3.0


def open_tracker(run, progress):
    raise NotImplementedError
"""
SCRIPT = """
import sys
from pathlib import Path

import numpy as np

import core.data.sources as sources
import core.evaluation.metrics.robustness as robustness
import core.models.encoder_table as encoders
import core.tracking.table as tracking
import core.training.tables as tables

tables.OPTIMIZERS["nadam"] = tables.Entry("NAdam", "torch.optim:NAdam")
tables.SCHEDULES["linear"] = tables.Entry("falls linearly", "throwaway:linear", options=("warmup_fraction",))
tables.CLASS_WEIGHTINGS["cube"] = tables.Entry("the cube of the rarity", "throwaway:cube")
encoders.ENCODERS += (encoders.Encoder("test_resnet", "Tiny ResNet", ("fcn", "unet"), 0.5, None),)
encoders.ENCODER_BY_NAME["test_resnet"] = encoders.ENCODERS[-1]
tracking.TRACKERS["echo"] = tracking.TrackerEntry("Echo", "throwaway", "Say it again.", (), has_projects=True)
sources.SOURCES["copy"] = sources.DataSource(
    "A copy", "a copy of the streets", "core.data.cityscapes", sources.CITYSCAPES_CLASSES, root_title="Folder of the copy",
    root_holds="it", root_missing=("Name the copy", "Type its folder."), origin="The images are a copy.", model_card="A copy.",
)
robustness.CORRUPTIONS["night"] = lambda image, level, rng: image // (level + 2)

from streamlit.testing.v1 import AppTest

from core.__main__ import _parser
from core.config import fields_of, choices_of, read_config
from core.evaluation.evaluate_run import evaluate_robustness
from core.evaluation.results import EvaluationSettings, list_robustness
from core.paths import runs_folder, streets_folder
from core.report.settings import ReportSettings
from core.report.writing import write_report
from core.runs.status import update_status
from core.runs.store import create_run, read_run
from core.training.loop import train

config = read_config({
    "dataset": {"name": "copy", "root": str(streets_folder()), "height": 64, "width": 128},
    "model": {"family": "fcn", "encoder": "test_resnet", "weights": "none", "stride": 32},
    "training": {"minutes": 0, "epochs": 1, "batch_size": 4, "crop_height": 32, "crop_width": 64, "evaluations": 1, "threads": 1,
                 "precision": "fp32", "device": "cpu", "optimizer": "nadam", "schedule": "linear", "class_weights": "cube"},
})
assert config.model.title == "FCN-32s · Tiny ResNet"
run = create_run(config, runs_folder())
state = train(run, config, report=lambda **_: None, should_stop=lambda: False)
update_status(run, state=state, step=2, steps_total=2)
run = read_run(run)
assert run.state == "finished"
evaluate_robustness(run, EvaluationSettings(boundary=False, frames=1), lambda *_: None)
assert "night" in list_robustness(run.path)[0].miou
report = write_report(
    ReportSettings((run.id,), "", "", "", ("introduction", "methodology"), False, False), Path(sys.argv[1]), lambda *_: None
)
page = (report.path / "report.html").read_text()
for sentence in ("The images are a copy.", "NAdam", "falls linearly", "the cube of the rarity"):
    assert sentence in page, sentence

help_text = _parser().format_help()
options = next(action for action in _parser()._subparsers._group_actions if action.choices).choices["train"].format_help()
for word in ("nadam", "linear", "cube", "copy", "--tracking.echo"):
    assert word in options, word

app = AppTest.from_file("app/navigation.py", default_timeout=240).run().switch_page("../pages/train.py").run()
assert "nadam" in app.selectbox(key="rarely-optimizer").options and "cube" in app.selectbox(key="rarely-class_weights").options
assert "Tiny ResNet" in app.selectbox(key="encoder-fcn").options
app.selectbox(key="rarely-schedule").set_value("linear").run()
assert any(str(box.key) == "rarely-warmup_fraction" for box in app.number_input) and not app.exception
app.toggle(key="tracking-echo").set_value(True).run()
assert any(str(box.key) == "tracking-project" for box in app.text_input) and not app.exception
app.button_group(key="train-data").set_value("copy").run()
assert any(box.label == "Folder of the copy" for box in app.text_input) and not app.exception
print("done")
"""


def test_a_throw_away_entry_is_taken_everywhere(lab_folders, tmp_path):
    (tmp_path / "throwaway.py").write_text(MODULE)
    path = os.pathsep.join([str(PROJECT), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "report")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=400,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0 and done.stdout.strip().endswith("done"), (
        f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    )
