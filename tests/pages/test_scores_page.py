"""The page Scores through AppTest: from nothing to scored runs, every view of them, and a scoring that goes on, stops or fails."""

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.leaderboard import upper_bound_text
from core.config import read_config
from core.evaluation.evaluate_run import evaluate_robustness, evaluate_run
from core.evaluation.make_submission import make_submission
from core.evaluation.results import EvaluationSettings, list_results, read_result
from core.evaluation.submission_archives import list_archives
from core.jobs import engine
from core.jobs.engine import Job
from core.jobs.kinds import jobs_folder
from core.processes import ProcessId
from core.runs.store import read_run

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Lab:
    """A folder of three equal runs: two with cards, the first of them with a robustness card and an archive too."""

    runs: Path
    ids: list[str]


@pytest.fixture(scope="module")
def made(trained_run: Path, streets: Path, tmp_path_factory) -> Lab:
    folder = tmp_path_factory.mktemp("scored")
    ids = [f"{trained_run.name[:-4]}{index:04}" for index in range(3)]
    for run_id in ids:
        shutil.copytree(trained_run, folder / run_id)
    other = read_run(folder / ids[1]).config.model_dump()
    other["training"]["epochs"] = 31.0
    (folder / ids[1] / "config.json").write_text(read_config(other).model_dump_json())
    with pytest.MonkeyPatch.context() as patch:
        surroundings(patch, folder, streets)
        for run_id in ids[:2]:
            evaluate_run(read_run(folder / run_id), EvaluationSettings())
        evaluate_robustness(
            read_run(folder / ids[0]), EvaluationSettings(frames=2, boundary=False), kinds=("noise", "resolution")
        )
        make_submission(read_run(folder / ids[0]), "val")
    return Lab(folder, ids)


def surroundings(patch, folder: Path, streets: Path) -> None:
    for name, value in {
        "SEGLAB_CHECKPOINTS": folder,
        "SEGLAB_DATA": streets.parent,
        "SEGLAB_CACHE": folder / "cache",
        "SEGLAB_WEIGHTS": folder / "none",
    }.items():
        patch.setenv(name, str(value))


@pytest.fixture
def lab(made: Lab, streets: Path, monkeypatch) -> Lab:
    """Not to be written to."""
    surroundings(monkeypatch, made.runs, streets)
    return made


def opened(runs: list[str] | None = None, **address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=120).run()
    app.switch_page("../pages/scores.py")
    for name, value in address.items():
        app.query_params[name] = value
    if runs is not None:
        app.query_params["runs"] = runs
    app.run()
    assert not app.exception
    return app


def text_of(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.caption, app.error, app.info, app.markdown)
    parts = [str(element.value).replace("\\", "") for kind in kinds for element in kind]
    return "\n".join(parts + [each.proto.body for each in app.get("html") if "<style>" not in each.proto.body])


def keys(app: AppTest) -> list[str]:
    return [each.key for each in app.button if each.key]


def test_without_a_run_it_says_how_to_get_one(lab_folders) -> None:
    app = opened()
    assert "Nothing to score yet" in text_of(app) and [each.label for each in app.button] == ["Train networks"]


def test_a_run_without_a_card_shows_its_own_score_and_is_offered_to_be_scored(lab, monkeypatch) -> None:
    started = []
    monkeypatch.setattr(engine, "start_job", lambda kind, request, *_: started.append(request))
    app = opened([lab.ids[2]])
    shown = text_of(app)
    assert "not scored with these settings" in shown and "from training" in shown
    assert "How it's scored: validation frames, at the training size, whole picture." in shown
    assert "None of the chosen runs is scored with these settings yet." in text_of(opened([lab.ids[2]], view="Classes"))
    app.toggle(key="scored-flip").set_value(True).run()
    app.button(key="score").click().run()
    (request,) = started
    assert request["runs"] == [lab.ids[2]] and request["task"] == "scores" and request["settings"]["flip"]


def test_cards_that_are_there_show_at_once(lab) -> None:
    app = opened(lab.ids[:2])
    shown = text_of(app)
    result = read_result(list_results(lab.runs / lab.ids[0])[0])
    assert "score" not in keys(app)
    assert f"<b>{result.scores.miou:.1%}</b> mIoU" in shown
    assert upper_bound_text(result.metadata.upper_bound, result.metadata.pixels_per_cell) in shown
    assert "Generated streets at 128 x 64, 4 validation frames, at the training size, whole picture" in shown
    assert "as the runs scored themselves in training" in shown and "don't compare them" in shown
    app.selectbox(key="sort-by").set_value("milliseconds").run()
    assert not app.exception and not app.error


def test_scores_per_class_and_category(lab) -> None:
    app = opened(lab.ids[:2], view="Classes")
    scores = read_result(list_results(lab.runs / lab.ids[0])[0]).scores
    assert f"{scores.iou[0]:.1%}" in text_of(app) and "mean IoU" in text_of(app) and "construction" in text_of(app)
    app.segmented_control(key="per-class").set_value("boundary_f1").run()
    assert "mean Boundary F1" in text_of(app)
    app.segmented_control(key="per-class").set_value("iiou").run()
    assert "mean iIoU" in text_of(app) and not app.error


def test_the_frames_behind_a_cell_open_compare(lab) -> None:
    app = opened(lab.ids[:1], view="Confusion")
    scores = read_result(list_results(lab.runs / lab.ids[0])[0]).scores
    truth, seen = app.selectbox(key="true-class").value, app.selectbox(key="seen-as").value
    names = scores.protocol.names
    errors = scores.evaluated_confusion[:, :-1].copy()
    for index in range(len(names)):
        errors[index, index] = 0
    assert errors[names.index(truth), names.index(seen)] == errors.max() > 0
    frame, pixels, _ = scores.frames_behind(names.index(truth), names.index(seen))[0]
    assert f"compare?image={frame}&amp;runs={lab.ids[0]}" in text_of(app) and f"{pixels:,} pixels" in text_of(app)
    app.selectbox(key="seen-as").set_value(truth).run()
    assert not app.exception and "4 of 4 frames" in text_of(app)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("Calibration", "expected calibration error"),
        ("Where it fails", "By distance from a boundary"),
        ("Upper bounds", "Cityscapes paper, Table 3"),
        ("Cost", "the best for"),
        ("Robustness", "as a share of the score"),
        ("Benchmark", "4 frames"),
    ],
)
def test_every_view_shows_what_was_scored(lab, view, expected) -> None:
    app = opened(lab.ids[:2], view=view)
    assert expected in text_of(app) and not app.error
    if view == "Benchmark":
        ((path, _),) = list_archives(lab.runs / lab.ids[0])
        assert app.code[0].value == str(path) and app.get("download_button")


def test_repeats_with_several_seeds_have_a_row_of_their_own(lab, made, lab_folders, streets, monkeypatch) -> None:
    for seed, run_id in enumerate(made.ids):
        path = lab_folders.runs / run_id
        shutil.copytree(made.runs / made.ids[0], path)
        config = json.loads((path / "config.json").read_text())
        config["training"]["seed"] = seed
        (path / "config.json").write_text(json.dumps(config))
    surroundings(monkeypatch, lab_folders.runs, streets)
    shown = text_of(opened(made.ids[:1]))
    assert "3 repeats of" in shown and "± 0.0%" in shown
    assert "repeats of" not in text_of_board(made, monkeypatch, streets)


def text_of_board(made, monkeypatch, streets) -> str:
    surroundings(monkeypatch, made.runs, streets)
    return text_of(opened(made.ids[:1]))


def test_equal_runs_are_not_told_apart_and_their_settings_are(lab) -> None:
    app = opened(lab.ids[:2], view="A or B")
    shown = text_of(app)
    assert "can't be told apart" in shown.replace("\\", "")
    assert "Epochs (training)" in shown and "31.0" in shown
    assert f"runs={lab.ids[0]}&amp;runs={lab.ids[1]}" in shown and "+0.0 points" in shown
    assert "Choose two runs or more" in text_of(opened(lab.ids[:1], view="A or B"))


def test_a_card_of_older_weights_is_marked_and_can_be_made_again(lab, lab_folders) -> None:
    run = lab_folders.runs / lab.ids[0]
    shutil.copytree(lab.runs / lab.ids[0], run)
    state = run / "best" / "state.json"
    state.write_text(state.read_text() + " ")
    app = opened([run.name])
    assert text_of(app).count("outdated") >= 2 and "score" in keys(app)


@pytest.mark.parametrize("hardware", ["", "On another machine."])
def test_nobody_is_fastest_across_machines(lab, lab_folders, hardware) -> None:
    for run_id in lab.ids[:2]:
        shutil.copytree(lab.runs / run_id, lab_folders.runs / run_id)
    for index, run_id in enumerate(lab.ids[:2]):
        (path,) = list_results(lab_folders.runs / run_id)
        message = json.loads(path.read_text())
        message["metadata"] |= {"milliseconds": 10.0 * (1 + index), "timed": 20, "disturbance": ""}
        message["metadata"]["hardware"] = (index and hardware) or message["metadata"]["hardware"]
        path.write_text(json.dumps(message))
    app = opened(lab.ids[:2])
    assert ("lab-best" in text_of(app)) == (not hardware), "the two are equal in everything but latency"
    app = opened(lab.ids[:2], view="Cost")
    app.segmented_control(key="cost").set_value("milliseconds").run()
    assert ("best for its cost" in text_of(app)) == (not hardware)
    assert ("timed on different hardware" in text_of(app)) == bool(hardware)
    assert "time-again" not in keys(app)
    message["metadata"]["disturbance"] = "other work held it up for 40% of the time"
    path.write_text(json.dumps(message))
    app.run()
    assert "best for its cost" not in text_of(app) and app.button(key="time-again").label == "Time 1 run again"


@pytest.mark.parametrize("view", ["Calibration", "Upper bounds", "Where it fails"])
def test_a_card_without_a_labelled_pixel_shows_dashes(lab, lab_folders, streets, monkeypatch, view) -> None:
    shutil.copytree(streets, lab_folders.other / "data" / "streets")
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    for mask in (lab_folders.other / "data" / "streets" / "gtFine" / "val").rglob("*_labelIds.png"):
        cv2.imwrite(str(mask), np.zeros((64, 128), np.uint8))
    shutil.copytree(lab.runs / lab.ids[2], lab_folders.runs / lab.ids[2])
    evaluate_run(read_run(lab_folders.runs / lab.ids[2]), EvaluationSettings())
    app = opened([lab.ids[2]], view=view)
    assert "nan" not in text_of(app) and "–" in text_of(app)


def job(**changes) -> None:
    """Writes how a scoring stands, in place of its process."""
    folder = jobs_folder("evaluation")
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    values = {
        "id": "20260101-000000-abcd",
        "request": {"runs": [], "settings": asdict(EvaluationSettings()), "task": "scores"},
    }
    values |= {"started": now - 10, "counted_since": now - 10, "updated": now} | changes
    (folder / f"{values['id']}.json").write_text(json.dumps(asdict(Job(**values))))


def test_a_scoring_that_goes_on_is_shown_to_everyone_and_can_be_stopped(lab_folders, lab, monkeypatch) -> None:
    shutil.copytree(lab.runs / lab.ids[2], lab_folders.runs / lab.ids[2])
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    request = {
        "runs": [lab.ids[2]],
        "settings": asdict(EvaluationSettings(flip=True)),
        "task": "robustness",
    }
    monkeypatch.setattr(ProcessId, "is_alive", lambda self: True)
    job(
        request=request,
        state="running",
        what="Scoring under fog",
        done=20,
        total=80,
        process=asdict(ProcessId(1, 1.0)),
    )
    app = opened([lab.ids[2]])
    shown = text_of(app)
    assert "The robustness of" in shown and "mirrored too" in shown and "This goes on when you close the tab." in shown
    assert app.button(key="score").disabled
    assert "Scoring under fog · 20 of 80 · about 30 s left" in app.get("progress")[0].proto.text
    app.button(key="stop-evaluation").click().run()
    assert (jobs_folder("evaluation") / "20260101-000000-abcd.stop").exists()
    assert app.button(key="stop-evaluation").label == "Stopping"


def test_a_scoring_that_broke_off_or_left_runs_out_says_why(lab_folders, lab, monkeypatch) -> None:
    shutil.copytree(lab.runs / lab.ids[2], lab_folders.runs / lab.ids[2])
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    job(state="failed", error="The disk is full.")
    assert "broke off: The disk is full." in text_of(opened([lab.ids[2]]))
    job(state="stopped")
    assert "was stopped" in text_of(opened([lab.ids[2]]))
    job(state="finished", result={"runs": [], "problems": {lab.ids[2]: "Its data are gone."}})
    assert "could not be scored: Its data are gone." in text_of(opened([lab.ids[2]]))
    monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    app = opened([lab.ids[2]])
    app.button(key="score").click().run()
    assert "read-only" in text_of(app)
