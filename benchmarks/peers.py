"""Flow matching by torchcfm behind the signature that ``ct.tl.cross_validate`` calls.

I-CFM and OT-CFM: Tong et al., *Improving and generalizing flow-based generative models with
minibatch optimal transport* (2024); [SF]2M: Tong et al., *Simulation-free Schrödinger bridges via
score and flow matching* (2024). One network, one loop and one noise for all; only the matcher, and
with it the pairs and the paths, differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from anndata import AnnData
from torch import Tensor
from torchcfm.conditional_flow_matching import (
    ConditionalFlowMatcher,
    ExactOptimalTransportConditionalFlowMatcher,
    SchrodingerBridgeConditionalFlowMatcher,
)
from torchcfm.models import MLP

from benchmarks._peer import one_thread, seeded
from celltraj._anndata import read_snapshots
from celltraj.snapshots import Snapshots

SIGMA = 0.1


@dataclass(frozen=True)
class Flow:
    """Hold a flow-matching network as a ``Process``, an ODE unless it has a score.

    The networks run on the clock of gap indices, ``k + s`` in gap ``k``, as their authors train
    them; the true length of the gap turns velocities into [x]/[t].

    Parameters
    ----------
    snapshots
        Observed clouds, for their times.
    network
        Velocity of the probability flow on the clock.
    score
        ``sigma^2/2`` times the score on the clock; with it the process is the SDE.
    """

    snapshots: Snapshots
    network: torch.nn.Module
    score: torch.nn.Module | None = None

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Times at which the clock changes its pace."""
        return self.snapshots.times

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, d)`` drift, in [x]/[t]."""
        k = self.snapshots.gap_of(t)
        gap = self.snapshots.gaps[k]
        clock = torch.full((len(x), 1), k + (t - self.snapshots.times[k]) / gap)
        with torch.no_grad():
            state = torch.cat([x.float(), clock], 1)
            rate = self.network(state) if self.score is None else self._sde_rate(state)
            return (rate / gap).to(x.dtype)

    def _sde_rate(self, state: Tensor) -> Tensor:
        return self.network(state) + self.score(state)

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return the noise of the SDE, in [x]/sqrt([t]), or zeros for the ODE."""
        if self.score is None:
            return torch.zeros_like(x)
        return torch.full_like(x, SIGMA / self.snapshots.gaps[self.snapshots.gap_of(t)] ** 0.5)


def fit_i_cfm(adata: AnnData, **options: object) -> Flow:
    """Train I-CFM: the cells of a pair are drawn independently. Options as for OT-CFM."""
    return _fit(ConditionalFlowMatcher(sigma=SIGMA), adata, **options)


def fit_ot_cfm(adata: AnnData, **options: object) -> Flow:
    """Train OT-CFM: pairs are drawn from an exact plan of each minibatch.

    Parameters
    ----------
    adata
        Cells of all times.
    **options
        ``time_key``, ``use_rep``, ``seed``, ``max_steps`` and ``batch_size``.
    """
    return _fit(ExactOptimalTransportConditionalFlowMatcher(sigma=SIGMA), adata, **options)


def fit_sf2m(adata: AnnData, *, ode: bool = True, **options: object) -> Flow:
    """Train [SF]2M: pairs from an exact plan of each minibatch, as its authors do, and bridges.

    Velocity and score are trained together. ``ode`` follows the velocity alone, the probability
    flow; without it cells follow the SDE of noise sigma per gap. Other options as for OT-CFM.
    """
    matcher = SchrodingerBridgeConditionalFlowMatcher(sigma=SIGMA)
    flow = _fit(matcher, adata, with_score=True, **options)
    return replace(flow, score=None) if ode else flow


def _fit(
    matcher: ConditionalFlowMatcher,
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    seed: int = 0,
    max_steps: int = 1000,
    batch_size: int = 256,
    with_score: bool = False,
) -> Flow:
    """Train one network on all gaps, and a second one for the score where that is asked for."""
    snapshots, _ = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    with seeded(seed), one_thread():
        network, score = (
            MLP(dim=snapshots.dim, w=64, time_varying=True) if wanted else None
            for wanted in (True, with_score)
        )
        networks = torch.nn.ModuleList([n for n in (network, score) if n is not None])
        optimiser = torch.optim.Adam(networks.parameters(), lr=1e-3)
        for _ in range(max_steps):
            state, velocity, noise, weight = _batch(snapshots, matcher, batch_size)
            loss = (network(state) - velocity).square().mean()
            if score is not None:
                # weight = 2 gamma / sigma^2, and -noise / gamma is the score of a bridge
                loss = loss + (weight * score(state) + noise).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return Flow(snapshots, network, score)


def _batch(snapshots: Snapshots, matcher: ConditionalFlowMatcher, size: int) -> tuple[Tensor, ...]:
    """Return states on the clock, velocities, noises and weights of ``size`` points per gap."""
    parts = []
    for before, after in snapshots.pairs():
        x0, x1 = (
            snapshots.x[k][torch.randint(len(snapshots.x[k]), (size,))].float()
            for k in (before, after)
        )
        s, x, velocity, noise = matcher.sample_location_and_conditional_flow(
            x0, x1, return_noise=True
        )
        weight = torch.as_tensor(matcher.compute_lambda(s)).expand(size)[:, None]
        parts.append((torch.cat([x, before + s[:, None]], 1), velocity, noise, weight))
    return tuple(torch.cat(values) for values in zip(*parts, strict=True))
