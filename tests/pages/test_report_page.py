"""The page Report through AppTest: nothing to report on, the form, the writing as it goes, and the shelf."""

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import LabError
from core.jobs.engine import Job
from core.report import jobs
from core.report.saved_reports import delete_report
from core.report.settings import SECTIONS

ROOT = Path(__file__).resolve().parents[2]
RUN = "20260101-000001-unet-aaaa"
REPORT = "20260102-000000-report-abcd"


@pytest.fixture
def saved_reports(places, trained_run, monkeypatch):
    """A run, and a report on the shelf."""
    monkeypatch.setenv("SEGLAB_REPORTS", str(places.other / "reports"))
    monkeypatch.setenv("SEGLAB_CACHE", str(places.other / "cache"))
    shutil.copytree(trained_run, places.runs / RUN)
    folder = places.other / "reports" / REPORT
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<!doctype html>")
    (folder / "report.zip").write_bytes(b"PK")
    settings = {"runs": [RUN], "title": "", "author": "", "course": "", "sections": list(SECTIONS)}
    facts = {"title": "A *first* report", "made": 1.0, "settings": settings, "notes": ["Pictures <b>are</b> left out."]}
    (folder / "report.json").write_text(json.dumps(facts))
    return folder


def opened() -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    return app.switch_page("../pages/report.py").run()


def test_without_a_run_there_is_a_way_to_one(places, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_REPORTS", str(places.other / "reports"))
    app = opened()
    assert not app.exception and not app.error
    assert [button.label for button in app.button] == ["Train a network"]
    assert "No report has been written yet." in [caption.value for caption in app.caption]


def test_what_is_chosen_is_what_is_written(saved_reports, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(jobs, "start_job", lambda module, what, folder: asked.append((module, what)))
    app = opened()
    assert not app.exception and not app.error
    assert app.multiselect[0].value == [RUN]
    app.text_input(key="report-title").set_value("Streets")
    app.checkbox(key="report-reflections").uncheck()
    app.button(key="write-report").click().run()
    assert not app.exception
    ((module, what),) = asked
    assert module == "core.report" and what["settings"]["title"] == "Streets" and what["settings"]["pictures"] is True
    assert what["settings"]["runs"] == (RUN,) and "reflections" not in what["settings"]["sections"]


def test_pictures_of_cityscapes_are_off_at_first(saved_reports, places) -> None:
    config = places.runs / RUN / "config.json"
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


def test_a_writing_is_shown_stopped_and_its_failure_said(saved_reports, places, monkeypatch) -> None:
    import os
    import time

    from core.jobs import engine as all_jobs
    from core.processes import ProcessId

    folder = jobs.jobs_folder()
    folder.mkdir(parents=True)
    now = time.time()
    job = Job(
        "20260101-000000-aaaa", {}, state="running", what="Scoring *FCN*", done=3, total=10, began=now - 9, counted_since=now - 9, updated=now,
        process=ProcessId.of(os.getpid()),
    )  # fmt: skip
    all_jobs._write(folder, job)
    app = opened()
    assert not app.exception
    assert app.button(key="write-report").disabled
    app.button(key="stop-report").click().run()
    assert (folder / f"{job.id}.stop").exists()
    all_jobs._write(folder, Job(job.id, {}, state="failed", began=now, updated=now, error="Nothing can be said."))
    app = opened()
    assert "Nothing can be said\\." in [error.value for error in app.error]
    assert not app.button(key="write-report").disabled
