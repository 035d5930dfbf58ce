"""The panel of background jobs through AppTest: what it shows while one goes on, who may stop it, and how it ended."""

import json
import os
from dataclasses import asdict

import pytest
from streamlit.testing.v1 import AppTest

from core.auth import User, set_current_user, shell_user
from core.errors import LabError
from core.jobs.engine import Job
from core.jobs.kinds import JOBS, Kind, jobs_folder
from core.processes import ProcessId

JOB = "20260101-000000-0000"
GONE = ProcessId(os.getpid(), 1.0)


def page() -> None:
    import streamlit as st

    from app.job_panel import just_ended, show_job
    from core.jobs.kinds import latest

    kind = st.session_state["kind"]
    job = latest(kind)
    goes_on = show_job(kind, job, st.session_state["doing"])
    st.session_state["goes-on"] = goes_on
    st.session_state["ended"] = bool(job) and not goes_on and just_ended(kind, job)


@pytest.fixture(autouse=True)
def cache(lab_folders, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))


def opened(kind: Kind = "pull", doing: str = "Bringing [x](y)") -> AppTest:
    app = AppTest.from_function(page)
    app.session_state["kind"], app.session_state["doing"] = kind, doing
    return app.run()


def write_job(kind: Kind = "pull", **values: object) -> None:
    folder = jobs_folder(kind)
    folder.mkdir(parents=True, exist_ok=True)
    running = {"state": "running", "process": ProcessId.of(os.getpid()), "what": "Fetching *it*"}
    (folder / f"{JOB}.json").write_text(json.dumps(asdict(Job(JOB, {}, **(running | values)))))


def status(app: AppTest) -> str:
    return app.get("progress")[0].proto.text.replace("\\", "")


def test_without_a_job_it_shows_nothing() -> None:
    app = opened()
    assert not app.exception and not app.session_state["goes-on"] and len(app.main) == 0


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("pull", "Fetching *it* · 50.0 MB of 1.0 GB · about 19 s left"),
        ("evaluation", "Fetching *it* · 50000000 of 1000000000 · about 19 s left"),
        ("report", "Fetching *it* · about 19 s left"),
    ],
)
def test_how_far_it_is_is_told_in_what_its_kind_counts(kind, text) -> None:
    write_job(kind, done=50_000_000, total=10**9, counted_since=1.0, updated=2.0)
    app = opened(kind)
    assert not app.exception and app.session_state["goes-on"] and status(app) == text
    assert app.caption[0].value.startswith("Bringing \\[x\\]")


def test_the_time_left_is_not_told_by_the_first_of_many_steps() -> None:
    write_job("evaluation", done=1, total=1000, counted_since=1.0, updated=2.0)
    assert status(opened("evaluation")) == "Fetching *it* · 1 of 1000"


def test_who_started_it_may_stop_it_and_others_may_not() -> None:
    write_job(owner="ann@x.org")
    try:
        set_current_user(lambda: User("bob@x.org", "Bob"))
        assert not opened().button
        set_current_user(lambda: User("ann@x.org", "Ann"))
        app = opened()
        app.button(key="stop-pull").click().run()
        assert (jobs_folder("pull") / f"{JOB}.stop").exists()
        assert app.button(key="stop-pull").disabled and app.button(key="stop-pull").label == "Stopping"
    finally:
        set_current_user(shell_user)


@pytest.mark.parametrize("kind", [kind for kind in JOBS if not JOBS[kind].in_run_folder])
def test_a_stopped_job_says_what_is_left(kind) -> None:
    write_job(kind, state="stopped", process=GONE)
    (box,) = opened(kind).info
    assert box.value.startswith("Bringing \\[x\\]") and "was stopped" in box.value
    assert JOBS[kind].after_stop.split()[0] in box.value


def test_one_that_had_to_be_killed_to_stop_was_stopped_and_one_that_failed_meanwhile_failed() -> None:
    write_job(process=GONE)
    assert "stopped unexpectedly" in opened().error[0].value
    (jobs_folder("pull") / f"{JOB}.stop").touch()
    assert "was stopped" in opened().info[0].value
    write_job(state="failed", error="The disk is full.")
    assert "broke off\\: The disk is full\\." in opened().error[0].value


def test_a_session_that_saw_it_go_on_hears_once_that_it_ended() -> None:
    write_job()
    app = opened()
    write_job(state="finished")
    assert app.run().session_state["ended"] and not app.run().session_state["ended"]
    assert not opened().session_state["ended"], "another session saw nothing of it"


def test_what_keeps_a_job_from_starting_is_said_once() -> None:
    def starts() -> None:
        import streamlit as st

        from app.job_panel import show_job, try_start

        st.button("start", on_click=try_start, args=("push", st.session_state["start"]))
        show_job("push", None)

    def refuse() -> Job:
        raise LabError("Not [now](x).")

    def full() -> Job:
        raise OSError(28, "No space left on device")

    for start, text in ((refuse, "Not \\[now\\]"), (full, "Sharing the run can't be started\\: No space left")):
        app = AppTest.from_function(starts)
        app.session_state["start"] = start
        app.run().button[0].click().run()
        assert app.error[0].value.startswith(text)
        assert not app.run().error
