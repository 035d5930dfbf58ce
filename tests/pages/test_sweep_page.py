"""The page Sweep through AppTest: the form with its refusals, and a sweep as it runs, fails and has finished."""

import itertools
import json
import secrets
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import runner
from core.processes import ProcessId
from core.runs.store import create_run, list_runs, read_run
from core.sweeps import driver, list_sweeps, read_spec, read_sweep, start_sweep
from core.sweeps import sweep as sweep_module
from core.sweeps.driver import QueuedRuns, StopRequested, drive

ROOT = Path(__file__).resolve().parents[2]
BASE = {
    "dataset": {"height": 64, "width": 128},
    "model": {"family": "unet", "encoder": "plain", "weights": "none", "width": 4},
    "training": {"minutes": 0, "epochs": 2},
}
GRID = {"training.learning_rate": [1e-3, 1e-4, 1e-2], "model.dropout": [0, 0.1]}


class FakeRuns(QueuedRuns):
    """Run folders without a training; `most` scores, then the sweep is asked to stop."""

    def __init__(self, sweep, limit=1000):
        super().__init__(sweep)
        self.maximum = limit

    def score(self, run_id):
        if not self.maximum:
            raise StopRequested
        self.maximum -= 1
        config = read_run(self._sweep.runs_folder / run_id).config
        return 0.3 + config.training.learning_rate - config.model.dropout / 1000


@pytest.fixture
def quiet(lab_folders, monkeypatch):
    """Sweeps without a driver, runs without a trainer."""
    monkeypatch.setattr(sweep_module, "_start_driver", lambda path: None)
    monkeypatch.setattr(runner, "launch", create_run)
    monkeypatch.setattr(driver, "PATIENCE", 0)
    letters = itertools.count()
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"{next(letters):04x}")
    return lab_folders


def made(lab_folders, **changes):
    spec = read_spec({"base": BASE, "method": "grid", "vary": GRID} | changes)
    return read_sweep(start_sweep(spec, lab_folders.runs))


def opened(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    app.switch_page("../pages/sweep.py")
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def text_of(app: AppTest) -> str:
    parts = [
        str(element.value).replace("\\", "")
        for kind in (app.title, app.subheader, app.caption, app.error)
        for element in kind
    ]
    parts += [element.proto.body for element in app.get("html") if "<style>" not in element.proto.body]
    return "\n".join(parts)


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_without_a_sweep_there_is_the_form(quiet) -> None:
    app = opened()
    assert not app.exception and not app.error
    assert app.selectbox(key="sweep-picked").value == "new"
    assert "Choose at least one setting to vary." in text_of(app)
    assert app.button(key="start-sweep").disabled


def test_the_studys_36_combinations_are_one_press_away(quiet) -> None:
    app = opened()
    app.button(key="study").click().run()
    assert not app.exception and not app.error
    assert "36 trials in 3 rounds: 36 on 2, then 18 on 4, then 9 on 8 frames, 63 trainings in all." in text_of(app)
    app.button(key="start-sweep").click().run()
    assert not app.exception and not app.error
    (sweep,) = list_sweeps(quiet.runs)
    study = read_spec(json.loads((ROOT / "docs" / "study.json").read_text()))
    assert sweep.spec.vary == study.vary and sweep.spec.rounds(200) == study.rounds(200)
    assert (sweep.spec.base.model, sweep.spec.base.training) == (study.base.model, study.base.training)
    assert sweep.spec.base.dataset.height == study.base.dataset.height
    assert sweep.id in app.query_params["sweep"]
    assert "The first score comes with the end of the first training." in text_of(app)


def test_what_is_typed_wrong_is_a_sentence_and_starts_nothing(quiet) -> None:
    app = opened()
    app.multiselect(key="sweep-0-fields").set_value(["training.learning_rate"]).run()
    app.text_input(key="sweep-0-training.learning_rate-values").set_value("1e-3, fast").run()
    assert not app.exception
    assert "Learning rate is 'fast', but must be a number." in text_of(app)
    assert app.button(key="start-sweep").disabled
    app.text_input(key="sweep-0-training.learning_rate-values").set_value("1e-3, 1e-4").run()
    assert not app.error and "2 trials. About 2 min" in text_of(app)
    app.segmented_control(key="sweep-0-method").set_value("random").run()
    assert not app.error and "20 trials." in text_of(app)
    app.text_input(key="sweep-0-training.learning_rate-range-low").set_value("0.1").run()
    assert "The second must be the larger." in text_of(app)
    assert list_sweeps(quiet.runs) == []


def test_a_running_sweep_shows_its_progress_and_can_be_stopped(quiet, monkeypatch) -> None:
    sweep = made(quiet, method="halving", first_share=0.25)
    with pytest.raises(StopRequested):
        drive(sweep, FakeRuns(sweep, limit=8))
    monkeypatch.setattr(ProcessId, "is_alive", lambda self: True)
    app = opened()
    assert not app.exception and not app.error
    assert app.selectbox(key="sweep-picked").value == sweep.id
    assert "8 of 11 trainings" in text_of(app) and "running" in text_of(app)
    assert "Survivors by round" in text_of(app) and labels(app) == ["Stop"]
    app.button(key="stop-sweep").click().run()
    assert (sweep.path / "request.json").exists()
    assert labels(app) == ["Stopping its run"]


def test_a_finished_sweep_shows_its_figures_and_trains_its_winner(quiet) -> None:
    sweep = made(quiet)
    drive(sweep, FakeRuns(sweep))
    sweep_module.update_status(sweep.path, state="finished", ended=sweep.status.created + 90)
    app = opened(sweep=sweep.id[-4:])
    assert not app.exception and not app.error
    shown = text_of(app)
    assert "6 of 6 trainings" in shown and "took 1 min 30 s" in shown and "31.0%" in shown
    assert all(f"runs?runs={run.id}" in shown for run in list_runs(quiet.runs))
    assert len(app.get("plotly_chart")) == 3
    assert labels(app) == ["Delete the sweep", "Train the winner in full"]
    app.button(key="train-winner").click().run()
    newest = max(list_runs(quiet.runs), key=lambda run: run.status.created)
    assert (newest.config.training.learning_rate, newest.config.training.epochs) == (0.01, 60)
    assert (newest.config.model.dropout, newest.config.dataset.max_train_samples) == (0, 0)


def test_a_sweep_of_drawn_settings_is_shown(quiet) -> None:
    vary = {"training.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "training.flip": [True, False]}
    sweep = made(quiet, method="tpe", vary=vary, trials=12)
    drive(sweep, FakeRuns(sweep))
    app = opened(sweep=sweep.id)
    assert not app.exception and not app.error
    assert len(app.get("plotly_chart")) == 3


def test_a_failed_sweep_says_why_and_can_go_on(quiet) -> None:
    sweep = made(quiet)
    sweep_module.update_status(sweep.path, state="failed", error="The first 3 trials <b>failed</b>.")
    app = opened(sweep=sweep.id)
    assert not app.exception
    assert "&lt;b&gt;failed&lt;/b&gt;" in text_of(app) and labels(app) == ["Resume", "Delete the sweep"]
    app.button(key="resume-sweep").click().run()
    assert read_sweep(sweep.path).is_active and labels(app) == ["Stop"]


def test_a_sweep_that_ended_can_be_deleted(quiet) -> None:
    sweep = made(quiet)
    sweep_module.update_status(sweep.path, state="stopped")
    app = opened(sweep=sweep.id)
    app.button(key="delete-sweep").click().run()
    assert not app.exception and not app.error
    assert list_sweeps(quiet.runs) == [] and app.selectbox(key="sweep-picked").value == "new"


@pytest.mark.parametrize("name", ["../../etc", "<script>", "nosuch", ""])
def test_a_hostile_address_is_a_sentence(quiet, name) -> None:
    made(quiet)
    app = opened(sweep=name)
    assert not app.exception
    assert "There is no sweep" in text_of(app) or not name


def test_a_broken_sweep_is_shown_with_its_problem(quiet) -> None:
    sweep = made(quiet)
    (sweep.path / "sweep.json").write_text("{")
    (sweep.path / "trials.jsonl").write_text("[]\n[]\n")
    app = opened(sweep=sweep.id)
    assert not app.exception
    assert "sweep.json can&#39;t be used" in text_of(app) and "is damaged" in text_of(app)
