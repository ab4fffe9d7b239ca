"""Unregularised transport by POT's network simplex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import ot as pot
import torch
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

from celltraj._arrays import ArrayLike, as_array
from celltraj._card import card
from celltraj._checks import checked, checked_fields
from celltraj._typing import Earlier, Later
from celltraj.ot._card_facts import plan_facts
from celltraj.ot._cost import Cost, SquaredEuclidean
from celltraj.ot._problem import Problem
from celltraj.ot._sparse_coupling import SparseCoupling


@checked
def wasserstein(
    x: ArrayLike, y: ArrayLike, *, order: int = 1, weights: ArrayLike | None = None
) -> float:
    """Return the exact Wasserstein distance of two samples.

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


def check_samples(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return two samples ``(n, d)`` and ``(m, d)`` as float64 arrays.

    Raises
    ------
    TypeError
        One holds no real numbers.
    ValueError
        One is empty, has another shape or holds NaN, or their dimensions differ.

    Examples
    --------
    >>> from celltraj.ot import check_samples
    >>> check_samples([[1, 2]], [[3, 4]])[0]
    array([[1., 2.]])
    """
    left, right = as_array(x, "x", "(n, d)"), as_array(y, "y", "(m, d)")
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"x has {left.shape[1]} dimensions, y has {right.shape[1]}; they must agree"
        )
    return left, right


def probabilities(weights: ArrayLike | None, n: int) -> np.ndarray:
    """Return ``n`` weights that sum to one, uniform where there are none.

    Raises
    ------
    TypeError
        Weights that are no real numbers.
    ValueError
        Weights of another length, negative or not finite, or all zero.

    Examples
    --------
    >>> from celltraj.ot import probabilities
    >>> probabilities([3, 1], 2)
    array([0.75, 0.25])
    """
    if weights is None:
        return np.full(n, 1 / n)
    w = as_array(weights, "weights", "(n,)")
    if w.shape != (n,) or (w < 0).any() or not w.sum() > 0:
        raise ValueError(
            f"weights must be {n} finite numbers, none of them negative and not all zero; found "
            f"shape {w.shape}, minimum {w.min():g}"
        )
    shares: np.ndarray = w / w.sum()
    return shares


def exact_matching(x: ArrayLike, y: ArrayLike, a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Return the plan of least mean squared displacement, by POT's network simplex.

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


@card(plan_facts)
@dataclass(frozen=True)
class PlanCoupling(SparseCoupling):
    """Hold a coupling as the few entries of its plan.

    Parameters
    ----------
    plan
        ``(n, m)`` sparse plan.
    cost
        ``(n, m)`` ground cost.
    a, b
        ``(n,)`` and ``(m,)`` marginals.
    marginal_error
        L1 distance of both marginals of the plan from ``a`` and ``b``.

    Examples
    --------
    >>> import torch
    >>> from scipy.sparse import csr_array
    >>> from celltraj.ot import PlanCoupling, SquaredEuclidean
    >>> x, half = torch.tensor([[0.0], [9.0]]).double(), torch.tensor([0.5, 0.5]).double()
    >>> stay = csr_array([[0.5, 0.0], [0.0, 0.5]])
    >>> PlanCoupling(stay, SquaredEuclidean(x, x), half, half, 0.0).pull(x) / half[:, None]
    tensor([[0.],
            [9.]], dtype=torch.float64)
    """

    cost: Cost
    a: Earlier
    b: Later
    marginal_error: float


@card(plan_facts)
@dataclass(frozen=True)
class ExactCoupling(PlanCoupling):
    """Hold an optimal plan without entropy; it has at most ``n + m - 1`` entries.

    Parameters
    ----------
    plan
        ``(n, m)`` sparse plan.
    cost
        ``(n, m)`` ground cost.
    a, b
        ``(n,)`` and ``(m,)`` marginals.
    marginal_error
        L1 distance of both marginals of the plan from ``a`` and ``b``.
    f, g
        ``(n,)`` and ``(m,)`` dual potentials: ``f_i + g_j <= C_ij``, equal where mass moves.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Exact, SquaredEuclidean
    >>> x, half = torch.tensor([[0.0], [9.0]]).double(), torch.tensor([0.5, 0.5]).double()
    >>> Exact()(SquaredEuclidean(x, x + 1), half, half).value()
    0.5
    """

    f: Earlier
    g: Later

    def value(self) -> float:
        """Return ``<C, P>``, in units of the cost."""
        return float(self.f @ self.a + self.g @ self.b)


@checked_fields
@dataclass(frozen=True)
class Exact:
    """Solve transport without entropy, by POT's network simplex.

    ``min <C, P>`` with ``P 1 = a``, ``P' 1 = b``. An ``n x m`` array is held, and time grows faster
    than its size.

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

    max_iters: int = 10**7

    def __call__(self, cost: Cost, a: ArrayLike, b: ArrayLike) -> ExactCoupling:
        """Return an optimal coupling of ``a`` and ``b``.

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
        sparse = csr_array(plan)
        error = np.abs(plan.sum(1) - left).sum() + np.abs(plan.sum(0) - right).sum()
        f, g = torch.from_numpy(log["u"]), torch.from_numpy(log["v"])
        return ExactCoupling(sparse, cost, problem.a, problem.b, float(error), f, g)


def _check_optimal(log: dict[str, Any]) -> None:
    if log["warning"] is not None:
        raise RuntimeError(f"exact transport failed: {log['warning']}")
