"""The page Data through AppTest: every section healthy, empty and failed. How it looks is seen in a browser."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import streamlit as st
import tifffile
from streamlit.testing.v1 import AppTest

from core import runner
from core.auth import User, set_current_user, shell_user
from core.config import DatasetConfig
from core.data.class_table import write_rows
from core.data.dataset import open_dataset
from core.data.preparation import start_preparation
from core.data.statistics import count_frames
from core.errors import LabError
from core.escaping import escape_markdown
from core.jobs.kinds import latest
from core.labels import CITYSCAPES_19, CITYSCAPES_LABELS
from core.paths import cache_folder, runs_folder
from core.runs.store import list_runs

ROOT = Path(__file__).resolve().parents[2]
SIZE = {"height": 64, "width": 128}


@pytest.fixture(autouse=True)
def _own_cache(lab_folders, jobs_at_once, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    st.cache_data.clear()


@pytest.fixture
def street_copy(lab_folders, streets: Path) -> Path:
    """The tiny streets as somebody's Cityscapes, to be spoilt."""
    return Path(shutil.copytree(streets, lab_folders.other / "cityscapes"))


@pytest.fixture
def folder(lab_folders, streets: Path) -> Path:
    """Eight of the tiny frames as a folder of one's own, with a class table."""
    root = lab_folders.other / "mine"
    for role in ("images", "masks"):
        (root / role).mkdir(parents=True)
    for image in sorted((streets / "leftImg8bit" / "train").rglob("*.png")):
        name = image.name.removesuffix("_leftImg8bit.png")
        labels = next((streets / "gtFine" / "train").rglob(f"{name}_gtFine_labelIds.png"))
        shutil.copy(image, root / "images" / f"{name}.png")
        shutil.copy(labels, root / "masks" / f"{name}.png")
    rows = [{"name": label.name, "color": label.color, "ids": [label.id]} for label in CITYSCAPES_LABELS[7:]]
    (root / "classes.json").write_text(json.dumps(rows))
    return root


def opened(name: str = "streets", root: Path | None = None, page: str = "data", **state: object) -> AppTest:
    """The page on some data, as it is for somebody whose session holds `state`."""
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240)
    app.session_state["frame-size"] = {"": SIZE}
    app.session_state["dataset-name"] = name
    if root:
        app.session_state[f"{name}-root"] = str(root)
    for key, value in state.items():
        app.session_state[key.replace("_", "-")] = value
    return app.run().switch_page(f"../pages/{page}.py").run()


def test_labels_that_take_long_to_paint_are_painted_by_a_job(lab_folders, monkeypatch) -> None:
    root = lab_folders.other / "shapes"
    root.mkdir()
    for number in range(4):
        cv2.imwrite(str(root / f"f{number}.png"), np.full((64, 128, 3), 60 * number, np.uint8))
        square = {"label": "road", "points": [[0, 32], [127, 32], [127, 63], [0, 63]], "shape_type": "polygon"}
        file = {"version": "5.5.0", "shapes": [square], "imagePath": f"f{number}.png", "imageHeight": 64}
        (root / f"f{number}.json").write_text(json.dumps({**file, "imageWidth": 128}))
    monkeypatch.setattr("app.datasets.PAINTED_AT_ONCE", 3)
    monkeypatch.setattr("app.preparing.start_preparation", lambda *_: (_ for _ in ()).throw(LabError("No disk.")))
    app = opened("folder", root)
    assert not app.exception and "The labels of 4 photographs" in text_of(app) and "No disk." in text_of(app)
    monkeypatch.setattr("app.preparing.start_preparation", start_preparation)
    app.button(key="paint-labels").click().run()
    assert not app.exception and "4 photographs with masks" in text_of(app)
    assert "painted yet" not in text_of(opened("folder", root, page="train"))


def text_of(app: AppTest) -> str:
    """Everything the page says."""
    kinds = (app.title, app.subheader, app.caption, app.markdown, app.error, app.code)
    parts = [str(element.value).replace("\\", "") for kind in kinds for element in kind]
    return "\n".join(parts + [element.proto.body for element in app.get("html") if "<style>" not in element.proto.body])


def panels(app: AppTest) -> list[str]:
    """Titles of the viewer's panels; none where nothing is shown."""
    return [
        panel["title"]
        for component in app.get("bidi_component")
        for panel in json.loads(component.proto.json)["panels"]
    ]


def fine(app: AppTest) -> bool:
    return not app.exception and not app.error


def test_each_person_prepares_one_thing_at_a_time_and_stops_it_here(lab_folders, monkeypatch) -> None:
    going_on = []
    monkeypatch.setattr("core.jobs.engine.start_detached", lambda command, *_: going_on.append(command))
    app = opened(cache_open=True)
    app.button(key="examine").click().run()
    assert fine(app) and "Examining the frames" in text_of(app) and "goes on when you close the tab" in text_of(app)
    assert len(going_on) == 1 and app.button(key="stop-data")
    app.button(key="keep-raw").click().run()
    assert "This is being done already" in text_of(app) and not app.exception and len(going_on) == 1
    set_current_user(lambda: User("ann@x.org", "Ann"))
    try:
        start_preparation("count", DatasetConfig(**SIZE), split="val")
    finally:
        set_current_user(shell_user)
    assert len(going_on) == 2, "somebody else isn't kept from theirs"
    app.button(key="stop-data").click().run()
    assert app.button(key="stop-data").label == "Stopping"


def test_an_examination_ends_while_nobody_looks_and_is_shown_to_who_comes_back(lab_folders) -> None:
    start_preparation("examine", DatasetConfig(**SIZE, classes="cityscapes-19"))
    assert "**In order**" in text_of(opened())


def test_the_streets_are_drawn_by_a_job(lab_folders, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "data"))
    for name in ("STREETS_TRAIN", "STREETS_VAL"):
        monkeypatch.setattr(f"core.data.dataset.{name}", 2)
    app = opened()
    next(button for button in app.button if button.label == "Draw the street scenes").click().run()
    assert fine(app) and panels(app)


# choosing


def test_three_kinds_of_data_are_offered_on_both_pages(lab_folders) -> None:
    for page in ("data", "train"):
        app = opened(page=page)
        assert fine(app)
        assert app.segmented_control(key=f"{page}-data").options == [
            "Generated streets",
            "Cityscapes",
            "Your own folder",
        ]


def test_the_choice_of_classes_is_what_the_frames_are_shown_in(lab_folders) -> None:
    app = opened()
    app.selectbox(key="data-streets-classes").set_value("cityscapes-7").run()
    assert fine(app)
    assert app.selectbox(key="shows").options == [
        name for name in ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
    ]


def test_a_grouping_of_ones_own_is_read_from_its_path(lab_folders) -> None:
    table = lab_folders.other / "two.json"
    table.write_text(json.dumps([{"name": "ground", "ids": [7, 8]}, {"name": "sky", "ids": [23]}]))
    app = opened(streets_classes="own")
    assert "Name the class table" in text_of(app) and not panels(app)
    app.text_input(key="data-streets-table").set_value(str(table)).run()
    assert fine(app)
    assert app.selectbox(key="shows").options == ["ground", "sky"]
    app.text_input(key="data-streets-table").set_value(str(lab_folders.other / "none.json")).run()
    assert not app.exception
    assert "There is no class table" in text_of(app)


def test_each_kind_of_data_remembers_its_own_folder_on_the_next_page_too(
    lab_folders, street_copy: Path, folder: Path
) -> None:
    app = opened()
    app.segmented_control(key="data-data").set_value("cityscapes").run()
    app.text_input(key="data-cityscapes-root").set_value(str(street_copy)).run()
    app.segmented_control(key="data-data").set_value("folder").run()
    app.text_input(key="data-folder-root").set_value(str(folder)).run()
    assert fine(app) and "mine" in text_of(app)
    app.segmented_control(key="data-data").set_value("cityscapes").run()
    assert app.text_input(key="data-cityscapes-root").value == str(street_copy)
    assert fine(app)
    app.switch_page("../pages/train.py").run()
    assert app.segmented_control(key="train-data").value == "cityscapes"
    assert app.text_input(key="train-cityscapes-root").value == str(street_copy)
    assert app.session_state["folder-root"] == str(folder)


def test_a_folder_of_ones_own_waits_for_its_name(lab_folders) -> None:
    app = opened("folder")
    assert fine(app)
    assert "Name the folder of your own data" in text_of(app) and "images/" in text_of(app)
    assert "Is the data in order?" not in text_of(app), "there is nothing to examine"


def test_who_has_no_cityscapes_is_offered_to_get_it(lab_folders) -> None:
    app = opened("cityscapes")
    assert not app.exception
    assert "Name the folder of your Cityscapes" in text_of(app)
    assert "Get Cityscapes" in [expander.label for expander in app.expander]
    assert any(box.label == "Password" for box in app.text_input)


# looking


def test_fine_and_coarse_labels_stand_side_by_side(lab_folders) -> None:
    app = opened()
    assert fine(app)
    assert panels(app) == ["Fine labels", "Coarse labels"]
    assert "8 training and 4 validation frames" in text_of(app)


def test_every_split_that_is_there_can_be_looked_at(lab_folders, street_copy: Path) -> None:
    for split, source in (("test", "val"), ("train_extra", "train")):
        shutil.copytree(street_copy / "leftImg8bit" / source, street_copy / "leftImg8bit" / split)
    shutil.copytree(street_copy / "gtCoarse" / "train", street_copy / "gtCoarse" / "train_extra")
    app = opened("cityscapes", street_copy)
    assert app.segmented_control(key="split").options == ["Training", "Validation", "Test", "Training extra"]
    app.segmented_control(key="split").set_value("test").run()
    assert fine(app)
    assert panels(app) == ["Photograph"] and "has no labels" in text_of(app)
    app.segmented_control(key="split").set_value("train_extra").run()
    assert fine(app)
    assert panels(app) == ["Coarse labels"]


def test_next_and_previous_walk_in_a_circle(lab_folders) -> None:
    app = opened()
    box = app.selectbox(key="frame-train")
    first, last = box.options[0], box.options[-1]
    app.button(key="step-1").click().run()
    assert app.selectbox(key="frame-train").value == last
    app.button(key="step1").click().run()
    assert app.selectbox(key="frame-train").value == first
    assert fine(app)


def test_a_city_narrows_the_frames_and_one_city_needs_no_choice(lab_folders, street_copy: Path) -> None:
    app = opened("cityscapes", street_copy)
    cities = [city for city in app.selectbox(key="city-train").options if city != "Every city"]
    assert len(cities) > 1
    app.selectbox(key="city-train").set_value(cities[1]).run()
    assert fine(app)
    assert all(frame.startswith(f"{cities[1]}_") for frame in app.selectbox(key="frame-train").options)
    app = opened("folder", None)
    assert not [box for box in app.selectbox if (box.key or "").startswith("city")]


def test_a_class_narrows_the_frames_to_those_that_show_it(lab_folders) -> None:
    dataset = open_dataset(DatasetConfig(**SIZE))
    counts = count_frames(dataset, dataset.train)
    index = next(number for number in range(19) if 0 < len(counts.shows(number)) < 8)
    app = opened()
    app.selectbox(key="shows").set_value(dataset.space.class_names[index]).run()
    assert fine(app)
    assert app.selectbox(key="frame-train").options == list(counts.shows(index))
    assert app.selectbox(key="frame-train").value in counts.shows(index)


def test_a_class_that_nothing_shows_here_says_so_and_can_be_left_again(lab_folders, street_copy: Path) -> None:
    for labels in (street_copy / "gtFine" / "val").rglob("*_labelIds.png"):
        cv2.imwrite(str(labels), np.full((64, 128), 7, np.uint8))
    app = opened("cityscapes", street_copy)
    app.selectbox(key="shows").set_value("sky").run()
    app.segmented_control(key="split").set_value("val").run()
    assert fine(app)
    assert "No frame shows this class here" in text_of(app) and not panels(app)
    app.selectbox(key="shows").set_value(None).run()
    assert fine(app) and panels(app)


def test_other_classes_end_the_search_for_one(lab_folders) -> None:
    app = opened()
    app.selectbox(key="shows").set_value("road").run()
    app.selectbox(key="data-streets-classes").set_value("cityscapes-7").run()
    assert fine(app)
    assert app.selectbox(key="shows").value is None and "road" not in app.selectbox(key="shows").options


def test_a_photograph_without_a_mask_is_shown_and_cropped_alone(lab_folders, folder: Path) -> None:
    (folder / "images" / "train").mkdir()
    shutil.copy(next((folder / "images").glob("*.png")), folder / "images" / "train" / "alone.png")
    app = opened("folder", folder, crops_open=True)
    app.segmented_control(key="split").set_value("without masks").run()
    assert fine(app)
    assert panels(app) == ["Photograph"] and "has no labels" in text_of(app)
    assert len(crops(app)) == 6 and "Only training frames are cropped" in text_of(app)


def test_real_frames_are_looked_at_examined_and_counted(shared, lab_folders, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(shared))
    app = opened("cityscapes", shared / "data" / "cityscapes", frame_size={"height": 32, "width": 64})
    assert fine(app)
    assert "409 training and 106 validation frames" in text_of(app)
    assert panels(app) == ["Labels"] and len(app.get("plotly_chart")) == 2
    app = opened("cityscapes", shared / "data" / "cityscapes-fullres")
    assert not app.exception
    assert "has no val split" in text_of(app) and panels(app) == ["Labels"]
    app.button(key="examine").click().run()
    assert not app.exception
    assert "2048 x 1024 (8)" in text_of(app)


def test_a_link_opens_its_frame(lab_folders) -> None:
    last = opened().selectbox(key="frame-train").options[-1]
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    app.switch_page("../pages/data.py")
    app.query_params["frame"] = last
    app.query_params["split"] = "train"
    app.run()
    assert app.selectbox(key="frame-train").value == last
    assert opened().query_params["split"] == "train"


def test_a_broken_mask_is_said_and_the_page_goes_on(lab_folders, street_copy: Path) -> None:
    broken = sorted((street_copy / "gtFine" / "train").rglob("*_labelIds.png"))[0]
    broken.write_bytes(b"no picture")
    app = opened("cityscapes", street_copy)
    assert not app.exception
    assert len(app.error) == 2, "at the frame, and where the classes are counted"
    assert all(escape_markdown(broken.name) in error.value for error in app.error)
    app.button(key="step1").click().run()
    assert panels(app) == ["Fine labels", "Coarse labels"]
    assert "Is the data in order?" in text_of(app)


def test_a_set_without_validation_can_still_be_looked_at(lab_folders, street_copy: Path) -> None:
    shutil.rmtree(street_copy / "leftImg8bit" / "val")
    app = opened("cityscapes", street_copy)
    assert not app.exception
    assert "has no val split" in text_of(app)
    assert panels(app) == ["Fine labels", "Coarse labels"]


# what the network will see


def crops(app: AppTest) -> list[str]:
    return [
        part for element in app.get("html") for part in element.proto.body.split("<figure") if 'alt="its mask"' in part
    ]


def test_six_crops_are_drawn_and_outlined_in_the_frame(lab_folders) -> None:
    app = opened(crops_open=True, augmentation={"crop_height": 32, "crop_width": 64})
    assert fine(app)
    assert len(crops(app)) == 6 and len(set(crops(app))) == 6
    assert text_of(app).count("<polygon") == 6
    assert "epoch 1<" in crops(app)[0] and "very crops" in text_of(app)
    again = opened(crops_open=True, augmentation={"crop_height": 32, "crop_width": 64})
    assert crops(again) == crops(app), "the same keys draw the same crops"
    app.button(key="draw-others").click().run()
    assert "epoch 7<" in crops(app)[0] and crops(app)[0] != crops(again)[0]


def test_the_crops_are_those_that_a_training_draws(lab_folders) -> None:
    from app.services import media
    from core.config import TrainingConfig
    from core.data.transforms import Augmentation

    app = opened(crops_open=True, augmentation={"crop_height": 32, "crop_width": 64, "flip": True})
    dataset = open_dataset(DatasetConfig(**SIZE))
    augmentation = Augmentation.from_config(TrainingConfig(crop_height=32, crop_width=64))
    frame = dataset.train[0]
    for epoch, figure in enumerate(crops(app), start=1):
        _, mask = augmentation(dataset.image(frame), dataset.target(frame), np.random.default_rng((0, epoch, 0)))
        name = figure.split("/lab/picture/")[2].split('"')[0]
        shown = cv2.imdecode(np.frombuffer(media().get(name), np.uint8), cv2.IMREAD_COLOR_RGB)
        assert (shown == dataset.space.palette[mask]).all()


def test_what_is_chosen_here_is_where_training_begins(lab_folders) -> None:
    app = opened(crops_open=True)
    app.number_input(key="crops-crop_height").set_value(96).run()
    app.number_input(key="crops-rare_crops").set_value(1.0).run()
    assert fine(app)
    assert app.session_state["augmentation"]["crop_height"] == 96
    app.switch_page("../pages/train.py").run()
    assert app.number_input(key="augmentation-crop_height").value == 96


def test_the_size_of_the_frames_can_be_changed(lab_folders) -> None:
    app = opened(crops_open=True)
    app.number_input(key="size--height").set_value(32).run()
    assert fine(app)
    assert app.session_state["frame-size"] == {"": {"height": 32, "width": 128}}
    assert 'viewBox="0 0 128 32"' in text_of(app)


def test_a_zoom_that_is_no_range_is_said(lab_folders) -> None:
    app = opened(crops_open=True, augmentation={"scale_min": 3.0})
    assert not app.exception
    assert "Scale to is 2, but must be at least Scale from" in app.error[0].value
    assert not crops(app) and panels(app)


def test_the_address_names_the_data_set_and_another_session_opens_it(lab_folders, streets) -> None:
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    app.query_params["name"], app.query_params["root"] = "cityscapes", str(streets)
    app = app.switch_page("../pages/data.py").run()
    assert not app.exception
    assert app.segmented_control(key="data-data").value == "cityscapes"
    assert app.text_input(key="data-cityscapes-root").value == str(streets)
    assert str(streets) in app.query_params["root"] and "cityscapes" in app.query_params["name"]
    app.segmented_control(key="data-data").set_value("streets").run()
    assert "streets" in app.query_params["name"] and "root" not in app.query_params


# the doctor


def test_healthy_data_is_in_order(lab_folders, folder: Path) -> None:
    app = opened("folder", folder)
    assert "Opens every photograph" in text_of(app)
    app.button(key="examine").click().run()
    assert fine(app)
    assert "**In order**" in text_of(app)
    assert "Sizes of the photographs" in text_of(app) and "128 x 64 (8)" in text_of(app)
    assert "pixels, train" in text_of(app) and "frames, val" in text_of(app)
    assert app.button(key="examine").label == "Examine again"
    assert not app.code


def test_broken_data_is_told_file_by_file(lab_folders, folder: Path) -> None:
    masks = sorted((folder / "masks").iterdir())
    masks[0].write_bytes(b"no picture")
    masks[1].unlink()
    app = opened("folder", folder)
    app.button(key="examine").click().run()
    assert not app.exception
    assert "A training would refuse this data" in text_of(app)
    assert "lab-finding error" in text_of(app) and masks[0].name in text_of(app) and masks[1].name in text_of(app)


def test_names_of_files_are_shown_and_never_markup(lab_folders, folder: Path) -> None:
    (folder / "images" / "<img src=x onerror=alert(1)>.png").write_bytes(b"no picture")
    app = opened("folder", folder)
    app.button(key="examine").click().run()
    assert not app.exception
    assert "&lt;img src=x" in text_of(app) and "<img src=x" not in text_of(app)


def test_a_folder_without_a_table_gets_one_proposed(lab_folders, folder: Path) -> None:
    (folder / "classes.json").unlink()
    app = opened("folder", folder)
    assert not app.exception
    assert "Proposed classes" in text_of(app) and not panels(app)
    app.button(key="examine").click().run()
    assert not app.exception
    assert json.loads(app.code[0].value)[0].keys() >= {"name", "ids"}
    assert [button.proto.label for button in app.get("download_button")] == ["Download classes.json"]
    assert f"The folder is {folder}." in text_of(app)
    (folder / "classes.json").write_text(app.code[0].value)
    assert panels(opened("folder", folder)) == ["Labels"]


def test_a_proposed_table_is_saved_in_the_folder_which_is_then_examined_anew(lab_folders, folder: Path) -> None:
    (folder / "classes.json").unlink()
    app = opened("folder", folder)
    app.button(key="examine").click().run()
    proposal = app.code[0].value
    app.button(key="save-proposal").click().run()
    assert fine(app)
    assert json.loads((folder / "classes.json").read_text()) == json.loads(proposal)
    assert panels(app) == ["Labels"]
    assert "Train on this data" in labels(app), "what was seen of the folder before is forgotten"
    assert app.button(key="examine").label == "Examine" and not app.code
    app.button(key="examine").click().run()
    assert fine(app) and "**In order**" in text_of(app)


def test_why_a_proposed_table_is_not_saved_is_said(lab_folders, folder: Path, monkeypatch) -> None:
    (folder / "classes.json").unlink()
    app = opened("folder", folder)
    app.button(key="examine").click().run()
    monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    app.button(key="save-proposal").click().run()
    assert not app.exception and "This lab is read-only at the moment" in text_of(app)
    monkeypatch.delenv("SEGLAB_READ_ONLY")
    (folder / "classes.json").write_text('{"someone": "else"}')
    app.button(key="save-proposal").click().run()
    assert not app.exception and "isn't one of this lab's class tables" in text_of(app)
    assert app.code and (folder / "classes.json").read_text() == '{"someone": "else"}'


def test_where_no_folder_is_nothing_is_examined(lab_folders) -> None:
    app = opened("folder", lab_folders.other / "missing")
    assert not app.exception
    assert "There is no folder" in text_of(app)
    assert "Is the data in order?" not in text_of(app)


# plots


def test_shares_of_both_splits_and_what_is_seen_together_are_plotted(lab_folders) -> None:
    app = opened()
    shares, together = (json.loads(chart.proto.spec) for chart in app.get("plotly_chart"))
    assert [trace["name"] for trace in shares["data"]] == ["val", "train"]
    assert together["data"][0]["type"] == "heatmap"
    dataset = open_dataset(DatasetConfig(**SIZE))
    shown = count_frames(dataset, dataset.train).images > 0
    assert together["data"][0]["y"] == [
        name for name, there in zip(dataset.space.class_names, shown, strict=True) if there
    ]
    assert "of the pixels carry no class" in text_of(app)


def test_many_frames_are_sampled_until_all_are_asked_for(lab_folders, monkeypatch) -> None:
    from core.data import statistics

    monkeypatch.setattr(statistics, "AT_ONCE", 6)
    monkeypatch.setattr(statistics, "SAMPLE", 4)
    app = opened()
    assert fine(app)
    assert "Counted in 4 of 8 frames of train" in text_of(app) and "of val" not in text_of(app)
    assert "4 frames that were counted of 8" in app.selectbox(key="shows").proto.help
    app.selectbox(key="shows").set_value("road").run()
    assert len(app.selectbox(key="frame-train").options) == 4
    assert "Of 4 counted frames; there are 8." in text_of(app)
    app.button(key="count-train").click().run()
    assert fine(app)
    assert "Counted in" not in text_of(app)
    assert len(app.selectbox(key="frame-train").options) == 8


# decoded frames


def test_frames_are_kept_listed_and_removed(lab_folders) -> None:
    app = opened(cache_open=True)
    assert fine(app)
    raw = app.button(key="keep-raw")
    assert re.match(r"Keep them raw \(\d{3} kB\)", raw.label)
    raw.click().run()
    assert fine(app)
    assert app.button(key="keep-raw").label == "Kept raw" and app.button(key="keep-raw").disabled
    removers = [button for button in app.button if (button.key or "").startswith("remove-")]
    assert [button.label for button in removers] == ["Remove", "Remove", "Remove all"]
    assert "train: 8 frames" in text_of(app) and "val: 4 frames" in text_of(app)
    removers[0].click().run()
    assert app.button(key="keep-raw").label.startswith("Keep them raw")
    app.button(key="keep-jpeg").click().run()
    app.button(key="remove-all").click().run()
    assert fine(app)
    assert not [button for button in app.button if (button.key or "").startswith("remove-")]


def test_who_may_only_look_starts_no_work(lab_folders, monkeypatch) -> None:
    monkeypatch.setattr("core.data.statistics.AT_ONCE", 6)
    monkeypatch.setattr("core.data.statistics.SAMPLE", 4)
    app = opened()
    monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    for key in ("examine", "count-train"):
        app.button(key=key).click().run()
        assert not app.exception
        assert "This lab is read-only at the moment" in text_of(app), key
    assert "In order" not in text_of(app) and "Counted in 4 of 8" in text_of(app)
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "none"))
    app = opened()
    next(button for button in app.button if button.label == "Draw the street scenes").click().run()
    assert not app.exception and "This lab is read-only at the moment" in text_of(app)
    assert not (lab_folders.other / "none" / "streets").exists()


def test_only_an_admin_is_offered_to_remove_all_decoded_frames(lab_folders) -> None:
    app = opened(cache_open=True)
    for kind in ("raw", "jpeg"):
        app.button(key=f"keep-{kind}").click().run()
    assert app.button(key="remove-all")
    set_current_user(lambda: User("ann@x.org", "Ann"))
    try:
        app.run()
    finally:
        set_current_user(shell_user)
    keys = [button.key or "" for button in app.button]
    assert "remove-all" not in keys and sum(key.startswith("remove-") for key in keys) == 4


def test_a_full_disk_is_said(lab_folders, monkeypatch) -> None:
    app = opened(cache_open=True)
    full = shutil._ntuple_diskusage(10**9, 10**9, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    app.button(key="keep-raw").click().run()
    assert not app.exception
    assert len(app.error) == 1 and "free" in app.error[0].value
    assert panels(app)


def test_closed_sections_cost_nothing(lab_folders, monkeypatch) -> None:
    import core.data.cache

    monkeypatch.setattr(core.data.cache, "cache_size", lambda *args: pytest.fail("measured behind a closed door"))
    assert fine(opened())


def test_a_folder_is_found_without_typing_its_path(lab_folders, folder: Path) -> None:
    app = opened("folder")
    places = app.selectbox(key="data-folder-find-open-None")
    root = next(option for option in places.options if folder.is_relative_to(option))
    places.set_value(Path(root)).run()
    at = Path(root)
    for part in folder.relative_to(root).parts:
        app.selectbox(key=f"data-folder-find-open-{at}").set_value(at / part).run()
        at = at / part
    assert "holds 16 pictures" in text_of(app) or "pictures, folders within it counted" in text_of(app)
    app.button(key="data-folder-find-take").click().run()
    assert fine(app) and app.text_input(key="data-folder-root").value == str(folder)
    assert "frames" in text_of(app).lower()


def test_two_folders_that_were_found_become_one_data_set(lab_folders, folder: Path) -> None:
    other = Path(shutil.copytree(folder, folder.parent / "theirs"))
    rows = json.loads((other / "classes.json").read_text())
    (other / "classes.json").write_text(json.dumps([{**rows[0], "name": "lane"}, *rows[1:]]))
    app = opened("folder", **{"data-folder-find-at": folder})
    app.button(key="data-folder-find-add").click().run()
    assert app.button(key="data-folder-find-join").disabled
    app.session_state["data-folder-find-at"] = other
    app.run()
    app.button(key="data-folder-find-add").click().run()
    app.text_input(key="data-folder-find-joint-name").set_value("Both streets").run()
    app.button(key="data-folder-find-join").click().run()
    root = Path(app.text_input(key="data-folder-root").value)
    assert fine(app) and json.loads((root / "datasets.json").read_text()) == [str(folder), str(other)]
    assert root.name == "Both-streets" and "16 photographs with masks: 12 in train, 4 in val" in text_of(app)
    assert f"In &#39;{other.name}&#39;: Nothing says which" in text_of(app)

    app.button(key="delete-archive").click().run()
    assert fine(app) and not root.exists() and folder.is_dir() and app.text_input(key="data-folder-root").value == ""
    app.text_input(key="data-folder-root").set_value(str(folder)).run()
    assert not [button for button in app.button if button.key == "delete-archive"], (
        "what wasn't dropped here isn't ours"
    )


def test_the_class_table_is_a_form_that_saves(lab_folders, folder: Path) -> None:
    app = opened("folder", folder)
    assert fine(app) and any(expander.label == "Class table" for expander in app.expander)
    before = (folder / "classes.json").read_text()
    app.button(key="save-class-table").click().run()
    assert fine(app)
    assert [row["ids"] for row in json.loads((folder / "classes.json").read_text())] == [
        row["ids"] for row in json.loads(before)
    ]
    assert (folder / "classes.json.old").read_text() == before


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_what_lies_in_a_folder_is_said_first_and_leads_to_a_training(lab_folders, folder: Path) -> None:
    shutil.copy(next((folder / "images").iterdir()), folder / "images" / "alone.png")
    app = opened("folder", folder)
    text = text_of(app)
    assert fine(app) and "8 photographs with masks: 6 in train, 2 in val; 1 without" in text
    assert "128 x 64 pixels" in text and "Nothing says which frames are for validation" in text
    shares = [float(share) for share in re.findall(r"<small> ([0-9.]+)%</small>", text)]
    assert sum(shares) == pytest.approx(100, abs=1) and len(shares) > 4
    assert text[: text.index("lab-strip") + 5000].count("<figure>") >= 8
    app.button(key="train-on-folder").click().run()
    assert not app.exception and app.title[0].value == "Train"
    assert "6 frames to learn from, 2 to score on" in text_of(app)


def test_proposed_classes_are_taken_with_one_press(lab_folders, folder: Path, monkeypatch) -> None:
    (folder / "classes.json").unlink()
    monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    assert "Use these classes" not in labels(opened("folder", folder))
    monkeypatch.delenv("SEGLAB_READ_ONLY")
    app = opened("folder", folder)
    assert "the names are made up" in text_of(app) and "Train on this data" not in labels(app)
    app.button(key="take-proposal").click().run()
    assert fine(app) and panels(app) == ["Labels"] and "Train on this data" in labels(app)
    assert json.loads((folder / "classes.json").read_text())


def test_bands_are_asked_for_where_a_folder_has_more_than_colours(lab_folders, folder: Path) -> None:
    for path in list((folder / "images").iterdir()):
        colors = cv2.imread(str(path))
        bands = np.dstack([colors, colors[..., 0]]).astype(np.uint16) * 16
        tifffile.imwrite(path.with_suffix(".tif"), bands, photometric="minisblack", planarconfig="contig")
        path.unlink()
    app = opened("folder", folder)
    assert not app.exception and "Train on this data" not in labels(app)
    assert "has 4 bands, and nothing says which are red, green and blue" in text_of(app)
    app.text_input(key="data-bands").set_value("3 2 1 4").run()
    assert fine(app) and "Train on this data" in labels(app) and panels(app) == ["Labels"]
    app.switch_page("../pages/train.py").run()
    assert not app.exception and app.text_input(key="train-bands").value == "3 2 1 4"
    app.button(key="launch").click().run()
    assert not app.exception
    (run,) = list_runs(runs_folder())
    runner.stop_now(run.path)
    assert run.config.dataset.bands == "3 2 1 4"


def test_folders_with_pictures_are_offered_and_taken_with_one_press(lab_folders, folder: Path) -> None:
    app = opened("folder", folder_root="")
    (offer,) = [button for button in app.button if button.label.startswith("mine · 16")]
    offer.click().run()
    assert fine(app) and app.text_input(key="data-folder-root").value == str(folder)


def test_colours_beside_another_band_can_be_learned_from_as_they_are(lab_folders, folder: Path) -> None:
    for path in list((folder / "images").iterdir()):
        bands = np.dstack([cv2.imread(str(path))[..., ::-1], np.zeros((64, 128), np.uint8)])
        tifffile.imwrite(path.with_suffix(".tif"), bands, photometric="rgb", extrasamples=["unspecified"])
        path.unlink()
    app = opened("folder", folder)
    assert fine(app) and app.text_input(key="data-bands") and panels(app) == ["Labels"]
    assert "Train on this data" in labels(app)


def test_what_stands_in_the_way_is_said_beside_a_card_that_looks_healthy(
    lab_folders, folder: Path, monkeypatch
) -> None:
    def refused(*_args: object) -> None:
        raise LabError("The disk of these data is gone.")

    monkeypatch.setattr("app.datasets.open_dataset", refused)
    app = opened("folder", folder)
    assert "Train on this data" in labels(app)
    assert "The disk of these data is gone." in text_of(app)


def test_a_run_on_these_data_offers_the_masks_that_it_doubts(lab_folders, trained_run) -> None:
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    app = opened()
    assert not app.exception
    (link,) = [each.proto for each in app.get("page_link") if each.proto.label == "Likely wrong masks"]
    assert "sort=labels" in link.query_string and trained_run.name in link.query_string


def test_photographs_without_masks_are_labelled_by_a_run_and_become_one_data_set_with_the_others(
    lab_folders, folder: Path, trained_run: Path
) -> None:
    (folder / "classes.json").write_text(write_rows(CITYSCAPES_19))
    for mask in sorted((folder / "masks").iterdir())[:3]:
        mask.unlink()
    run = lab_folders.runs / trained_run.name
    shutil.copytree(trained_run, run)
    config = json.loads((run / "config.json").read_text())
    config["dataset"] |= {"name": "folder", "root": str(folder)}
    (run / "config.json").write_text(json.dumps(config))
    app = opened("folder", folder)
    before = open_dataset(DatasetConfig(name="folder", root=str(folder), **SIZE))
    next(button for button in app.button if button.label == "Label 3 photographs without masks").click().run()
    assert fine(app)
    job = latest("pseudo-labels")
    assert job.result["frames"] == 3
    after = open_dataset(DatasetConfig(name="folder", root=job.result["root"], **SIZE))
    assert len(after.train) == len(before.train) + 3 and len(after.val) == len(before.val)


def test_a_dropped_archive_is_unpacked_by_a_job_and_opened(lab_folders, folder: Path) -> None:
    packed = Path(shutil.make_archive(str(lab_folders.other / "packed"), "zip", folder))
    app = opened("folder")
    uploader = app.file_uploader(key="data-folder-find-zip")
    uploader.set_value([("our street.zip", packed.read_bytes(), "application/zip")]).run()
    assert fine(app) and panels(app) == ["Labels"]
    root = Path(app.session_state["folder-root"])
    assert root.name.startswith("our-street") and sorted(path.name for path in root.iterdir())[-1] == "masks"
    assert not list((cache_folder() / "dropped").iterdir()), "the copy is gone"
    app = opened("folder")
    app.file_uploader(key="data-folder-find-zip").set_value([("broken.zip", b"PK", "application/zip")]).run()
    assert not app.exception and "can't be unpacked" in text_of(app)
