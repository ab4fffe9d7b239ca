"""Correlation of genes with numbers of cells, with samples as the units."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, issparse, sparray, spmatrix
from scipy.stats import t as student

from celltraj._stats.correlation import Correlations, groups_of, within
from celltraj._stats.mean_difference import share_of_signs

_CERTAIN = 1 - 1e-12  # correlations beyond differ from one by rounding
_FEWEST = 2


def sample_correlations(
    x: np.ndarray | spmatrix | sparray,
    y: np.ndarray,
    samples: np.ndarray,
    *,
    strata: np.ndarray | None = None,
    confidence: float = 0.95,
) -> tuple[Correlations, np.ndarray]:
    """Correlate every gene with every number within each sample, and test over samples.

    ``z_s = atanh r_s`` with the correlation ``r_s`` within the strata of sample ``s``; the mean of
    the ``z_s`` with Student's interval, each sample counting once, and ``tanh`` of these. Neither
    what differs between samples nor what differs between strata counts, and cells of a sample may
    depend on each other in any way. Of samples of unequal size p values are too large, never too
    small (Ibragimov & Müller, up to p of .08).

    Parameters
    ----------
    x
        ``(n, g)`` expression.
    y
        ``(n, k)`` numbers of every cell.
    samples
        ``(n,)`` sample of every cell.
    strata
        ``(n,)`` labels, such as sampling times; one stratum by default.
    confidence
        Level of the intervals.

    Returns
    -------
    Correlations, intervals and p values, each ``(g, k)``; and the ``(S, g, k)`` values ``z_s``, NaN
    where a gene or a number is constant in a sample. Such samples do not count; intervals and p
    values of fewer than two that do are NaN.

    References
    ----------
    Ibragimov & Müller, *t-statistic based correlation and heterogeneity robust inference* (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.sample_correlation import sample_correlations
    >>> y, samples = np.tile([1.0, 2, 3, 5], 2)[:, None], np.repeat([0, 1], 4)
    >>> x = np.array([[1.0], [2], [3], [4], [11], [13], [12], [14]])
    >>> found, z = sample_correlations(x, y, samples)
    >>> np.tanh(z).ravel().round(3), found.value.round(3)
    (array([0.983, 0.832]), array([[0.945]]))
    """
    x = csr_array(x) if issparse(x) else x
    each = []
    for rows in groups_of(samples, len(y)):
        inside = groups_of(None if strata is None else strata[rows], len(rows))
        weights = np.full(len(rows), 1 / len(rows))
        each.append(within(x[rows], y[rows], weights, inside)[0])
    z = np.arctanh(np.clip(each, -_CERTAIN, _CERTAIN))
    return _over_samples(z, confidence), z


def _over_samples(z: np.ndarray, confidence: float) -> Correlations:
    """Return the mean over the first axis with Student's interval; NaN do not count."""
    is_known = np.isfinite(z)
    n = is_known.sum(0)
    mean = np.where(is_known, z, 0).sum(0) / np.where(n > 0, n, np.nan)
    square = (np.where(is_known, z - mean, 0) ** 2).sum(0)
    freedom = np.where(n >= _FEWEST, n - 1.0, np.nan)
    error = np.sqrt(square / freedom / np.maximum(n, 1))
    half = student.ppf((1 + confidence) / 2, freedom) * error
    with np.errstate(divide="ignore", invalid="ignore"):  # samples that do not differ at all
        score = np.where(mean == 0, 0 * error, np.abs(mean) / error)
    p = 2 * student.sf(score, freedom)
    return Correlations(np.tanh(mean), np.tanh(mean - half), np.tanh(mean + half), p)


def sign_p(z: np.ndarray, *, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Return the share of ways to swap the signs of samples that leave a mean as far from zero.

    Exact where the ``z_s`` of a gene without a fate are as likely above zero as below: of ``S``
    samples no p is below ``2 / 2^S``.

    Parameters
    ----------
    z
        ``(S, g, k)`` transformed correlations of samples, NaN for samples that do not count.
    n_permutations
        Swaps to draw where there are more than 10,000.
    rng
        Source of those.

    Returns
    -------
    ``(g, k)`` two-sided p values; NaN of fewer than two samples.

    References
    ----------
    Fisher, *The design of experiments* (1935), section 21.
    """
    flat = np.where(np.isfinite(z), z, 0).reshape(len(z), -1)
    p = share_of_signs(flat, n_permutations=n_permutations, rng=rng)[0]
    is_enough = np.isfinite(z).sum(0) >= _FEWEST
    return np.where(is_enough, p.reshape(z.shape[1:]), np.nan)
