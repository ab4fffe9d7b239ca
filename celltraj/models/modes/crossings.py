r"""Rates between sets of cells, by counting simulated crossings between their cores.

Smooth features overstate how fast a barrier is crossed, by a factor that grows with its height. So
paths are simulated, and a path belongs to the set whose core it was in last; with ``N_ij`` changes
from ``i`` to ``j`` in the time ``R_i`` that paths belonged to ``i``,

    k_ij = N_ij / R_i,    N_ij ~ Poisson(k_ij R_i),

whose interval is exact (Garwood 1936). A path that turns back on the barrier never reaches the
other core, so that the rates do not depend on where exactly cores end (milestoning; Buchete &
Hummer, *Coarse master equations for peptide folding dynamics*, 2008).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._typing import Cells
from celltraj.models._simulate import simulate
from celltraj.models.modes.bursts import Pace
from celltraj.models.process import Process
from celltraj.models.solvers import Midpoint

_STEP = 0.1  # of the time in which the drift changes, where it changes fast
_LOOK = 0.5  # of the time in which it changes at most cells: cores are not left much sooner
_LOOKS = 10  # between counts
_ENOUGH = 100  # changes from each set
_BURN_IN = 1  # rounds that are not counted: starts are forgotten within a set
_NONE = -1


@dataclass(frozen=True, eq=False)
class Crossings:
    """Hold how often paths went from set to set.

    Parameters
    ----------
    counts
        ``(k, k)`` changes from set to set.
    at_risk
        ``(k,)`` time that paths belonged to each set, in [t].
    """

    counts: Tensor
    at_risk: Tensor

    @classmethod
    def none(cls, n_sets: int) -> Crossings:
        """Return no crossings in no time."""
        zero = torch.zeros(n_sets, n_sets + 1, dtype=torch.float64)
        return cls(zero[:, 1:], zero[:, 0])

    def with_look(self, last: Tensor, now: Tensor, time: float) -> Crossings:
        """Return these, and what paths did between two looks that lie ``time`` apart."""
        k = len(self.at_risk)
        went = torch.bincount(last * k + now, minlength=k * k).view(k, k).double()
        moved = went - torch.diag(went.diagonal())
        return Crossings(self.counts + moved, self.at_risk + time * went.sum(1))

    @property
    def rates(self) -> Tensor:
        """Rates ``(k, k)`` from set to set, in 1/[t]; NaN from a set that no path was in."""
        return self.counts / torch.where(self.at_risk > 0, self.at_risk, torch.nan)[:, None]

    def intervals(self, confidence: float) -> tuple[Tensor, Tensor]:
        """Return both ends ``(k, k)`` of the exact Poisson interval of each rate, in 1/[t]."""
        tail, n = (1 - confidence) / 2, self.counts.numpy()
        low = np.where(n > 0, chi2.ppf(tail, 2 * np.maximum(n, 1)) / 2, 0.0)
        high = chi2.ppf(1 - tail, 2 * (n + 1)) / 2
        at_risk = torch.where(self.at_risk > 0, self.at_risk, torch.nan)[:, None]
        return torch.from_numpy(low) / at_risk, torch.from_numpy(high) / at_risk

    def relaxation(self) -> Tensor:
        """Return the rates ``(k - 1,)`` at which shares of sets relax, ascending, in 1/[t].

        Eigenvalues of the matrix of rates; of two sets ``k_01 + k_10``.
        """
        return _relaxation(self.rates.nan_to_num())

    def relaxation_intervals(
        self, confidence: float, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return both ends of their intervals, by 400 draws of rates, ``Gamma(N + 1/2, R)``."""
        shape = (self.counts.double() + 0.5).expand(400, *self.counts.shape)
        # gammas through uniforms: torch has no generator for its own
        uniform = torch.rand(shape.shape, dtype=torch.float64, generator=generator)
        drawn = torch.from_numpy(chi2.ppf(uniform.numpy(), 2 * shape.numpy()) / 2)
        drawn = drawn / self.at_risk.clamp(min=1e-300)[:, None]
        found = torch.stack([_relaxation(one) for one in drawn])
        tail = (1 - confidence) / 2
        low, high = found.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64), 0)
        return low, high


def _relaxation(rates: Tensor) -> Tensor:
    off = rates - torch.diag(rates.diagonal())
    values: Tensor = -torch.linalg.eigvals(off - torch.diag(off.sum(1))).real
    found: Tensor = values.sort().values[1:]
    return found


def count_crossings(
    process: Process,
    starts: Cells,
    core_of: Callable[[Cells], Tensor],
    n_sets: int,
    *,
    pace: Pace,
    most_states: int = 30_000_000,
    generator: torch.Generator,
    progress: bool = False,
) -> Crossings:
    """Simulate paths until each set was left a hundred times, and count.

    Parameters
    ----------
    process
        Law of motion without explicit time.
    starts
        ``(n, d)`` states that paths start from, each in a core.
    core_of
        Number ``(n,)`` of the core that a state is in, -1 for none.
    n_sets
        Number of sets.
    pace
        How fast the drift changes from place to place.
    most_states
        States after which simulation ends in any case.
    generator
        Source of randomness.
    progress
        Whether to show a progress bar.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> from celltraj.models.modes.bursts import Pace
    >>> from celltraj.models.modes.crossings import count_crossings
    >>> pull = ct.models.OrnsteinUhlenbeck(matrix=-torch.eye(1), shift=torch.zeros(1), sigma=1.0)
    >>> def core_of(x):
    ...     return torch.where(x[:, 0] < -0.5, 0, torch.where(x[:, 0] > 0.5, 1, -1))
    >>> starts = torch.tensor([[-1.0], [1.0]]).double().repeat(200, 1)
    >>> pace = Pace(1.0, 1.0)
    >>> found = count_crossings(pull, starts, core_of, 2, pace=pace, generator=torch.Generator())
    >>> bool(found.counts.sum(1).min() >= 100)
    True
    """
    step, look = _STEP / pace.fast, _LOOK / pace.usual
    per_look = math.ceil(look / step)
    n_steps = per_look * _LOOKS
    times = torch.linspace(0, look * _LOOKS, n_steps + 1, dtype=torch.float64).tolist()
    x, last = starts, core_of(starts)
    found = Crossings.none(n_sets)
    most = max(2, most_states // (len(starts) * n_steps))
    burn_in = min(_BURN_IN, most // 2)
    with tqdm(total=most, desc="crossings", unit="round", disable=not progress) as bar:
        for k in range(most):
            # every time is asked for, so that steps are even
            path = simulate(process, x, times, solver=Midpoint(n_steps=1), generator=generator).x
            x, looks = path[-1], path[per_look::per_look]
            cores = core_of(looks.flatten(0, 1)).view(_LOOKS, -1)
            for core in cores:
                now = torch.where(core == _NONE, last, core)
                found = found.with_look(last, now, look) if k >= burn_in else found
                last = now
            bar.update()
            if float(found.counts.sum(1).min()) >= _ENOUGH:
                break
    return found
