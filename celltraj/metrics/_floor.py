"""The distance that two halves of one sample have from each other."""

from __future__ import annotations

import numpy as np

from celltraj._arrays import ArrayLike, as_array
from celltraj._checks import checked
from celltraj.ot import wasserstein


@checked
def split_half_floor(x: ArrayLike, *, seed: int, n_splits: int = 5) -> float:
    """Return the mean W1 between random halves of ``x``: no prediction can be expected below it.

    Parameters
    ----------
    x
        ``(n, d)`` sample with at least two rows.
    seed
        Seed of the splits.
    n_splits
        Number of random splits averaged.

    Returns
    -------
    The floor, in units of ``x``.

    Raises
    ------
    TypeError
        A sample of no real numbers.
    ValueError
        Fewer than two cells, another shape, NaN, or no split.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import split_half_floor
    >>> split_half_floor(np.array([[0.0], [2.0]]), seed=0)
    2.0
    """
    x = as_array(x, "x", "(n, d)")
    if n_splits < 1:
        raise ValueError(f"n_splits must be at least 1; found {n_splits}")
    rng = np.random.default_rng(seed)
    half = len(x) // 2
    if half == 0:
        raise ValueError(f"a floor needs at least two cells; found {len(x)}")
    orders = (rng.permutation(len(x)) for _ in range(n_splits))
    return float(np.mean([wasserstein(x[p[:half]], x[p[half:]]) for p in orders]))
