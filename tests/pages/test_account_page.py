"""The page Account: whose it is, and each budget beside what is used of it."""

import re

import numpy as np
import pytest

from app.services import count_upload, uploaded_mb, uploads
from core import auth
from core.auth import User, set_current_user
from core.data.collections import save_collection
from core.jobs import engine
from core.runs.status import update_status
from core.runs.store import create_run
from core.sweeps import read_spec, start_sweep
from core.sweeps import sweep as sweep_module
from tests.pages.test_pages import opened, text_of

ANN, EVE = User("ann@x.org", "Ann"), User("eve@x.org", "Eve", True)


@pytest.fixture
def signed_in(lab_folders, streets, monkeypatch, tmp_path):
    """`signed_in(person)`: from now on that one looks at the pages, in a lab with its own data folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "streets").symlink_to(streets)
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("app.auth.must_sign_in", lambda: True)
    monkeypatch.setattr("app.auth.has_signed_in", lambda: True)
    for quota in (uploads, uploaded_mb):
        quota.cache_clear()
    yield lambda who: set_current_user(lambda: who)
    set_current_user(auth.shell_user)
    for quota in (uploads, uploaded_mb):
        quota.cache_clear()


def rows():
    """The table of budgets: name to what is used and the limit."""
    app = opened("account")
    assert not app.exception and not app.error
    cells = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td.*?>(.*?)</td></tr>", text_of(app))
    return {name: (used, limit) for name, used, limit in cells}


def test_who_has_just_come_has_used_nothing(signed_in):
    signed_in(ANN)
    assert rows() == {
        "Runs waiting or training": ("0", "4"),
        "Sweeps under way": ("0", "4"),
        "Jobs at a time": ("0", "2"),
        "Files uploaded within the hour": ("0", "100"),
        "Collections": ("0", "100"),
        "Uploaded within the hour": ("0 bytes", "500 MB"),
        "On disk, trash included": ("0 bytes", "50.0 GB"),
    }


def test_an_admin_sees_where_there_is_no_limit(signed_in, monkeypatch):
    monkeypatch.setenv("SEGLAB_MAX_UPLOADS", "0")
    signed_in(EVE)
    limits = {name: limit for name, (_, limit) in rows().items()}
    assert limits.pop("Collections") == "100" and limits.pop("Uploaded within the hour") == "500 MB"
    assert set(limits.values()) == {"no limit"} and len(limits) == 5


def test_what_is_used_is_counted_for_who_looks(signed_in, lab_folders, tiny_config, monkeypatch):
    monkeypatch.setattr(engine, "start_detached", lambda *_: None)
    monkeypatch.setattr(engine, "available_cores", lambda: 8)
    monkeypatch.setattr(sweep_module, "_start_driver", lambda path: None)
    for who, times in ((EVE, 2), (ANN, 1)):
        signed_in(who)
        for index in range(times):
            update_status(create_run(tiny_config(), lab_folders.runs), state="queued")
            stopped = create_run(tiny_config(), lab_folders.runs)
            update_status(stopped, state="stopped")
            with open(stopped / "large", "wb") as file:
                file.truncate(3 * 10**9)  # no block of the disk
            spec = {"base": tiny_config().model_dump(), "vary": {"training.seed": [1, 2]}}
            start_sweep(read_spec(spec), lab_folders.runs)
            engine.start_job("evaluation", {}, lab_folders.other / f"jobs-{who.name}-{index}")
            count_upload(who, 2_500_000)
            save_collection(f"{who.name} {index}", [("one", np.zeros((8, 8, 3), np.uint8))])
    assert rows() == {
        "Runs waiting or training": ("1", "4"),
        "Sweeps under way": ("1", "4"),
        "Jobs at a time": ("1", "2"),
        "Files uploaded within the hour": ("1", "100"),
        "Collections": ("1", "100"),
        "Uploaded within the hour": ("2.5 MB", "500 MB"),
        "On disk, trash included": ("3.0 GB", "50.0 GB"),
    }
    signed_in(EVE)
    assert [used for used, _ in rows().values()] == ["2", "2", "2", "2", "2", "5.0 MB", "6.0 GB"]


def test_without_sign_in_there_is_no_budget(signed_in, monkeypatch):
    signed_in(auth.SYSTEM_USER)
    app = opened("account")
    assert "Nobody signs in here" in text_of(app) and "<table" not in text_of(app)
