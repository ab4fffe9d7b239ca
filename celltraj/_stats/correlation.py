"""Correlation of many genes with a few numbers of every cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array, issparse, sparray, spmatrix
from scipy.stats import false_discovery_control, norm
from scipy.stats import t as student
from tqdm.auto import tqdm

from celltraj._card import card
from celltraj._stats.moments import blocks, covariances, moments
from celltraj.ot.checks import probabilities

_BLOCK = 1 << 22  # numbers held at once
_TIE = 1e-10  # of a correlation; sums in another order differ by less
_FEWEST = 3  # degrees of freedom about the mean: Fisher's z has variance 1 over one less than these


@card()
@dataclass(frozen=True)
class Correlations:
    """Hold correlations of ``g`` genes with ``k`` numbers, their intervals and what they may mean.

    Parameters
    ----------
    value
        ``(g, k)`` Pearson correlations, NaN where a gene or a number is constant.
    lower, upper
        ``(g, k)`` ends of the intervals.
    p
        ``(g, k)`` two-sided p values.
    """

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p: np.ndarray


def correlations(
    x: np.ndarray | spmatrix | sparray,
    y: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    strata: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Correlations:
    """Correlate every gene with every number within strata, with intervals by Fisher's z.

    ``r = sum_s p_s C_s / sqrt(sum_s p_s V_s sum_s p_s U_s)`` with the covariance ``C_s`` and the
    variances ``V_s``, ``U_s`` in stratum ``s`` of weight ``p_s``. Where a gene and a number are
    independent in every stratum of ``n_s`` cells, the sum of the ``C_s`` has variance ``sum_s p_s^2
    V_s U_s / (n_s - 1)``, as that of one stratum with ``f`` degrees of freedom about its mean
    would: ``atanh r`` is about normal with variance ``1 / (f - 2)``, and ``r sqrt((f - 1) / (1 -
    r^2))`` has Student's distribution with ``f - 1`` degrees. Of one stratum ``f = n - 1``; cells
    in strata that hardly vary count for little. With weights ``n_s`` is ``1 / sum_i w_i^2``. Cells
    are taken to be independent. Sparse stays sparse; a block of genes at a time is in float64.

    Parameters
    ----------
    x
        ``(n, g)`` expression.
    y
        ``(n, k)`` numbers of every cell.
    weights
        ``(n,)`` weights of the cells, whose sum does not matter; uniform by default.
    strata
        ``(n,)`` labels, such as sampling times; what only differs between them does not count. One
        stratum by default.
    confidence
        Level of the intervals.

    Returns
    -------
    Correlations, intervals and p values, each ``(g, k)``, NaN where a gene or a number is constant
    in every stratum. Intervals and p values are NaN of fewer than three degrees of freedom: four
    cells in one stratum.

    Raises
    ------
    ValueError
        Another number of rows, numbers or weights that cannot be used, or no such confidence.

    References
    ----------
    Fisher, *On the "probable error" of a coefficient of correlation deduced from a small sample*
    (1921); Strasser & Weber, *On the asymptotic theory of permutation statistics* (1999), for the
    variance over strata; Kish, *Survey sampling* (1965), for the number of cells with weights.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.correlation import correlations
    >>> found = correlations(np.array([[1.0], [2], [3], [5]]), np.array([[1.0], [2], [3], [4]]))
    >>> found.value.round(3)
    array([[0.983]])
    """
    w = _checked(x, y, weights)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; found {confidence}")
    value, freedom = within(x, y, w, groups_of(strata, len(w)))
    return _with_intervals(value, freedom, confidence)


def within(
    x: np.ndarray | spmatrix | sparray, y: np.ndarray, w: np.ndarray, groups: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return correlations within groups of rows and their degrees of freedom, ``(g, k)`` each.

    ``w`` are weights of sum one over all groups.
    """
    x, y = csr_array(x) if issparse(x) else x, np.asarray(y, float)
    shape = x.shape[1], y.shape[1]
    total, noise = np.zeros(shape), np.zeros(shape)
    of_x, of_y = np.zeros(shape[0]), np.zeros(shape[1])
    for rows in groups:
        part = w[rows].sum()
        if part == 0:
            continue
        mine = w[rows] / part
        n = 1 / (mine**2).sum()
        if n < 1 + 1e-9:
            continue
        covariance, spread, its = _stratum(x[rows], y[rows], mine)
        total += part * covariance
        of_x += part * spread**2
        of_y += part * its**2
        noise += part**2 / (n - 1) * np.outer(spread**2, its**2)
    scale = np.outer(of_x, of_y)
    scale[noise == 0] = np.nan  # one of them is constant wherever the other one is not
    return np.clip(total / np.sqrt(scale), -1, 1), scale / np.where(noise > 0, noise, np.nan)


def _stratum(
    x: np.ndarray | csr_array, y: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return covariances ``(g, k)`` and the standard deviations ``(g,)`` and ``(k,)``."""
    middle, spread = moments(y, w)
    moved = w[:, None] * (y - middle)
    found = np.zeros((x.shape[1], y.shape[1]))
    of_genes = np.zeros(x.shape[1])
    for part, block in blocks(x):
        mean, of_genes[part] = moments(block, w)
        found[part] = block.T @ moved - mean[:, None] * moved.sum(0)
    return found, of_genes, spread


def _with_intervals(value: np.ndarray, freedom: np.ndarray, confidence: float) -> Correlations:
    f = np.where(freedom > _FEWEST - 1e-9, freedom, np.nan)
    with np.errstate(divide="ignore"):  # a correlation of one is infinitely far from none
        middle = np.arctanh(value)
        score = np.abs(value) * np.sqrt((f - 1) / (1 - value**2))
    half = norm.ppf((1 + confidence) / 2) / np.sqrt(f - 2)
    p = 2 * student.sf(score, f - 1)
    return Correlations(value, np.tanh(middle - half), np.tanh(middle + half), p)


def permutation_p(
    x: np.ndarray | spmatrix | sparray,
    y: np.ndarray,
    *,
    n_permutations: int,
    rng: np.random.Generator,
    weights: np.ndarray | None = None,
    strata: np.ndarray | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Return the share of exchanges of cells that bind a gene to a number as closely as observed.

    ``p = (1 + #{|c_b| >= |c|}) / (1 + B)`` with the covariance ``c`` of a gene and what the mean
    over the stratum leaves of a number, and ``c_b`` after these were exchanged among the cells of
    each stratum. A gene that only differs between strata is not found.

    Parameters
    ----------
    x
        ``(n, g)`` expression.
    y
        ``(n, k)`` numbers of every cell, all exchanged alike.
    n_permutations
        Exchanges ``B``.
    rng
        Source of the exchanges.
    weights
        ``(n,)`` weights, which stay with the expression; uniform by default.
    strata
        ``(n,)`` labels, such as sampling times, of cells that may be exchanged; all by default.
    progress
        Whether to show a bar.

    Returns
    -------
    ``(g, k)`` two-sided p values, NaN where in no stratum both a gene and a number vary.

    Raises
    ------
    ValueError
        Another number of rows, no exchange, or numbers or weights that cannot be used.

    References
    ----------
    Phipson & Smyth, *Permutation p-values should never be zero* (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.correlation import permutation_p
    >>> x, rng = np.arange(20.0)[:, None], np.random.default_rng(0)
    >>> permutation_p(x, x**2, n_permutations=99, rng=rng)
    array([[0.01]])
    """
    w = _checked(x, y, weights)
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be at least 1; found {n_permutations}")
    groups = groups_of(strata, len(w))
    x = csc_array(x) if issparse(x) else x
    residual = np.array(y, dtype=float)
    for rows in groups:
        residual[rows] -= residual[rows].mean(0)
    is_flat = np.isnan(within(x, y, w, groups)[0])
    mean, sd = _all_moments(x, w)
    observed = np.abs(covariances(x, w[:, None] * residual, mean))
    observed -= _TIE * sd[:, None] * np.sqrt(w @ residual**2)
    count = np.zeros(observed.shape)
    size = max(1, _BLOCK // max(1, residual.size))
    with tqdm(total=n_permutations, desc="exchanges", disable=not progress) as bar:
        for first in range(0, n_permutations, size):
            n = min(size, n_permutations - first)
            moved = w[:, None] * np.hstack([residual[_order(groups, rng)] for _ in range(n)])
            draws = np.abs(covariances(x, moved, mean)).reshape(len(count), n, -1)
            count += (draws >= observed[:, None]).sum(1)
            bar.update(n)
    return np.where(is_flat, np.nan, (1 + count) / (1 + n_permutations))


def false_discovery(p: np.ndarray) -> np.ndarray:
    """Return q values of each column by Benjamini and Hochberg; NaN stay and do not count.

    Parameters
    ----------
    p
        ``(g, k)`` p values, every column a family of tests.

    Returns
    -------
    ``(g, k)`` q values.

    References
    ----------
    Benjamini & Hochberg, *Controlling the false discovery rate* (1995).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.correlation import false_discovery
    >>> false_discovery(np.array([[0.01], [0.04], [np.nan]])).ravel()
    array([0.02, 0.04,  nan])
    """
    q = np.full(p.shape, np.nan)
    for column in range(p.shape[1]):
        is_known = np.isfinite(p[:, column])
        q[is_known, column] = false_discovery_control(p[is_known, column])
    return q


def _checked(
    x: np.ndarray | spmatrix | sparray, y: np.ndarray, weights: np.ndarray | None
) -> np.ndarray:
    """Return the weights with sum one, once rows agree."""
    if y.ndim != 2 or len(y) != x.shape[0] or len(y) == 0:
        raise ValueError(f"x has {x.shape[0]} cells; y must have as many rows; found {y.shape}")
    if not np.isfinite(y).all():
        raise ValueError("y has NaN or infinite values; leave these cells out")
    return probabilities(weights, len(y))


def _all_moments(x: np.ndarray | csc_array, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    each = [moments(block, w) for _, block in blocks(x)]
    mean, sd = (np.concatenate(part) for part in zip(*each, strict=True))
    return mean, sd


def groups_of(strata: np.ndarray | None, n: int) -> list[np.ndarray]:
    """Return the rows of every stratum; all of them in one for None."""
    if strata is None:
        return [np.arange(n)]
    if len(strata) != n:
        raise ValueError(f"strata must have one label for each of {n} cells; found {len(strata)}")
    _, codes = np.unique(strata, return_inverse=True)
    return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]


def _order(groups: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return where each cell takes its numbers from: a cell of its own group."""
    order = np.empty(sum(map(len, groups)), dtype=np.intp)
    for rows in groups:
        order[rows] = rng.permutation(rows)
    return order
