"""The panel that takes a network elsewhere, through AppTest: what it offers, shows and says in each state."""

import json
import os
import shutil
import sys
import time
from dataclasses import asdict, replace

import pytest
from streamlit.testing.v1 import AppTest

from core.export.files import ExportCheck, export_folder, export_path
from core.jobs.engine import Job
from core.jobs.kinds import latest
from core.processes import ProcessId
from core.runs.store import create_run
from tests.pages.test_dry_run_panel import text_of

CHECK = ExportCheck(10, 0.99998, 3e-6, 1.7, 12.3, 8.1, 60, True, (64, 128), 1, 1_000_000)


def export_page():
    import streamlit as st

    from app.exporting import export_panel

    export_panel(st.session_state["run"])


def opened(run) -> AppTest:
    app = AppTest.from_function(export_page)
    app.session_state["run"] = run.name
    app.run()
    assert not app.exception
    return app


@pytest.fixture
def run(lab_folders, trained_run):
    """A copy of the trained run where the lab looks for it."""
    return shutil.copytree(trained_run, lab_folders.runs / trained_run.name)


def write_job(run, format, **metadata):
    """A job as its process would have left it."""
    folder = export_folder(run, format)
    folder.mkdir(parents=True, exist_ok=True)
    job = Job("20260101-000000-abcd", {}, **metadata)
    (folder / f"{job.id}.json").write_text(json.dumps(asdict(job)))


def write_file(run, format, report):
    """A finished export."""
    write_job(run, format, state="finished", result=asdict(report))
    export_path(run, format).write_bytes(b"network")


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_a_run_without_a_checkpoint_says_what_to_wait_for(lab_folders, tiny_config):
    app = opened(create_run(tiny_config(), lab_folders.runs))
    assert labels(app) == [] and text_of(app).count("has no checkpoint yet. Wait for its first evaluation.") == 2


def test_a_missing_package_is_named_and_the_other_format_still_offered(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    app = opened(run)
    assert labels(app) == ["Make and check the file"] and 'install "onnx>=' in text_of(app).replace("\\", "")


def test_a_click_starts_a_process_and_its_progress_is_shown_until_it_is_stopped(run, monkeypatch):
    started = []
    monkeypatch.setattr("core.jobs.engine.start_detached", lambda command, log, stdin: started.append(command))
    app = opened(run)
    assert labels(app) == ["Make and check the file"] * 2
    app.button[0].click().run()
    assert not app.exception
    job = latest("export", export_folder(run, "onnx"))
    assert started[0][-3:] == ["core.jobs", "export", str(export_folder(run, "onnx") / f"{job.id}.json")]
    assert job.request == {"run": run.name, "format": "onnx"}
    assert "This goes on when you close the tab." in text_of(app) and labels(app)[0] == "Stop"
    app.button[0].click().run()
    assert not app.exception
    assert opened(run).button[0].label == "Stopping"


def test_how_far_it_is_is_shown(run):
    me = ProcessId.of(os.getpid())
    write_job(run, "onnx", state="running", what="Comparing", done=3, total=11, updated=time.time(), process=me)
    assert "Comparing · 3 of 11" in [each.proto.text for each in opened(run).get("progress")]


def test_an_export_that_failed_says_why_and_can_be_tried_again(run):
    write_job(run, "onnx", state="failed", error="ONNX can't hold this network.")
    write_job(run, "torch", state="running", process=ProcessId(2**22 + 1, 1.0))
    app = opened(run)
    assert "ONNX can't hold this network" in app.error[0].value and "stopped unexpectedly" in app.error[1].value
    assert labels(app) == ["Try again"] * 2


def test_a_finished_export_shows_what_was_found_and_is_handed_out(run):
    for format in ("onnx", "torch"):
        write_file(run, format, replace(CHECK, step=read_step(run)))
    app = opened(run)
    assert labels(app) == []
    assert "99.998% of pixels" in text_of(app) and "8 ms a frame" in text_of(app) and "any size" in text_of(app)
    assert "on 10 frames" in text_of(app) and "128 x 64" in text_of(app)
    assert [button.proto.label for button in app.get("download_button")] == ["Download, 1.0 MB"] * 2
    assert any("torch.export.load" in code.value and code.value.count("\n") == 2 for code in app.code)


def test_a_file_of_an_older_checkpoint_is_offered_with_a_word_about_it(run):
    write_file(run, "onnx", replace(CHECK, step=1))
    app = opened(run)
    assert "Step 1 is in this file; the run has a better checkpoint now." in text_of(app)
    assert "Make it again" in labels(app)


def read_step(run) -> int:
    return json.loads((run / "best/state.json").read_text())["step"]
