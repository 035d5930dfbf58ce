"""Runs as processes: they queue, stop, go on, and survive whoever started them."""

import contextlib
import errno
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from core import runner
from core.config import DatasetConfig
from core.data.dataset import open_dataset
from core.errors import DivergedError, LabError
from core.paths import PROJECT
from core.processes import ProcessId
from core.runner import local
from core.runner.device_lock import DeviceLock, device_name
from core.runner.exit_reasons import sentence_of_death
from core.runs.metrics_log import evaluations, read_metrics, valid_rows
from core.runs.notes import Notes, read_notes, write_notes
from core.runs.status import Status, read_status, update_status
from core.runs.store import create_run, list_runs, read_run
from core.training.__main__ import explain
from core.training.checkpoint import read_checkpoint


@pytest.fixture
def folder(lab_folders):
    """The runs folder; whatever still runs in it at the end is ended."""
    yield lab_folders.runs
    for run in list_runs(lab_folders.runs):
        for expected in (run.status.supervisor, run.status.trainer):
            if expected and expected.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(expected.pid, signal.SIGKILL)


def kill(expected):
    os.kill(expected.pid, signal.SIGKILL)


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
    (run,) = (result.path for result in list_runs(folder))
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
    wait_until(lambda: read_status(second).started)
    assert read_status(second).started >= read_status(run).ended

    # Both hands of a run killed: nobody is left to say so, and the reader sees it.
    kill(read_status(second).supervisor)
    kill(read_status(second).trainer)
    wait_until(lambda: read_run(second).state == "lost")
    assert read_status(second).state == "running", "as it was written last"
    assert not read_run(second).is_active


def test_a_waiting_run_whose_supervisor_was_killed_is_lost_and_blocks_nobody(folder, tiny_config, wait_until):
    with DeviceLock(folder / ".slots", "cpu") as lock:
        assert lock.acquire()
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
    with DeviceLock(folder / ".slots", "cpu") as lock:
        assert lock.acquire()
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
    with DeviceLock(folder / ".slots", "cpu") as lock:
        assert lock.acquire()
        runner.resume(run)
        wait_until(lambda: read_status(run).supervisor)
        assert read_run(run).state == "queued"
        runner.stop(run)
        wait_until(lambda: read_run(run).state == "stopped")


def test_two_tabs_resume_a_run_once(folder, tiny_config, wait_until):
    run = create_run(tiny_config(), folder)
    update_status(run, state="stopped")
    responses = []

    def resume():
        try:
            responses.append(runner.resume(run))
        except LabError as error:
            responses.append(str(error))

    with DeviceLock(folder / ".slots", "cpu") as lock:
        assert lock.acquire()
        tabs = [threading.Thread(target=resume) for _ in range(5)]
        for tab in tabs:
            tab.start()
        for tab in tabs:
            tab.join()
        assert responses.count(None) == 1
        assert sum("is queued already" in (response or "") for response in responses) == 4
        runner.stop(run)
        wait_until(lambda: read_run(run).state == "stopped")


def test_a_folder_that_cannot_be_written_to_is_a_sentence(lab_folders, tiny_config):
    (lab_folders.other / "file").write_text("")
    with pytest.raises(LabError, match="file' can't be written to"):
        runner.launch(tiny_config(), lab_folders.other / "file")


def test_a_slot_excludes_and_is_handed_down(tmp_path):
    with (
        DeviceLock(tmp_path, "cuda:0") as one,
        DeviceLock(tmp_path, "cuda:0") as other,
        DeviceLock(tmp_path, "cuda:1") as elsewhere,
    ):
        assert one.acquire() and not other.acquire()
        assert elsewhere.acquire(), "another device"
        one.release()
        assert other.acquire() and not one.acquire()
        child = subprocess.Popen(["sleep", "60"], **other.inheritance)
    try:
        with DeviceLock(tmp_path, "cuda:0") as expired:
            assert not expired.acquire(), "the child holds what its parent has given up"
            child.kill()
            child.wait()
            assert expired.acquire()
    finally:
        child.kill()
        child.wait()


def out_of_memory_on_cuda():
    raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")


def out_of_memory():
    raise MemoryError


def diverged():
    raise DivergedError("The loss became nan at step 3.")


def no_data():
    open_dataset(DatasetConfig(name="cityscapes", root="/nowhere/at/all"))


def disk_full():
    raise OSError(errno.ENOSPC, "No space left on device")


def no_weights():
    raise LabError("These weights can't be had.")


def fault():
    raise KeyError("x")


@pytest.mark.parametrize(
    ("fail", "training", "failure", "code", "suggested_change"),
    [
        (out_of_memory_on_cuda, {"batch_size": 8}, "gpu-memory", 42, {"batch_size": 4, "accumulate_grad_batches": 2}),
        (
            out_of_memory,
            {"batch_size": 6, "accumulate_grad_batches": 6},
            "memory",
            42,
            {"batch_size": 3, "accumulate_grad_batches": 12},
        ),
        (
            out_of_memory,
            {"batch_size": 1, "crop_height": 192, "crop_width": 384},
            "memory",
            42,
            {"crop_height": 96, "crop_width": 192},
        ),
        (out_of_memory, {"batch_size": 1, "crop_height": 64, "crop_width": 64}, "memory", 42, {}),
        (diverged, {"learning_rate": 3e-3}, "diverged", 42, {"learning_rate": 1e-3}),
        (diverged, {"learning_rate": 1e-6}, "diverged", 42, {}),
        (no_data, {}, "data", 42, {}),
        (disk_full, {}, "disk", 42, {}),
        (no_weights, {}, "user", 42, {}),
        (fault, {}, "fault", 1, {}),
    ],
)
def test_every_failure_has_its_word_and_its_remedy(
    lab_folders, tiny_config, fail, training, failure, code, suggested_change
):
    config = tiny_config(**training)
    with pytest.raises(Exception) as caught:
        fail()
    ending = explain(caught.value, config)
    assert (ending.failure, ending.code) == (failure, code)
    assert ending.suggested_change == ({"training": suggested_change} if suggested_change else {})
    assert ending.sentence.endswith(".")


def test_device_names():
    assert device_name("cpu") == "cpu"
    assert device_name("cuda") == device_name("cuda:0") == "cuda:0"
    assert device_name("cuda:3") == "cuda:3"
    assert device_name("auto") in ("cpu", "mps", "cuda:0")


@pytest.mark.campaign
def test_a_run_paused_twice_ends_with_the_weights_of_one_that_was_not(folder, tiny_config, wait_until):
    config = tiny_config(epochs=60, checkpoint_seconds=1000)
    paused, undisturbed = runner.launch(config, folder), runner.launch(config, folder)
    wait_until(lambda: len(steps(paused)) > 3)
    runner.pause(paused)
    wait_until(lambda: read_run(paused).state == "paused")
    status = read_status(paused)
    assert (status.exit, status.error) == (0, None)
    assert 3 < read_checkpoint(paused, "last").step == status.step < status.steps_total

    # The device is free for the next one, and the paused run queues behind it.
    wait_until(lambda: read_status(undisturbed).trainer)
    runner.resume(paused)
    assert runner.queue_position(read_run(paused)) == 1
    runner.pause(paused)
    assert read_run(paused).state == "paused", "one that only waits leaves the queue at once"
    wait_until(lambda: read_run(undisturbed).state == "finished")
    runner.resume(paused)
    wait_until(lambda: read_run(paused).state == "finished")
    assert fingerprint(paused) == fingerprint(undisturbed)
    assert steps(paused) == steps(undisturbed)


def fingerprint(run):
    return hashlib.sha256((run / "last" / "model.safetensors").read_bytes()).hexdigest()


# ---- the queue and its processes, with a trainer that trains nothing and therefore starts in no time

SUPERVISOR = """
import sys
from pathlib import Path
from core.runner import supervisor, trainer
from core.runs.status import read_status
trainer.TRAINER = ({trainer!r},)
# The ticket whose turn it is: a run that is resumed while its trainer only starts has a later one by the time that is up.
supervisor.trainer_command = lambda run: [*trainer.trainer_command(run), str(read_status(run.path).ticket)]
supervisor.PATIENCE = 0.05
sys.exit(supervisor.main(Path(sys.argv[1])))
"""
TRAINER = """
import os, signal, subprocess, sys, time
from pathlib import Path
from core.processes import ProcessId
from core.runs.status import requested, update_status

sys.stdin.read()
run = Path(sys.argv[1])
myself = ProcessId.of(os.getpid())
busy = run.parent / "busy"
if busy.exists():
    pid, started = busy.read_text().split()
    if ProcessId(int(pid), float(started)).is_alive():
        (run.parent / "clash").touch()
busy.write_text(f"{myself.pid} {myself.started}")
with open(run.parent / "diary", "a") as diary:
    diary.write(f"{sys.argv[-1]} {run.name}\\n")
update_status(run, state="running", trainer=myself, started=time.time())
if os.environ.get("HANGS"):
    (run / "child").write_text(str(subprocess.Popen(["sleep", "600"]).pid))
    os.kill(os.getpid(), signal.SIGSTOP)
for _ in range(6):
    time.sleep(0.03)
    if asked := requested(run):
        break
update_status(run, state={"stop": "stopped", "pause": "paused", None: "finished"}[asked], ended=time.time(), exit=0)
"""


@pytest.fixture
def light(folder, tmp_path, monkeypatch):
    """The runs folder, where trainers only pretend: they note their tickets in `diary`, and if two meet, that in `clash`."""
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "supervisor.py").write_text(SUPERVISOR.format(trainer=str(tmp_path / "trainer.py")))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setattr(local, "SUPERVISOR", (sys.executable, str(tmp_path / "supervisor.py")))
    monkeypatch.setattr(local, "TERMINATE_SECONDS", 0.5)
    return folder


def living_supervisors(folder):
    processes = [run.status.supervisor for run in list_runs(folder) if run.is_active]
    return [expected for expected in processes if expected and expected.is_alive()]


def began(folder):
    """Tickets and ids of the trainings that began, in that order."""
    return [(float(line.split()[0]), line.split()[1]) for line in (folder / "diary").read_text().splitlines()]


def test_killed_supervisors_never_put_two_runs_on_a_device(light, tiny_config, wait_until):
    dice = random.Random(5)
    for _ in range(6):
        runner.launch(tiny_config(), light)
    for _ in range(5):
        kill(dice.choice(wait_until(lambda: living_supervisors(light))))
        time.sleep(dice.uniform(0, 0.4))
        for run in list_runs(light):
            with contextlib.suppress(LabError):  # its trainer was only about to say that it is there
                if run.state == "lost":
                    runner.resume(run.path)
    wait_until(lambda: not any(run.is_active for run in list_runs(light)))
    assert not (light / "clash").exists()
    assert {run.state for run in list_runs(light)} <= {"finished", "lost"}


@pytest.mark.parametrize(("count", "kills"), [(4, 2), pytest.param(12, 8, marks=pytest.mark.campaign)])
def test_queued_runs_under_random_kills_all_finish_in_the_order_of_their_tickets(
    light, tiny_config, wait_until, count, kills
):
    dice = random.Random(12)
    runs = [runner.launch(tiny_config(), light) for _ in range(count)]

    def all_finished():
        nonlocal kills
        for run in list_runs(light):
            with contextlib.suppress(LabError):
                if run.state in ("lost", "failed"):
                    runner.resume(run.path)
        processes = [run.status.trainer for run in list_runs(light) if run.state == "running"] + living_supervisors(
            light
        )
        expected = dice.choice([hand for hand in processes if hand and hand.is_alive()] or [None])
        if kills and expected and dice.random() < 0.1:
            kill(expected)
            kills -= 1
        return all(run.state == "finished" for run in list_runs(light))

    wait_until(all_finished)
    tickets, ids = zip(*began(light), strict=True)
    assert list(tickets) == sorted(tickets), "whoever was queued first begins first; a run that is resumed queues again"
    assert set(ids) == {run.name for run in runs}
    assert not (light / "clash").exists()
    assert not kills


def test_a_queued_run_moves_along_the_queue_and_begins_in_its_new_place(light, tiny_config, wait_until):
    with DeviceLock(light / ".slots", "cpu") as lock:
        assert lock.acquire()
        one, two, three = (runner.launch(tiny_config(), light) for _ in range(3))
        elsewhere = runner.launch(tiny_config(device="cuda:7"), light)
        runner.move(three, -1)
        assert [runner.queue_position(read_run(run)) for run in (one, two, three)] == [0, 2, 1]
        runner.move(one, 5)
        assert [runner.queue_position(read_run(run)) for run in (one, two, three)] == [2, 1, 0]
        for run, by, term in ((three, -1, "first"), (one, 1, "last"), (elsewhere, -1, "first|only a run that waits")):
            with pytest.raises(LabError, match=term):
                runner.move(run, by)
        wait_until(lambda: read_run(elsewhere).state == "finished")
    wait_until(lambda: not any(run.is_active for run in list_runs(light)))
    assert [name for _, name in began(light) if name != elsewhere.name] == [three.name, two.name, one.name]
    with pytest.raises(LabError, match="is finished: only a run that waits can be moved"):
        runner.move(one, 1)


def test_stop_now_ends_a_trainer_that_hangs_with_its_children_and_nobody_else(
    light, tiny_config, wait_until, monkeypatch
):
    monkeypatch.setenv("HANGS", "1")
    run, bystander = runner.launch(tiny_config(), light), runner.launch(tiny_config(), light.parent / "others")
    children = [ProcessId.of(int(wait_until(lambda path=path: written(path / "child")))) for path in (run, bystander)]
    trainers = [wait_until(lambda path=path: read_status(path).trainer) for path in (run, bystander)]
    try:
        runner.stop_now(run, patience=0.2)
        assert not trainers[0].is_alive() and not children[0].is_alive()
        assert trainers[1].is_alive() and children[1].is_alive()
        status = read_status(run)
        assert (status.state, status.failure) == ("stopped", "") and "before it could save" in status.error

        # The supervisor gone as well: then whoever asked writes how it ended.
        kill(read_status(bystander).supervisor)
        runner.stop_now(bystander, patience=0)
        assert read_run(bystander).state == "stopped" and not trainers[1].is_alive()
    finally:
        for expected in (*trainers, *children):
            if expected.is_alive():
                kill(expected)
    with pytest.raises(LabError, match="is stopped, so there is nothing to stop"):
        runner.stop_now(run)


def written(path):
    return path.read_text() if path.exists() else ""


def test_stop_now_never_means_a_later_process_with_the_trainers_number(folder, tiny_config):
    run = create_run(tiny_config(), folder)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        real = ProcessId.of(bystander.pid)
        other = ProcessId(real.pid, real.started - 100)
        assert local._trainers_of(Status("running", 0, trainer=other)) == []
        assert [each.pid for each in local._trainers_of(Status("running", 0, trainer=real))] == [real.pid]
        update_status(run, state="running", trainer=other)
        with pytest.raises(LabError, match="is lost"):
            runner.stop_now(run, patience=0)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_run_asked_to_pause_and_then_killed_is_paused(light, tiny_config, wait_until, monkeypatch):
    monkeypatch.setenv("HANGS", "1")
    run = runner.launch(tiny_config(), light)
    wait_until(lambda: written(run / "child"))
    child = ProcessId.of(int(written(run / "child")))
    runner.pause(run)
    kill(read_status(run).trainer)
    kill(child)
    wait_until(lambda: read_run(run).state == "paused")
    assert read_status(run).exit == -signal.SIGKILL


# ---- clones and the bin


def test_a_clone_has_the_config_with_the_changes_and_names_its_parent(light, tiny_config, wait_until):
    config = tiny_config(epochs=7)
    run = create_run(config, light)
    write_notes(run, Notes(name="first try", tags=("a",)))
    with DeviceLock(light / ".slots", "cpu") as lock:
        assert lock.acquire()
        twin = runner.clone(run, {"training": {"learning_rate": 1e-4}, "dataset": {"max_train_samples": 4}})
        result = read_run(twin)
        values = config.model_dump()
        values["training"]["learning_rate"], values["dataset"]["max_train_samples"] = 1e-4, 4
        assert result.config.model_dump() == values
        assert (result.state, result.notes) == ("queued", Notes(parent=run.name))
        for changes, text in (
            ({"training": {"learning_rate": -1}}, "training.learning_rate is -1"),
            ({"training": {"warp": 9}}, "'training.warp' is not a setting"),
            ({"engine": {"warp": 9}}, "'engine' is not a setting"),
        ):
            with pytest.raises(LabError, match=text):
                runner.clone(run, changes)
        runner.stop(twin)
    assert len(list_runs(light)) == 2, "a change that doesn't do begins no run"
    (run / "config.json").unlink()
    with pytest.raises(LabError, match="can't be trained again. Its config.json is missing"):
        runner.clone(run, {})


def test_a_deleted_run_lies_in_the_bin_until_it_is_restored_or_the_bin_emptied(folder, tiny_config):
    runs = [create_run(tiny_config(), folder) for _ in range(3)]
    with pytest.raises(LabError, match="is queued. Stop it first"):
        runner.delete(runs[0])
    for run in runs:
        update_status(run, state="stopped")
        write_notes(run, Notes(name="mine"))
        runner.delete(run)
    assert list_runs(folder) == []
    trashed = runner.list_trash(folder)
    assert {each.run.id for each in trashed} == {run.name for run in runs}
    assert all(each.size > 500 and time.time() - each.deleted < 60 for each in trashed)

    assert runner.restore(runs[0].name, folder) == runs[0]
    assert read_notes(runs[0]).name == "mine"
    shutil.copytree(folder / ".trash" / runs[1].name, runs[1])
    with pytest.raises(LabError, match="There is a run .* already"):
        runner.restore(runs[1].name, folder)
    with pytest.raises(LabError, match="There is no run"):
        runner.restore(f"../{runs[0].name}", folder)

    week_ago = time.time() - 7 * 86_400
    os.utime(folder / ".trash" / runs[1].name, (week_ago, week_ago))
    assert [each.run.id for each in runner.empty_trash(folder, older_than_days=6)] == [runs[1].name]
    assert [each.run.id for each in runner.empty_trash(folder)] == [runs[2].name]
    assert runner.list_trash(folder) == [] and runner.empty_trash(folder) == []
    assert {run.path for run in list_runs(folder)} == set(runs[:2])


def test_a_link_in_the_bin_is_not_followed(folder, lab_folders):
    (folder / ".trash").mkdir()
    (lab_folders.other / "precious").write_text("x")
    (folder / ".trash" / "20250101-000000-fcn-0001").symlink_to(lab_folders.other)
    assert runner.empty_trash(folder) == [] and (lab_folders.other / "precious").exists()


def test_every_end_has_a_sentence():
    for code, failure, text in (
        (-signal.SIGTERM, "killed", "SIGTERM"),
        (-signal.SIGKILL, "killed", "memory"),
        (-signal.SIGSEGV, "fault", "signal 11"),
        (3, "fault", "exit code 3"),
    ):
        result, sentence = sentence_of_death(code)
        assert result == failure and text in sentence


def test_a_process_id_tells_processes_apart():
    assert ProcessId.of(os.getpid()).is_alive()
    with pytest.raises(psutil.NoSuchProcess):
        ProcessId.of(2**22 + 1)
