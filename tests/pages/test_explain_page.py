"""The page Explain through AppTest: empty, with a network, shared by its address. Clicking is tested in Chromium."""

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.viewer import as_point
from core.config import read_config
from core.labels import CITYSCAPES_19
from core.runs.store import create_run

ROOT = Path(__file__).resolve().parents[2]


def opened(**address: str) -> AppTest:
    """The page as somebody gets it who follows a link."""
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    app.switch_page("../pages/explain.py")
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def shown(app: AppTest) -> dict:
    """What the viewer was given."""
    data = [json.loads(component.proto.json) for component in app.get("bidi_component")]
    return next(each for each in data if "panels" in each)


@pytest.fixture
def with_run(lab_folders, trained_run: Path) -> str:
    """A finished run of a plain U-Net among the places; returns its id."""
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    return trained_run.name


@pytest.fixture
def with_vit(lab_folders, tiny_config) -> str:
    """A run of a tiny ViT whose checkpoint has learned nothing; returns its id."""
    from core.models.build import build_model
    from core.training.checkpoint import TrainingState, save_checkpoint

    values = tiny_config().model_dump() | {"model": {"family": "vit", "encoder": "test_vit", "weights": "none"}}
    config = read_config(values)
    run = create_run(config, lab_folders.runs)
    model = build_model(config.model, len(CITYSCAPES_19.class_names))
    save_checkpoint(run, "best", TrainingState(model, best_miou=0.0), config, CITYSCAPES_19)
    return run.name


def test_without_a_network_it_says_what_to_do(lab_folders) -> None:
    app = opened()
    assert not app.exception and not app.error
    assert any("No network to look into yet" in element.proto.body for element in app.get("html"))
    assert [button.label for button in app.button] == ["Train a network"]


def test_it_opens_with_feature_maps_at_the_middle(lab_folders, with_run: str) -> None:
    app = opened()
    assert not app.exception and not app.error
    data = shown(app)
    assert data["picked"] == [0.5, 0.5] and data["picks"] is True
    mask, *maps = data["panels"]
    assert mask["heat"] is False and mask["confidence"]
    assert len(maps) == 7 and all(panel["heat"] and panel["low"] <= panel["high"] for panel in maps)
    assert maps[0]["title"].startswith("Mean of")
    assert any(element.value.startswith("classifier gives 19 channels") for element in app.markdown)
    assert app.query_params["run"] == with_run and app.query_params["look"] == "features"


def test_attention_is_offered_only_where_there_is_some(lab_folders, with_run: str, with_vit: str) -> None:
    unet = opened(run=with_run)
    assert unet.selectbox(key="look").options == ["Feature maps", "Receptive field"]
    vit = opened(run=with_vit)
    assert vit.selectbox(key="look").options == ["Feature maps", "Attention", "Receptive field"]
    vit.selectbox(key="look").set_value("attention").run()
    assert not vit.exception and not vit.error
    assert vit.query_params["layer"] == "encoder.blocks.5"
    assert [panel["title"] for panel in shown(vit)["panels"][1:]] == ["Mean of 2 heads", "Head 1", "Head 2"]
    vit.selectbox(key="run").set_value(with_run).run()
    assert not vit.exception and not vit.error
    assert vit.query_params["look"] == "features", "the other network has no attention"


def test_an_address_shows_the_same_look(lab_folders, with_run: str, with_vit: str) -> None:
    frame = opened().selectbox(key="image").options[-1]
    app = opened(run=with_vit, image=frame, look="attention", layer="encoder.blocks.1", at="0.25,0.75")
    assert not app.exception and not app.error
    assert app.selectbox(key="run").value == with_vit and app.selectbox(key="image").value == frame
    assert app.select_slider(key="layer").value == "encoder.blocks.1"
    data = shown(app)
    assert data["name"] == frame and data["picked"] == [0.25, 0.75]
    assert any(element.value.replace("\\", "").startswith("encoder.blocks.1 has 2 heads") for element in app.markdown)
    field = opened(run=with_run, look="field")
    assert len(shown(field)["panels"]) == 2 and shown(field)["panels"][1]["power"] == 2
    assert not field.select_slider
    assert any("square of" in element.value for element in field.markdown)


@pytest.mark.parametrize("at", ["", "0.5", "a,b", "nan,0.5", "2,0.5", "-1,0", "0.1,0.2,0.3"])
def test_an_address_of_nonsense_shows_the_middle(lab_folders, with_run: str, at: str) -> None:
    app = opened(run="nothing", image="nothing", explain="nothing", layer="nothing", at=at)
    assert not app.exception and not app.error
    assert shown(app)["picked"] == [0.5, 0.5]


def test_your_own_picture_waits_for_one(lab_folders, with_run: str) -> None:
    app = opened()
    app.segmented_control(key="look-source").set_value("Your own").run()
    assert not app.exception and not app.error
    assert not [component for component in app.get("bidi_component") if "panels" in component.proto.json]
    assert any("Drop a picture" in element.proto.body for element in app.get("html"))


@pytest.mark.parametrize(
    ("message", "point"),
    [([0.5, 1], (0.5, 1.0)), (("0.1", "0"), (0.1, 0.0)), ([True], None), ("0.1", None), ([[1], 2], None), (None, None)],
)
def test_a_point_is_believed_only_where_it_is_one(message: object, point: object) -> None:
    assert as_point(message) == point
