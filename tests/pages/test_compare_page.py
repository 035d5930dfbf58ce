"""The page Compare through AppTest: splits, sorting by scores that are counted in the background, next and previous."""

import json
import re
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.services import lazy_maps, thumbnails
from core.labels import CITYSCAPES_19

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def with_runs(lab_folders, trained_run: Path, monkeypatch) -> list[str]:
    """The same finished run twice, with a cache of the test's own; returns their ids."""
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    ids = [trained_run.name, f"{trained_run.name[:-4]}0000"]
    for run_id in ids:
        shutil.copytree(trained_run, lab_folders.runs / run_id)
    return ids


def opened(runs: list[str], **address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    for name, value in address.items():
        app.query_params[name] = value
    app = app.switch_page("../pages/compare.py").run()
    return settled(app.multiselect[0].set_value(runs).run())


def settled(app: AppTest) -> AppTest:
    """The page once every mask is there; a browser asks again by itself."""
    for _ in range(100):
        if app.exception or not any("is looking" in panel["subtitle"] for panel in shown(app)["panels"]):
            return app
        time.sleep(0.1)
        app.run()
    pytest.fail("the masks never came")


def shown(app: AppTest) -> dict:
    """What the viewer was given."""
    return next(data for data in components(app) if "panels" in data)


def strip(app: AppTest) -> dict:
    """What the filmstrip was given."""
    return next(data for data in components(app) if "frames" in data)


def components(app: AppTest) -> list[dict]:
    return [json.loads(component.proto.json) for component in app.get("bidi_component")]


def button(app: AppTest, label: str):
    return next(each for each in app.button if each.label == label)


def scored(app: AppTest) -> AppTest:
    """The page once every frame is scored; a browser asks again by itself."""
    for _ in range(200):
        assert not app.exception and not app.error
        if not app.get("progress"):
            return app
        app.run()
    pytest.fail("the frames were never scored")


def test_next_and_previous_go_round_and_a_split_can_be_chosen(lab_folders, with_runs) -> None:
    app = opened(with_runs)
    ids = app.selectbox(key="image").options
    assert len(ids) == 4 and shown(app)["name"] == ids[0]
    assert [panel["is_truth"] for panel in shown(app)["panels"]] == [True, False, False]
    button(app, "Previous").click().run()
    assert shown(app)["name"] == ids[-1]
    button(app, "Next").click().run()
    assert shown(app)["name"] == ids[0]
    app.segmented_control(key="split").set_value("train").run()
    assert not app.exception and not app.error
    assert len(app.selectbox(key="image").options) == 8


def test_an_address_leads_to_its_frame_and_split(lab_folders, with_runs) -> None:
    app = opened(with_runs, split="train")
    ids = app.selectbox(key="image").options
    assert len(ids) == 8
    again = opened(with_runs, split="train", image=ids[5])
    assert shown(again)["name"] == ids[5]
    assert "train" in again.query_params["split"] and ids[5] in again.query_params["image"]
    assert shown(opened(with_runs, image="nothing"))["name"] == opened(with_runs).selectbox(key="image").options[0]


def test_the_pages_give_entropy_and_likeliest_classes_of_each_run(lab_folders, with_runs) -> None:
    truth, *panels = shown(opened(with_runs))["panels"]
    assert truth["entropy"] is None and truth["likeliest"] is None
    addresses = [panel[kind] for panel in panels for kind in ("entropy", "likeliest")]
    assert all(
        re.fullmatch(r"/lab/uncertainty/[0-9a-f]{40}/(entropy|likeliest)\.png", address) for address in addresses
    )
    assert len(set(addresses)) == 4
    result = lazy_maps().ask(addresses[0].split("/")[3]).result(timeout=120)
    assert result.entropy and result.likeliest


@pytest.mark.parametrize("shares", [(0.5, 0.1), (0.1, 0.5)])
def test_frames_that_one_of_the_runs_learned_from_are_no_validation_frames(
    lab_folders, with_runs, streets, shares
) -> None:
    root = lab_folders.other / "own"
    for folder, layout, ending in (("images", "leftImg8bit", "leftImg8bit"), ("masks", "gtFine", "gtFine_labelIds")):
        (root / folder).mkdir(parents=True)
        for path in streets.joinpath(layout).rglob(f"*_{ending}.png"):
            shutil.copy(path, root / folder / path.name.replace(f"_{ending}", ""))
    classes = zip(CITYSCAPES_19.class_names, CITYSCAPES_19.colors, strict=True)
    ids = [CITYSCAPES_19.from_ids.index(index) for index in range(19)]
    table = [{"name": name, "color": color, "ids": [ids[position]]} for position, (name, color) in enumerate(classes)]
    (root / "classes.json").write_text(json.dumps(table))
    for run_id, share in zip(with_runs, shares, strict=True):
        path = lab_folders.runs / run_id / "config.json"
        config = json.loads(path.read_text())
        config["dataset"] |= {"name": "folder", "root": str(root), "val_fraction": share}
        path.write_text(json.dumps(config))
    alone = [len(opened([run_id]).selectbox(key="image").options) for run_id in with_runs]
    assert alone == [12 * share // 1 or 1 for share in shares]
    assert len(opened(with_runs).selectbox(key="image").options) == 1


def test_a_frame_without_a_labelled_pixel_has_no_score(lab_folders, with_runs, streets, monkeypatch) -> None:
    shutil.copytree(streets, lab_folders.other / "data" / "streets")
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    for mask in (lab_folders.other / "data" / "streets" / "gtFine" / "val").rglob("*_labelIds.png"):
        cv2.imwrite(str(mask), np.zeros((64, 128), np.uint8))
    st.cache_data.clear()  # the frames of other tests go by the same name
    app = opened(with_runs[:1])
    assert shown(app)["panels"][1]["subtitle"] == "mIoU –"
    assert not [each.proto.body for each in app.get("html") if "nan" in each.proto.body]
    st.cache_data.clear()


def test_frames_are_sorted_by_what_is_asked(lab_folders, with_runs) -> None:
    app = opened(with_runs)
    app.selectbox(key="sort").set_value("worst").run()
    worst_first = scored(app).selectbox(key="image").options
    scores = []
    for frame in worst_first:
        app.selectbox(key="image").set_value(frame).run()
        scores.append(float(shown(app)["panels"][1]["subtitle"].removeprefix("mIoU ").removesuffix("%")))
    assert scores == sorted(scores) and scores[0] < scores[-1]
    frames = strip(app)["frames"]
    assert [caption.rpartition(" · ")[2] for _, caption, _ in frames] == [f"mIoU {score:.1f}%" for score in scores]
    assert [round(miou * 100, 1) for _, _, (miou,) in frames] == scores, "the strip says what it is sorted by"
    for kind in ("unsure", "class", "labels", "disagreement", "apart"):
        app.selectbox(key="sort").set_value(kind).run()
        assert len(scored(app).selectbox(key="image").options) == 4
    captions = {caption.rpartition(" · ")[2] for _, caption, _ in strip(app)["frames"]}
    assert captions == {"0.0% apart"}, "the two runs are the same"


def test_the_worst_frame_is_shown_as_soon_as_frames_are_sorted_and_the_order_is_in_the_address(
    lab_folders, with_runs
) -> None:
    app = opened(with_runs[:1])
    app.selectbox(key="sort").set_value("worst").run()
    app = scored(app)
    worst = app.selectbox(key="image").options[0]
    assert shown(app)["name"] == worst and strip(app)["chosen"] == 0
    assert "worst" in app.query_params["sort"] and with_runs[0] in app.query_params["sort-run"]
    button(app, "Next").click().run()
    assert shown(app)["name"] != worst and strip(app)["chosen"] == 1, "an order that was followed holds nobody back"
    again = scored(opened(with_runs[:1], sort="worst"))
    assert again.selectbox(key="sort").value == "worst" and again.selectbox(key="image").options[0] == worst


def test_pictures_of_the_strip_are_the_frames_under_their_labels(lab_folders, with_runs) -> None:
    app = opened(with_runs[:1])
    data = strip(app)
    assert [number for number, *_ in data["frames"]] == [0, 1, 2, 3] and data["aspect"] == 2
    name = re.fullmatch(r"/lab/thumbnail/([0-9a-f]{40})/", data["base"])[1]
    picture = cv2.imdecode(np.frombuffer(thumbnails().get(name, 1), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (112, 224, 3) and picture.std() > 10
    assert thumbnails().get(name, 4) is None and thumbnails().get("0" * 40, 0) is None


def test_two_runs_of_one_network_have_names_of_their_own(lab_folders, with_runs) -> None:
    titles = [panel["title"] for panel in shown(opened(with_runs))["panels"]]
    assert len(set(titles)) == 3 and titles[0] == "Ground truth"
    assert all(title.endswith(run_id[-4:]) for title, run_id in zip(titles[1:], sorted(with_runs), strict=True))


def test_a_run_is_hidden_and_another_order_given_on_the_bench(lab_folders, with_runs) -> None:
    app = opened(with_runs)
    newest_first = sorted(with_runs, reverse=True)
    app.session_state["runs-order"], app.session_state["runs-hidden"] = newest_first, [with_runs[0]]
    app = settled(app.run())
    assert [title[-4:] for title in (panel["title"] for panel in shown(app)["panels"][1:])] == [with_runs[1][-4:]]
    assert app.query_params["runs"] == newest_first and with_runs[0] in app.query_params["off"]
    chips = next(data for data in components(app) if "hidden" in data)
    assert [run[0] for run in chips["runs"]] == newest_first and chips["hidden"] == [with_runs[0]]


def test_an_address_names_the_order_and_what_is_hidden(lab_folders, with_runs) -> None:
    newest_first = sorted(with_runs, reverse=True)
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    app.query_params["runs"], app.query_params["off"] = newest_first, [newest_first[0]]
    app = settled(app.switch_page("../pages/compare.py").run())
    assert [panel["title"][-4:] for panel in shown(app)["panels"][1:]] == [newest_first[1][-4:]]
