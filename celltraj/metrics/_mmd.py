"""Maximum mean discrepancy with Gaussian kernels."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist, pdist

from celltraj._arrays import ArrayLike, as_array
from celltraj._checks import checked
from celltraj.metrics._energy import mean_differences
from celltraj.ot.checks import check_samples

_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the five kernels, in units of the bandwidth


@checked
def mmd(
    x: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    bandwidth: float | None = None,
) -> float:
    """Return the maximum mean discrepancy of two samples, the root and not the square.

    ``sqrt(E k(X, X') + E k(Y, Y') - 2 E k(X, Y))``, where ``k(x, y)`` is the mean of
    ``exp(-|x - y|^2 / (2 s^2))`` over ``s`` of .25, .5, 1, 2 and 4 bandwidths. Means run over all
    pairs, a cell with itself among them, so that samples of one law are not at 0 from each other
    but at the floor of their size.

    Parameters
    ----------
    x, y
        ``(n, d)`` and ``(m, d)`` samples.
    weights
        ``(n,)`` weights of ``x``, whose sum does not matter; uniform by default. Those of ``y`` are
        uniform.
    bandwidth
        In units of ``x``; by default the median distance between two rows of ``y``, so that it does
        not depend on what is compared with ``y``.

    Returns
    -------
    The discrepancy, without unit, below the root of 2.

    Raises
    ------
    TypeError
        Samples or weights that are no real numbers.
    ValueError
        Samples that are empty, not finite or of unequal dimension; ``y`` has no spread that a
        bandwidth could be read from, or ``bandwidth`` is not positive.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schölkopf & Smola, *A kernel two-sample test* (2012), eq. 5.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import mmd
    >>> mmd(np.zeros((1, 1)), np.ones((1, 1)), bandwidth=1e-3)  # nothing in common
    1.41421356237309...
    """
    x, y = check_samples(x, y)
    size = median_distance(y) if bandwidth is None else bandwidth
    if not 0 < size < np.inf:
        raise ValueError(
            f"a kernel needs a positive bandwidth; found {size}. Pass bandwidth= where most cells "
            "of y coincide"
        )
    rates = [1 / (2 * (width * size) ** 2) for width in _WIDTHS]

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        squares = cdist(a, b, "sqeuclidean")
        # half the squared distance of the points that the kernel maps to
        kernel: np.ndarray = np.mean([1 - np.exp(-rate * squares) for rate in rates], 0)
        return kernel

    return float(np.sqrt(mean_differences(x, y, distance, weights)))


@checked
def median_distance(y: ArrayLike) -> float:
    """Return the median distance between two rows: the bandwidth of :func:`mmd` by default.

    Parameters
    ----------
    y
        ``(m, d)`` sample.

    Returns
    -------
    The distance, in units of ``y``; 0 with fewer than two rows.

    Raises
    ------
    TypeError
        A sample of no real numbers.
    ValueError
        A sample that is empty, not finite or of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import median_distance
    >>> median_distance(np.array([[0.0], [1.0], [3.0]]))
    2.0
    """
    y = as_array(y, "y", "(m, d)")
    return float(np.median(pdist(y))) if len(y) > 1 else 0.0
