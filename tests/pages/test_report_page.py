"""The page Report through AppTest: nothing to report on, the form, the writing as it goes, and the shelf."""

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import LabError
from core.jobs import engine, kinds
from core.jobs.engine import Job
from core.report.saved_reports import delete_report
from core.report.settings import SECTIONS

ROOT = Path(__file__).resolve().parents[2]
RUN = "20260101-000001-unet-aaaa"
REPORT = "20260102-000000-report-abcd"


@pytest.fixture
def saved_reports(lab_folders, trained_run, monkeypatch):
    """A run, and a report on the shelf."""
    monkeypatch.setenv("SEGLAB_REPORTS", str(lab_folders.other / "reports"))
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    shutil.copytree(trained_run, lab_folders.runs / RUN)
    folder = lab_folders.other / "reports" / REPORT
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<!doctype html>")
    (folder / "report.zip").write_bytes(b"PK")
    settings = {"runs": [RUN], "title": "", "author": "", "course": "", "sections": list(SECTIONS)}
    metadata = {
        "title": "A *first* report",
        "made": 1.0,
        "settings": settings,
        "notes": ["Pictures <b>are</b> left out."],
    }
    (folder / "report.json").write_text(json.dumps(metadata))
    return folder


def opened() -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    return app.switch_page("../pages/report.py").run()


def test_without_a_run_there_is_a_way_to_one(lab_folders, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_REPORTS", str(lab_folders.other / "reports"))
    app = opened()
    assert not app.exception and not app.error
    assert [button.label for button in app.button] == ["Train a network"]
    assert "No report has been written yet." in [caption.value for caption in app.caption]


def test_what_is_chosen_is_what_is_written(saved_reports, monkeypatch) -> None:
    started = []
    monkeypatch.setattr(engine, "start_job", lambda kind, request, *_: started.append((kind, request)))
    app = opened()
    assert not app.exception and not app.error
    assert app.multiselect[0].value == [RUN]
    app.text_input(key="report-title").set_value("Streets")
    app.checkbox(key="report-reflections").uncheck()
    app.button(key="write-report").click().run()
    assert not app.exception
    ((kind, request),) = started
    assert kind == "report" and request["settings"]["title"] == "Streets" and request["settings"]["pictures"] is True
    assert request["settings"]["runs"] == (RUN,) and "reflections" not in request["settings"]["sections"]


def test_pictures_of_cityscapes_are_off_at_first(saved_reports, lab_folders) -> None:
    config = lab_folders.runs / RUN / "config.json"
    values = json.loads(config.read_text())
    values["dataset"] |= {"name": "cityscapes", "root": "/data/cityscapes"}
    config.write_text(json.dumps(values))
    app = opened()
    (box,) = [box for box in app.checkbox if box.label == "Photographs and masks"]
    assert box.value is False
    assert any("not passed on" in caption.value for caption in app.caption)


def test_without_sections_or_runs_nothing_is_written(saved_reports) -> None:
    app = opened()
    for name in SECTIONS:
        app.checkbox(key=f"report-{name}").uncheck()
    app.run()
    assert app.button(key="write-report").disabled
    app.checkbox(key="report-results").check()
    app.multiselect[0].set_value([])
    app.run()
    assert not app.exception and app.button(key="write-report").disabled


def test_the_shelf_shows_a_report_and_deletes_it(saved_reports) -> None:
    app = opened()
    assert app.selectbox(key="report-shown").options[0].startswith("A *first* report")
    assert any("Pictures" in caption.value and "<b>" not in caption.value for caption in app.caption)
    assert app.query_params["report"] == REPORT
    app.button(key=f"delete-{REPORT}").click().run()
    assert not app.exception and not saved_reports.exists()
    assert "No report has been written yet." in [caption.value for caption in app.caption]


def test_who_may_only_look_can_neither_write_nor_delete(saved_reports, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    app = opened()
    assert not app.exception and app.button(key="write-report").disabled
    assert f"delete-{REPORT}" not in [button.key for button in app.button]
    with pytest.raises(LabError, match="read-only"):
        delete_report(REPORT)


def test_a_writing_is_shown_stopped_and_its_failure_said(saved_reports, lab_folders, monkeypatch) -> None:
    import os
    import time

    from core.processes import ProcessId

    folder = kinds.jobs_folder("report")
    folder.mkdir(parents=True)
    now = time.time()
    job = Job(
        "20260101-000000-aaaa", {}, state="running", what="Scoring *FCN*", done=3, total=10, started=now - 9, counted_since=now - 9, updated=now,
        process=ProcessId.of(os.getpid()),
    )  # fmt: skip
    engine._write(folder, job)
    app = opened()
    assert not app.exception
    assert app.button(key="write-report").disabled
    app.button(key="stop-report").click().run()
    assert (folder / f"{job.id}.stop").exists()
    engine._write(folder, Job(job.id, {}, state="failed", started=now, updated=now, error="Nothing can be said."))
    app = opened()
    assert "broke off\\: Nothing can be said\\." in app.error[0].value
    assert not app.button(key="write-report").disabled
