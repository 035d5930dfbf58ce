"""Whose things are, who may change them, and how much one person may ask for."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from core import auth as auth
from core import extras, runner
from core.auth import (
    ANONYMOUS,
    SYSTEM_USER,
    HourlyQuota,
    User,
    build_user,
    current_user,
    is_read_only,
    may_change,
    read_owner,
    set_current_user,
)
from core.data.cache import remove_caches
from core.data.collections import delete_collection, save_collection
from core.data.download import target_folder
from core.errors import LabError
from core.extras import check_packages
from core.hub.job import start_push
from core.jobs.engine import run_job, start_job, stop_job
from core.runner import local
from core.runs.notes import Notes, write_notes
from core.runs.status import update_status
from core.runs.store import create_run, list_runs, read_run
from core.training.probe.probe_process import run_probe

ANN, BOB = User("ann@x.org", "Ann"), User("bob@x.org", "Bob")


@pytest.fixture
def asking():
    """`asking(person)`: from now on that one asks."""
    yield lambda who: set_current_user(lambda: who)
    set_current_user(auth.shell_user)


@pytest.fixture
def run_of(lab_folders, asking, tiny_config):
    """`run_of(person)`: a stopped run of that person's."""

    def make(who):
        asking(who)
        path = create_run(tiny_config(), lab_folders.runs)
        update_status(path, state="stopped")
        return path

    return make


def test_what_is_made_is_marked_with_who_made_it(run_of):
    assert read_run(run_of(ANN)).owner == "ann@x.org"
    labs = run_of(SYSTEM_USER)
    assert read_run(labs).owner == "" and not (labs / "owner.txt").exists()
    (labs / "owner.txt").write_bytes(b"\xff\xfe")
    assert read_owner(labs) == ""


@pytest.mark.parametrize("who", [BOB, ANONYMOUS])
def test_others_change_nothing_of_it(run_of, asking, lab_folders, who):
    path = run_of(ANN)
    asking(who)
    for change in (
        lambda: write_notes(path, Notes(name="mine now")),
        lambda: runner.delete(path),
        lambda: runner.resume(path),
        lambda: runner.stop(path),
        lambda: runner.stop_now(path),
        lambda: runner.pause(path),
        lambda: runner.move(path, 1),
    ):
        with pytest.raises(LabError, match="belongs to ann@x.org. Only ann@x.org or an admin|You are not signed in"):
            change()
    assert read_run(path).notes == Notes() and [run.id for run in list_runs(lab_folders.runs)] == [path.name]
    asking(ANN)
    write_notes(path, Notes(name="good"))
    runner.delete(path)
    asking(who)
    with pytest.raises(LabError, match="belongs to ann|You are not signed in"):
        runner.restore(path.name, lab_folders.runs)
    if who is BOB:
        assert runner.empty_trash(lab_folders.runs) == []
    asking(SYSTEM_USER)
    assert [trashed.run.id for trashed in runner.empty_trash(lab_folders.runs)] == [path.name]


def test_an_admin_and_the_lab_change_everything(monkeypatch, asking):
    monkeypatch.setenv("SEGLAB_ADMINS", " Eve@X.org , ")
    for who, able in (
        (build_user("eve@x.org"), True),
        (SYSTEM_USER, True),
        (ANN, True),
        (BOB, False),
        (build_user(""), False),
    ):
        asking(who)
        assert may_change("ann@x.org") == able, who
    asking(ANN)
    assert not may_change("")


def test_read_only_lets_only_admins_who_signed_in_change_things(monkeypatch, asking, run_of, lab_folders):
    monkeypatch.setenv("SEGLAB_ADMINS", "eve@x.org")
    path = run_of(ANN)
    monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "none"))
    for who in (ANN, SYSTEM_USER, BOB):
        asking(who)
        assert is_read_only() and not may_change("ann@x.org")
        for change in (
            lambda: write_notes(path, Notes(name="x")),
            lambda: runner.delete(path),
            lambda: runner.empty_trash(lab_folders.runs),
            lambda: runner.launch(read_run(path).config, lab_folders.runs),
            lambda: runner.clone(path, {}),
            lambda: runner.resume(path),
            lambda: save_collection("x", []),
            lambda: start_job("evaluation", {}, lab_folders.other / "jobs"),
            lambda: list(run_probe("core.training.probe.dry_run", read_run(path).config, 10)),
            lambda: target_folder(str(lab_folders.other / "cs")),
        ):
            with pytest.raises(LabError, match="read-only"):
                change()
    asking(build_user("eve@x.org"))
    assert not is_read_only()
    runner.delete(path)
    monkeypatch.setenv("SEGLAB_READ_ONLY", "0")
    asking(ANN)
    assert not is_read_only()


def test_a_collection_and_a_job_have_owners_too(asking, lab_folders, tmp_path, monkeypatch):
    import numpy as np

    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "data"))
    asking(ANN)
    save_collection("Hackney", [("one", np.zeros((8, 8, 3), np.uint8))])
    job = start_job("nothing", {}, tmp_path / "jobs")
    assert job.owner == "ann@x.org"
    asking(BOB)
    with pytest.raises(LabError, match="This collection belongs to ann"):
        delete_collection("hackney")
    with pytest.raises(LabError, match="This work belongs to ann"):
        stop_job(tmp_path / "jobs", job)
    monkeypatch.setattr(os, "nice", lambda by: 0)  # the tests themselves stay as they are
    made = []
    run_job(tmp_path / "jobs" / f"{job.id}.json", lambda request, progress: made.append(current_user()) or {})
    assert made == [build_user("ann@x.org")]


def test_nobody_pushes_past_anothers_run(run_of, asking):
    first, second, third = run_of(ANN), run_of(BOB), run_of(BOB)
    for folder, path in enumerate((first, second, third)):
        update_status(path, state="queued", ticket=float(folder))
    asking(BOB)
    runner.move(third, -1)
    with pytest.raises(LabError, match=f"Run {first.name}, which would have to wait, belongs to ann"):
        runner.move(third, -1)
    asking(SYSTEM_USER)
    runner.move(third, -1)
    assert [read_run(path).status.ticket for path in (third, first, second)] == [0, 1, 2]


def test_one_person_has_so_many_runs_in_the_queue(run_of, asking, lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_MAX_QUEUED", "1")
    path = run_of(ANN)
    update_status(path, state="queued", supervisor=None)
    with pytest.raises(LabError, match="You have 1 of the 1 runs"):
        runner.launch(read_run(path).config, lab_folders.runs)
    assert [run.id for run in list_runs(lab_folders.runs)] == [path.name]
    second = create_run(read_run(path).config, lab_folders.runs)
    update_status(second, state="stopped")
    with pytest.raises(LabError, match="You have 1 of the 1 runs"):
        runner.resume(second)
    assert read_run(second).state == "stopped"


def test_two_tabs_at_once_launch_no_more_than_one_may_have(asking, lab_folders, tiny_config, monkeypatch):
    monkeypatch.setenv("SEGLAB_MAX_QUEUED", "1")
    monkeypatch.setattr(local, "start", lambda path: None)
    asking(ANN)

    def launch(_):
        try:
            return runner.launch(tiny_config(), lab_folders.runs)
        except LabError as error:
            return str(error)

    with ThreadPoolExecutor(8) as tabs:
        responses = list(tabs.map(launch, range(8)))
    assert sum(isinstance(response, str) for response in responses) == 7, responses
    assert len(list_runs(lab_folders.runs)) == 1


def test_the_lab_and_admins_have_any_number(asking, lab_folders, tiny_config, monkeypatch):
    monkeypatch.setenv("SEGLAB_MAX_QUEUED", "1")
    monkeypatch.setattr(local, "start", lambda path: None)
    for who in (SYSTEM_USER, User("eve@x.org", "Eve", True)):
        asking(who)
        for _ in range(2):
            runner.launch(tiny_config(), lab_folders.runs)


def test_all_decoded_frames_are_an_admins_to_remove(asking, lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other))
    cached = lab_folders.other / "frames" / "abc"
    cached.mkdir(parents=True)
    asking(ANN)
    with pytest.raises(LabError, match="Only an admin can remove all decoded frames at once"):
        remove_caches()
    monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    with pytest.raises(LabError, match="read-only"):
        remove_caches(["abc"])
    assert cached.is_dir()
    monkeypatch.delenv("SEGLAB_READ_ONLY")
    remove_caches(["abc"])
    assert not cached.exists()
    cached.mkdir()
    asking(SYSTEM_USER)
    remove_caches()
    assert not cached.exists()


def test_an_hour_has_so_many_uploads():
    now = [0.0]
    allowance = HourlyQuota(lambda: now[0])
    for _ in range(3):
        allowance.take("ann", 3, "uploads")
    with pytest.raises(LabError, match="used the 3 uploads of this hour. The next are free in 60 min"):
        allowance.take("ann", 3, "uploads")
    assert (allowance.used("ann"), allowance.used("bob")) == (3, 0)
    allowance.take("bob", 3, "uploads")
    allowance.take("ann", 0, "uploads")
    now[0] = 3601
    assert allowance.used("ann") == 0
    allowance.take("ann", 3, "uploads")
    allowance.take("eve", 10, "MB", 9.5)
    with pytest.raises(LabError, match="used the 10 MB of this hour"):
        allowance.take("eve", 10, "MB", 1)


def test_limits_hold_where_people_sign_in_unless_others_are_set(monkeypatch, asking):
    assert (auth.max_queued(), auth.max_uploads(SYSTEM_USER), auth.max_upload_mb(SYSTEM_USER)) == (0, 0, 0)
    asking(ANN)
    assert (auth.max_queued(), auth.max_uploads(ANN), auth.max_upload_mb(ANN)) == (4, 100, 500)
    for name in ("QUEUED", "UPLOADS", "UPLOAD_MB"):
        monkeypatch.setenv(f"SEGLAB_MAX_{name}", "0")
    assert (auth.max_queued(), auth.max_uploads(ANN), auth.max_upload_mb(ANN)) == (0, 0, 0)


def test_limits_are_numbers(monkeypatch):
    monkeypatch.setenv("SEGLAB_MAX_QUEUED", "many")
    with pytest.raises(LabError, match="SEGLAB_MAX_QUEUED is 'many', but must be a whole number"):
        auth.max_queued()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs an account that can give folders away")
def test_an_account_that_does_not_own_the_folder_acts_for_itself(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_USER", "ann@x.org")
    assert auth.shell_user() == build_user("ann@x.org")
    monkeypatch.setattr(os, "getuid", lambda: 1)  # the account `daemon`
    assert auth.shell_user().id == "account daemon" and not auth.shell_user().is_admin
    os.chown(lab_folders.runs, 1, -1)
    assert auth.shell_user() == build_user("ann@x.org")


def test_the_labs_login_to_the_hub_is_an_admins_to_use(run_of, asking, monkeypatch):
    monkeypatch.setenv("SEGLAB_ADMINS", BOB.id)
    run = read_run(run_of(ANN))
    with pytest.raises(LabError, match="Only an admin can push a run"):
        start_push(run, "anna/street", False, False)
    asking(build_user(BOB.id))
    with pytest.raises(LabError, match="not the name of a repository"):
        start_push(run, "anna", False, False)


def test_signing_in_names_the_package_it_misses(monkeypatch):
    check_packages("Signing in", ("authlib", "httpx"))
    monkeypatch.setattr(extras, "find_spec", lambda module: None if module == "httpx" else object())
    with pytest.raises(
        LabError, match="Signing in needs httpx, which is not installed. In the lab.s folder, type: .* -m pip install"
    ):
        check_packages("Signing in", ("authlib", "httpx"))


def test_a_package_that_the_lab_does_not_know_is_asked_for_by_its_name():
    with pytest.raises(LabError, match='Mine needs no_such_package, .* pip install "no_such_package"'):
        check_packages("Mine", ("no_such_package",))
