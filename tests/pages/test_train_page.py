"""The page Train: every field of a config has its place in the form, and what is typed there is what is launched."""

import argparse
import json
import shlex
import shutil
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core import runner
from core.auth import User, set_current_user, shell_user
from core.commands.options import add_config, requested_config
from core.config import Condition, DatasetConfig, RunnerConfig, fields_of, setting_of
from core.data.dataset import open_dataset
from core.labelling.label_set import mend_frame
from core.labels import CITYSCAPES_LABELS
from core.paths import PROJECT
from core.runner.device_lock import DeviceLock
from core.runs.store import list_runs
from core.tracking.table import TRACKERS
from core.training.tables import OPTIMIZERS
from tests.pages.test_pages import text_of

OPTIMIZED = {name for optimizer in OPTIMIZERS.values() for name, _ in optimizer.defaults}
"""Fields that begin otherwise with another optimizer."""


@pytest.fixture
def page(lab_folders) -> AppTest:
    app = AppTest.from_file(str(PROJECT / "app/navigation.py"), default_timeout=240).run()
    return app.switch_page("../pages/train.py").run()


def widgets(page: AppTest) -> list[Any]:
    return [*page.number_input, *page.selectbox, *page.toggle, *page.text_input, *page.get("button_group")]


def field_of(widget: Any) -> str:
    """The field that a widget sets: a key ends with it, or with the choice beside which the widget is a fresh one."""
    *_, before, last = "", *str(widget.key).split("-")
    return before if before in OPTIMIZED else last


def field_names(page: AppTest) -> set[str]:
    return {field_of(widget) for widget in widgets(page)}


def choose_what_needs(page: AppTest, condition: Condition) -> None:
    """Sets the widget of a condition's field so that it holds."""
    name = condition.field.split(".")[1]
    widget = next(widget for widget in widgets(page) if field_of(widget) == name)
    wanted = condition.values[0] if condition.values else next(option for option in widget.options if option != "none")
    widget.set_value(wanted).run()
    assert not page.exception


@pytest.mark.parametrize("part", ["training", "dataset"])
def test_every_field_that_has_a_say_can_be_set_and_no_other(page, part):
    """Fields of the folder and the network stand apart; the first three of the data are chosen above the form."""
    assert not page.exception
    apart = {
        "name",
        "root",
        "classes",
        "minutes",
        "epochs",
        "checkpoint_seconds",
        "max_train_samples",
        "train_sample_seed",
        "fold",
        "corrections",
    }
    for name in sorted(set(fields_of(part)) - apart):
        conditions = setting_of(part, name).only_if
        if any(
            condition.field in ("dataset.name", "model.family", "model.freeze", "training.teacher")
            for condition in conditions
        ):
            continue
        if conditions:
            shown_already = name in field_names(page)
            if not shown_already:
                choose_what_needs(page, conditions[0])
        assert name in field_names(page), name


def test_what_has_no_say_is_not_asked(page):
    requests = field_names(page)
    assert not requests & {
        "momentum",
        "gamma",
        "power",
        "patience",
        "second_loss_weight",
        "layer_decay",
        "val_fraction",
    }
    page.selectbox(key="rarely-loss").set_value("dice").run()
    assert not {"class_weights", "label_smoothing"} & field_names(page)


def test_frames_are_held_back_only_where_the_folder_names_none(lab_folders, streets) -> None:
    root = lab_folders.other / "mine"
    for image in sorted(streets.rglob("*_leftImg8bit.png")):
        labels = next(streets.rglob(image.name.replace("leftImg8bit", "gtFine_labelIds")))
        for role, file in (("images", image), ("masks", labels)):
            target = root / image.parent.parent.name / role
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target / f"{image.name.split('_left')[0]}.png")
    rows = [{"name": label.name, "color": label.color, "ids": [label.id]} for label in CITYSCAPES_LABELS[7:]]
    (root / "classes.json").write_text(json.dumps(rows))
    app = AppTest.from_file(str(PROJECT / "app/navigation.py"), default_timeout=240)
    app.session_state["dataset-name"], app.session_state["folder-root"] = "folder", str(root)
    app = app.run().switch_page("../pages/train.py").run()
    assert not app.exception and not field_names(app) & {"val_fraction", "group_by"}
    app.session_state["folder-root"] = str(root / "train")
    shutil.copy(root / "classes.json", root / "train")
    app.run()
    assert not app.exception and field_names(app) >= {"val_fraction", "group_by"}


def test_every_field_of_the_trackers_can_be_set_and_what_is_missing_is_said_there(page, monkeypatch):
    assert set(TRACKERS) <= field_names(page) and "project" not in field_names(page)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    page.toggle(key="tracking-mlflow").set_value(True).run()
    assert "project" in field_names(page)
    assert not page.exception
    assert any("MLflow" in error.value for error in page.error)
    set_current_user(lambda: User("ann@x.org", "Ann"))
    try:
        page.run()
    finally:
        set_current_user(shell_user)
    assert any("Only an admin can tell a tracker" in error.value for error in page.error)


def test_a_mixture_asks_for_its_weights(page):
    assert not field_names(page) & {"fine_weight", "coarse_weight"}
    page.button_group(key="annotations").set_value("fine+coarse").run()
    assert field_names(page) >= {"fine_weight", "coarse_weight"}
    assert not page.exception


def test_a_schedule_that_can_not_be_is_said_where_it_is_set(page):
    page.selectbox(key="rarely-schedule").set_value("step").run()
    assert not page.exception
    assert any("falls by epochs" in caption.value for caption in page.caption), "minutes hold no known number"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("often-batch_size", 0, "Batch size is 0, but must be at least 1"),
        ("often-batch_size", 100_000, "Batch size is 100000, but must be"),
        ("often-learning_rate", 100.0, "Learning rate is 100.0, but must be"),
        ("length-taste-minutes", -3.0, "Training time is -3.0, but must be at least 0"),
    ],
)
def test_a_value_that_is_refused_stays_is_said_and_launches_nothing(page, key, value, sentence):
    page.number_input(key=key).set_value(value).run()
    assert not page.exception and page.number_input(key=key).value == value
    assert any(sentence in error.value.replace("\\", "") for error in page.error)
    assert page.button(key="launch").disabled


def test_the_learning_rate_begins_where_the_optimizer_wants_it(page):
    assert page.number_input(key="often-learning_rate").value == 0.002
    page.selectbox(key="rarely-optimizer").set_value("sgd").run()
    assert page.number_input(key="often-learning_rate-sgd").value == 0.01
    assert page.number_input(key="rarely-weight_decay-sgd").value == 0.0005
    assert any("begins at 0.01" in caption.value for caption in page.caption)
    page.number_input(key="often-learning_rate-sgd").set_value(0.05).run()
    page.selectbox(key="rarely-optimizer").set_value("adamw").run()
    assert page.number_input(key="often-learning_rate").value == 0.002


def test_crops_larger_than_the_frames_are_remarked_on(page):
    assert not any("larger than the frames" in caption.value for caption in page.caption)
    page.number_input(key="augmentation-crop_height").set_value(1024).run()
    assert any("larger than the frames" in caption.value for caption in page.caption)


def test_a_short_preset_freezes_the_first_layers_and_the_full_one_none(page):
    shares = {each.key: each.value for each in page.number_input if "-freeze-" in each.key}
    assert shares == {"options-fcn-freeze-taste-tf_efficientnet_lite0-auto": 0.33}
    page.segmented_control(key="preset").set_value("full").run()
    shares = {each.key: each.value for each in page.number_input if "-freeze-" in each.key}
    assert shares == {"options-fcn-freeze-full-tf_efficientnet_lite0-auto": 0.0}


def test_without_a_cluster_none_is_offered(page, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert not {"engine", *RunnerConfig.model_fields} & field_names(page.run())


def test_every_field_of_a_cluster_can_be_set_where_there_is_one(page, tmp_path, monkeypatch):
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    page.run()
    assert {"engine", *RunnerConfig.model_fields} & field_names(page) == {"engine"}
    page.button_group(key="engine").set_value("slurm").run()
    assert not page.exception
    assert set(RunnerConfig.model_fields) <= field_names(page)
    # What doesn't go together is said before anything is launched.
    page.number_input(key="cluster-gpus").set_value(2).run()
    assert any("Set Processes to 2" in error.value.replace("\\", "") for error in [*page.error, *page.markdown])
    assert page.button(key="launch").disabled


def chips(page: AppTest) -> list[str]:
    return [button.label for button in page.button if str(button.key).startswith("put-back-")]


def test_what_was_changed_is_listed_and_put_back_by_a_click(page):
    assert not chips(page)
    page.selectbox(key="rarely-loss").set_value("dice").run()
    assert chips(page)[-1] == "Loss **dice**"
    page.selectbox(key="rarely-optimizer").set_value("sgd").run()
    assert [chip for chip in chips(page) if "rate" in chip] == [], "SGD's own rate is no change of the rate"
    page.number_input(key="often-learning_rate-sgd").set_value(0.05).run()
    assert {"Loss **dice**", "Optimizer **sgd**", r"Learning rate **0\.05**"} <= set(chips(page))
    next(each for each in page.button if "learning_rate" in str(each.key)).click().run()
    assert page.number_input(key="often-learning_rate-sgd").value == 0.01
    next(each for each in page.button if "put-back-training.loss" in str(each.key)).click().run()
    assert page.selectbox(key="rarely-loss").value == "cross-entropy" and chips(page) == ["Optimizer **sgd**"]


def test_what_is_put_back_leaves_the_widgets_of_other_pages_alone(page):
    page.toggle(key="augmentation-flip").set_value(False).run()
    page.session_state["flip"] = False  # Inspect's, of the same name
    next(each for each in page.button if "training.flip" in str(each.key)).click().run()
    assert page.toggle(key="augmentation-flip").value and page.session_state["flip"] is False


def test_what_is_changed_on_one_card_is_put_back_on_that_alone(page):
    page.button_group(key="families").set_value(["fcn", "unet"]).run()
    for family in ("fcn", "unet"):
        next(each for each in page.number_input if f"options-{family}-freeze" in each.key).set_value(0.5).run()
    assert [chip for chip in chips(page) if "FCN" in chip or "U-Net" in chip] == chips(page) and len(chips(page)) == 2
    next(each for each in page.button if str(each.key) == "put-back-model.freeze.fcn").click().run()
    shares = {each.key.split("-")[1]: each.value for each in page.number_input if "-freeze-" in each.key}
    assert shares == {"fcn": 0.33, "unet": 0.5}


def test_a_setting_is_found_by_its_name(page):
    find = page.selectbox(key="find-setting")
    assert any("Warm-up" in option or "Label smoothing" in option for option in find.options)
    opened = {each.label: each.proto.expanded for each in page.expander}
    assert not opened["Loss"] and not opened["Optimizer and schedule"]
    find.set_value(("training", "weight_decay")).run()
    opened = {each.label: each.proto.expanded for each in page.expander}
    assert opened["Optimizer and schedule"] and not opened["Loss"] and not page.exception
    assert page.number_input(key="rarely-weight_decay").value == 0.01, "its value is its own"


def test_an_estimate_is_said_before_the_first_run(page):
    assert any("An estimate: mean IoU about 57%" in caption.value for caption in page.caption)


def test_the_command_launches_the_same(page):
    page.number_input(key="often-batch_size").set_value(4).run()
    page.number_input(key="often-seed").set_value(7).run()
    words = shlex.split(next(code.value for code in page.code if "core train" in code.value))
    assert words[:4] == ["python", "-m", "core", "train"]
    parser = argparse.ArgumentParser()
    add_config(parser)
    config = requested_config(parser.parse_args(words[4:]))
    assert (config.training.batch_size, config.training.seed, config.training.minutes) == (4, 7, 1.0)
    assert config.model.freeze == 0.33


def test_what_was_typed_outlasts_a_look_at_another_page(page):
    page.number_input(key="often-batch_size").set_value(6).run()
    page.button_group(key="families").set_value(["unet", "vit"]).run()
    page.button_group(key="preset").set_value("quick").run()
    page.number_input(key="length-quick-minutes").set_value(7.0).run()
    page.switch_page("../pages/models.py").run()
    page.switch_page("../pages/train.py").run()
    assert not page.exception
    assert page.number_input(key="often-batch_size").value == 6
    assert page.number_input(key="length-quick-minutes").value == 7.0
    assert page.button_group(key="families").value == ["unet", "vit"]


def test_the_address_names_a_run_to_go_on_from(lab_folders, trained_run):
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    page = AppTest.from_file(str(PROJECT / "app/navigation.py"), default_timeout=240).run()
    page.query_params["start"] = trained_run.name
    page.switch_page("../pages/train.py").run()
    assert not page.exception
    assert page.button_group(key="families").value == ["unet"]
    assert page.selectbox(key="begin-unet").value == trained_run.name
    (width,) = [each for each in page.number_input if each.key.startswith("options-unet-width")]
    assert width.value == 8, "the options are those of the run, or little of it would fit"
    assert "Carries over 19 of 19 classes" in text_of(page)
    page.text_input(key="begin-class_map-unet").set_value("rider = nobody").run()
    assert any("no class 'nobody'" in error.value.replace("\\", "") for error in page.error)
    page.text_input(key="begin-class_map-unet").set_value("rider = person").run()
    assert "rider from person" in text_of(page)
    with DeviceLock(lab_folders.runs / ".slots", "cpu") as lock:
        assert lock.acquire()
        page.button(key="launch").click().run()
        (new,) = [run for run in list_runs(lab_folders.runs) if run.id != trained_run.name]
        runner.stop(new.path)
    model = new.config.model
    assert (model.weights, model.class_map, model.width) == (f"run:{trained_run.name}", "rider = person", 8)


def test_a_run_that_the_address_names_teaches(lab_folders, trained_run):
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    page = AppTest.from_file(str(PROJECT / "app/navigation.py"), default_timeout=240).run()
    page.switch_page("../pages/train.py")
    page.query_params["teacher"] = trained_run.name
    page.run()
    assert not page.exception
    assert page.selectbox(key="rarely-teacher").value == trained_run.name
    assert {"rarely-teacher_weight", "rarely-teacher_temperature"} <= {widget.key for widget in page.number_input}
    assert f"--training.teacher={trained_run.name}" in " ".join(code.value for code in page.code)


def test_labels_that_were_mended_are_offered_for_their_own_data_set(lab_folders, streets, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    (lab_folders.other / "data").mkdir()
    (lab_folders.other / "data" / "streets").symlink_to(streets)
    dataset = open_dataset(DatasetConfig(height=64, width=128))

    def offered() -> list[str]:
        app = AppTest.from_file(str(PROJECT / "app/navigation.py"), default_timeout=240).run()
        app = app.switch_page("../pages/train.py").run()
        assert not app.exception
        boxes = [each for each in app.selectbox if each.label == "Mended labels"]
        if boxes:
            boxes[0].set_value(str(label_set.root)).run()
            command = next(code.value for code in app.code if "core train" in code.value)
            assert f"--dataset.corrections={label_set.root}" in command
        return boxes[0].options if boxes else []

    assert offered() == []
    label_set, _ = mend_frame(dataset, dataset.train[0])
    assert offered() == ["none", f"1 frame of {label_set.title}"]


def test_photographs_without_masks_are_offered_beside_a_teacher_alone(page):
    def offered():
        return [each.label for each in page.number_input if each.label.startswith("Photographs without masks")]

    assert offered() == []
    next(each for each in page.selectbox if each.label == "Teacher").set_value("itself").run()
    assert not page.exception and len(offered()) == 1
