r"""Fisher scoring of a reference with few parameters on the transitions of a bridge.

At a fixed plan ``P`` the likelihood to raise is ``E_P log p_theta(y | x)``, that of the end points
alone: less is missing than in the likelihood of whole paths, and far fewer rounds are needed. With
the Gaussian transitions ``N(m_i, Sigma_i)`` and the moments of the plan in each row,

    grad = sum_i r_i m' Sigma^-1 (E y - m) + 1/2 tr(Sigma^-1 Sigma' (Sigma^-1 M_i - r_i I))
    information = sum_i r_i (m' Sigma^-1 m' + 1/2 tr(Sigma^-1 Sigma' Sigma^-1 Sigma'))

where a dash is the derivative in a parameter, by differences, ``r_i`` the mass of row i and ``M_i``
its second moment about ``m_i``. Both steps of the alternation raise the same objective.
Dempster, Laird & Rubin (1977) for that; Green, *Iteratively reweighted least squares* (1984).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj.models.references.family import Parametric
from celltraj.models.references.gaussian_law import Flow, gap_flow
from celltraj.ot import Coupling
from celltraj.snapshots import Snapshots

_PROBE = 1e-5
_LONGEST = 0.5  # relative step in any parameter: farther off, derivatives say nothing
_HALVINGS = 8


@dataclass(frozen=True)
class RowMoments:
    """Hold mass ``(n,)``, first ``(n, d)`` and second ``(n, d, d)`` moments of a plan's rows."""

    mass: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, coupling: Coupling, y: Tensor) -> RowMoments:
        """Return the moments of where the rows of ``coupling`` send their mass among ``y``."""
        n, d = len(y), y.shape[1]
        pairs = (y[:, :, None] * y[:, None]).reshape(n, d * d)
        sums = coupling.pull(torch.cat([torch.ones(n, 1, dtype=y.dtype), y, pairs], 1))
        return cls(sums[:, 0], sums[:, 1 : d + 1], sums[:, d + 1 :].reshape(-1, d, d))

    def about(self, mean: Tensor) -> Tensor:
        """Return the second moment ``(n, d, d)`` about ``mean (n, d)``."""
        cross = self.first[:, :, None] * mean[:, None]
        own = self.mass[:, None, None] * mean[:, :, None] * mean[:, None]
        return self.second - cross - cross.mT + own


def log_likelihood(flows: Sequence[Flow], moments: Sequence[RowMoments]) -> float:
    """Return ``E_P log p(y | x)``, in nats per cell, summed over gaps."""
    total = 0.0
    for flow, rows in zip(flows, moments, strict=True):
        covariance, mean = flow.covariance[-1], flow.mean[-1]
        scaled = torch.linalg.solve(covariance, rows.about(mean)).diagonal(dim1=1, dim2=2).sum(1)
        log_det = torch.logdet(covariance) + mean.shape[1] * math.log(2 * math.pi)
        total -= float((scaled + rows.mass * log_det).sum()) / 2
    return total


def score_transitions(
    reference: Parametric,
    snapshots: Snapshots,
    flows: Sequence[Flow],
    couplings: Sequence[Coupling],
) -> Parametric:
    """Return the member after one step of Fisher scoring that raises the likelihood.

    The member itself where no step along the direction does.
    """
    moments = [RowMoments.of(c, snapshots.x[k + 1]) for k, c in enumerate(couplings)]
    start = reference.parameters()
    step = _step(reference, snapshots, flows, moments)
    before = log_likelihood(flows, moments)
    for halving in range(_HALVINGS):
        there = reference.with_parameters(start + step / 2**halving)
        after = log_likelihood(_flows(there, snapshots), moments)
        if after >= before:  # not so where it is NaN
            return there
    return reference


def _flows(reference: Parametric, snapshots: Snapshots) -> list[Flow]:
    times = snapshots.times
    return [gap_flow(reference, snapshots.x[k], times[k], times[m]) for k, m in snapshots.pairs()]


def _step(
    reference: Parametric,
    snapshots: Snapshots,
    flows: Sequence[Flow],
    moments: Sequence[RowMoments],
) -> Tensor:
    raw = reference.parameters()
    size = _PROBE * (1 + raw.abs())
    moved = [
        _flows(reference.with_parameters(raw + offset), snapshots) for offset in torch.diag(size)
    ]
    slope = torch.zeros_like(raw)
    information = torch.zeros(len(raw), len(raw), dtype=raw.dtype)
    for k, (flow, rows) in enumerate(zip(flows, moments, strict=True)):
        mean, covariance = flow.mean[-1], flow.covariance[-1].expand(len(flow.mean[-1]), -1, -1)
        precision = torch.linalg.inv(covariance)
        others = [other[k] for other in moved]
        pairs = list(zip(others, size, strict=True))
        d_mean = torch.stack([(other.mean[-1] - mean) / h for other, h in pairs])
        d_cov = torch.stack([precision @ (o.covariance[-1] - covariance) / h for o, h in pairs])
        pulled = d_mean[:, :, None] @ precision  # (p, n, 1, d)
        miss = rows.first - rows.mass[:, None] * mean
        excess = precision @ rows.about(mean)
        excess = excess - rows.mass[:, None, None] * torch.eye(mean.shape[1], dtype=mean.dtype)
        slope += (pulled[:, :, 0] * miss).sum((1, 2))
        slope += torch.einsum("pnij,nji->p", d_cov, excess) / 2
        weighted = rows.mass[:, None] * pulled[:, :, 0]
        information += torch.einsum("pni,qni->pq", weighted, d_mean)
        information += torch.einsum("n,pnij,qnji->pq", rows.mass, d_cov, d_cov) / 2
    scale = information.diagonal().clamp(min=1e-300).rsqrt()
    # in units of its own information every parameter has 1 on the diagonal: what the data do not
    # determine stays where it is
    unit = scale[:, None] * information * scale + 1e-8 * torch.eye(len(raw), dtype=raw.dtype)
    step = scale * torch.linalg.solve(unit, scale * slope)
    length = float((step / (1 + raw.abs())).abs().max())
    capped: Tensor = step * min(1.0, _LONGEST / max(length, 1e-300))
    return capped
