"""The page Label through AppTest: begin, what is shown beside the mask, history, and a minute's training."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.labelling import in_order
from core.config import read_config
from core.data.dataset import open_dataset
from core.inference.frame_scores import Count, FrameScore
from core.labelling.label_set import create_label_set, list_label_sets, mend_frame
from core.labelling.masks import change_mask, read_history, read_mask
from core.runs.status import read_status, write_status
from core.runs.store import list_runs
from core.synthetic import draw_scene

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("road", "sky", "tram")


@pytest.fixture(autouse=True)
def lab(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    return lab_folders


def opened() -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    app = app.switch_page("../pages/label.py").run()
    assert not app.exception
    return app


def shown(app: AppTest) -> dict:
    """What the viewer was given."""
    data = [json.loads(component.proto.json) for component in app.get("bidi_component")]
    return next(each for each in data if "panels" in each)


def new_set(count: int = 3):
    images = [(f"photo {n}", lambda n=n: draw_scene(n, 0, size=(64, 128)).image) for n in range(count)]
    return create_label_set("My street", images, CLASSES)


def paint(label_set, frame: str, value: int) -> None:
    stroke = {"id": f"{value:08x}", "box": [0, 0, 128, 64], "runs": [128 * 64, value]}
    change_mask(label_set, frame, stroke, read_mask(label_set, frame).revision)


def test_without_photographs_it_says_what_to_do(lab) -> None:
    app = opened()
    app.text_input[0].set_value("Harbour")
    app.button[-1].click().run()
    assert "Choose some, or type the folder" in app.error[0].value and list_label_sets() == []


def test_a_folder_of_photographs_becomes_a_label_set(lab, jobs_at_once) -> None:
    (lab.other / "photos").mkdir()
    for number in range(2):
        Image.fromarray(draw_scene(number, 0, size=(64, 128)).image).save(lab.other / "photos" / f"{number}.png")
    app = opened()
    app.text_input[0].set_value("Harbour")
    app.text_area[0].set_value("water\nquay\n\nship")
    app.text_input[1].set_value(str(lab.other / "photos"))
    app.button[-1].click().run()
    assert not app.exception and not app.error
    (label_set,) = list_label_sets()
    assert (label_set.title, label_set.space.class_names) == ("Harbour", ("water", "quay", "ship"))
    data = shown(app)
    assert data["edit"]["address"].startswith(f"/lab/labels/{label_set.slug}/") and data["edit"]["panel"] == 0
    assert [panel["title"] for panel in data["panels"]] == ["Your labels", "From your strokes"]


def test_another_folder_becomes_another_label_set_which_is_shown(lab, jobs_at_once) -> None:
    new_set()
    (lab.other / "photos").mkdir()
    Image.fromarray(draw_scene(9, 0, size=(64, 128)).image).save(lab.other / "photos" / "9.png")
    app = opened()
    app.text_input[0].set_value("Harbour")
    app.text_input[1].set_value(str(lab.other / "photos"))
    next(each for each in app.button if each.label == "Begin").click().run()
    assert not app.exception and not app.error
    assert "/lab/labels/Harbour/" in shown(app)["edit"]["address"]


def test_what_can_not_begin_is_a_sentence(lab, jobs_at_once) -> None:
    app = opened()
    app.text_input[0].set_value("Harbour")
    app.text_input[1].set_value(str(lab.other / "nothing"))
    app.button[-1].click().run()
    assert not app.exception and "There is no folder" in app.error[0].value
    assert list_label_sets() == []


def test_a_network_that_knows_the_classes_stands_beside_the_mask(lab, trained_run) -> None:
    shutil.copytree(trained_run, lab.runs / trained_run.name)
    label_set = new_set()
    app = opened()
    for _ in range(100):
        if shown(app)["panels"][2]["labels"]:
            break
        app.run()
    data = shown(app)
    assert len(data["panels"]) == 3 and data["classes"] == list(CLASSES)
    assert "confident" in data["panels"][2]["subtitle"] and label_set.labelled == []


def test_frames_without_labels_come_first_and_the_least_sure_of_them(lab, trained_run) -> None:
    shutil.copytree(trained_run, lab.runs / trained_run.name)
    label_set = new_set()
    first, second, third = label_set.images
    paint(label_set, first, 0)
    app = opened()
    assert app.selectbox(key="label-frame").options == [second, third, first]
    paint(label_set, second, 0)
    assert app.run().selectbox(key="label-frame").options == [second, third, first], "one that is painted stays"
    app.selectbox(key="label-frame").set_value(third).run()
    assert app.selectbox(key="label-frame").options == [third, first, second]
    app.selectbox(key="label-order").set_value("name").run()
    assert app.selectbox(key="label-frame").options == [first, second, third]
    app.selectbox(key="label-order").set_value("unsure").run()
    for _ in range(100):
        if not app.get("progress") or len(app.get("progress")) < 2:
            break
        app.run()
    options = app.selectbox(key="label-frame").options
    assert options == [third, first, second]


def test_what_two_networks_disagree_on_comes_first_and_what_they_have_not_seen_after_it(lab) -> None:
    label_set = new_set(5)
    labelled, same, apart, unseen, half = label_set.images
    paint(label_set, labelled, 0)

    def count(answers: dict[str, int]) -> Count:
        rows = {
            frame: FrameScore(None, (), 0.5, (), None, bytes([0] * (8 - number) + [1] * number).hex())
            for frame, number in answers.items()
        }
        return Count(rows, 5)

    counts = [count(dict.fromkeys(label_set.images, 0)), count({labelled: 8, same: 0, apart: 8, half: 4})]
    assert in_order(label_set, "disagreement", counts) == [apart, half, same, unseen, labelled]


def test_history_brings_a_mask_back_and_a_minute_of_training_is_a_run(lab, monkeypatch) -> None:
    monkeypatch.setattr("core.runner.local.start", lambda path: None)
    label_set = new_set()
    first, second, _ = label_set.images
    app = opened()
    assert app.button(key="train-labelled").disabled
    paint(label_set, first, 0)
    paint(label_set, first, 1)
    paint(label_set, second, 1)
    app.run()
    app.selectbox(key="label-frame").set_value(first).run()
    assert [change.number for change in read_history(label_set, first)] == [2, 1]
    app.button(key="restore-2").click().run()
    assert not app.exception and (read_mask(label_set, first).labels == 0).all()
    app.button(key="train-labelled").click().run()
    assert not app.exception and not app.error
    (run,) = list_runs(lab.runs)
    assert run.config.dataset.root == str(label_set.root) and run.config.training.minutes == 1
    assert np.isclose(run.config.training.evaluations, 4)


def test_a_network_is_trained_again_after_every_few_photographs(lab, monkeypatch, trained_run) -> None:
    monkeypatch.setattr("core.runner.local.start", lambda path: None)
    label_set = new_set(12)
    app = opened()
    app.selectbox(key=f"train-every-{label_set.slug}").set_value(5).run()
    frames = list(label_set.images)
    for number, frame in enumerate(frames[:4]):
        paint(label_set, frame, number % 3)
    app.run()
    assert list_runs(lab.runs) == []
    paint(label_set, frames[4], 0)
    app.run()
    (run,) = list_runs(lab.runs)
    assert run.config.dataset.root == str(label_set.root) and run.config.model.weights == "auto"
    for frame in frames[5:]:
        paint(label_set, frame, 1)
    app.run()
    assert len(list_runs(lab.runs)) == 1, "one is still at it"

    # Once it is done the next one goes on from its network, and what they learned stands beside the work.
    shutil.copytree(trained_run / "best", run.path / "best")
    write_status(run.path, replace(read_status(run.path), state="finished", exit=0))
    app.run()
    again = next(each for each in list_runs(lab.runs) if each.id != run.id)
    assert again.config.model.weights == f"run:{run.id}"
    assert [expander.label for expander in app.expander].count("Learned so far") == 1


def test_what_is_mended_of_validation_frames_alone_is_not_trained_on(lab, streets, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", f"{lab.other}{os.pathsep}{streets.parent}")
    config = read_config({"dataset": {"name": "cityscapes", "root": str(streets), "height": 64, "width": 128}})
    dataset = open_dataset(config.dataset)
    for frame in dataset.val[:2]:
        mend_frame(dataset, frame)
    app = opened()
    assert app.button(key="train-labelled").disabled and "validation frames" in app.button(key="train-labelled").help
    mend_frame(dataset, dataset.train[0])
    assert not app.run().button(key="train-labelled").disabled


def test_a_label_set_is_deleted_for_good(lab) -> None:
    new_set()
    app = opened()
    app.button(key="delete-label-set").click().run()
    assert not app.exception and list_label_sets() == []
    assert "Label photographs of your own" in app.title[0].value
