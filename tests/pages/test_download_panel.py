"""The panel that gets Cityscapes: from the form to the folder, through the real command and a stand-in for the site."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from core.data.download import FINE, PACKAGES
from core.data.download_job import start_download
from core.errors import LabError
from core.files import write_atomically
from core.jobs.engine import Job
from core.jobs.kinds import jobs_folder
from core.jobs.kinds import latest as latest_of
from core.paths import PROJECT
from core.processes import ProcessId
from tests.pages.test_pages import text_of
from tests.test_download import PASSWORD, USERNAME, files_under
from tests.test_download import site as site  # a fixture

SCRIPT = """
import streamlit as st
from app.download_panel import download_panel
with st.expander("Get Cityscapes"):
    download_panel()
"""


@pytest.fixture
def panel(lab_folders, monkeypatch) -> AppTest:
    """The panel as a fresh visitor gets it, its jobs in a folder of its own."""
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    return opened()


def opened() -> AppTest:
    return AppTest.from_string(SCRIPT, default_timeout=240).run()


def filled(app: AppTest, folder: Path, password: str = PASSWORD) -> AppTest:
    app.text_input(key="getting-folder").set_value(str(folder))
    app.text_input(key="getting-username").set_value(USERNAME)
    app.text_input(key="getting-password").set_value(password)
    return app


def pressed(app: AppTest) -> AppTest:
    return app.button[0].click().run()


def printed(app: AppTest) -> str:
    boxes = [element.value.replace("\\", "") for kind in (app.success, app.warning, app.info) for element in kind]
    return "\n".join([text_of(app), *boxes])


def ended(app: AppTest, wait_until) -> AppTest:
    """The panel once the download is over."""
    wait_until(lambda: not latest().is_active, 30)
    return app.run()


def latest() -> Job | None:
    return latest_of("download")


def write_job(folder: str = "/data/x", **metadata: object) -> None:
    job = Job("1", {"folder": folder, "packages": list(FINE)})
    jobs_folder("download").mkdir(parents=True, exist_ok=True)
    write_atomically(jobs_folder("download") / "1.json", json.dumps(asdict(replace(job, **metadata))))


def test_the_form_says_what_is_needed_and_how_large_it_is(panel):
    assert not panel.exception
    text = text_of(panel)
    assert "free account" in text and "research and teaching" in text and "kept nowhere" in text
    labels = [box.label for box in panel.checkbox]
    assert [name in label for name, label in zip(PACKAGES, labels, strict=True)] == [True] * 4
    assert "11.8 GB" in labels[0] and "253 MB" in labels[1]
    assert [box.value for box in panel.checkbox] == [True, True, False, False]
    assert panel.text_input(key="getting-password").proto.type == panel.text_input[2].proto.PASSWORD


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda app: app.text_input(key="getting-password").set_value(""), "Type the username and the password"),
        (lambda app: app.text_input(key="getting-folder").set_value("/etc/cityscapes"), "lies outside of the folders"),
        (lambda app: [box.uncheck() for box in app.checkbox[:2]], "Choose from: leftImg8bit"),
    ],
)
def test_what_can_not_be_is_said_and_starts_nothing(panel, lab_folders, change, sentence):
    change(filled(panel, lab_folders.other / "cs"))
    pressed(panel)
    assert sentence in text_of(panel)
    assert latest() is None


def test_from_the_form_to_the_folder(site, panel, lab_folders, wait_until):
    site.hold = threading.Event()
    folder = lab_folders.other / "cs"
    pressed(filled(panel, folder))
    assert not panel.exception
    assert panel.session_state["getting-password"] == ""
    wait_until(lambda: latest().done, 30)
    process = psutil.Process(latest().process.pid)
    seen = " ".join([*process.cmdline(), *process.environ().values()])
    another_tab = opened()
    assert f"into {folder}." in text_of(another_tab) and not another_tab.text_input
    with pytest.raises(LabError, match="being done already"):
        start_download(list(FINE), str(lab_folders.other / "second"), USERNAME, PASSWORD)
    assert not (lab_folders.other / "second").exists()
    assert "Fetching leftImg8bit_trainvaltest.zip" in another_tab.get("progress")[0].proto.text.replace("\\", "")
    site.hold.set()
    panel.run()
    ended(panel, wait_until)
    assert f"Cityscapes is in {folder}" in printed(panel)
    assert "train 3 of 2,975" in printed(panel)
    assert panel.session_state["cityscapes-root"] == str(folder)
    assert len(list(folder.rglob("*.png"))) == 8
    for secret in (USERNAME, PASSWORD):
        assert secret not in seen
        assert not [path for path in files_under(lab_folders.other) if secret.encode() in path.read_bytes()]
    assert PASSWORD not in str(vars(panel.session_state._state))


def test_wrong_credentials_come_back_as_a_sentence_over_the_same_form(site, panel, lab_folders, wait_until):
    folder = lab_folders.other / "cs"
    pressed(filled(panel, folder, "wrong"))
    ended(panel, wait_until)
    assert "doesn't know this username" in text_of(panel)
    assert opened().text_input(key="getting-folder").value == str(folder)


def test_stop_ends_the_download_and_keeps_what_came(site, panel, lab_folders, wait_until):
    site.hold = threading.Event()
    pressed(filled(panel, lab_folders.other / "cs"))
    wait_until(lambda: latest().done, 30)
    panel.run()
    panel.button(key="stop-download").click().run()
    assert panel.button(key="stop-download").disabled
    site.hold.set()
    ended(panel, wait_until)
    assert "was stopped. What has been fetched is kept" in printed(panel)
    assert (lab_folders.other / "cs" / FINE[0]).stat().st_size > 0


def test_a_download_that_died_is_said_and_the_form_offers_to_go_on(panel):
    write_job(state="running", process=ProcessId(os.getpid(), 1.0))
    app = opened()
    assert "stopped unexpectedly" in text_of(app) and app.text_input(key="getting-folder").value == "/data/x"


def test_time_left_and_sizes_are_shown(panel):
    write_job(
        state="running",
        process=ProcessId.of(os.getpid()),
        what="Fetching x",
        done=1_000_000_000,
        total=4_000_000_000,
        counted_from=500_000_000,
        counted_since=1000.0,
        updated=1015.0,
    )
    bar = opened().get("progress")[0].proto
    assert bar.text.replace("\\", "") == "Fetching x · 1.0 GB of 4.0 GB · about 1 min 30 s left" and bar.value == 25


def test_a_folder_that_was_typed_goes_before_a_download_of_earlier(panel, lab_folders):
    write_job(state="finished", folder=str(lab_folders.other), result={"lacking": []})
    app = AppTest.from_string(SCRIPT, default_timeout=240)
    app.session_state["cityscapes-root"] = "/data/mine"
    assert app.run().session_state["cityscapes-root"] == "/data/mine"
    assert opened().session_state["cityscapes-root"] == str(lab_folders.other)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "running"}', '{"folder": 1}'])
def test_a_broken_job_file_is_no_job(panel, content):
    jobs_folder("download").mkdir(parents=True)
    (jobs_folder("download") / "1.json").write_text(content)
    app = opened()
    assert not app.exception and app.text_input(key="getting-folder")


def test_the_panel_loads_no_downloader_into_the_server():
    program = "import sys, app.download_panel; print('matplotlib' in sys.modules, 'cityscapesscripts' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT)
    assert done.stdout.split() == ["False", "False"]
