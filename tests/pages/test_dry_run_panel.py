"""The panels before and during a run, through AppTest: what they show, what they hand back, and when they are silent."""

import json
import shutil
from dataclasses import asdict, replace

import pytest
from streamlit.testing.v1 import AppTest

from app.figures import lr_finder_figure, schedule_figure
from app.forms import PENDING
from core.config import TrainingConfig
from core.errors import LabError
from core.jobs import engine
from core.jobs.kinds import jobs_folder, latest
from core.runs.metrics_log import MetricsLog
from core.training.probe import job as probe_job
from core.training.probe.dry_run import Cost, DryRun, Problem
from core.training.probe.lr_finder import LrPoint

COST = Cost(0.5, 4.0, 20.0, 100, 60.0, 9 * 10**9, 10**9, 2 * 10**9, 10 * 10**9, 10**8, 10**12, "On the CPU.")
REFUSED = DryRun(COST, (Problem("It needs too much. Take batch size 4.", {"training": {"batch_size": 4}}),))
DEAD = DryRun(None, (Problem("It needs more memory than there is.", {}),))


def dry_run_page():

    from app.dry_run_panel import dry_run_panel
    from core.config import read_config

    configs = [read_config({"model": {"family": family}}) for family in ("fcn", "unet", "vit")]
    dry_run_panel(configs, key="rehearsal")


def rate_page():
    import streamlit as st

    from app.dry_run_panel import lr_finder_panel
    from core.config import read_config

    values = {"training": {"batch_size": st.session_state.get("batch", 4), "learning_rate": 1e-3}}
    lr_finder_panel(read_config(values), key="rate")


def curve(fall=1.0):
    """A loss that falls most steeply at a rate of about 1e-3."""
    rates = [10 ** (-6 + 0.1 * index) for index in range(55)]
    losses = [3 - fall / (1 + (1e-3 / rate) ** 2) for rate in rates]
    return [LrPoint(rate, loss, loss) for rate, loss in zip(rates, losses, strict=True)]


def text_of(app: AppTest) -> str:
    parts = [element.value for kind in (app.caption, app.warning, app.error, app.info) for element in kind]
    return "\n".join([part.replace("\\", "") for part in parts] + [element.proto.body for element in app.get("html")])


@pytest.fixture
def at_once(lab_folders, jobs_at_once, monkeypatch):
    """Puts something in place of the lab's `dry_run` or `find_lr`, whose jobs are done before their start returns."""
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    return lambda name, work: monkeypatch.setattr(probe_job, name, work)


def test_a_dry_run_is_a_row_for_each_network_and_its_change_can_be_taken(at_once):
    responses = {"fcn": DryRun(COST, ()), "unet": REFUSED, "vit": DEAD}
    at_once("dry_run", lambda config: responses[config.model.family])
    app = AppTest.from_function(dry_run_page).run()
    assert text_of(app) == "" and len(app.button) == 1
    app.button[0].click().run()
    assert not app.exception
    assert text_of(app).count("9.0 GB of 10.0 GB free") == 2 and "more than there is" in text_of(app)
    assert "1 min 00 s, 100 steps" in text_of(app) and "It needs too much" in text_of(app)
    assert [button.label for button in app.button] == ["Dry run", "Take batch size 4"]
    app.button[1].click().run()
    assert app.session_state[PENDING] == [("training", "batch_size", 4, "")] and "9.0 GB" in text_of(app)
    again = AppTest.from_function(dry_run_page).run()
    assert "9.0 GB" in text_of(again), "another tab has it too"


def test_a_dry_run_that_could_not_start_says_why(at_once):
    def refuse(_config):
        raise LabError("The street scenes aren't drawn yet.")

    at_once("dry_run", refuse)
    app = AppTest.from_function(dry_run_page).run()
    app.button[0].click().run()
    assert text_of(app).count("The street scenes aren't drawn yet.") == 3


def test_a_dry_run_that_goes_on_shows_what_it_has_and_can_be_stopped(at_once, monkeypatch):
    at_once("dry_run", lambda _config: DryRun(COST, ()))
    monkeypatch.setattr(engine, "start_detached", lambda *_: None)
    app = AppTest.from_function(dry_run_page).run()
    app.button[0].click().run()
    assert app.button(key="rehearsal-start").disabled and app.button(key="stop-dry-run").label == "Stop"
    job = latest("dry-run")
    assert len(job.request["configs"]) == 3
    going = replace(job, result={"outcomes": [REFUSED.as_dict()]})
    (jobs_folder("dry-run") / f"{job.id}.json").write_text(json.dumps(asdict(going)))
    app.run()
    assert text_of(app).count("9.0 GB of 10.0 GB free") == 1 and "Take batch size 4" not in text_of(app)
    app.button(key="stop-dry-run").click().run()
    assert app.button(key="stop-dry-run").label == "Stopping"


def test_the_range_test_draws_its_curve_and_hands_its_rate_back(at_once):
    at_once("find_lr", lambda _config: iter(curve()))
    app = AppTest.from_function(rate_page).run()
    assert len(app.button) == 1
    app.button[0].click().run()
    assert not app.exception
    assert "falls most steeply at a rate of" in text_of(app)
    assert len(app.get("plotly_chart")) == 1
    app.button[1].click().run()
    [(part, name, rate, _)] = app.session_state[PENDING]
    assert (part, name) == ("training", "learning_rate") and 1e-4 <= rate <= 1e-3
    app.session_state["batch"] = 8  # another run: the curve is not of it
    app.run()
    assert len(app.get("plotly_chart")) == 0 and len(app.button) == 1


def test_a_range_test_without_a_fall_suggests_nothing(at_once):
    at_once("find_lr", lambda _config: iter(curve(fall=0.0)))
    app = AppTest.from_function(rate_page).run()
    app.button[0].click().run()
    assert "fell at no rate" in text_of(app) and len(app.button) == 1


def test_a_range_test_that_broke_off_says_why_and_suggests_nothing(at_once):
    def burst(_config):
        yield from curve()[:20]
        raise LabError("The machine ran out of memory.")

    at_once("find_lr", burst)
    app = AppTest.from_function(rate_page).run()
    app.button[0].click().run()
    assert "The machine ran out of memory" in text_of(app) and len(app.button) == 1
    assert len(latest("lr-finder").result["points"]) == 20


def test_the_figure_of_the_range_test_marks_the_rate():
    figure = json.loads(lr_finder_figure(curve(), 3e-4, "#123456").to_json())
    assert figure["data"][2]["x"] == [3e-4, 3e-4] and figure["layout"]["xaxis"]["type"] == "log"
    assert len(lr_finder_figure([], None, "#123456").data) == 2


@pytest.mark.parametrize("schedule", ["one-cycle", "polynomial", "cosine", "step", "constant"])
def test_a_schedule_is_drawn_as_it_will_be(schedule):
    training = TrainingConfig(schedule=schedule, learning_rate=1e-2, gamma_epochs=3, minutes=0, epochs=10)
    figure = schedule_figure(training, "#123456")
    (line,) = figure.data
    assert 0 < line.x[0] < 0.1 and 9.9 < line.x[-1] < 10 and figure.layout.xaxis.title.text == "epoch"
    assert max(line.y) == pytest.approx(1e-2, rel=0.01)
    assert (min(line.y) < 0.5e-2) == (schedule != "constant")
    by_minutes = schedule_figure(training.model_copy(update={"minutes": 1.0}), "#123456")
    assert 99 < by_minutes.data[0].x[-1] < 100 and "share" in by_minutes.layout.xaxis.title.text
    assert by_minutes.data[0].y == line.y


def diagnosis_page():
    import streamlit as st

    from app.run_health_panel import run_health_panel

    run_health_panel(st.session_state["run"])


def test_the_diagnosis_is_silent_about_a_good_run_and_names_what_is_wrong(lab_folders, trained_run):
    run = shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    app = AppTest.from_function(diagnosis_page)
    app.session_state["run"] = run.name
    app.run()
    assert not app.exception and not app.error and not app.warning
    log = MetricsLog(run)
    log.append({"kind": "diverged", "step": 61, "where": "The first layer whose output was no number: score (Conv2d)."})
    log.close()
    app.run()
    message = text_of(app)
    assert "step 61. The first layer" in message and "Lower the learning rate" in message


def test_costs_keep_their_names_on_their_way_through_json():
    assert json.loads(json.dumps(replace(REFUSED).as_dict()))["memory_bytes"] == 9 * 10**9


def film_page():
    import streamlit as st

    from app.film import run_film

    run_film(st.session_state["run"])


@pytest.fixture
def shown(monkeypatch):
    """What the component was told last."""
    reports = {}
    monkeypatch.setattr("app.film._mount", lambda **given: reports.update(given))
    return reports


@pytest.fixture
def film_of(lab_folders, trained_run):
    """`film_of()`: the film's page over a copy of the trained run, and the run."""
    run = shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    app = AppTest.from_function(film_page)
    app.session_state["run"] = run.name
    return app, run


def test_the_film_has_every_evaluation_of_the_sample_frames(film_of, shown):
    app, run = film_of
    app.run()
    assert not app.exception and not app.error
    data = shown["data"]
    assert [scene["step"] for scene in data["scenes"]] == [30, 60]
    assert data["scenes"][1]["caption"].startswith("step 60, epoch 30, mean IoU ")
    assert len(data["strips"]) == 4 and data["aspect"] == 2  # four validation frames, fewer than six
    addresses = [mask for strip in data["strips"] for mask in strip["masks"]]
    assert len(addresses) == 8 and all(address.startswith("/lab/picture/") for address in addresses)
    assert shown["key"] == f"film-{run.name}"


def test_an_evaluation_that_still_grows_is_no_scene_yet_and_a_long_run_is_thinned(film_of, shown):
    app, run = film_of
    last = run / "samples" / "00000060"
    for step in range(61, 161):
        shutil.copytree(last, run / "samples" / f"{step:08d}")
    growing = shutil.copytree(last, run / "samples" / "00000161")
    next(growing.iterdir()).unlink()
    app.run()
    steps = [scene["step"] for scene in shown["data"]["scenes"]]
    assert len(steps) == 60 and steps == sorted(set(steps)) and steps[-1] == 160


def test_without_an_evaluation_the_film_says_when_it_begins(film_of, shown):
    app, run = film_of
    shutil.rmtree(run / "samples")
    app.run()
    assert app.caption[0].value == "The first masks come with the first evaluation." and not shown


def test_a_film_of_data_that_are_gone_says_so(film_of, shown, monkeypatch, tmp_path):
    app, _ = film_of
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "nothing"))
    app.run()
    assert "can't be shown" in app.error[0].value and not shown
