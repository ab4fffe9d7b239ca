"""Distances of predicted cells from those held out, and what halves of the latter have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from celltraj.metrics import energy_distance, mmd, wasserstein
from celltraj.models.evaluation.prediction import Prediction

DISTANCES = ("W1", "W2", "MMD", "energy")
_SPLITS = 5


def distances(
    predicted: Prediction,
    truth: np.ndarray,
    *,
    metrics: Sequence[str] = DISTANCES,
    bandwidth: float | None = None,
) -> dict[str, float]:
    """Return distances of predicted cells from true ones, by name.

    Parameters
    ----------
    predicted
        Cells ``(n, d)``, and their mass.
    truth
        ``(m, d)`` cells, each of the same mass.
    metrics
        Names among :data:`DISTANCES`; all of them by default.
    bandwidth
        Of ``"MMD"``; that of ``truth`` by default.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.evaluation import Prediction, distances
    >>> distances(Prediction(np.zeros((2, 1))), np.full((2, 1), 8.0), metrics=["W1", "energy"])
    {'W1': 8.0, 'energy': 4.0}
    """
    measures: dict[str, Callable[..., float]] = {
        "W1": wasserstein,
        "W2": partial(wasserstein, order=2),
        "MMD": partial(mmd, bandwidth=bandwidth),
        "energy": energy_distance,
    }
    x, weights = predicted
    return {name: measures[name](x, truth, weights=weights) for name in metrics}


def split_half(
    truth: np.ndarray,
    measured: Callable[[Prediction, np.ndarray], dict[str, float]],
    *,
    seed: int,
) -> dict[str, float]:
    """Return what random halves of a sample have from each other, in the mean of five splits.

    No prediction can be expected below it: the noise floor.

    Parameters
    ----------
    truth
        ``(m, d)`` cells, two at least.
    measured
        Measures a prediction by true cells, such as :func:`distances`.
    seed
        Seed of the splits.

    Raises
    ------
    ValueError
        Fewer than two cells.

    Examples
    --------
    >>> import numpy as np
    >>> from functools import partial
    >>> from celltraj.models.evaluation import distances, split_half
    >>> split_half(np.array([[0.0], [2.0]]), partial(distances, metrics=["W1"]), seed=0)
    {'W1': 2.0}
    """
    half = len(truth) // 2
    if half == 0:
        raise ValueError(f"a floor needs at least two cells; found {len(truth)}")
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(truth)) for _ in range(_SPLITS)]
    splits = [measured(Prediction(truth[p[:half]]), truth[p[half:]]) for p in orders]
    return {name: float(np.mean([one[name] for one in splits])) for name in splits[0]}


def split_samples(
    truth: np.ndarray,
    samples: np.ndarray,
    measured: Callable[[Prediction, np.ndarray], dict[str, float]],
    *,
    seed: int,
) -> dict[str, float]:
    """Return what random halves of the samples have from each other, in the mean of five splits.

    The floor of another experiment: other samples of the same time are about so far away. Both
    sides have equally many cells, at most half of them all, as in :func:`split_half`.

    Parameters
    ----------
    truth
        ``(m, d)`` cells.
    samples
        ``(m,)`` the sample of each.
    measured
        Measures a prediction by true cells, such as :func:`distances`.
    seed
        Seed of the splits.

    Raises
    ------
    ValueError
        Fewer than two samples.

    Examples
    --------
    >>> import numpy as np
    >>> from functools import partial
    >>> from celltraj.models.evaluation import distances, split_samples
    >>> x, names = np.array([[0.0], [0.0], [2.0], [2.0]]), np.array(["a", "a", "b", "b"])
    >>> split_samples(x, names, partial(distances, metrics=["W1"]), seed=0)
    {'W1': 2.0}
    """
    names = np.unique(samples)
    if len(names) < 2:
        raise ValueError(f"halves of samples need two samples or more; found {names.tolist()}")
    rng, splits = np.random.default_rng(seed), []
    for _ in range(_SPLITS):
        first = np.isin(samples, rng.permutation(names)[: len(names) // 2])
        sides = [np.flatnonzero(first), np.flatnonzero(~first)]
        n_cells = min(len(truth) // 2, *map(len, sides))
        one, other = (truth[rng.permutation(rows)[:n_cells]] for rows in sides)
        splits.append(measured(Prediction(one), other))
    return {name: float(np.mean([one[name] for one in splits])) for name in splits[0]}
