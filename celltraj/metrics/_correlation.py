"""Correlation of many genes with a few numbers of every cell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, issparse, sparray, spmatrix
from scipy.stats import false_discovery_control, norm
from tqdm.auto import tqdm

from celltraj._card import card
from celltraj.metrics._energy import probabilities

_BLOCK = 1 << 22  # numbers held at once
_ROUNDING = 1e-13  # spread over mean, below which a gene differs from cell to cell by rounding only
_TIE = 1e-10  # of a correlation; sums in another order differ by less
_NOTHING = 1e-12  # weight, where nothing is left but rounding
_FEWEST = 4  # cells: Fisher's z has variance 1 / (n - 3)


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
        ``(g, k)`` two-sided p values by Fisher's z.
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
    confidence: float = 0.95,
) -> Correlations:
    """Correlate every gene with every number, with intervals by Fisher's z.

    ``r = sum_i w_i (x_i - mean x) (y_i - mean y) / (sd x sd y)``, and ``atanh r`` is about normal
    with variance ``1 / (n - 3)``: ``n`` cells, with weights ``1 / sum_i w_i^2`` of them. Cells are
    taken to be independent. A sparse matrix stays sparse; of a dense one a block of genes at a time
    is held in float64.

    Parameters
    ----------
    x
        ``(n, g)`` expression.
    y
        ``(n, k)`` numbers of every cell.
    weights
        ``(n,)`` weights of the cells, whose sum does not matter; uniform by default.
    confidence
        Level of the intervals.

    Returns
    -------
    Correlations, intervals and p values, each ``(g, k)``, NaN where a gene or a number is constant.
    Intervals and p values are NaN of fewer than four cells.

    Raises
    ------
    ValueError
        Another number of rows, numbers or weights that cannot be used, or no such confidence.

    References
    ----------
    Fisher, *On the "probable error" of a coefficient of correlation deduced from a small sample*
    (1921); Kish, *Survey sampling* (1965), for the number of cells with weights.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics._correlation import correlations
    >>> found = correlations(np.array([[1.0], [2], [3], [5]]), np.array([[1.0], [2], [3], [4]]))
    >>> found.value.round(3)
    array([[0.983]])
    """
    w = _checked(x, y, weights)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; found {confidence}")
    middle, spread = _moments(np.asarray(y, float), w)
    moved = w[:, None] * (y - middle)
    value = np.full((x.shape[1], y.shape[1]), np.nan)
    for part, block in _blocks(x):
        mean, sd = _moments(block, w)
        scale = sd[:, None] * spread
        r = _covariances(block, moved, mean) / np.where(scale > 0, scale, np.nan)
        value[part] = np.clip(r, -1, 1)
    return _with_intervals(value, 1 / float((w**2).sum()), confidence)


def _with_intervals(value: np.ndarray, n: float, confidence: float) -> Correlations:
    if n < _FEWEST - 1e-9:
        nothing = np.full(value.shape, np.nan)
        return Correlations(value, nothing, nothing, nothing)
    with np.errstate(divide="ignore"):  # a correlation of one is infinitely far from none
        middle = np.arctanh(value)
    half = norm.ppf((1 + confidence) / 2) / math.sqrt(n - 3)
    p = 2 * norm.sf(np.abs(middle) * math.sqrt(n - 3))
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
    ``(g, k)`` two-sided p values, NaN where a gene or a number is constant.

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
    >>> from celltraj.metrics._correlation import permutation_p
    >>> x, rng = np.arange(20.0)[:, None], np.random.default_rng(0)
    >>> permutation_p(x, x**2, n_permutations=99, rng=rng)
    array([[0.01]])
    """
    w = _checked(x, y, weights)
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be at least 1; found {n_permutations}")
    groups = _groups(strata, len(w))
    x = csc_array(x) if issparse(x) else x
    residual = np.array(y, dtype=float)
    for rows in groups:
        residual[rows] -= residual[rows].mean(0)
    mean, sd = _all_moments(x, w)
    is_flat = (sd[:, None] * _moments(np.asarray(y, float), w)[1]) == 0
    observed = np.abs(_covariances(x, w[:, None] * residual, mean))
    observed -= _TIE * sd[:, None] * np.sqrt(w @ residual**2)
    count = np.zeros(observed.shape)
    size = max(1, _BLOCK // max(1, residual.size))
    with tqdm(total=n_permutations, desc="exchanges", disable=not progress) as bar:
        for first in range(0, n_permutations, size):
            n = min(size, n_permutations - first)
            moved = w[:, None] * np.hstack([residual[_order(groups, rng)] for _ in range(n)])
            draws = np.abs(_covariances(x, moved, mean)).reshape(len(count), n, -1)
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
    >>> from celltraj.metrics._correlation import false_discovery
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


def _all_moments(
    x: np.ndarray | spmatrix | sparray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    moments = [_moments(block, w) for _, block in _blocks(x)]
    mean, sd = (np.concatenate(part) for part in zip(*moments, strict=True))
    return mean, sd


def _blocks(
    x: np.ndarray | spmatrix | sparray,
) -> Iterator[tuple[slice, np.ndarray | csc_array]]:
    """Yield blocks of genes in float64, as sparse as they are; at least one, maybe empty."""
    n, g = x.shape
    columns = csc_array(x) if issparse(x) else x
    width = max(1, _BLOCK // max(1, n))
    for first in range(0, max(g, 1), width):
        part = slice(first, first + width)
        block = columns[:, part].astype(float)
        if not isinstance(block, np.ndarray):
            block.sum_duplicates()
        yield part, block


def _moments(block: np.ndarray | csc_array, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of every column, 0 where it is rounding.

    In two passes: one of squares alone would lose a small spread about a large mean.
    """
    mean = w @ block
    if isinstance(block, np.ndarray):
        square = w @ (block - mean) ** 2
    else:
        gene = np.repeat(np.arange(len(mean)), np.diff(block.indptr))
        inside = w[block.indices]
        rest = 1 - np.bincount(gene, inside, len(mean))  # of the cells whose zeros are not stored
        square = np.bincount(gene, inside * (block.data - mean[gene]) ** 2, len(mean))
        square += np.where(rest > _NOTHING, rest, 0) * mean**2
    sd = np.sqrt(square)
    return mean, np.where(sd <= _ROUNDING * np.abs(mean), 0.0, sd)


def _covariances(
    x: np.ndarray | spmatrix | sparray, moved: np.ndarray, mean: np.ndarray
) -> np.ndarray:
    """Return ``(g, m)`` sums of centred expression times numbers that carry the weights."""
    parts = [block.T @ moved for _, block in _blocks(x)]
    return np.concatenate(parts) - mean[:, None] * moved.sum(0)


def _groups(strata: np.ndarray | None, n: int) -> list[np.ndarray]:
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
