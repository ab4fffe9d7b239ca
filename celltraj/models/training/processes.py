"""Train on several processes that torchrun or SLURM has started: who does what, and what is shared.

Every process draws the same points and takes its part of each step; gradients and losses are
averaged over all before a step is taken. What follows from them is then the same everywhere, and is
decided once. Lightning's own strategy wraps the network for one backward pass a batch, of which a
draw takes many: its environments alone are used here.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Processes:
    """Say which of how many processes this is.

    Parameters
    ----------
    rank
        Of this process; the first writes and decides.
    size
        How many there are on all machines.
    place
        Of this process among those of its machine.
    """

    rank: int = 0
    size: int = 1
    place: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes and decides."""
        return self.rank == 0

    def shares(self, batches: Any) -> Any:
        """Return the draws of which this process takes its part."""
        return batches if self.size == 1 else _Shares(batches, self)

    def share(self, points: Sequence[Tensor]) -> Any:
        """Return as many of the points of a step as each process takes.

        Raises
        ------
        ValueError
            They cannot be shared evenly: a mean of means would not be the mean.
        """
        n, left = divmod(len(points[0]), self.size)
        if left:
            raise ValueError(
                f"{self.size} processes cannot share {len(points[0])} points, or populations, of a "
                "step evenly; pass a batch_size, of a response n_populations, that is a multiple"
            )
        rows = slice(self.rank * n, (self.rank + 1) * n)
        return getattr(points, "_make", tuple)([part[rows] for part in points])

    def mean(self, parameters: Iterable[torch.nn.Parameter], loss: Tensor) -> Tensor:
        """Average gradients, in place, and the loss, which is returned, over all processes."""
        if self.size == 1:
            return loss
        gradients = [value.grad for value in parameters if value.grad is not None]
        # one message for all: its latency counts for more than its length
        flat = torch.cat([*(one.flatten() for one in gradients), loss.reshape(1).float()])
        distributed.all_reduce(flat)
        flat /= self.size
        parts = flat[:-1].split([one.numel() for one in gradients])
        for one, part in zip(gradients, parts, strict=True):
            one.copy_(part.view_as(one))
        return flat[-1]

    def said(self, ask: Callable[[], float]) -> float:
        """Return what the first process finds, which alone is asked."""
        if self.size == 1:
            return ask()
        told = torch.tensor([ask() if self.is_first else 0.0], dtype=torch.float64)
        distributed.broadcast(told, 0)
        return float(told)

    def agree(self, network: torch.nn.Module) -> None:
        """Give all processes the weights of the first; the network is on the CPU."""
        if self.size > 1:
            for value in network.state_dict().values():
                distributed.broadcast(value, 0)

    def check_same(self, n_steps: int) -> None:
        """Raise where a training goes on from different steps.

        Raises
        ------
        ValueError
            A process does not see the checkpoint of the others.
        """
        if self.size == 1:
            return
        found = [torch.zeros(1, dtype=torch.long) for _ in range(self.size)]
        distributed.all_gather(found, torch.tensor([n_steps]))
        steps = [int(one) for one in found]
        if len(set(steps)) > 1:
            raise ValueError(
                f"the processes go on from different steps, {steps}; the folder of checkpoint= "
                "must be one that all of them see"
            )


@dataclass(frozen=True)
class _Shares:
    """Iterate over draws, of whose steps a process takes its part."""

    batches: Any
    processes: Processes

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Any]]:
        for steps in self.batches:
            yield [self.processes.share(points) for points in steps]


def started() -> Any:
    """Return Lightning's description of what torchrun or SLURM has started, None without."""
    # Lightning takes seconds to load, which whoever trains on one process is spared
    from pytorch_lightning.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    for environment in (TorchElasticEnvironment, SLURMEnvironment):
        if environment.detect():
            return environment()
    return None


def check_started(n_here: int, n_machines: int) -> None:
    """Raise unless as many processes have been started as are asked for.

    Raises
    ------
    ValueError
        None or another number of them.
    """
    found, wanted = started(), n_here * n_machines
    n = 1 if found is None else found.world_size()
    if n != wanted:
        raise ValueError(
            f"{wanted} processes are asked for ({n_here} on each of {n_machines} machines), and "
            f"{n} {'is' if n == 1 else 'are'} there; start the script by torchrun "
            f"--nproc-per-node {n_here} --nnodes {n_machines}, or by srun "
            f"--ntasks-per-node {n_here} --nodes {n_machines}"
        )


def joined(*, is_on_gpu: bool) -> Processes:
    """Return this process among those that were started, once they know of each other.

    They stay connected until they end: a second training goes on with the same connections, and so
    does a first one where the user has made some.
    """
    found = started()
    if found is None or found.world_size() == 1:
        return Processes()
    processes = Processes(found.global_rank(), found.world_size(), found.local_rank())
    if not distributed.is_initialized():
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if is_on_gpu else "gloo",
            init_method=f"tcp://{found.main_address}:{found.main_port}",
            rank=processes.rank,
            world_size=processes.size,
        )
        atexit.register(_leave)
    return processes


def _leave() -> None:
    if distributed.is_initialized():  # the user may have left before
        distributed.destroy_process_group()
