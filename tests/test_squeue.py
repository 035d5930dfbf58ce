"""What is made of squeue's answers, with a script in its place that counts how often it is asked."""

import os
import time

import pytest

from core import squeue as cluster
from core.config import read_config
from core.errors import LabError
from core.runner.slurm import job as slurm_job
from core.runner.slurm.job import warning_seconds
from core.runner.trainer import Node, trainer_command
from core.runs import store
from core.runs.status import request_pause, request_requeue, requested, update_status
from core.runs.store import create_run, read_run
from core.squeue import ask_anew, cluster_is_there, job_state, jobs_before

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """`squeue(answer, code=0)`: what it says from now on; returns how often it was asked so far."""
    (tmp_path / "bin").mkdir()
    script, requests = tmp_path / "bin" / "squeue", tmp_path / "asked"
    requests.write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def say(response, code=0):
        (tmp_path / "answer").write_text(response)
        script.write_text(f'#!/bin/sh\necho "$@" >> {requests}\ncat {tmp_path / "answer"}\nexit {code}\n')
        script.chmod(0o755)
        ask_anew()
        return len(requests.read_text().splitlines())

    say("")
    yield say
    ask_anew()


def test_a_job_waits_is_there_is_gone_or_nobody_knows(squeue):
    squeue("11 PENDING\n12 RUNNING\n13 COMPLETING\n14 REQUEUE_HOLD\nnonsense\n\n")
    assert [job_state(job, 0) for job in ("11", "12", "13", "14", "1")] == [
        *("waiting", "there", "there", "waiting", "gone")
    ]
    assert job_state("11", 0, since=time.time() + 60) == "there", "it has said something since"
    squeue("slurm_load_jobs error: Unable to contact slurm controller\n", code=1)
    assert job_state("11", 0) == "unknown"


def test_the_controller_is_asked_once_for_many_looks(squeue, monkeypatch):
    squeue("11 PENDING\n")
    assert [job_state(job, 0) for job in ("11", "11", "12")] == ["waiting", "waiting", "gone"]
    assert squeue("") == 1
    monkeypatch.setattr(cluster, "CACHE_SECONDS", 0)
    assert job_state("11", 0) == job_state("11", 0) == "gone"
    assert squeue("", code=1) == 3
    assert job_state("11", 0) == job_state("11", 0) == "unknown", "one that is away isn't asked again at once"
    assert squeue("") == 4


def test_a_machine_without_slurm_knows_nothing(monkeypatch):
    ask_anew()
    monkeypatch.setenv("PATH", "/nowhere")
    assert not cluster_is_there()
    assert job_state("11", 0) == "unknown" and jobs_before("11") == 0
    ask_anew()


def test_a_place_in_the_queue_is_counted_within_the_partition(squeue):
    squeue("7 gpu\n5 cpu\n9 gpu\n11 gpu\n")
    assert [jobs_before(job) for job in ("7", "5", "9", "11", "99")] == [0, 0, 1, 2, 0]


def test_a_run_on_a_cluster_is_what_the_cluster_says(squeue, lab_folders, tiny_config, monkeypatch):
    run = create_run(tiny_config(), lab_folders.runs)
    update_status(run, state="running", job="11")
    for response, code, quiet, state in (
        ("11 RUNNING\n", 0, 0.0, "running"),
        ("11 COMPLETING\n", 0, 0.0, "running"),
        ("11 PENDING\n", 0, 0.0, "queued"),
        ("", 0, 60.0, "running"),
        ("", 0, 0.0, "lost"),
        ("", 1, 0.0, "running"),
    ):
        monkeypatch.setattr(store, "QUIET_SECONDS", quiet)
        squeue(response, code)
        time.sleep(0.01)
        assert read_run(run).state == state, (response, code, quiet)
    squeue("")
    update_status(run, state="finished")
    assert read_run(run).state == "finished" and squeue("") == 6, "one that has ended asks nobody"


def test_the_cluster_asks_for_room_and_people_come_first(lab_folders, tiny_config):
    run = create_run(tiny_config(), lab_folders.runs)
    request_requeue(run)
    assert requested(run) == "requeue"
    request_pause(run)
    assert requested(run) == "pause"


@pytest.mark.parametrize("name", ["a;reboot", "$(reboot)", "--wrap=x", "a b", "a\nb", "a'b", 'a"b', "../a", "a#b"])
def test_names_on_a_cluster_hold_nothing_that_a_shell_would_read(tiny_config, name):
    values = tiny_config().model_dump()
    for part in ("partition", "account"):
        with pytest.raises(LabError, match=f"runner.{part}"):
            read_config(values | {"runner": {"engine": "slurm", "gpus": 0, part: name}})
    assert read_config(values | {"runner": {"engine": "slurm", "gpus": 0, "partition": "gpu_v100,big.mem-2"}})


def test_processes_nodes_and_gpus_go_together(tiny_config):
    values = tiny_config(num_processes=4, batch_size=4).model_dump()
    for requests, text in (
        ({"nodes": 2, "gpus": 1}, "2 x 1 GPUs.*Set training.num_processes to 2"),
        ({"nodes": 3, "gpus": 0}, "3 nodes can't share out evenly"),
    ):
        with pytest.raises(LabError, match=text):
            read_config(values | {"runner": {"engine": "slurm"} | requests})
    for requests in ({"nodes": 2, "gpus": 2}, {"nodes": 4, "gpus": 0}, {"nodes": 1, "gpus": 4}):
        assert read_config(values | {"runner": {"engine": "slurm"} | requests})
    assert read_config(values | {"runner": {"nodes": 3}}), "this machine doesn't read it"


def test_the_command_of_a_node(lab_folders, tiny_config):
    alone = read_run(create_run(tiny_config(), lab_folders.runs))
    assert trainer_command(alone, Node())[1:] == ["-u", "-m", "core.training", str(alone.path), "--supervised"]
    distributed = read_run(create_run(tiny_config(num_processes=4, batch_size=4), lab_folders.runs))
    command = trainer_command(distributed, Node(1, 2, "10.0.0.7", 20_011))
    assert {"--nnodes=2", "--node-rank=1", "--nproc-per-node=2", "--master-addr=10.0.0.7"} <= set(command)
    assert "--standalone" in trainer_command(distributed, Node()) and "--standalone" in trainer_command(distributed)
    assert "--signals-to-handle=SIGINT" in command and "--signals-to-handle=SIGINT" not in trainer_command(distributed)


def test_a_job_is_warned_in_time():
    assert [warning_seconds(limit) for limit in (60, 120, 3600)] == [30, 60, 120]


def test_a_turn_without_a_step_says_what_would_mend_it(lab_folders, tiny_config):
    run = create_run(tiny_config(), lab_folders.runs)
    slurm_job._give_up(run, 3600.0)
    result = read_run(run)
    assert result.state == "failed" and "1 hours, was up before a single step" in result.status.error
    assert result.status.suggested_change == {"runner": {"hours": 2.0}}
    read_config(result.config.model_dump() | result.status.suggested_change)
