"""How much of the disk one person's things take, and what is refused to who has too much."""

import io
import os
import zipfile

import numpy as np
import pytest

from core import auth, runner
from core.auth import SYSTEM_USER, QuotaError, User, set_current_user, write_owner
from core.data import uploaded_archive
from core.data.collections import save_collection
from core.data.uploaded_archive import unpack_archive
from core.disk_usage import check_disk_quota, disk_usage
from core.errors import LabError
from core.jobs import engine
from core.paths import SWEEPS, TRASH, archives_folder, collections_folder, reports_folder
from core.runner import local
from core.runs.status import update_status
from core.runs.store import create_run
from core.sweeps import read_spec, resume_sweep, start_sweep
from core.sweeps import sweep as sweep_module

ANN, BOB, EVE = User("ann@x.org", "Ann"), User("bob@x.org", "Bob"), User("eve@x.org", "Eve", True)
GB = 10**9


@pytest.fixture
def asking():
    """`asking(person)`: from now on that one asks."""
    yield lambda who: set_current_user(lambda: who)
    set_current_user(auth.shell_user)


@pytest.fixture
def folders(lab_folders, streets, tmp_path, monkeypatch):
    """The folders of a lab with its own data folder, in which no process is started."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "streets").symlink_to(streets)
    monkeypatch.setenv("SEGLAB_DATA", str(data))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", f"{data}{os.pathsep}{streets}")
    monkeypatch.setattr(local, "start", lambda path: None)
    monkeypatch.setattr(sweep_module, "_start_driver", lambda path: None)
    monkeypatch.setattr(engine, "start_detached", lambda *_: None)
    monkeypatch.setattr(engine, "available_cores", lambda: 8)
    return lab_folders


@pytest.fixture
def fill(folders):
    """`fill(bytes, parent)`: a folder of the one who is asking, of so many bytes and no block of the disk."""

    def make(size, parent=folders.runs):
        folder = parent / f"of-{size}"
        (folder / "deep" / "deeper").mkdir(parents=True)
        write_owner(folder, of_data=parent == archives_folder())
        with open(folder / "deep" / "deeper" / "large", "wb") as file:
            file.truncate(size)
        return folder

    return make


def zipped(size):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images/0.png", b"\0" * size)
    data.seek(0)
    return data


def test_everything_that_has_an_owner_is_counted_for_that_owner(folders, fill, asking):
    asking(ANN)
    assert disk_usage(ANN.id) == 0
    parents = (
        folders.runs,
        folders.runs / TRASH,
        folders.runs / SWEEPS,
        reports_folder(),
        collections_folder(),
        archives_folder(),
    )
    for power, parent in enumerate(parents):
        fill(1000 * 2**power, parent)
    marks = len(parents) * len(ANN.id)
    (folders.runs / "link").symlink_to(fill(7, folders.other))
    (folders.runs / "of-1000" / "link").symlink_to(folders.runs / "of-1000")
    assert 0 <= disk_usage(ANN.id) - 63_000 - marks < 1000, "a link is as long as its text"
    asking(BOB)
    fill(500, collections_folder())
    assert disk_usage(BOB.id) == 500 + len(BOB.id)


def test_what_really_is_made_is_counted(folders, asking, tiny_config):
    asking(ANN)
    counted = [0]
    for make in (
        lambda: runner.launch(tiny_config(), folders.runs),
        lambda: start_sweep(
            read_spec({"base": tiny_config().model_dump(), "vary": {"training.seed": [1, 2]}}), folders.runs
        ),
        lambda: save_collection("Hackney", [("one", np.zeros((8, 8, 3), np.uint8))]),
        lambda: unpack_archive("mine.zip", zipped(100)),
    ):
        make()
        counted.append(disk_usage(ANN.id))
        assert counted[-1] > counted[-2]
    path = create_run(tiny_config(), folders.runs)
    update_status(path, state="stopped")
    before = disk_usage(ANN.id)
    runner.delete(path)
    assert disk_usage(ANN.id) == before
    runner.empty_trash(folders.runs)
    assert disk_usage(ANN.id) == counted[-1]


@pytest.fixture
def starts(folders, tiny_config):
    """What takes disk, by name: each starts it."""
    path = create_run(tiny_config(), folders.runs)
    update_status(path, state="stopped")
    (path / "owner.txt").write_text(ANN.id)
    spec = read_spec({"base": tiny_config().model_dump(), "vary": {"training.seed": [1, 2]}})
    sweep = start_sweep(spec, folders.runs)
    sweep_module.update_status(sweep, state="stopped")
    (sweep / "owner.txt").write_text(ANN.id)
    return {
        "launch": lambda: runner.launch(tiny_config(), folders.runs),
        "resume": lambda: runner.resume(path),
        "sweep": lambda: start_sweep(spec, folders.runs),
        "resumed sweep": lambda: resume_sweep(sweep),
        "job": lambda: engine.start_job("evaluation", {}, folders.other / "jobs"),
        "collection": lambda: save_collection("Hackney", [("one", np.zeros((8, 8, 3), np.uint8))]),
        "archive": lambda: unpack_archive("mine.zip", zipped(100)),
    }


@pytest.mark.parametrize("name", ["launch", "resume", "sweep", "resumed sweep", "job", "collection", "archive"])
def test_who_has_too_much_starts_nothing_until_some_is_deleted(starts, fill, asking, monkeypatch, name):
    monkeypatch.setenv("SEGLAB_MAX_DISK_GB", "2")
    asking(BOB)
    fill(3 * GB, archives_folder())
    asking(ANN)
    fill(GB)
    in_trash = fill(GB - 1)
    with pytest.raises(
        QuotaError, match=r"take 2.0 GB of the 2.0 GB on disk that one person may have. Delete runs and empty the trash"
    ):
        starts[name]()
    (in_trash / "deep" / "deeper" / "large").unlink()
    starts[name]()


@pytest.mark.parametrize(("who", "limit"), [(EVE, "1"), (SYSTEM_USER, "1"), (ANN, "0")])
def test_admins_and_the_lab_are_not_bound_nor_anybody_by_0(starts, fill, asking, monkeypatch, who, limit):
    monkeypatch.setenv("SEGLAB_MAX_DISK_GB", limit)
    asking(who)
    fill(2 * GB)
    for start in starts.values():
        start()


def test_where_people_sign_in_they_have_50_gb(folders, asking):
    assert auth.max_disk_gb() == 0
    asking(EVE)
    assert auth.max_disk_gb() == 0
    asking(ANN)
    assert auth.max_disk_gb() == 50 and check_disk_quota() == 50 * GB


def test_an_archive_unfolds_to_no_more_than_is_left(folders, asking, monkeypatch):
    monkeypatch.setattr(uploaded_archive, "check_disk_quota", lambda: 999)
    asking(ANN)
    with pytest.raises(LabError, match="unfolds to more than fits: .* no more than one person may have on the disk"):
        unpack_archive("mine.zip", zipped(1000))
    assert not list(archives_folder().iterdir())
    assert unpack_archive("mine.zip", zipped(900)).is_dir()


def test_a_folder_that_goes_away_meanwhile_counts_nothing(folders, fill, asking, monkeypatch):
    asking(ANN)
    fill(1000)
    scan = os.scandir

    def scan_late(path):
        if str(path).endswith("deeper"):
            raise FileNotFoundError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_late)
    assert disk_usage(ANN.id) == len(ANN.id)
