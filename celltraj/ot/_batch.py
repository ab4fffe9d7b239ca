"""Many small transport problems at once, on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from celltraj._arrays import ArrayLike
from celltraj.ot._cost import Cost
from celltraj.ot._coupling import Coupling
from celltraj.ot._device_tiles import device_named
from celltraj.ot._ladder import ladder
from celltraj.ot._problem import Problem
from celltraj.ot._solver_stats import SolverStats
from celltraj.ot._sparse_newton import solve_potentials

_CHECK = 10  # sweeps between two looks at the error


def solve_batch(
    costs: Sequence[Cost],
    a: Sequence[ArrayLike],
    b: Sequence[ArrayLike],
    *,
    epsilon: float | Sequence[float],
    tol: float = 1e-6,
    max_iters: int = 500,
    throw: bool = True,
    device: str | torch.device | None = None,
) -> list[Coupling]:
    """Sinkhorn on a batch: solve many small problems of entropic transport together.

    Balanced problems, by log-domain sweeps.

    Problems are padded to one ``(k, n, m)`` array with cells of no mass. Those that ``max_iters``
    sweeps leave above ``tol`` are finished one by one with sparse Newton steps.

    Parameters
    ----------
    costs
        ``k`` ground costs, of shapes ``(n_i, m_i)`` that may differ.
    a, b
        ``k`` weights of ``(n_i,)`` and ``(m_i,)`` cells, float64, of equal mass.
    epsilon
        Regularisation in units of the cost, one for all or one for each.
    tol
        L1 error of both marginals together, in units of mass, at which to stop.
    max_iters
        Sweeps over the batch.
    throw
        Whether to raise when a problem does not reach ``tol``.
    device
        Where to compute; ``"cuda"`` where there is one, else ``"cpu"``.

    Returns
    -------
    The ``k`` couplings, on the CPU.

    Raises
    ------
    ValueError
        The numbers of costs, weights and epsilons differ, one problem is refused, or there is no
        such device.
    ConvergenceError
        A problem did not reach the tolerance; carries its coupling as ``result``.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import SquaredEuclidean, solve_batch
    >>> x, y = torch.zeros(2, 1).double(), torch.ones(3, 1).double()
    >>> a, b = (torch.full((n,), 1 / n, dtype=torch.float64) for n in (2, 3))
    >>> costs = [SquaredEuclidean(x, y), SquaredEuclidean(y, x)]
    >>> [c.converged for c in solve_batch(costs, [a, b], [b, a], epsilon=0.1)]
    [True, True]
    """
    k = len(costs)
    given = np.asarray(epsilon, float)
    epsilons = given.tolist() if given.ndim else [float(given)] * k
    if not len(a) == len(b) == len(epsilons) == k:
        raise ValueError(
            f"{k} costs need as many weights and epsilons; found {len(a)}, {len(b)} and "
            f"{len(epsilons)}"
        )
    problems = [Problem.of(*given) for given in zip(costs, a, b, epsilons, strict=True)]
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    f, g, n_sweeps = _sweep(problems, 0.5 * tol, max_iters, device_named(device))
    return [
        _finish(problem, f[i].cpu(), g[i].cpu(), n_sweeps, tol=tol, throw=throw)
        for i, problem in enumerate(problems)
    ]


def _sweep(
    problems: list[Problem], tol: float, max_iters: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return potentials of the padded problems after sweeps on a ladder of epsilons."""
    n, m = (max(p.cost.shape[side] for p in problems) for side in (0, 1))
    cost = torch.zeros((len(problems), n, m), dtype=torch.float64)
    a, b = (torch.zeros((len(problems), size), dtype=torch.float64) for size in (n, m))
    for i, problem in enumerate(problems):
        rows, columns = problem.cost.shape
        cost[i, :rows, :columns] = problem.cost.dense()
        a[i, :rows], b[i, :columns] = problem.a, problem.b
    cost, log_a, log_b = cost.to(device), a.log().to(device), b.log().to(device)
    # every problem climbs down its own ladder; the shorter ones wait at its end
    ladders = [ladder(p.cost.mean(), p.epsilon) for p in problems]
    length = max(len(rungs) for rungs in ladders)
    padded = [rungs[:1] * (length - len(rungs)) + rungs for rungs in ladders]
    rungs = torch.tensor(padded, dtype=torch.float64, device=device).T
    f, g, n_sweeps = torch.zeros_like(log_a), torch.zeros_like(log_b), 0
    g[log_b == -torch.inf] = -torch.inf
    for step, epsilon in enumerate(rungs):
        is_last = step == length - 1
        goal, cap = (tol, max_iters) if is_last else (1e-2, 50)
        f, g, n = _alternate(cost, log_a, log_b, g, epsilon, goal, cap)
        n_sweeps += n
    return f, g, n_sweeps


def _alternate(
    cost: torch.Tensor,
    log_a: torch.Tensor,
    log_b: torch.Tensor,
    g: torch.Tensor,
    epsilon: torch.Tensor,
    tol: float,
    cap: int,
) -> tuple[torch.Tensor, torch.Tensor, int]:
    scaled, b = cost / epsilon[:, None, None], log_b.exp()
    g = g / epsilon[:, None]
    for n_sweeps in range(1, cap + 1):
        f = log_a - torch.logsumexp(g[:, None, :] - scaled, 2)
        log_column = torch.logsumexp(f[:, :, None] - scaled, 1)
        if n_sweeps % _CHECK == 0 or n_sweeps == cap:
            error = ((log_column + g).exp() - b).abs().sum(1)
            if bool((error <= tol).all()):
                break
        g = log_b - log_column
    f = log_a - torch.logsumexp(g[:, None, :] - scaled, 2)
    return f * epsilon[:, None], g * epsilon[:, None], n_sweeps


def _finish(
    problem: Problem, f: torch.Tensor, g: torch.Tensor, n_sweeps: int, *, tol: float, throw: bool
) -> Coupling:
    n, m = problem.cost.shape
    stats = SolverStats(passes=n_sweeps, sweeps=n_sweeps)
    coupling = problem.coupling(f[:n], g[:m], stats, tol=tol, throw=False)
    if coupling.converged:
        return coupling
    stats.fallbacks.append("sparse Newton")
    found = solve_potentials(problem, stats, tol=tol, max_steps=60)
    return problem.coupling(*found, stats, tol=tol, throw=throw)
