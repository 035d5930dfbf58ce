"""The Hub's panels on the page Runs: what they say in each state, and that a click asks for what the form says."""

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from streamlit.testing.v1 import AppTest

from core.hub.origin import Origin, write_origin
from core.jobs.engine import Job
from core.jobs.kinds import jobs_folder, latest
from core.processes import ProcessId
from core.runs.status import update_status
from core.runs.store import create_run, list_runs
from tests.hub_server import TOKEN
from tests.pages.test_pages import opened, text_of


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """Nothing was pushed or pulled before, and nobody is logged in."""
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def run(lab_folders, trained_run) -> Path:
    return Path(shutil.copytree(trained_run, lab_folders.runs / trained_run.name))


def code(app: AppTest) -> str:
    return "".join(element.value for element in app.code)


def test_who_is_not_logged_in_is_told_how_and_typed_no_token(run):
    app = opened("runs")
    assert not app.exception
    assert "hf auth login" in text_of(app) and "keeps none" in text_of(app)
    assert not [box for box in app.text_input if box.key and box.key.startswith("share-repo")]
    assert app.button(key="share-again")


def test_the_form_shows_the_card_and_says_what_is_seen(run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    app = opened("runs")
    assert not app.exception
    assert not app.checkbox(key=f"share-public-{run.name}").value, "private unless told otherwise"
    assert "three street scenes with their masks" in text_of(app)
    app.text_input(key=f"share-repo-{run.name}").set_value("anna/street").run()
    assert 'load_model("anna/street")' in code(app) and "pipeline_tag: image-segmentation" in code(app)
    everything = " ".join([text_of(app), code(app), str(vars(app.session_state._state))])
    assert TOKEN not in everything


def test_a_name_that_is_none_starts_nothing(run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    app = opened("runs")
    app.text_input(key=f"share-repo-{run.name}").set_value("![x](http://example.org/x.png)").run()
    app.button(key=f"share-start-{run.name}").click().run()
    (message,) = [error.value for error in app.error]
    assert "OWNER" in message and "\\!\\[x\\]" in message, "as it was typed, and no picture"
    assert latest("push") is None


def test_a_pull_that_fails_says_why_over_the_form(lab_folders, wait_until):
    app = opened("runs")
    assert "No run yet" in text_of(app)
    app.text_input(key="bring-repo").set_value("anna/street").run()
    app.button(key="bring-start").click().run()
    assert latest("pull").request == {"repo": "anna/street", "revision": ""}
    wait_until(lambda: latest("pull").state == "failed", 120)
    app.run()
    assert not app.exception
    assert "switched off here by HF_HUB_OFFLINE" in text_of(app)
    assert app.text_input(key="bring-repo").value == "anna/street"


def test_while_something_comes_another_tab_sees_it_and_can_cancel_it(lab_folders):
    request = {"repo": "anna/street", "revision": ""}
    job = Job(
        "20260101-000000-0000",
        request,
        state="running",
        what="Fetching model.safetensors",
        done=5_000_000,
        total=20_000_000,
        process=ProcessId.of(os.getpid()),
    )
    folder = jobs_folder("pull")
    folder.mkdir(parents=True)
    (folder / f"{job.id}.json").write_text(json.dumps(asdict(job)))
    app = opened("runs")
    bar = app.get("progress")[0].proto
    assert bar.value == 25 and "5\\.0 MB of 20\\.0 MB" in bar.text
    assert "anna/street" in text_of(app) and not [box for box in app.text_input if box.key == "bring-repo"]
    app.button(key="stop-pull").click().run()
    assert (folder / f"{job.id}.stop").exists() and app.button(key="stop-pull").disabled
    (folder / f"{job.id}.json").write_text(json.dumps(asdict(replace(job, state="stopped"))))
    app.run()
    assert "Nothing of it is among the runs" in " ".join(box.value for box in app.info)


def test_a_run_without_a_checkpoint_is_not_shared_yet(lab_folders, tiny_config):
    update_status(create_run(tiny_config(), lab_folders.runs), state="stopped")
    assert "from its first evaluation on" in text_of(opened("runs"))


def test_a_run_from_the_hub_says_where_it_is_from_and_stands_in_compare(run, lab_folders):
    write_origin(run, Origin("anna/street", "0123456789abcdef" * 2 + "01234567"))
    app = opened("runs")
    assert not app.exception
    assert "It was trained elsewhere" in text_of(app)
    compare = opened("compare")
    assert not compare.exception and compare.multiselect[0].value == [list_runs(lab_folders.runs)[0].id]


def test_a_run_that_learned_on_what_is_not_here_is_compared_on_the_streets(run, lab_folders):
    config = (run / "config.json").read_text().replace('"name": "streets"', '"name": "cityscapes"')
    (run / "config.json").write_text(config.replace('"root": ""', '"root": "/nowhere/cityscapes"'))
    app = opened("compare")
    assert not app.exception and not app.error
    assert "Ground truth" in str(app.main) or app.selectbox
