"""How well the expression of genes after a treatment is predicted, in the words of cell-eval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control, mannwhitneyu

from celltraj._arrays import ArrayLike
from celltraj._card import card
from celltraj._checks import checked
from celltraj.ot.checks import check_samples

_SIGNIFICANT = 0.05
_BLOCK = 512  # genes that are ranked at once


@card()
@dataclass(frozen=True, eq=False)
class GeneChanges:
    """Hold how each gene differs between treated and untreated cells.

    Parameters
    ----------
    log2_fold_change
        ``(g,)``; infinite where a gene is expressed on one side alone, 0 where on neither.
    p_value
        ``(g,)`` of the rank-sum test.
    fdr
        ``(g,)`` false discovery rate at which the gene is called.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import GeneChanges
    >>> GeneChanges(np.array([1.0, 2.0]), np.array([0.01, 0.5]), np.array([0.02, 0.5])).significant
    array([ True, False])
    """

    log2_fold_change: np.ndarray
    p_value: np.ndarray
    fdr: np.ndarray

    @property
    def significant(self) -> np.ndarray:
        """Whether each gene is called at a false discovery rate below 5 %."""
        called: np.ndarray = self.fdr < _SIGNIFICANT
        return called


@checked
def differential_expression(treated: ArrayLike, control: ArrayLike) -> GeneChanges:
    """Return how each gene differs between treated and untreated cells.

    The fold change is that of geometric means, ``expm1`` of the mean of logarithms; genes are
    called by the rank-sum test of Mann and Whitney (normal approximation, corrected for ties and
    continuity) and the procedure of Benjamini and Hochberg.

    Parameters
    ----------
    treated, control
        ``(n, g)`` and ``(m, g)`` cells, ``log1p`` of normalised counts, none below zero.

    Returns
    -------
    The changes.

    Raises
    ------
    TypeError
        Cells that are no real numbers.
    ValueError
        Samples that are empty, not finite, below zero or of unequal numbers of genes.

    References
    ----------
    Mann & Whitney (1947); Benjamini & Hochberg (1995).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import differential_expression
    >>> on, off = np.full((20, 1), np.log1p(4.0)), np.full((20, 1), np.log1p(1.0))
    >>> differential_expression(on, off).log2_fold_change.round(6)
    array([2.])
    """
    x, y = check_samples(treated, control)
    if min(x.min(), y.min()) < 0:
        raise ValueError(
            "expression must not be below zero, as log1p of normalised counts is not; found "
            f"{min(x.min(), y.min()):.3g}. Cells decoded from components: "
            "np.maximum(cells, 0)"
        )
    a, b = (np.expm1(cells.mean(0)) for cells in (x, y))
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where((a == 0) & (b == 0), 0.0, np.log2(a) - np.log2(b))
    blocks = [slice(i, i + _BLOCK) for i in range(0, x.shape[1], _BLOCK)]
    p_value = np.concatenate([_rank_sum(x[:, part], y[:, part]) for part in blocks])
    return GeneChanges(change, p_value, false_discovery_control(p_value))


def _rank_sum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the p-value ``(g,)`` of each gene, 1 where all cells have the same value."""
    low, high = (np.minimum(x.min(0), y.min(0)), np.maximum(x.max(0), y.max(0)))
    found = np.ones(x.shape[1])
    differs = high > low
    if differs.any():
        test = mannwhitneyu(x[:, differs], y[:, differs], axis=0, method="asymptotic")
        found[differs] = np.clip(test.pvalue, 0, 1)
    return found


@checked
def pseudobulk_mae(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Return the mean absolute error of the mean of each gene over treated cells.

    Parameters
    ----------
    predicted, observed
        ``(n, g)`` and ``(m, g)`` cells, ``log1p`` of normalised counts.

    Returns
    -------
    The error, in the unit of the cells.

    Raises
    ------
    TypeError
        Cells that are no real numbers.
    ValueError
        Samples that are empty, not finite or of unequal numbers of genes.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import pseudobulk_mae
    >>> pseudobulk_mae(np.array([[0.0, 4.0], [2.0, 4.0]]), np.array([[2.0, 2.0]]))
    1.5
    """
    x, y = check_samples(predicted, observed)
    return float(np.abs(x.mean(0) - y.mean(0)).mean())


@checked
def pearson_delta(predicted: ArrayLike, observed: ArrayLike, control: ArrayLike) -> float:
    """Return the correlation over genes of predicted and observed change of the mean.

    Parameters
    ----------
    predicted, observed
        ``(n, g)`` and ``(m, g)`` treated cells, ``log1p`` of normalised counts.
    control
        ``(k, g)`` untreated cells, from which both changes are counted.

    Returns
    -------
    Pearson's correlation; NaN where one of them changes all genes by the same.

    Raises
    ------
    TypeError
        Cells that are no real numbers.
    ValueError
        Samples that are empty, not finite or of unequal numbers of genes.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import pearson_delta
    >>> control = np.zeros((3, 3))
    >>> pearson_delta(control + [1, 2, 3], control + [2, 4, 6], control)
    1.0
    """
    x, y = check_samples(predicted, observed)
    x, z = check_samples(x, control)
    changes = [cells.mean(0) - z.mean(0) for cells in (x, y)]
    p, q = (change - change.mean() for change in changes)
    size = math.sqrt(float(p @ p) * float(q @ q))
    return float(p @ q) / size if size > 0 else math.nan


@checked
def discrimination_score(predicted: ArrayLike, observed: ArrayLike) -> np.ndarray:
    """Return how well each predicted change is told from the changes of other treatments.

    ``1 - r / p``, where ``r`` of the ``p`` observed changes are nearer to the prediction than the
    right one is (ties count half), by the sum of absolute differences over genes.

    Parameters
    ----------
    predicted, observed
        ``(p, g)`` changes of the mean of genes under each of ``p`` treatments, in one order.

    Returns
    -------
    ``(p,)`` scores: 1 where the right one is the nearest; of predictions that tell nothing apart
    ``(p + 1) / (2 p)`` in the mean.

    Raises
    ------
    TypeError
        Changes that are no real numbers.
    ValueError
        Fewer than two treatments, or not as many of both; changes that are not finite or of unequal
        numbers of genes.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import discrimination_score
    >>> discrimination_score(np.array([[0.9], [0.8]]), np.array([[1.0], [3.0]]))
    array([1. , 0.5])
    """
    p, q = check_samples(predicted, observed)
    if len(p) != len(q) or len(p) < 2:
        raise ValueError(
            "predicted and observed must hold the same treatments, two at least; found "
            f"{len(p)} and {len(q)}"
        )
    scores = np.empty(len(p))
    for k, change in enumerate(p):
        distance = np.abs(q - change).sum(1)
        nearer, ties = (distance < distance[k]).sum(), (distance == distance[k]).sum() - 1
        scores[k] = 1 - (nearer + ties / 2) / len(q)
    return scores


@checked
def de_overlap(
    predicted: GeneChanges, observed: GeneChanges, *, n_genes: int | None = None
) -> float:
    """Return the share of the most changed genes that the prediction names as well.

    Genes that are called are ordered by the size of their fold change, equal ones, and infinite
    ones, as they come; the first ``n_genes`` of both lists are compared.

    Parameters
    ----------
    predicted, observed
        Changes of the same genes, see :func:`differential_expression`.
    n_genes
        Length of the lists; all genes that are called in the observed cells by default.

    Returns
    -------
    The share, between 0 and 1; NaN where no gene is called in the observed cells.

    Raises
    ------
    ValueError
        Changes of other genes, or no gene to look at.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import GeneChanges, de_overlap
    >>> fdr, zero = np.array([0.01, 0.01, 0.9]), np.zeros(3)
    >>> observed = GeneChanges(np.array([3.0, -2.0, 0.1]), zero, fdr)
    >>> de_overlap(GeneChanges(np.array([1.0, 0.2, 5.0]), zero, fdr[::-1]), observed)
    0.5
    """
    _check_genes(predicted, observed)
    if n_genes is not None and n_genes < 1:
        raise ValueError(f"n_genes must be at least 1; found {n_genes}")
    true, told = _ranked(observed), _ranked(predicted)
    k = len(true) if n_genes is None else min(n_genes, len(true))
    return len(np.intersect1d(true[:k], told[:k])) / k if k else math.nan


@checked
def de_direction_match(predicted: GeneChanges, observed: GeneChanges) -> float:
    """Return the share of genes, of those called in the observed cells, that change as predicted.

    Parameters
    ----------
    predicted, observed
        Changes of the same genes, see :func:`differential_expression`.

    Returns
    -------
    The share whose fold changes have the same sign, between 0 and 1; NaN where no gene is called.

    Raises
    ------
    ValueError
        Changes of other genes.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import GeneChanges, de_direction_match
    >>> fdr, zero = np.array([0.01, 0.01, 0.9]), np.zeros(3)
    >>> observed = GeneChanges(np.array([3.0, -2.0, 0.1]), zero, fdr)
    >>> de_direction_match(GeneChanges(np.array([1.0, 0.2, 5.0]), zero, zero + 1), observed)
    0.5
    """
    _check_genes(predicted, observed)
    called = observed.significant
    if not called.any():
        return math.nan
    signs = (np.sign(one.log2_fold_change[called]) for one in (predicted, observed))
    return float(np.equal(*signs).mean())


def _check_genes(predicted: GeneChanges, observed: GeneChanges) -> None:
    sizes = [len(one.log2_fold_change) for one in (predicted, observed)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"predicted has changes of {sizes[0]} genes, observed of {sizes[1]}")


def _ranked(changes: GeneChanges) -> np.ndarray:
    """Return the genes that are called, those with the largest fold change first."""
    order = np.argsort(-np.abs(changes.log2_fold_change), kind="stable")
    ranked: np.ndarray = order[changes.significant[order]]
    return ranked
