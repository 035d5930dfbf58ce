"""The page Look inside through AppTest: empty, with a network, shared by its address. Clicking is tested in Chromium."""

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.viewer import as_point
from core.config import RunConfig
from core.runs import create_run, update_status

ROOT = Path(__file__).resolve().parents[2]


def opened(**address: str) -> AppTest:
    """The page as somebody gets it who follows a link."""
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=60).run()
    app.switch_page("../pages/look.py")
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def shown(app: AppTest) -> dict:
    """What the viewer was given."""
    (component,) = app.get("bidi_component")
    return json.loads(component.proto.json)


@pytest.fixture
def with_run(places, trained_run: Path) -> str:
    """A finished run of a plain U-Net among the places; returns its id."""
    shutil.copytree(trained_run, places.runs / trained_run.name)
    return trained_run.name


@pytest.fixture
def with_vit(places, tiny_config) -> str:
    """A run of a tiny ViT with a checkpoint that learned nothing; returns its id."""
    from core.models import build_model
    from core.training.checkpoint import save_checkpoint  # noqa: F401

    raise NotImplementedError
