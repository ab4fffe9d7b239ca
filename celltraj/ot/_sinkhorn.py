"""Log-domain Sinkhorn with an epsilon ladder, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array

from celltraj._arrays import ArrayLike
from celltraj._checks import checked_fields
from celltraj._typing import Earlier, Later, Plan
from celltraj.ot._cost import Cost
from celltraj.ot._coupling import Coupling
from celltraj.ot._device_tiles import DeviceTiles, device_named
from celltraj.ot._ladder import ladder
from celltraj.ot._problem import Problem
from celltraj.ot._solver_stats import SolverStats

_BURST = 500  # kernel sweeps between two log-domain sweeps
_SAFE = 1e100  # scalings beyond it are absorbed before they overflow
_NEGLIGIBLE = 1e-9  # mass that truncating the kernel may drop
_DENSE = 0.2  # share of entries above which a dense product is faster


@checked_fields
@dataclass(frozen=True)
class Sinkhorn:
    r"""Sinkhorn: entropic optimal transport by alternating log-domain updates.

    ``f_i = epsilon (log a_i - log sum_j exp((g_j - C_ij) / epsilon))`` and the same for ``g``,
    started on a ladder of larger epsilons.

    Parameters
    ----------
    tol
        L1 error of both marginals together (total mass is one) at which to stop.
    max_iters
        Sweeps at the target epsilon.
    throw
        Whether to raise when ``tol`` is not reached; otherwise ``Coupling.converged`` says so.
    device
        ``"cuda"`` computes on a GPU, in float64, the cost block by block and never held; the
        potentials come back. By default the CPU, where the cost is held whole.

    References
    ----------
    Cuturi, *Sinkhorn distances* (2013); Peyre & Cuturi, *Computational optimal transport* (2019),
    section 4.4.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Sinkhorn, SquaredEuclidean
    >>> x = torch.zeros(1, 1, dtype=torch.float64)
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> Sinkhorn()(SquaredEuclidean(x, x + 1), one, one, epsilon=1.0).converged
    True
    """

    is_balanced: ClassVar[bool] = True

    tol: float = 1e-4
    max_iters: int = 20_000
    throw: bool = True
    device: str | None = None

    def __call__(self, cost: Cost, a: ArrayLike, b: ArrayLike, *, epsilon: float) -> Coupling:
        """Return the coupling of ``a`` and ``b`` at ``epsilon``.

        Raises
        ------
        ValueError
            ``epsilon <= 0``, wrong shapes, negative weights or unequal masses; a device that is
            not here.
        ConvergenceError
            The tolerance was not reached; carries the coupling as ``result``.
        """
        device = None if self.device is None else device_named(self.device)
        problem = Problem.of(cost, a, b, epsilon)
        inner = problem.without_zeros()
        alternate = _here(inner) if device is None else _there(inner, device)
        g, stats = torch.zeros_like(inner.b), SolverStats()
        for rung in ladder(cost.mean(), epsilon):
            is_last = rung == epsilon
            tol, cap = (self.tol, self.max_iters) if is_last else (1e-2, 200)
            f, g, n_rung = alternate(rung, g, tol, cap)
            stats.passes += n_rung
        f, g = problem.with_zeros(f, g)
        sums = None if device is None else DeviceTiles.of(cost, epsilon, device).marginals(f, g)
        return problem.coupling(f, g, stats, tol=self.tol, throw=self.throw, marginals=sums)


Alternation = Callable[[float, Later, float, int], tuple[Earlier, Later, int]]


def _here(problem: Problem) -> Alternation:
    """Return how to alternate at an epsilon, from ``g`` and in units of the cost, on the CPU."""
    dense, log_a, log_b = problem.cost.dense(), problem.log_a, problem.log_b

    def alternate(epsilon: float, g: Later, tol: float, cap: int) -> tuple[Earlier, Later, int]:
        f, g, n_sweeps = _alternate(dense / epsilon, log_a, log_b, g / epsilon, tol, cap)
        return f * epsilon, g * epsilon, n_sweeps

    return alternate


def _there(problem: Problem, device: torch.device) -> Alternation:
    """Return the same on a device."""
    tiles = DeviceTiles.of(problem.cost, problem.epsilon, device)
    logs = problem.log_a.to(device), problem.log_b.to(device)

    def alternate(epsilon: float, g: Later, tol: float, cap: int) -> tuple[Earlier, Later, int]:
        start = g.to(device) / epsilon
        f, g, n_sweeps = tiles.at(epsilon).alternate(logs, start, 0.9 * tol, cap)
        return f.cpu() * epsilon, g.cpu() * epsilon, n_sweeps

    return alternate


def _alternate(
    cost: Plan, log_a: Earlier, log_b: Later, g: Later, tol: float, cap: int
) -> tuple[Earlier, Later, int]:
    """Alternate until the column error is below ``tol``; all arguments in units of epsilon.

    Log-domain sweeps over the full cost decide; between them a burst of cheap sweeps runs on the
    kernel at the current potentials, truncated to the entries that carry mass.
    """
    n_sweeps = 0
    while True:
        f = log_a - torch.logsumexp(g - cost, 1)
        column = torch.logsumexp(f[:, None] - cost, 0)
        n_sweeps += 1
        error = float(((column + g).exp() - log_b.exp()).abs().sum())
        if error <= 0.9 * tol or n_sweeps >= cap:
            return f, g, n_sweeps
        g = log_b - column
        log_v, n_burst = _burst(f, g, cost, log_a, log_b, tol, min(_BURST, cap - n_sweeps))
        g, n_sweeps = g + log_v, n_sweeps + n_burst


def _burst(
    f: Earlier, g: Later, cost: Plan, log_a: Earlier, log_b: Later, tol: float, cap: int
) -> tuple[Later, int]:
    """Return the logarithm of the column scaling after at most ``cap`` kernel sweeps."""
    kernel = _kernel(f, g, cost)
    a, b = log_a.exp().numpy(), log_b.exp().numpy()
    v = np.ones_like(b)
    for n_sweeps in range(1, cap + 1):
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            u = a / (kernel @ v)
            column = kernel.T @ u
            proposal = b / column
        # Truncation and underflow can empty a row or column. The log-domain sweeps then go on
        # from the last scaling that is safe to absorb.
        if not (proposal.max() < _SAFE and proposal.min() > 1 / _SAFE):
            return torch.from_numpy(np.log(v)), n_sweeps - 1
        error = np.abs(v * column - b).sum()
        v = proposal
        if error <= tol:
            break
    return torch.from_numpy(np.log(v)), n_sweeps


def _kernel(f: Earlier, g: Later, cost: Plan) -> np.ndarray | csr_array:
    dense = (f[:, None] + g - cost).exp_().numpy()
    matters = dense > _NEGLIGIBLE / dense.size
    if np.count_nonzero(matters) > _DENSE * dense.size:
        return dense
    return csr_array(np.where(matters, dense, 0.0))
