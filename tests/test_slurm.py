"""Runs on a cluster, on a real SLURM: in order, cancelled, torn from their node and queued again, and never trained twice."""

import hashlib
import os
import signal

import pytest
from slurm_cluster import TRAINER, LightTraining, NoSlurmError, cluster

from core import runner, squeue
from core.config import read_config
from core.errors import LabError
from core.paths import PROJECT
from core.runner.device_lock import TRAINER_LOCK, DeviceLock
from core.runner.slurm import engine as slurm
from core.runs import store
from core.runs.metrics_log import read_metrics, valid_rows
from core.runs.status import read_status, requested, update_status
from core.runs.store import create_run, list_runs, read_run
from core.squeue import ask_anew
from core.training.__main__ import main as trainer_main
from core.training.loop import train

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SLURM runs on POSIX alone")
LONG = 300.0
"""Seconds: each job imports torch, which takes three of them on an idle machine."""


@pytest.fixture(scope="module")
def slurm_here(tmp_path_factory, pytestconfig):
    """The cluster; its clients are on the PATH meanwhile. Only the campaign cancels jobs that have a checkpoint to write."""
    kill_wait = 20 if pytestconfig.option.markexpr == "campaign" else 4
    folder = tmp_path_factory.mktemp("cluster")
    try:
        with cluster(folder, kill_wait) as result, pytest.MonkeyPatch.context() as patch:
            for name, value in result.environment.items():
                patch.setenv(name, value)
            ask_anew()
            yield result
    except NoSlurmError as reason:
        pytest.skip(str(reason))
    finally:
        ask_anew()


@pytest.fixture
def folder(slurm_here, lab_folders, monkeypatch):
    """The runs folder; its jobs are cancelled at the end."""
    monkeypatch.setattr(squeue, "PATIENCE_SECONDS", 0.2)
    yield lab_folders.runs
    for run in list_runs(lab_folders.runs):
        if run.status.job:
            slurm_here.ask("scancel", run.status.job)


def lighten(folder, patch):
    """Makes the trainers of a folder of runs only pretend, and note in its `diary` when they were there."""
    (folder / "trainer.py").write_text(TRAINER)
    patch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(PROJECT / "tests")]))
    patch.setattr(slurm, "Training", LightTraining)


@pytest.fixture
def light(folder, monkeypatch):
    """The runs folder, with trainers that only pretend."""
    lighten(folder, monkeypatch)
    return folder


@pytest.fixture(scope="module")
def on_cluster(tiny_config):
    """`on_cluster(partition, epochs=2, ...)`: the tiny config for a job on one processor."""

    def config(partition="one", nodes=1, hours=1.0, **training):
        values = tiny_config(**training).model_dump()
        requests = {"engine": "slurm", "partition": partition, "nodes": nodes, "gpus": 0, "cpus": 1, "hours": hours}
        return read_config(values | {"runner": requests})

    return config


@pytest.fixture(scope="module")
def limited(slurm_here, tmp_path_factory, on_cluster):
    """Launches a run on the second node for longer than its job may, while the other tests are at the first."""
    folder = tmp_path_factory.mktemp("limited")
    with pytest.MonkeyPatch.context() as patch:
        lighten(folder, patch)
        patch.setenv("HANGS", "1")
        return runner.launch(on_cluster("other", hours=1 / 60), folder)


def steps(run):
    return [row["step"] for row in valid_rows(read_metrics(run)[0]) if row["kind"] == "train"]


def resumes(run):
    return [row["step"] for row in read_metrics(run)[0] if row["kind"] == "resume"]


def fingerprint(run):
    return hashlib.sha256((run / "last" / "model.safetensors").read_bytes()).hexdigest()


def position(run):
    ask_anew()
    return runner.queue_position(read_run(run))


def log_of(run):
    return (run / "train.log").read_text()


def is_training(run):
    status = read_status(run)
    return status.phase == "training" and requested(run) is None


def test_runs_queue_on_the_cluster_and_one_that_waits_is_taken_out(slurm_here, light, on_cluster, wait_until):
    first, cancelled, last = (runner.launch(on_cluster(), light) for _ in range(3))
    wait_until(lambda: position(last) - position(first) == 2)
    runner.stop(cancelled)
    assert read_run(cancelled).state == "stopped"
    wait_until(lambda: read_run(last).state == "finished", LONG)
    assert (read_run(first).state, read_status(cancelled).started) == ("finished", None)
    assert [line.split()[1] for line in (light / "diary").read_text().splitlines()[::2]] == [first.name, last.name]


@pytest.mark.campaign
def test_ten_runs_go_through_one_slot_in_order_and_none_twice(slurm_here, limited, light, on_cluster, wait_until):
    folder = light
    runs = [runner.launch(on_cluster(), folder) for _ in range(10)]
    cancelled, twin = runs[8], runs[9]
    wait_until(lambda: position(runs[9]) - position(runs[7]) == 2)
    with pytest.raises(LabError, match="decides itself who is next"):
        runner.move(runs[8], -1)

    # A second job of the same run, as when sbatch's answer was lost and it was submitted again.
    again = slurm._submit(read_run(twin))
    assert again != read_status(twin).job

    # One that only waits is taken out without ever having begun.
    runner.stop(cancelled)
    assert read_run(cancelled).state == "stopped"
    wait_until(lambda: read_status(cancelled).job not in slurm_here.ask("squeue", "-h", "-o", "%A").split())

    # The controller goes: what trains goes on, nothing is lost, and a new run is refused in words.
    wait_until(lambda: read_status(runs[1]).started, LONG)
    slurm_here.stop_controller()
    ask_anew()
    assert {read_run(run).state for run in runs} <= {"queued", "running", "finished", "stopped"}
    with pytest.raises(LabError, match="didn't take the job: .*[Uu]nable to contact slurm controller"):
        runner.launch(on_cluster(), folder)
    assert len(list_runs(folder)) == 10, "a refused run leaves no folder"
    wait_until(lambda: read_status(runs[1]).state == "finished", LONG)
    slurm_here.start_controller()
    ask_anew()

    left = [run for run in runs if run != cancelled]
    wait_until(lambda: all(read_run(run).state == "finished" for run in left), LONG)
    # The second job comes last, and finds nothing to do.
    wait_until(lambda: f"Job {again} leaves run {twin.name} alone" in log_of(twin), LONG)
    assert read_run(twin).state == "finished" and read_status(twin).job != again
    assert read_run(cancelled).state == "stopped" and read_status(cancelled).started is None
    assert (folder / "diary").read_text().splitlines() == [
        line for run in left for line in (f"begin {run.name}", f"end {run.name} at {read_status(run).step}")
    ]


def test_a_run_torn_from_its_node_is_queued_again_with_its_checkpoint(
    slurm_here, light, on_cluster, wait_until, monkeypatch
):
    monkeypatch.setenv("HANGS", "1")
    run = runner.launch(on_cluster(), light)
    wait_until(lambda: is_training(run), LONG)
    job = read_status(run).job
    slurm_here.ask("scontrol", "requeue", job)
    wait_until(lambda: read_run(run).state == "queued", LONG)
    assert read_status(run).job == job, "one job all the time"
    with pytest.raises(LabError, match="is queued already"):
        runner.resume(run)


def test_a_job_whose_node_is_wanted_back_queues_itself_again(slurm_here, light, on_cluster, wait_until, monkeypatch):
    monkeypatch.setenv("HANGS", "1")
    run = runner.launch(on_cluster(), light)
    wait_until(lambda: is_training(run), LONG)
    job = read_status(run).job
    slurm_here.ask("scancel", "--signal=USR2", job)
    wait_until(lambda: "Restarts=1 " in slurm_here.ask("scontrol", "show", "job", job), LONG)
    assert (read_run(run).state, read_status(run).job) == ("queued", job)


@pytest.mark.campaign
def test_a_run_torn_from_its_node_ends_with_the_weights_of_one_that_was_not(slurm_here, folder, on_cluster, wait_until):
    config = on_cluster(epochs=150, checkpoint_seconds=1000)
    undisturbed = create_run(config, folder)
    assert train(undisturbed, config, lambda **_: None, lambda: False) == "finished"
    update_status(undisturbed, state="finished")

    run = runner.launch(config, folder)
    job = read_status(run).job
    wait_until(lambda: len(steps(run)) > 3, LONG)
    # Without a time of grace: the cluster queues it again at once, and gives it half a minute.
    slurm_here.ask("scontrol", "requeue", job)
    wait_until(lambda: read_run(run).state == "queued", LONG)
    with pytest.raises(LabError, match="is queued already"):
        runner.resume(run)
    wait_until(lambda: len(resumes(run)) == 1 and is_training(run), LONG)
    # Somebody with more right to the node: it has a time of grace to write its checkpoint, and queues itself again.
    urgent = runner.launch(on_cluster("urgent", epochs=1), folder)
    wait_until(lambda: read_run(run).state == "queued", LONG)
    wait_until(lambda: read_run(urgent).state == "finished", LONG)
    assert read_run(run).state == "queued" and len(steps(run)) < 600
    wait_until(lambda: read_run(run).state == "finished", LONG)

    assert read_status(run).job == job, "one job all the time"
    assert steps(run) == steps(undisturbed) == list(range(1, 601))
    assert len(resumes(run)) == 2 and 3 < resumes(run)[0] < resumes(run)[1], "each turn went on from a later step"
    assert fingerprint(run) == fingerprint(undisturbed)


@pytest.mark.campaign
def test_a_run_whose_time_is_up_goes_on_in_another_turn_and_can_be_paused(slurm_here, limited, wait_until):
    run, job = limited, read_status(limited).job
    diary = run.parent / "diary"
    wait_until(lambda: diary.exists() and diary.read_text().count("begin") > 1 and is_training(run), LONG)
    metadata = slurm_here.ask("scontrol", "show", "job", job)
    assert "TimeLimit=00:01:00" in metadata and "Restarts=0 " not in metadata
    runner.pause(run)
    wait_until(lambda: read_run(run).state == "paused", LONG)
    status = read_status(run)
    assert (status.exit, status.error, status.job) == (0, None, job)
    ends = [int(line.split()[-1]) for line in diary.read_text().splitlines()[1::2]]
    assert ends[0] > 0 and ends == sorted(ends) and ends[-1] == status.step, (
        "each turn went on where the last one ended"
    )


def test_two_nodes_train_together_and_pause_together(slurm_here, folder, on_cluster, wait_until):
    run = runner.launch(on_cluster("both", nodes=2, epochs=300, batch_size=4, processes=2), folder)
    wait_until(lambda: len(steps(run)) > 3, LONG)
    assert read_run(run).plan["hardware"].startswith("2 processes, each on the CPU")
    runner.pause(run)
    wait_until(lambda: read_run(run).state == "paused", LONG)
    assert read_status(run).error is None and steps(run) == list(range(1, read_status(run).step + 1))


@pytest.mark.campaign
def test_two_nodes_train_together_and_leave_together(slurm_here, folder, on_cluster, wait_until):
    run = runner.launch(on_cluster("both", nodes=2, epochs=300, batch_size=4, num_processes=2), folder)
    wait_until(lambda: len(steps(run)) > 3, LONG)
    assert read_run(run).plan["hardware"].startswith("2 processes, each on the CPU")
    slurm_here.ask("scontrol", "requeue", read_status(run).job)
    wait_until(lambda: read_run(run).state == "queued", LONG)
    wait_until(lambda: len(resumes(run)) == 1 and is_training(run), LONG)
    # Cancelled on the cluster, behind the lab's back: with a checkpoint still, and a sentence.
    slurm_here.ask("scancel", read_status(run).job)
    wait_until(lambda: read_run(run).state == "stopped", LONG)
    assert "was ended on the cluster" in read_status(run).error
    assert steps(run) == list(range(1, steps(run)[-1] + 1)) and resumes(run)[0] > 3


def test_a_killed_trainer_and_a_job_that_vanished_are_told_apart(
    slurm_here, light, on_cluster, wait_until, monkeypatch
):
    monkeypatch.setenv("HANGS", "1")
    run = runner.launch(on_cluster(), light)
    wait_until(lambda: is_training(run), LONG)
    trainer = read_status(run).trainer
    os.kill(trainer.pid, signal.SIGKILL)  # here the node is this machine
    wait_until(lambda: read_run(run).state == "failed", LONG)
    assert "killed from outside" in read_status(run).error and read_status(run).failure == "killed"

    # A job that was there, and of which the cluster knows nothing any more.
    wait_until(lambda: slurm_here.ask("squeue", "-h", "-p", "one") == "", LONG)
    ask_anew()
    update_status(run, state="running")
    assert read_run(run).state == "running", "its last word may still be on its way"
    monkeypatch.setattr(store, "QUIET_SECONDS", 0.1)
    wait_until(lambda: read_run(run).state == "lost")


def test_a_job_is_ended_when_its_trainer_does_not_stop_and_a_new_one_goes_on(
    slurm_here, light, on_cluster, wait_until, monkeypatch
):
    monkeypatch.setenv("HANGS", "1")
    monkeypatch.setenv("DEAF", "1")
    run = runner.launch(on_cluster(), light)
    first = read_status(run).job
    wait_until(lambda: is_training(run), LONG)
    trainer = read_status(run).trainer
    runner.stop_now(run, patience=0.1)
    assert not trainer.is_alive(), "it doesn't outlive the patience of the cluster"
    status = read_status(run)
    assert status.state == "stopped" and "before it could save" in status.error

    monkeypatch.delenv("DEAF")
    runner.resume(run)
    assert read_run(run).state == "queued" and read_status(run).job not in ("", first)
    wait_until(lambda: is_training(run), LONG)
    runner.pause(run)
    wait_until(lambda: read_run(run).state == "paused", LONG)


def test_a_trainer_that_is_still_there_keeps_others_away(lab_folders, on_cluster, capsys):
    run = create_run(on_cluster(), lab_folders.runs)
    with DeviceLock(run, TRAINER_LOCK) as alone:
        assert alone.acquire()
        assert trainer_main([str(run)]) == 42
    assert "Another trainer is at" in capsys.readouterr().err and read_status(run).state == "queued"


def test_what_the_cluster_refuses_is_a_sentence(slurm_here, folder, on_cluster, monkeypatch):
    with pytest.raises(LabError, match="didn't take the job: .*[Ii]nvalid partition"):
        runner.launch(on_cluster("nowhere"), folder)
    run = create_run(on_cluster("nowhere"), folder)
    update_status(run, state="stopped")
    with pytest.raises(LabError, match="[Ii]nvalid partition"):
        runner.resume(run)
    assert read_run(run).state == "failed" and "nvalid partition" in read_status(run).error
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LabError, match="There is no SLURM here"):
        runner.launch(on_cluster(), folder)
    assert [result.path for result in list_runs(folder)] == [run]
