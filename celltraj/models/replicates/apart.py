"""How far parts of the cells are from each other, beside cells of one part drawn twice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from celltraj.models.evaluation import TIME_METRICS, Prediction, distances, split_half

_DRAWS = 10  # distances that a mean is over, at least
_MOST_PAIRS = 30
_measured = partial(distances, metrics=TIME_METRICS)


@dataclass(frozen=True)
class Apart:
    """Hold distances between parts, and between halves of one part, of equally many cells.

    Parameters
    ----------
    n_cells
        Cells on each side of every distance.
    between, within
        Mean distances by name, ``"W1"`` in [x] and ``"energy"`` in its root.
    """

    n_cells: int
    between: dict[str, float]
    within: dict[str, float]

    @property
    def excess(self) -> float:
        """Return the energy distance between parts that cells drawn twice do not have.

        With ``m`` cells on each side the square of the distance of samples is on average the square
        of that of their laws and ``2 E|X - X'| / m``, which halves of one law have as well.
        """
        return math.sqrt(max(self.between["energy"] ** 2 - self.within["energy"] ** 2, 0.0))


def apart(parts: Sequence[np.ndarray], *, max_cells: int, rng: np.random.Generator) -> Apart:
    """Return how far two parts are apart on average, and two halves of one part.

    Both are distances of ``m`` cells from ``m`` others, ``m`` half the cells of the smallest part
    and at most ``max_cells``, since a distance of fewer cells is larger.

    Parameters
    ----------
    parts
        Two or more arrays ``(n_k, d)``, of two cells or more.
    max_cells
        Most cells on each side.
    rng
        Draws cells, and pairs where there are more than 30.

    Raises
    ------
    ValueError
        Fewer than two parts, or one of fewer than two cells.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.replicates.apart import apart
    >>> rng = np.random.default_rng(0)
    >>> near, far = rng.normal(0, 0.1, (50, 1)), rng.normal(3, 0.1, (50, 1))
    >>> found = apart([near, far], max_cells=100, rng=rng)
    >>> found.n_cells, round(found.between["W1"]), found.within["W1"] < 0.1
    (25, 3, True)
    """
    if len(parts) < 2 or min(map(len, parts)) < 2:
        raise ValueError(
            f"two parts of two cells or more are needed; found {[len(one) for one in parts]} cells"
        )
    m = min(min(len(one) // 2 for one in parts), max_cells)
    halves = [_floor(one, m, rng) for one in parts]
    pairs = list(itertools.combinations(range(len(parts)), 2))
    if len(pairs) > _MOST_PAIRS:
        pairs = [pairs[k] for k in rng.choice(len(pairs), _MOST_PAIRS, replace=False)]
    repeated = pairs * math.ceil(_DRAWS / len(pairs))
    across = [
        _measured(Prediction(_drawn(parts[j], m, rng)), _drawn(parts[k], m, rng))
        for j, k in repeated
    ]
    return Apart(m, _averaged(across), _averaged(halves))


def _floor(part: np.ndarray, m: int, rng: np.random.Generator) -> dict[str, float]:
    return split_half(_drawn(part, 2 * m, rng), _measured, seed=int(rng.integers(2**31)))


def _drawn(part: np.ndarray, m: int, rng: np.random.Generator) -> np.ndarray:
    return part[rng.choice(len(part), m, replace=False)]


def _averaged(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in found])) for name in TIME_METRICS}
