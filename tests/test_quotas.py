"""What somebody who is no admin may ask of the machine, the cluster and the lab's logins; the lab itself may ask for anything."""

import json

import pytest

from core import auth as auth
from core import runner
from core.auth import SYSTEM_USER, User, set_current_user
from core.config import read_config
from core.errors import LabError
from core.runner import local
from core.runner import quotas as limits
from core.runner.quotas import check_may_ask, out_of_hours
from core.runner.slurm import engine as slurm
from core.runner.slurm import job as slurm_job
from core.runs.status import update_status
from core.runs.store import create_run, list_runs, read_run
from core.sweeps import read_spec, start_sweep
from core.training.probe import probe_process as child

ANN = User("ann@x.org", "Ann")


@pytest.fixture
def asking():
    """`asking(person)`: from now on that one asks."""
    yield lambda who: set_current_user(lambda: who)
    set_current_user(auth.shell_user)


@pytest.fixture
def on_cluster():
    """`on_cluster(nodes=2, hours=3)`: a config of such a job."""

    def config(**wanted):
        nodes = wanted.get("nodes", 1)
        return read_config(
            {
                "model": {"family": "unet", "encoder": "plain", "weights": "none"},
                "training": {"num_processes": nodes},
                "runner": {"engine": "slurm", "gpus": 1} | wanted,
            }
        )

    return config


@pytest.mark.parametrize(
    "training",
    [{"num_processes": 5, "batch_size": 8}, {"workers": 64}, {"threads": 3, "num_processes": 2}, {"threads": 256}],
)
def test_a_run_takes_no_more_than_the_cores_there_are(lab_folders, asking, tiny_config, monkeypatch, training):
    monkeypatch.setattr(limits, "available_cores", lambda: 4)
    monkeypatch.setattr(local, "start", lambda path: None)
    asking(ANN)
    greedy = tiny_config(**training)
    for attempt in (
        lambda: runner.launch(greedy, lab_folders.runs),
        lambda: list(child.run_probe("core.training.probe.dry_run", greedy, 10)),
        lambda: start_sweep(
            read_spec({"base": greedy.model_dump(), "vary": {"training.seed": [1, 2]}}), lab_folders.runs
        ),
    ):
        with pytest.raises(
            LabError, match="but this machine has 4 cores. Take no more than that in all; only an admin"
        ):
            attempt()
    path = create_run(greedy, lab_folders.runs)
    update_status(path, state="stopped")
    with pytest.raises(LabError, match="this machine has 4 cores"):
        runner.resume(path)
    check_may_ask(tiny_config(num_processes=2, threads=2, workers=2))
    asking(SYSTEM_USER)
    runner.launch(greedy, lab_folders.runs)


def test_one_person_tries_one_thing_at_a_time(lab_folders, asking, tiny_config, monkeypatch):
    monkeypatch.setattr(child, "_run_probe", lambda *_: iter([{"n": 1}, {"n": 2}]))
    asking(ANN)
    first = child.run_probe("x", tiny_config(), 10)
    assert next(first) == {"n": 1}
    with pytest.raises(LabError, match="trying something out already"):
        list(child.run_probe("x", tiny_config(), 10))
    for who in (User("bob@x.org", "Bob"), SYSTEM_USER, SYSTEM_USER):
        asking(who)
        assert next(child.run_probe("x", tiny_config(), 10)) == {"n": 1}
    first.close()
    asking(ANN)
    assert len(list(child.run_probe("x", tiny_config(), 10))) == 2


def test_only_admins_train_on_the_cluster_until_the_lab_says_how_much(lab_folders, asking, on_cluster, monkeypatch):
    monkeypatch.setattr(slurm, "start", lambda path: None)
    asking(ANN)
    for attempt in (
        lambda: runner.launch(on_cluster(), lab_folders.runs),
        lambda: start_sweep(
            read_spec({"base": on_cluster().model_dump(), "vary": {"training.seed": [1, 2]}}), lab_folders.runs
        ),
    ):
        with pytest.raises(LabError, match="Only an admin can train on the cluster"):
            attempt()
    path = create_run(on_cluster(), lab_folders.runs)
    update_status(path, state="stopped")
    with pytest.raises(LabError, match="Only an admin can train on the cluster"):
        runner.resume(path)
    assert [run.id for run in list_runs(lab_folders.runs)] == [path.name]
    for who in (SYSTEM_USER, User("eve@x.org", "Eve", True)):
        asking(who)
        runner.launch(on_cluster(nodes=8, hours=8760, account="prof", partition="any"), lab_folders.runs)


def test_everybody_else_stays_within_the_hours_partitions_and_accounts(asking, on_cluster, monkeypatch):
    monkeypatch.setenv("SEGLAB_SLURM_NODE_HOURS", "12")
    asking(ANN)
    check_may_ask(on_cluster(nodes=2, hours=6))
    with pytest.raises(LabError, match="up to 14 node-hours on the cluster, but one run may have 12"):
        check_may_ask(on_cluster(nodes=2, hours=7))
    with pytest.raises(LabError, match="runner.account is 'prof', but is to be one of these: none but"):
        check_may_ask(on_cluster(account="prof"))
    monkeypatch.setenv("SEGLAB_SLURM_PARTITIONS", "student, short")
    check_may_ask(on_cluster(partition="short,student"))
    for wrong in ("gpu", "short,gpu", ""):
        with pytest.raises(LabError, match="is to be one of these: short, student"):
            check_may_ask(on_cluster(partition=wrong))


def test_a_run_gets_no_more_turns_than_its_hours(lab_folders, asking, on_cluster, monkeypatch):
    monkeypatch.setenv("SEGLAB_SLURM_NODE_HOURS", "12")
    asking(ANN)
    path = create_run(on_cluster(nodes=2, hours=3), lab_folders.runs)
    metrics = path / "metrics.jsonl"
    metrics.write_text(json.dumps({"kind": "train", "step": 5, "minutes": 179.0}) + "\n")
    assert out_of_hours(path) == ""
    metrics.write_text(json.dumps({"kind": "train", "step": 5, "minutes": 200.0}) + "\n")
    text = "up to 6 node-hours on the cluster, and it has had 6.7, but one run may have 12"
    assert text in out_of_hours(path)
    update_status(path, state="queued", job="7")
    slurm_job._stop(path, "8", "another's")
    assert read_run(path).status.state == "queued"
    slurm_job._stop(path, "7", out_of_hours(path))
    assert read_run(path).state == "stopped" and text in read_run(path).status.error
    with pytest.raises(LabError, match=text):
        runner.resume(path)
    (path / "owner.txt").unlink()
    assert out_of_hours(path) == ""


def test_trackers_are_told_by_admins_alone(lab_folders, asking, tiny_config, monkeypatch):
    monkeypatch.setattr(local, "start", lambda path: None)
    plain = create_run(tiny_config(), lab_folders.runs)
    asking(ANN)
    for tracker in ("mlflow", "wandb"):
        with pytest.raises(LabError, match="Only an admin can tell a tracker"):
            runner.clone(plain, {"tracking": {tracker: True}})
    runner.clone(plain, {"tracking": {"tensorboard": True}})
    asking(SYSTEM_USER)
    runner.clone(plain, {"tracking": {"mlflow": True, "wandb": True}})
