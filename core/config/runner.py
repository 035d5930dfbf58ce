"""The part `runner` of a config."""

from typing import Literal

from core.config.settings import Condition, Part, field

EngineName = Literal["local", "slurm"]
CLUSTER_NAME = r"^([A-Za-z0-9_][A-Za-z0-9_.,-]*)?$"
"""What may name something on a cluster: it becomes a line of a job's script, so nothing that a shell or sbatch would
read otherwise.
"""

_ON_CLUSTER = (Condition("runner.engine", ("slurm",)),)


class RunnerConfig(Part):
    """Where the training runs, and what it asks of a cluster; this machine reads none but the first field."""

    engine: EngineName = field(
        "local", "Engine", "This machine, or a cluster whose jobs SLURM hands out.", level="basic", in_report=False
    )
    partition: str = field(
        "",
        "Partition",
        "Which part of the cluster; empty takes its default.",
        only_if=_ON_CLUSTER,
        in_report=False,
        max_length=100,
        pattern=CLUSTER_NAME,
    )
    account: str = field(
        "",
        "Account",
        "Which account the hours are charged to, where the cluster asks for it.",
        only_if=_ON_CLUSTER,
        in_report=False,
        max_length=100,
        pattern=CLUSTER_NAME,
    )
    nodes: int = field(1, "Nodes", "Machines that train together.", only_if=_ON_CLUSTER, in_report=False, ge=1, le=64)
    gpus: int = field(
        1,
        "GPUs",
        "Graphics cards of each node; 0 trains on its processors.",
        only_if=_ON_CLUSTER,
        in_report=False,
        ge=0,
        le=16,
    )
    cpus: int = field(
        8, "CPUs", "Processor cores of each node.", "cores", only_if=_ON_CLUSTER, in_report=False, ge=1, le=512
    )
    memory: float = field(
        0.0,
        "Memory",
        "Memory of each node; 0 leaves it to the cluster.",
        "GB",
        only_if=_ON_CLUSTER,
        in_report=False,
        ge=0,
        le=10_000,
    )
    hours: float = field(
        8.0,
        "Time limit",
        "The longest that one job takes; a run that needs more writes a checkpoint and queues again by itself.",
        "h",
        only_if=_ON_CLUSTER,
        in_report=False,
        gt=0,
        le=8760,
    )
