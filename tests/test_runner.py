"""Runs as processes: they queue, stop, go on, and survive whoever started them."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from core import runner
from core.errors import LabError
from core.places import PROJECT
from core.runner.slots import Slot, device_name
from core.runner.supervisor import sentence_of_death
from core.runs import (
    ProcessId,
    create_run,
    evaluations,
    list_runs,
    read_metrics,
    read_run,
    read_status,
    update_status,
    valid_rows,
)
from core.training.checkpoint import read_checkpoint


@pytest.fixture
def folder(places):
    """The runs folder; whatever still runs in it at the end is ended."""
    yield places.runs
    for run in list_runs(places.runs):
        for hand in (run.status.supervisor, run.status.trainer):
            if hand and hand.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(hand.pid, signal.SIGKILL)


def kill(hand):
    os.kill(hand.pid, signal.SIGKILL)


def steps(run):
    return [row["step"] for row in valid_rows(read_metrics(run)[0]) if row["kind"] == "train"]


def test_a_queue_is_worked_through_in_order_with_stops_and_resumes(folder, tiny_config, wait_until):
    long, short = tiny_config(epochs=400), tiny_config(epochs=1)
    first, second, third = runner.launch(long, folder), runner.launch(short, folder), runner.launch(short, folder)
    assert [runner.queue_position(read_run(run)) for run in (first, second, third)] == [0, 1, 2]

    # One that only waits is taken out without ever having begun.
    runner.stop(third)
    wait_until(lambda: read_run(third).state == "stopped")
    assert read_status(third).started is None and not (third / "metrics.jsonl").exists()

    # One that runs writes a checkpoint and makes room for the next.
    wait_until(lambda: len(steps(first)) > 3)
    assert [read_run(run).state for run in (first, second)] == ["running", "queued"]
    with pytest.raises(LabError, match="is running already"):
        runner.resume(first)
    runner.stop(first)
    wait_until(lambda: read_run(first).state == "stopped")
    stopped = read_status(first)
    assert read_checkpoint(first, "last").step == stopped.step == steps(first)[-1]
    assert (stopped.exit, stopped.error) == (0, None)

    # Resumed at once, it stands behind the one that was waiting.
    runner.resume(first)
    assert runner.queue_position(read_run(first)) == 1
    wait_until(lambda: read_run(second).state == "finished")
    assert len(evaluations(second)) == 2
    wait_until(lambda: steps(first)[-1] > stopped.step)
    assert stopped.ended <= read_status(second).started <= read_status(second).ended
    assert read_status(first).started == stopped.started, "the time of the first start is kept"
    assert steps(first) == list(range(1, steps(first)[-1] + 1)), "no step is missing and none counts twice"

    # Its trainer is killed: the supervisor says so.
    kill(read_status(first).trainer)
    wait_until(lambda: read_run(first).state == "failed")
    status = read_status(first)
    assert status.exit == -9
    assert "killed from outside" in status.error and "Resume it" in status.error

    with pytest.raises(LabError, match="is finished"):
        runner.resume(second)
    with pytest.raises(LabError, match="is finished, so there is nothing to stop"):
        runner.stop(second)


LAUNCHER = """
import sys, time
from pathlib import Path
from core import runner
from core.config import RunConfig
config = RunConfig.model_validate_json(sys.stdin.read())
print(runner.launch(config, Path(sys.argv[1])), flush=True)
time.sleep(600)
"""


def test_a_run_survives_its_launcher_and_its_supervisor_and_keeps_its_device(folder, tiny_config, wait_until):
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(folder)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    launcher.stdin.write(tiny_config(epochs=400).model_dump_json())
    launcher.stdin.close()
    wait_until(lambda: list_runs(folder))
    (run,) = (found.path for found in list_runs(folder))
    wait_until(lambda: read_status(run).trainer)

    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    wait_until(lambda: len(steps(run)) > 3)
    status = read_status(run)
    assert os.getsid(status.supervisor.pid) != os.getsid(0), "a session of its own: no Ctrl-C reaches it"

    kill(status.supervisor)
    wait_until(lambda: not status.supervisor.is_alive())
    done = steps(run)[-1]
    second = runner.launch(tiny_config(epochs=400), folder)
    wait_until(lambda: read_status(second).supervisor)
    wait_until(lambda: steps(run)[-1] > done + 3)
    assert [read_run(path).state for path in (run, second)] == ["running", "queued"]
    assert read_status(second).trainer is None, "the dead supervisor's trainer still holds the device"

    runner.stop(run)
    wait_until(lambda: read_run(run).state == "stopped")
    wait_until(lambda: read_status(second).trainer)
    assert read_status(second).started >= read_status(run).ended

    # Both hands of a run killed: nobody is left to say so, and the reader sees it.
    kill(read_status(second).supervisor)
    kill(read_status(second).trainer)
    wait_until(lambda: read_run(second).state == "lost")
    assert read_status(second).state == "running", "as it was written last"
    assert not read_run(second).is_active


def test_a_waiting_run_whose_supervisor_was_killed_is_lost_and_blocks_nobody(folder, tiny_config, wait_until):
    with Slot(folder / ".slots", "cpu") as slot:
        assert slot.acquire()
        waiting, next_one = runner.launch(tiny_config(), folder), runner.launch(tiny_config(), folder)
        wait_until(lambda: read_status(waiting).supervisor and read_status(next_one).supervisor)
        assert runner.queue_position(read_run(next_one)) == 1
        kill(read_status(waiting).supervisor)
        wait_until(lambda: read_run(waiting).state == "lost")
        assert runner.queue_position(read_run(next_one)) == 0
        runner.stop(next_one)
        wait_until(lambda: read_run(next_one).state == "stopped")
        runner.resume(waiting)
        assert read_run(waiting).state == "queued"
        runner.stop(waiting)
        wait_until(lambda: read_run(waiting).state == "stopped")


def test_one_broken_folder_does_not_stop_the_queue(folder, tiny_config, wait_until):
    broken = create_run(tiny_config(), folder)
    (broken / "status.json").write_text('{"state": "running", "created": 1, "ticket": null}')
    (folder / "20200101-000000-fcn-0000").mkdir()
    with Slot(folder / ".slots", "cpu") as slot:
        assert slot.acquire()
        run = runner.launch(tiny_config(), folder)
        wait_until(lambda: read_status(run).supervisor)
        assert runner.queue_position(read_run(run)) == 0
        runner.stop(run)
        wait_until(lambda: read_run(run).state == "stopped")


def test_a_run_without_a_config_cannot_be_resumed(folder, tiny_config):
    run = create_run(tiny_config(), folder)
    update_status(run, state="failed")
    (run / "config.json").unlink()
    with pytest.raises(LabError, match="can't be resumed. Its config.json is missing"):
        runner.resume(run)


def test_a_run_with_a_broken_status_can_be_resumed(folder, tiny_config, trained_run, wait_until):
    run = folder / trained_run.name
    shutil.copytree(trained_run, run)
    (run / "status.json").write_text("{")
    with Slot(folder / ".slots", "cpu") as slot:
        assert slot.acquire()
        runner.resume(run)
        wait_until(lambda: read_status(run).supervisor)
        assert read_run(run).state == "queued"
        runner.stop(run)
        wait_until(lambda: read_run(run).state == "stopped")


def test_two_tabs_resume_a_run_once(folder, tiny_config, wait_until):
    run = create_run(tiny_config(), folder)
    update_status(run, state="stopped")
    answers = []

    def resume():
        try:
            answers.append(runner.resume(run))
        except LabError as error:
            answers.append(str(error))

    with Slot(folder / ".slots", "cpu") as slot:
        assert slot.acquire()
        tabs = [threading.Thread(target=resume) for _ in range(5)]
        for tab in tabs:
            tab.start()
        for tab in tabs:
            tab.join()
        assert answers.count(None) == 1
        assert sum("is queued already" in (answer or "") for answer in answers) == 4
        runner.stop(run)
        wait_until(lambda: read_run(run).state == "stopped")


def test_a_folder_that_cannot_be_written_to_is_a_sentence(places, tiny_config):
    (places.other / "file").write_text("")
    with pytest.raises(LabError, match="file' can't be written to"):
        runner.launch(tiny_config(), places.other / "file")


def test_a_slot_excludes_and_is_handed_down(tmp_path):
    with Slot(tmp_path, "cuda:0") as one, Slot(tmp_path, "cuda:0") as other, Slot(tmp_path, "cuda:1") as elsewhere:
        assert one.acquire() and not other.acquire()
        assert elsewhere.acquire(), "another device"
        one.release()
        assert other.acquire() and not one.acquire()
        child = subprocess.Popen(["sleep", "60"], **other.inheritance)
    try:
        with Slot(tmp_path, "cuda:0") as late:
            assert not late.acquire(), "the child holds what its parent has given up"
            child.kill()
            child.wait()
            assert late.acquire()
    finally:
        child.kill()
        child.wait()


def test_device_names():
    assert device_name("cpu") == "cpu"
    assert device_name("cuda") == device_name("cuda:0") == "cuda:0"
    assert device_name("cuda:3") == "cuda:3"
    assert device_name("auto") in ("cpu", "mps", "cuda:0")


def test_every_end_has_a_sentence():
    assert "SIGTERM" in sentence_of_death(-signal.SIGTERM)
    assert "memory" in sentence_of_death(-signal.SIGKILL)
    assert "signal 11" in sentence_of_death(-signal.SIGSEGV)
    assert "exit code 3" in sentence_of_death(3)


def test_a_process_id_tells_processes_apart():
    assert ProcessId.of(os.getpid()).is_alive()
    with pytest.raises(psutil.NoSuchProcess):
        ProcessId.of(2**22 + 1)
