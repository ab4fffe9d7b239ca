"""Whether samples differ by more than their cells do, and what intervals by cell make of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

_MOST_CELLS = 1000  # of all samples, whose distances are formed


def inflation(parts: Sequence[np.ndarray]) -> float:
    """Return how many times too short a standard error by cell is, for the mean state.

    ``sqrt(B / W)``: ``B`` is the variance of the means of samples, and ``W`` what it would be if
    cells of a sample had nothing in common, the mean of ``variance / n_k``, both summed over
    variables. 1 on average where samples do not differ; its square is Kish's design effect.

    Parameters
    ----------
    parts
        Arrays ``(n_k, d)`` of each sample, of two cells or more.

    Returns
    -------
    The factor; NaN of fewer than two samples or where all cells of each are the same.

    References
    ----------
    Kish, *Survey sampling* (1965), section 8.2.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.replicates.spread import inflation
    >>> x = np.array([[-1.0], [1.0]])  # means 0 and 4 vary by 8, cells by 2 / 2
    >>> round(inflation([x, x + 4]) ** 2, 6)
    8.0
    """
    if len(parts) < 2:
        return math.nan
    means = np.array([one.mean(0) for one in parts])
    chance = float(np.mean([one.var(0, ddof=1).sum() / len(one) for one in parts]))
    return math.sqrt(float(means.var(0, ddof=1).sum()) / chance) if chance > 0 else math.nan


def samples_p(
    parts: Sequence[np.ndarray], *, n_permutations: int, rng: np.random.Generator
) -> float:
    """Return the p value of the energy test that all samples are drawn from one law.

    Cells are dealt to the samples anew; the statistic is the sum over pairs of samples of their
    squared energy distance times ``n_j n_k / (n_j + n_k)``. At most a thousand cells take part,
    equally many of each sample where these have them.

    Parameters
    ----------
    parts
        Arrays ``(n_k, d)`` of each sample.
    n_permutations
        How often cells are dealt.
    rng
        Deals them.

    References
    ----------
    Rizzo & Székely, *DISCO analysis: a nonparametric extension of analysis of variance* (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.replicates.spread import samples_p
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(30, 1))
    >>> samples_p([x, x + 5], n_permutations=99, rng=rng)
    0.01
    """
    most = max(_MOST_CELLS // len(parts), 2)
    few = [one[rng.permutation(len(one))[:most]] for one in parts]
    cells = np.concatenate(few)
    distance = cdist(cells, cells)
    owner = np.repeat(np.arange(len(few)), [len(one) for one in few])
    seen = _scatter(distance, owner)
    drawn = [_scatter(distance, rng.permutation(owner)) for _ in range(n_permutations)]
    # what rounding alone tells apart is the same
    n_as_large = int((np.array(drawn) >= seen * (1 - 1e-9)).sum())
    return (1 + n_as_large) / (1 + n_permutations)


def _scatter(distance: np.ndarray, owner: np.ndarray) -> float:
    """Return the statistic for one way to deal cells to samples."""
    one_hot = (owner[:, None] == np.arange(owner.max() + 1)).astype(float)
    sizes = one_hot.sum(0)
    means = one_hot.T @ distance @ one_hot / np.outer(sizes, sizes)
    own = np.diag(means)
    squares = 2 * means - own[:, None] - own[None, :]
    weights = np.outer(sizes, sizes) / np.add.outer(sizes, sizes)
    return float(np.triu(weights * squares, 1).sum())
