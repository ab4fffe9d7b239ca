"""Unregularised transport by POT's network simplex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import ot as pot
import torch
from scipy.sparse import csr_array

from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost
from celltraj.ot._problem import Problem
from celltraj.ot._sparse_coupling import SparseCoupling


def wasserstein(
    x: np.ndarray, y: np.ndarray, *, order: int = 1, weights: np.ndarray | None = None
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
    ValueError
        An order other than 1 or 2; weights of another length, negative or not finite.
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
    a = pot.unif(len(x)) if weights is None else _probabilities(weights, len(x))
    cost = _squared_distances(np.asarray(x, float), np.asarray(y, float)) ** (order / 2)
    value, log = pot.emd2(a, pot.unif(len(y)), cost, numItermax=10**7, log=True)
    _check_optimal(log)
    return float(value) ** (1 / order)


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the squared distances ``(n, m)``, about the mean: far from zero products lose them."""
    centre = y.mean(0)
    return pot.dist(x - centre, y - centre).clip(min=0)


def _probabilities(weights: np.ndarray, n: int) -> np.ndarray:
    w = np.asarray(weights, float)
    if w.shape != (n,) or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
        raise ValueError(
            f"weights must be {n} finite numbers, none of them negative and not all zero; found "
            f"shape {w.shape}, minimum {w.min(initial=np.inf):g}"
        )
    return w / w.sum()


def exact_matching(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
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
    plan, log = pot.emd(a, b, _squared_distances(x, y), numItermax=10**7, log=True)
    _check_optimal(log)
    return plan


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

    def __call__(self, cost: Cost, a: Earlier, b: Later) -> ExactCoupling:
        """Return an optimal coupling of ``a`` and ``b``.

        Raises
        ------
        ValueError
            Wrong shapes, weights that are negative or not finite, unequal masses.
        RuntimeError
            The simplex did not reach an optimum.
        """
        Problem(cost, a, b, epsilon=1.0)  # refuses what no solver takes
        plan, log = pot.emd(
            a.numpy(), b.numpy(), cost.dense().numpy(), numItermax=self.max_iters, log=True
        )
        _check_optimal(log)
        sparse = csr_array(plan)
        error = np.abs(plan.sum(1) - a.numpy()).sum() + np.abs(plan.sum(0) - b.numpy()).sum()
        f, g = torch.from_numpy(log["u"]), torch.from_numpy(log["v"])
        return ExactCoupling(sparse, cost, a, b, float(error), f, g)


def _check_optimal(log: dict) -> None:
    if log["warning"] is not None:
        raise RuntimeError(f"exact transport failed: {log['warning']}")
