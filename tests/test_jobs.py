"""Jobs: what their files say while they work, stop, fail and die."""

import json
import os
from dataclasses import asdict

import pytest

from core.errors import LabError
from core.jobs import engine as jobs
from core.jobs.engine import Job, is_stopping, latest_job, run_job, start_job, stop_job
from core.processes import ProcessId


@pytest.fixture
def clock(monkeypatch):
    """The clock that jobs look at, moved by hand."""
    now = [1000.0]
    monkeypatch.setattr(jobs.time, "time", lambda: now[0])
    monkeypatch.setattr(jobs.os, "nice", lambda _: 0)
    return now


@pytest.fixture
def path(tmp_path, clock):
    """The file of a job that was just started, and whose process hasn't come yet."""
    file = tmp_path / "20260101-000000-0000.json"
    file.write_text(json.dumps(asdict(Job(file.stem, {"what": "rain"}, began=1000.0, updated=1000.0))))
    return file


def stands(path) -> Job:
    return latest_job(path.parent)


def test_it_says_how_far_it_is_and_what_it_found(path, clock):
    seen = []

    def work(asked, progress):
        for done in range(4):
            clock[0] += 10
            progress("Counting drops", done, 4)
            seen.append((stands(path).what, stands(path).done, stands(path).is_active))
        return {"asked": asked["what"], "drops": 4}

    assert run_job(path, work) == 0
    assert seen == [("Counting drops", done, True) for done in range(4)]
    assert stands(path).state == "finished" and stands(path).result == {"asked": "rain", "drops": 4}
    assert not stands(path).is_active and not stands(path).problem


def test_the_time_left_comes_from_the_count_at_hand(path, clock):
    left = []

    def work(_asked, progress):
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
    def work(_asked, _progress):
        raise error

    assert run_job(path, work) == 1
    with pytest.raises(LabError, match=sentence):
        raise LabError(stands(path).problem)


def test_it_stops_at_the_next_word_and_that_is_no_failure(path):
    def work(_asked, progress):
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
        start_job("core.export", {}, path.parent)
    clock[0] += jobs.START_SECONDS + 1
    (path.parent / "kept.json").write_text("{}")
    job = start_job("core.export", {"run": "x"}, path.parent)
    assert started[0][-3:] == ["-m", "core.export", str(path.parent / f"{job.id}.json")]
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([f"{job.id}.json", "kept.json"])


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"state": "running"}', '{"id": 1, "asked": []}'])
def test_a_broken_file_is_no_job(path, content):
    path.write_text(content)
    assert latest_job(path.parent) is None and run_job(path, lambda *_: {}) == 2


def test_a_folder_that_is_not_there_has_no_job(tmp_path):
    assert latest_job(tmp_path / "none") is None
