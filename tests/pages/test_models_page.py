"""The pages Models and, as far as networks are chosen there, Train: what is drawn, what options do, and what is refused."""

import re
from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from app.services import inference_worker
from core.config import ModelConfig, RunConfig
from core.models.encoder_table import ENCODERS, encoder_title
from core.models.explanations import EXPLANATIONS, explanation
from core.models.families import FAMILIES, options_of
from core.runs.store import list_runs
from tests.pages.test_pages import ROOT, text_of

CARDS = {"fcn": "FCN-8s", "unet": "U-Net", "vit": "ViT"}
SMALL = {"fcn": "test_efficientnet", "unet": "test_efficientnet", "vit": "test_vit"}


@pytest.fixture(scope="module", autouse=True)
def _one_worker() -> Iterator[None]:
    yield
    inference_worker().close()


def opened(page: str) -> AppTest:
    """A page as a fresh visitor gets it; the first description waits for torch."""
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    return app.switch_page(f"../pages/{page}.py").run()


def again(app: AppTest) -> AppTest:
    """Runs the page again; an encoder that was typed stays in its box, which AppTest by itself forgets."""
    for box in app.selectbox:
        if "encoder" in box.key and encoder_title(box.value) not in box.options:
            box.options.append(box.value)
    return app.run()


def small_models(app: AppTest) -> AppTest:
    """The page with timm's test encoders, typed in."""
    for family, encoder in SMALL.items():
        app.selectbox(key=f"models-{family}-encoder").set_value(encoder)
    return again(app)


def drawings(app: AppTest) -> list[str]:
    return [element.value for element in app.markdown if "<svg" in element.value]


def result_of(app: AppTest, title: str) -> str:
    (result,) = [body for body in drawings(app) if "lab-model" in body and title in body]
    return result


def figure(result: str, name: str) -> str:
    return re.search(rf"<dt>{name}</dt><dd>([^<]+)</dd>", result)[1]


@pytest.fixture
def models(lab_folders) -> AppTest:
    return small_models(opened("models"))


def test_all_three_are_drawn_with_their_figures(models: AppTest) -> None:
    assert not models.exception and not models.error
    assert len(drawings(models)) == 6, "a small and a large one for each"
    for title in CARDS.values():
        result = result_of(models, title)
        assert re.fullmatch(r"[\d.,]+ [kM]", figure(result, "Parameters"))
        assert re.fullmatch(r"[\d.,]+ GFLOPs", figure(result, "Arithmetic"))
        assert re.fullmatch(r"[\d.]+ px", figure(result, "Output stride"))
        assert re.fullmatch(r"[\d.]+ (MB|GB)", figure(result, "Memory of a training step"))
        assert re.fullmatch(r"[\d.]+ m?s", figure(result, "Time for a picture, measured"))
    message = text_of(models)
    assert "counted as two" in message and "Measured: the time of one prediction." in message


def test_an_option_changes_drawing_figures_and_words(models: AppTest) -> None:
    before = result_of(models, "FCN-8s")
    assert "62.4 to 62.7" in text_of(models)
    models.selectbox(key="models-fcn-stride").set_value(32)
    again(models)
    assert not models.exception and not models.error
    after = result_of(models, "FCN-32s")
    assert figure(before, "Output stride") == "8 px" and figure(after, "Output stride") == "32 px"
    assert before.count("lab-block") - after.count("lab-block") == 5
    assert "62.4 to 62.7" not in text_of(models) and "59.4" in text_of(models)


def test_a_larger_picture_costs_more(models: AppTest) -> None:
    small = figure(result_of(models, "FCN-8s"), "Arithmetic")
    models.segmented_control(key="models-size").set_value("1024 × 512")
    again(models)
    large = figure(result_of(models, "FCN-8s"), "Arithmetic")
    assert float(large.split()[0]) > 2 * float(small.split()[0])


def test_only_the_options_of_a_network_are_offered(models: AppTest) -> None:
    def offered() -> set[str]:
        keys = [widget.key for kind in (models.selectbox, models.number_input, models.toggle) for widget in kind]
        return {key.removeprefix("models-unet-") for key in keys if key.startswith("models-unet-")} - {"encoder"}

    assert offered() == set(options_of("unet", "test_efficientnet"))
    models.selectbox(key="models-unet-encoder").set_value("plain")
    again(models)
    assert offered() == set(options_of("unet", "plain")) and "width" in offered()


def test_a_wrong_encoder_is_a_sentence_and_the_others_stay(models: AppTest) -> None:
    models.selectbox(key="models-fcn-encoder").set_value("resnet_nonsense")
    again(models)
    assert not models.exception
    assert {error.value for error in models.error} == {
        next(error.value for error in models.error if "timm knows no encoder 'resnet\\_nonsense'" in error.value)
    }
    assert len(drawings(models)) == 4
    models.selectbox(key="models-fcn-encoder").set_value("no spaces, please")
    again(models)
    assert not models.exception
    assert "Encoder is 'no spaces, please'" in text_of(models)


def test_every_choice_of_the_form_is_explained_with_a_paper_that_exists() -> None:
    for family in FAMILIES:
        assert FAMILIES[family].explanation.paper
        encoders = [encoder.name for encoder in ENCODERS if family in encoder.families]
        for encoder in encoders:
            assert ("encoder", encoder) in EXPLANATIONS
            for option in options_of(family, encoder):
                field = ModelConfig.model_fields[option]
                values = getattr(field.annotation, "__args__", None) or (
                    (False, True) if field.annotation is bool else (field.default, 1)
                )
                for value in values:
                    assert explanation(option, value, family), (option, value)
    for result in (*EXPLANATIONS.values(), *(family.explanation for family in FAMILIES.values())):
        assert result.text.endswith(".")
        if result.paper:
            assert re.fullmatch(r"\d{4}\.\d{4,5}", result.paper.arxiv)
            assert f"(https://arxiv.org/abs/{result.paper.arxiv})" in result.markdown


# ---- the page Train


def launched(app: AppTest, lab_folders, wait_until: Callable) -> dict[str, RunConfig]:
    """Presses Train and stops what it launched; the configs by family."""
    from core import runner
    from core.runs.store import read_run

    app.button(key="launch").click()
    again(app)
    assert not app.exception
    runs = list_runs(lab_folders.runs)
    for run in runs:
        runner.stop(run.path)
    wait_until(lambda: not any(read_run(run.path).is_active for run in runs), seconds=120)
    return {run.config.model.family: run.config for run in runs}


def test_options_of_a_network_reach_its_run_and_no_other(lab_folders, wait_until: Callable) -> None:
    app = opened("train")
    app.button_group(key="families").set_value(["fcn", "vit"]).run()
    app.selectbox(key="options-fcn-stride").set_value(16)
    app.selectbox(key="options-vit-head").set_value("mask")
    app.number_input(key="options-vit-layer_decay").set_value(0.7)
    configs = launched(app, lab_folders, wait_until)
    assert not app.error
    assert configs["fcn"].model.stride == 16
    assert configs["fcn"].training.layer_decay == 1.0
    assert configs["vit"].model.head == "mask"
    assert configs["vit"].training.layer_decay == pytest.approx(0.7)


def test_an_encoder_that_timm_lacks_is_refused_before_anything_is_launched(lab_folders) -> None:
    app = opened("train")
    app.selectbox(key="encoder-fcn").set_value("resnet_nonsense")
    again(app)
    app.button(key="launch").click()
    again(app)
    assert not app.exception
    assert "timm knows no encoder 'resnet_nonsense'" in text_of(app)
    assert list_runs(lab_folders.runs) == []


def test_another_encoder_of_timm_can_be_trained(lab_folders, wait_until: Callable) -> None:
    app = opened("train")
    app.selectbox(key="encoder-fcn").set_value("test_efficientnet")
    again(app)
    configs = launched(app, lab_folders, wait_until)
    assert configs["fcn"].model.encoder == "test_efficientnet"
