"""Jobs: what their files say while they work, stop, fail and die."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from time import sleep

import pytest

from core.auth import SYSTEM_USER, QuotaError, User, set_current_user, shell_user
from core.errors import LabError
from core.jobs import engine as jobs
from core.jobs import kinds
from core.jobs.engine import Job, is_stopping, latest_job, run_job, start_job, stop_job
from core.paths import PROJECT
from core.processes import ProcessId


@pytest.fixture
def clock(monkeypatch):
    """The clock that jobs look at, moved by hand."""
    now = [1000.0]
    monkeypatch.setattr(jobs.time, "time", lambda: now[0])
    monkeypatch.setattr(jobs.os, "nice", lambda _: 0)
    return now


@pytest.fixture
def path(tmp_path, clock, monkeypatch):
    """The file of a job that was just started, and whose process hasn't come yet."""
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "20260101-000000-0000.json"
    file.write_text(json.dumps(asdict(Job(file.stem, {"what": "rain"}, started=1000.0, updated=1000.0))))
    return file


def stands(path) -> Job:
    return latest_job(path.parent)


def test_it_says_how_far_it_is_and_what_it_found(path, clock):
    seen = []

    def work(request, progress):
        for done in range(4):
            clock[0] += 10
            progress("Counting drops", done, 4)
            seen.append((stands(path).what, stands(path).done, stands(path).is_active))
        return {"request": request["what"], "drops": 4}

    assert run_job(path, work) == 0
    assert seen == [("Counting drops", done, True) for done in range(4)]
    assert stands(path).state == "finished" and stands(path).result == {"request": "rain", "drops": 4}
    assert not stands(path).is_active and not stands(path).problem


def test_what_it_has_so_far_can_be_read_while_it_goes_on(path):
    def work(request, progress):
        for drops in (1, 2):
            yield {"drops": drops}
            assert stands(path).result == {"drops": drops} and stands(path).is_active

    assert run_job(path, work) == 0
    assert stands(path).state == "finished" and stands(path).result == {"drops": 2}


def test_what_it_had_stays_where_it_fails(path):
    def work(request, progress):
        yield {"drops": 1}
        raise LabError("The rain has stopped.")

    assert run_job(path, work) == 1
    assert stands(path).problem == "The rain has stopped." and stands(path).result == {"drops": 1}


def test_the_time_left_comes_from_the_count_at_hand(path, clock):
    left = []

    def work(_request, progress):
        for total, seconds in ((100, 1.0), (50, 8.0)):
            for done in (10, 20, 30):  # the first ten of each were there already
                progress("Fetching", done, total)
                left.append(stands(path).seconds_left)
                clock[0] += 10 * seconds
        return {}

    run_job(path, work)
    assert left == [None, 80.0, 70.0, None, 240.0, 160.0]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (LabError("The disk is full. Free some space."), "The disk is full. Free some space."),
        (ValueError("drop 3"), r"This broke off \(ValueError: drop 3\). The log beside it, .*\.log, says where\."),
        (MemoryError(), "there was not enough memory"),
    ],
)
def test_what_went_wrong_is_a_sentence(path, error, sentence):
    def work(_request, _progress):
        raise error

    assert run_job(path, work) == 1
    with pytest.raises(LabError, match=sentence):
        raise LabError(stands(path).problem)


def test_it_stops_at_the_next_word_and_that_is_no_failure(path):
    def work(_request, progress):
        progress("Counting", 1, 9)
        stop_job(path.parent, stands(path))
        assert is_stopping(path.parent, stands(path))
        progress("Counting", 2, 9)
        raise AssertionError("it went on")

    assert run_job(path, work) == 0
    assert stands(path).state == "stopped" and not stands(path).problem


def test_a_process_that_never_came_or_is_gone_is_said(path, clock):
    assert stands(path).is_active
    clock[0] += jobs.START_SECONDS + 1
    assert not stands(path).is_active and "stopped unexpectedly" in stands(path).problem
    dead = Job(path.stem, {}, state="running", process=ProcessId(os.getpid(), 1.0))
    path.write_text(json.dumps(asdict(dead)))
    assert not stands(path).is_active and "stopped unexpectedly" in stands(path).problem


def test_one_at_a_time_and_those_that_ended_are_forgotten(path, clock, monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start_detached", lambda command, *_: started.append(command))
    with pytest.raises(LabError, match="being done already"):
        start_job("export", {}, path.parent)
    clock[0] += jobs.START_SECONDS + 1
    (path.parent / "kept.json").write_text("{}")
    job = start_job("export", {"run": "x"}, path.parent)
    assert started[0][-4:] == ["-m", "core.jobs", "export", str(path.parent / f"{job.id}.json")]
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([f"{job.id}.json", "cache", "kept.json"])


@pytest.fixture
def quiet(path, monkeypatch):
    """Jobs without a process, on a machine of three cores."""
    monkeypatch.setattr(jobs, "start_detached", lambda *_: None)
    monkeypatch.setattr(jobs, "available_cores", lambda: 3)
    yield path.parent
    set_current_user(shell_user)


def test_a_person_has_two_jobs_at_a_time_of_all_kinds_and_the_machine_as_many_as_cores(quiet, clock):
    set_current_user(lambda: User("bob@x.org", "Bob"))
    for kind, folder in (("export", "a"), ("report", "b")):
        start_job(kind, {}, quiet / folder)
    with pytest.raises(QuotaError, match="You have 2 of the 2 jobs that one person may have"):
        start_job("export", {}, quiet / "c")
    assert not (quiet / "c").exists()
    set_current_user(lambda: User("ann@x.org", "Ann"))
    start_job("pull", {}, quiet / "d")
    set_current_user(lambda: SYSTEM_USER)
    with pytest.raises(QuotaError, match="3 jobs go on, and this machine has 3 cores"):
        start_job("evaluation", {}, quiet / "e")
    clock[0] += jobs.START_SECONDS + 1  # none of their processes came
    for folder in "fgh":
        start_job("export", {}, quiet / folder)


def test_of_clicks_at_once_one_starts_a_job(quiet, monkeypatch):
    def slow(folder):
        result = latest_job(folder)
        sleep(0.05)
        return result

    monkeypatch.setattr(jobs, "latest_job", slow)

    def click(_):
        with suppress(LabError):
            return start_job("export", {}, quiet / "one")

    with ThreadPoolExecutor(3) as threads:
        started = [job for job in threads.map(click, range(3)) if job]
    assert [f"{job.id}.json" for job in started] == [file.name for file in (quiet / "one").iterdir()]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"state": "running"}', '{"id": 1, "request": []}'])
def test_a_broken_file_is_no_job(path, content):
    path.write_text(content)
    assert latest_job(path.parent) is None and run_job(path, lambda *_: {}) == 2


def test_a_folder_that_is_not_there_has_no_job(tmp_path):
    assert latest_job(tmp_path / "none") is None


def test_a_file_of_an_earlier_version_is_read(path):
    old = asdict(Job(path.stem, {}, state="finished", updated=2.0, result={"step": 60}))
    del old["request"], old["started"]
    path.write_text(json.dumps(old | {"asked": {"run": "x"}, "began": 1.0}))
    job = stands(path)
    assert (job.request, job.started, job.updated, job.result) == ({"run": "x"}, 1.0, 2.0, {"step": 60})


@pytest.mark.parametrize("kind", kinds.JOBS)
def test_every_kind_has_work_and_a_folder_of_its_own(kind, tmp_path):
    assert callable(kinds.load_work(kind))
    folder = tmp_path if kinds.JOBS[kind].in_run_folder else None
    folders = {kinds.jobs_folder(each) for each in kinds.JOBS if not kinds.JOBS[each].in_run_folder}
    assert (kinds.jobs_folder(kind, folder) in folders) != kinds.JOBS[kind].in_run_folder
    assert len(folders) == sum(not each.in_run_folder for each in kinds.JOBS.values())
    with pytest.raises(ValueError):
        kinds.jobs_folder(kind, None if folder else tmp_path)


def test_the_process_of_a_job_does_the_work_of_its_kind(path):
    command = [sys.executable, "-m", "core.jobs", "evaluation", str(path)]
    path.write_text(json.dumps(asdict(Job(path.stem, {"runs": ["nothing"], "settings": {}, "task": "scores"}))))
    assert subprocess.run(command, cwd=PROJECT, timeout=120).returncode == 1
    assert stands(path).state == "failed" and "no run 'nothing'" in stands(path).problem


def test_the_table_of_kinds_imports_nothing_of_those_who_use_it():
    program = "import sys, core.jobs.kinds; print(*sorted(name for name in sys.modules if name.startswith('core.')))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    allowed = {
        "auth",
        "disk_usage",
        "errors",
        "files",
        "jobs",
        "jobs.engine",
        "jobs.kinds",
        "paths",
        "processes",
        "progress",
        "text",
    }
    assert {name.removeprefix("core.") for name in done.stdout.split()} <= allowed
