"""Unregularised transport by POT's network simplex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import ot as pot
import torch
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

from celltraj._arrays import ArrayLike
from celltraj._checks import checked, checked_fields
from celltraj.ot._cost import Cost, SquaredEuclidean
from celltraj.ot._plan_coupling import ExactCoupling
from celltraj.ot._problem import Problem
from celltraj.ot.checks import check_samples, probabilities
from celltraj.ot.solver import PlanSolver


@checked
def wasserstein(
    x: ArrayLike, y: ArrayLike, *, order: int = 1, weights: ArrayLike | None = None
) -> float:
    """Return the exact Wasserstein distance of two samples, ``W_1`` or ``W_2``.

    ``W_p = (min_P sum P_ij |x_i - y_j|^p)^(1/p)`` for ``p`` = 1 or 2.

    Parameters
    ----------
    x, y
        ``(n, d)`` and ``(m, d)`` samples.
    order
        1 or 2.
    weights
        ``(n,)`` weights of ``x``, whose sum does not matter; uniform by default. Those of ``y`` are
        uniform.

    Returns
    -------
    The distance, in units of ``x``.

    Raises
    ------
    TypeError
        Samples or weights that are no real numbers.
    ValueError
        An order other than 1 or 2; samples that are empty, not finite or of unequal dimension;
        weights of another length, negative or not finite.
    RuntimeError
        The simplex did not reach an optimum.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.ot import wasserstein
    >>> wasserstein(np.zeros((2, 2)), np.full((2, 2), 3.0), order=2)
    4.24264068711928...
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2; found {order}")
    left, right = check_samples(x, y)
    a = probabilities(weights, len(left))
    cost = _squared_distances(left, right) ** (order / 2)
    value, log = pot.emd2(a, pot.unif(len(right)), cost, numItermax=10**7, log=True)
    _check_optimal(log)
    distance: float = float(value) ** (1 / order)
    return distance


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the squared distances ``(n, m)``, by differences: products of far states lose them."""
    squares: np.ndarray = cdist(x, y, "sqeuclidean")
    return squares


def exact_matching(x: ArrayLike, y: ArrayLike, a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Return the optimal transport plan of least mean squared displacement, by network simplex.

    ``argmin_P sum P_ij |x_i - y_j|^2`` with row sums ``a`` and column sums ``b``.

    Parameters
    ----------
    x, y
        ``(n, d)`` and ``(m, d)`` cells.
    a, b
        ``(n,)`` and ``(m,)`` weights of equal sum.

    Returns
    -------
    The dense ``(n, m)`` plan; at most ``n + m - 1`` of its entries are not zero.

    Raises
    ------
    ValueError
        Cells that are not finite or of unequal dimension, weights of another length, negative, not
        finite or of unequal mass.
    RuntimeError
        The simplex did not reach an optimum.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.ot import exact_matching
    >>> x, half = np.array([[0.0], [9.0]]), np.array([0.5, 0.5])
    >>> exact_matching(x, x[::-1], half, half)
    array([[0. , 0.5],
           [0.5, 0. ]])
    """
    problem = Problem.of(SquaredEuclidean(x, y), a, b, epsilon=1.0)  # type: ignore[arg-type]
    cost = _squared_distances(*check_samples(x, y))
    plan: np.ndarray
    plan, log = pot.emd(problem.a.numpy(), problem.b.numpy(), cost, numItermax=10**7, log=True)
    _check_optimal(log)
    return plan


@checked_fields
@dataclass(frozen=True)
class Exact(PlanSolver):
    """Exact optimal transport, without entropy, by POT's network simplex.

    ``min <C, P>`` with ``P 1 = a``, ``P' 1 = b``. An ``n x m`` array is held, and time grows faster
    than its size. A flow and a response take its plan; a bridge needs entropy.

    Parameters
    ----------
    max_iters
        Pivots of the simplex.

    References
    ----------
    Bonneel, van de Panne, Paris & Heidrich, *Displacement interpolation using Lagrangian mass
    transport* (2011).

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Exact, SquaredEuclidean
    >>> x, half = torch.tensor([[0.0], [9.0]]).double(), torch.tensor([0.5, 0.5]).double()
    >>> Exact()(SquaredEuclidean(x, x.flip(0)), half, half).to_dense()
    tensor([[0.0000, 0.5000],
            [0.5000, 0.0000]], dtype=torch.float64)
    """

    is_balanced: ClassVar[bool] = True

    max_iters: int = 10**7

    def __call__(
        self, cost: Cost, a: ArrayLike, b: ArrayLike, *, epsilon: float = 0.0
    ) -> ExactCoupling:
        """Return an optimal coupling of ``a`` and ``b``; ``epsilon`` has no use here.

        Raises
        ------
        ValueError
            Wrong shapes, weights that are negative or not finite, unequal masses.
        RuntimeError
            The simplex did not reach an optimum.
        """
        problem = Problem.of(cost, a, b, epsilon=1.0)  # refuses what no solver takes
        left, right = problem.a.numpy(), problem.b.numpy()
        plan, log = pot.emd(left, right, cost.dense().numpy(), numItermax=self.max_iters, log=True)
        _check_optimal(log)
        f, g = torch.from_numpy(log["u"]), torch.from_numpy(log["v"])
        return ExactCoupling(csr_array(plan), cost, problem.a, problem.b, f, g)


def _check_optimal(log: dict[str, Any]) -> None:
    if log["warning"] is not None:
        raise RuntimeError(f"exact transport failed: {log['warning']}")
