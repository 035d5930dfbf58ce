"""The command that trains a run on one machine: Python alone, or torchrun for several processes."""

import sys
from dataclasses import dataclass

from core.runs.store import Run

TRAINER = ("-u", "-m", "core.training")
"""What Python is asked to train with; the run's folder follows."""


@dataclass(frozen=True)
class Node:
    """A machine among `nodes` that train together, by its number.

    The first of them is found under an address and a port.
    """

    node: int = 0
    nodes: int = 1
    address: str = ""
    port: int = 0


def trainer_command(run: Run, node: Node | None = None) -> list[str]:
    """Return the command, for the process that holds the devices; it trains once its standard input has ended.

    Args:
        run: with its config.
        node: on a cluster: the machine among those that train.
    """
    processes = run.config.training.num_processes if run.config else 1
    launcher = _launcher(processes, node) if processes > 1 else []
    return [sys.executable, *launcher, *TRAINER, str(run.path), "--supervised"]


def _launcher(processes: int, node: Node | None) -> list[str]:
    """Return what starts several processes of a team, and watches over them."""
    arguments = ["-m", "torch.distributed.run"]
    if node:  # a signal of the cluster reaches everyone in a job; torchrun would end the team at it
        arguments.append("--signals-to-handle=SIGINT")
    node = node or Node()
    if node.nodes == 1:
        arguments.append("--standalone")
    else:
        arguments += [f"--nnodes={node.nodes}", f"--node-rank={node.node}"]
        arguments += [f"--master-addr={node.address}", f"--master-port={node.port}"]
    return [*arguments, f"--nproc-per-node={processes // node.nodes}", "--no-python", sys.executable]
