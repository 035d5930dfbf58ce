"""Several processes that train one network together: DistributedDataParallel, started by torchrun, or one process
alone.

Every process has the same weights and takes its part of each batch; gradients are summed over all. The first process
leads: it alone writes the run folder, decides when to stop, and prepares data that the others then find.
Li et al.: PyTorch Distributed, https://arxiv.org/abs/2006.15704.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from core.errors import LabError

STEP_SECONDS = 25.0
"""How long a process waits for the others within a step before it takes them for dead.

Torchrun then takes 30 s to end them.
"""

SETUP_HOURS = 12.0
"""How long the others wait while the leader draws, downloads, caches or saves."""


class Distributed:
    """This process among `size`, of which it is number `rank`; alone, nothing here does anything."""

    rank = 0
    world_size = 1
    local_rank = 0
    """Number of this process on its machine, and so of its GPU."""
    syncs_batch_norm = False
    """Whether batch statistics can be those of all processes."""

    @property
    def is_main_process(self) -> bool:
        """True in the one process that writes."""
        return self.rank == 0

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor, now holding the sum over all processes."""
        return tensor

    def all_gather(self, value: Any) -> list[Any]:
        """Return what every process has to say, in their order, in all of them. Small picklable things."""
        return [value]

    def broadcast_object(self, decisions: tuple[bool, ...]) -> tuple[bool, ...]:
        """Return the leader's decisions, in every process."""
        return decisions

    def wrap(self, model: nn.Module, sync_batch_norm: bool) -> nn.Module:
        """Return the network whose backward pass leaves the mean gradient of all processes.

        `sync_batch_norm` asks for batch statistics of all processes, too, where these can be had.
        """
        return model

    def no_sync(self, network: nn.Module) -> AbstractContextManager[None]:
        """No gradients travel inside: for all but the last part of a batch."""
        return nullcontext()

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Give every process the leader's batch statistics."""

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """The leader goes through this context before the others enter it."""
        yield

    def shard(self, items: list[Any]) -> list[Any]:
        """Return every `size`-th of the items, from number `rank` on."""
        return items[self.rank :: self.world_size]

    def destroy(self) -> None:
        """End the connection to the others."""


class TorchDistributed(Distributed):
    """Processes that torchrun has started; each joins when it makes one of these."""

    def __init__(self, device_type: str) -> None:
        self.rank = int(os.environ["RANK"])
        self.world_size = int(os.environ["WORLD_SIZE"])
        self.local_rank = int(os.environ["LOCAL_RANK"])
        self._device = torch.device(device_type, self.local_rank) if device_type == "cuda" else torch.device("cpu")
        self.syncs_batch_norm = device_type == "cuda"
        dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=timedelta(seconds=STEP_SECONDS))
        self._slow_group = dist.new_group(backend="gloo", timeout=timedelta(hours=SETUP_HOURS))

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        dist.all_reduce(tensor)
        return tensor

    def all_gather(self, value: Any) -> list[Any]:
        result = [None] * self.world_size
        dist.all_gather_object(result, value, group=self._slow_group)
        return result

    def broadcast_object(self, decisions: tuple[bool, ...]) -> tuple[bool, ...]:
        flags = torch.tensor(decisions, device=self._device, dtype=torch.uint8)
        dist.broadcast(flags, src=0)
        return tuple(bool(decision) for decision in flags.tolist())

    def wrap(self, model: nn.Module, sync_batch_norm: bool) -> nn.Module:
        if sync_batch_norm and self.syncs_batch_norm:
            from timm.layers import convert_sync_batchnorm

            # In place, and with the activations that timm's encoders have in theirs, which torch's own loses.
            convert_sync_batchnorm(model)
        return DistributedDataParallel(model)

    def no_sync(self, network: nn.Module) -> AbstractContextManager[None]:
        return network.no_sync()

    def broadcast_buffers(self, model: nn.Module) -> None:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        if not self.is_main_process:
            dist.barrier(group=self._slow_group)
        yield
        if self.is_main_process:
            dist.barrier(group=self._slow_group)

    def destroy(self) -> None:
        dist.destroy_process_group()


def init_distributed(processes: int, device: str) -> Distributed:
    """Return the team of this process: the one that torchrun formed, or itself alone.

    Args:
        processes: how many the run asks for.
        device: the run's wish: auto, cpu, cuda...

    Raises:
        LabError: there are more or fewer processes than the run asks for.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != processes:
        raise LabError(
            f"This run asks for {processes} processes, but {started} {'was' if started == 1 else 'were'} started. Start"
            f" it through the lab, or with: torchrun --standalone --nproc-per-node={processes} -m core.training RUN"
        )
    if processes == 1:
        return Distributed()
    uses_cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    return TorchDistributed("cuda" if uses_cuda else "cpu")
