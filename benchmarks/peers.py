"""Peers fitted behind the signature that ``ct.tl.cross_validate`` calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from anndata import AnnData
from torch import Tensor
from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher
from torchcfm.models import MLP

from celltraj._anndata import read_snapshots
from celltraj._snapshots import Snapshots


@dataclass(frozen=True)
class Flow:
    """Hold a flow-matching network as a ``Process`` without noise.

    The network runs on the clock of gap indices, ``k + s`` in gap ``k``, as its authors train it;
    the true length of the gap turns its velocity into [x]/[t].
    """

    snapshots: Snapshots
    network: torch.nn.Module

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Times at which the clock changes its pace."""
        return self.snapshots.times

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, d)`` velocity, in [x]/[t]."""
        k = self.snapshots.gap_of(t)
        gap = self.snapshots.gaps[k]
        clock = torch.full((len(x), 1), k + (t - self.snapshots.times[k]) / gap)
        with torch.no_grad():
            return (self.network(torch.cat([x.float(), clock], 1)) / gap).to(x.dtype)

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return zeros: the flow is deterministic."""
        return torch.zeros_like(x)


def fit_ot_cfm(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    seed: int = 0,
    max_steps: int = 1000,
    batch_size: int = 256,
) -> Flow:
    """Train OT-CFM as its authors do on many snapshots: one network, minibatch plans in each gap.

    Tong et al., *Improving and generalizing flow-based generative models with minibatch optimal
    transport* (2024).
    """
    snapshots, _ = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    with _seeded(seed), _one_thread():
        network = MLP(dim=snapshots.dim, w=64, time_varying=True)
        matcher = ExactOptimalTransportConditionalFlowMatcher(sigma=0.1)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        for _ in range(max_steps):
            t, x, velocity = _batch(snapshots, matcher, batch_size)
            loss = (network(torch.cat([x, t], 1)) - velocity).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return Flow(snapshots, network)


def _batch(
    snapshots: Snapshots, matcher: ExactOptimalTransportConditionalFlowMatcher, size: int
) -> tuple[Tensor, ...]:
    """Return clock, states and velocities of ``size`` points in every gap."""
    parts = []
    for before, after in snapshots.pairs():
        x0, x1 = (
            snapshots.x[k][torch.randint(len(snapshots.x[k]), (size,))].float()
            for k in (before, after)
        )
        s, x, velocity = matcher.sample_location_and_conditional_flow(x0, x1)
        parts.append((before + s[:, None], x, velocity))
    return tuple(torch.cat(values) for values in zip(*parts, strict=True))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, the only ones torchcfm listens to, and give them back."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # noqa: TID251
            np.random.seed(seed)  # noqa: NPY002, TID251
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train as the package trains: a second thread only waits for the first."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
