"""Every page through Streamlit's own AppTest: empty, with a trained run, with broken things. No browser, no JavaScript."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config import RunConfig
from core.runs.status import update_status
from core.runs.store import create_run

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["home", "data", "label", "models", "train", "runs", "compare", "inspect", "explain"]


def opened(page: str) -> AppTest:
    """A page as a fresh visitor gets it."""
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    return app if page == "home" else app.switch_page(f"../pages/{page}.py").run()


def text_of(app: AppTest) -> str:
    """Everything a page says, HTML included."""
    parts = [
        str(element.value).replace("\\", "")
        for kind in (app.title, app.subheader, app.caption, app.markdown, app.error)
        for element in kind
    ]
    parts += [element.proto.body for element in app.get("html") if "<style>" not in element.proto.body]
    return "\n".join(parts)


@pytest.fixture
def with_run(lab_folders, trained_run: Path) -> str:
    """A finished run among the places; returns its id."""
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    return trained_run.name


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_any_run_says_what_to_do_next(lab_folders, page: str) -> None:
    app = opened(page)
    assert not app.exception
    assert not app.error
    expected = {
        "home": "Train an FCN",
        "data": "training and",
        "label": "Label photographs of your own",
        "models": "Three ways to give every pixel a class",
        "train": "Training goes on",
        "runs": "No run yet",
        "compare": "Nothing to compare yet",
        "inspect": "No network yet",
        "explain": "No network",
    }
    assert expected[page] in text_of(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_a_run_shows_it(lab_folders, with_run: str, page: str) -> None:
    app = opened(page)
    assert not app.exception
    assert not app.error
    if page in ("home", "runs"):
        assert with_run in text_of(app)


def test_without_streets_the_data_page_offers_to_draw_them(lab_folders, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "nothing"))
    app = opened("data")
    assert "not drawn yet" in text_of(app)
    assert [button.label for button in app.button] == ["Draw the street scenes"]


@pytest.mark.parametrize(
    ("root", "sentence"),
    [
        ("/nowhere/at/all", "lies outside of the folders"),
        ("", "Name the folder of your Cityscapes"),
        ("\0", "No data folder was named"),
        ("{other}", "is not a Cityscapes folder"),
        ("{other}/missing", "There is no folder"),
    ],
)
@pytest.mark.parametrize("page", ["data", "train"])
def test_a_wrong_folder_is_a_sentence_on_the_page(
    lab_folders, page: str, root: str, sentence: str, monkeypatch
) -> None:
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    app = opened(page)
    app.segmented_control(key=f"{page}-data").set_value("cityscapes").run()
    app.text_input(key=f"{page}-cityscapes-root").set_value(root.format(other=lab_folders.other)).run()
    assert not app.exception
    assert sentence in text_of(app)


def test_half_written_runs_are_shown_and_break_nothing(
    lab_folders, with_run: str, tiny_config: Callable[..., RunConfig]
) -> None:
    config = tiny_config()
    torn = create_run(config, lab_folders.runs)
    (torn / "config.json").write_text('{"dataset": {"na')
    bare = create_run(config, lab_folders.runs)
    (bare / "status.json").unlink()
    empty = create_run(config, lab_folders.runs)
    for path in empty.iterdir():
        path.unlink()
    for page in PAGES:
        app = opened(page)
        assert not app.exception, page
    app = opened("runs")
    app.multiselect[0].set_value([torn.name, bare.name, empty.name]).run()
    assert not app.exception
    results = [element.proto.body for element in app.get("html") if element.proto.body.startswith("<article")]
    assert len(results) == 3 and all("half written" in result for result in results)


def test_a_failed_run_shows_its_sentence(lab_folders, tiny_config: Callable[..., RunConfig]) -> None:
    run = create_run(tiny_config(), lab_folders.runs)
    (run / "train.log").write_text("Traceback (most recent call last):\n  the whole story\n")
    update_status(run, state="failed", error="The disk is full. Free some space, then resume.", exit=42)
    app = opened("runs")
    assert not app.exception
    assert "The disk is full." in text_of(app)
    assert "the whole story" in app.code[0].value
    assert any(button.label == "Resume" for button in app.button)


def test_the_train_form_offers_every_family_and_says_where_weights_come_from(lab_folders) -> None:
    app = opened("train")
    app.button_group(key="families").set_value(["fcn", "unet", "vit"]).run()
    assert not app.exception
    assert text_of(app).count("Starts from scratch") == 3
    assert app.button(key="launch").label == "Train 3 networks, one after the other"


def test_training_from_the_form_makes_a_run(lab_folders, tiny_config: Callable[..., RunConfig], wait_until) -> None:
    from core import runner
    from core.runs.store import list_runs, read_run

    app = opened("train")
    app.segmented_control(key="preset").set_value("full").run()
    app.number_input(key="often-batch_size").set_value(2)
    app.button(key="launch").click().run()
    assert not app.exception
    (run,) = list_runs(lab_folders.runs)
    assert run.config.training.batch_size == 2
    assert run.config.training.epochs == 60
    runner.stop(run.path)
    wait_until(lambda: not read_run(run.path).is_active, seconds=90)
    assert read_run(run.path).state == "stopped"


def test_no_page_brings_torch_into_the_server(lab_folders, with_run: str) -> None:
    script = (
        "import sys\n"
        "from tests.pages.test_pages import PAGES, opened\n"
        "import app.main\n"
        "for page in PAGES:\n"
        "    assert not opened(page).exception, page\n"
        "found = sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'timm', 'torchvision'})\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
