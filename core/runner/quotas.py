"""What a user who is no admin may ask for with a run: of this machine, of the cluster, and of the lab's own logins
elsewhere.

On a cluster all jobs are charged to the account that the lab runs under, so that there only admins train until the lab
says how much a run of anybody else may take.

| variable                  | what it sets                                                                       |
default |
|---------------------------|------------------------------------------------------------------------------------|---------|
| `SEGLAB_SLURM_NODE_HOURS` | nodes times hours that a run of theirs may take, all its turns together; 0 for none  | 0 |
| `SEGLAB_SLURM_PARTITIONS` | the partitions that they may name, separated by commas                               | the
cluster's own choice alone | | `SEGLAB_SLURM_ACCOUNTS`   | the accounts that they may name | the cluster's own choice
alone |
"""

import os
from pathlib import Path

from core.auth import build_user, current_user, env_int, read_owner, require_admin
from core.config import RunConfig, RunnerConfig, TrackingConfig, TrainingConfig
from core.disk_usage import check_disk_quota
from core.errors import LabError
from core.processes import available_cores
from core.runs.metrics_log import minutes_trained
from core.runs.store import read_run
from core.text import plural


def check_may_ask(config: RunConfig, run: Path | None = None) -> None:
    """Look at a run that is about to be launched, or at one that is there and is about to go on.

    Raises:
        QuotaError: the things of the one who is asking take as much of the disk as they may.
        LabError: the one who is asking is no admin, and it asks for more than this machine has, for more of the cluster
            than everybody may have, or for the lab's login to a tracker.
    """
    check_may_track(config.tracking)
    if config.runner.engine == "local":
        check_machine(config.training)
    elif not current_user().is_admin:
        _check_cluster(config.runner, hours_used(run) if run else 0.0)
    check_disk_quota()


def check_may_track(tracking: TrackingConfig) -> None:
    """Raise LabError where the current user is no admin, and a tracker would be told in the name of the lab's own
    login.
    """
    if tracking.mlflow or tracking.wandb:
        require_admin("tell a tracker")


def check_machine(training: TrainingConfig) -> None:
    """Raise LabError where the current user is no admin, and a training would start more than this machine has
    cores.
    """
    cores = available_cores()
    for name in ("threads", "workers"):
        each = max(1, getattr(training, name))
        if training.num_processes * each > cores and not current_user().is_admin:
            raise LabError(
                f"training.num_processes is {training.num_processes}, each with training.{name} of"
                f" {getattr(training, name)}, but this machine has {plural(cores, 'core')}. Take no more than that in"
                " all; only an admin can."
            )


def hours_used(run: Path) -> float:
    """Return the nodes times hours that a run has trained on the cluster so far."""
    config = read_run(run).config
    return config.runner.nodes * minutes_trained(run) / 60 if config else 0.0


def out_of_hours(run: Path) -> str:
    """Return why a run on the cluster may not have another turn, in a sentence; empty where it may.

    Asked in its job, without a user.
    """
    owner, config = read_owner(run), read_run(run).config
    if config is None or not owner or build_user(owner).is_admin:
        return ""
    try:
        _check_cluster(config.runner, hours_used(run))
    except LabError as error:
        return str(error)
    return ""


def _check_cluster(requested: RunnerConfig, used: float) -> None:
    """Raise LabError where one more turn is not for everybody; `used` are nodes times hours that the run had before."""
    limit = env_int("SEGLAB_SLURM_NODE_HOURS")
    if not limit:
        raise LabError(
            "Only an admin can train on the cluster from here: its hours are charged to the lab's own account. Train on"
            " this machine."
        )
    _check_name("partition", requested.partition, "SEGLAB_SLURM_PARTITIONS")
    _check_name("account", requested.account, "SEGLAB_SLURM_ACCOUNTS")
    node_hours = requested.nodes * requested.hours
    if used + node_hours > limit:
        raise LabError(
            f"A turn of this run takes up to {node_hours:g} node-hours on the"
            f" cluster{f', and it has had {used:.1f}' if used else ''}, but one run may have {limit}. Take fewer nodes"
            " or hours, or ask an admin."
        )


def _check_name(what: str, name: str, variable: str) -> None:
    # A list of partitions leaves the choice among them to the cluster.
    allowed = {part.strip() for part in os.environ.get(variable, "").split(",")}
    if not set(name.split(",")) <= allowed:
        offered = ", ".join(sorted(allowed)) or "none but the cluster's own choice: leave it empty"
        raise LabError(f"runner.{what} is '{name}', but is to be one of these: {offered}. Only an admin names another.")
