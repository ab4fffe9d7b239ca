"""Strata of a cloud: cells that lie together, contiguous, and in random order within."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

_FEWEST, _MOST, _CELLS = 30, 1000, 100  # strata, and cells of one
_FITTED = 15  # cells for each stratum, that their centres are found from
_ROUNDS = 3


@dataclass(frozen=True)
class Strata:
    """Order the cells of a cloud so that each stratum is a slice.

    Parameters
    ----------
    order
        ``(n,)`` cells, stratum by stratum.
    bounds
        ``(R + 1,)`` where strata begin and end in that order.
    """

    order: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, x: Tensor, rng: np.random.Generator) -> Strata:
        """Return strata by k-means: as many as there are hundreds of cells, at most 1,000."""
        cells = (x - x.mean(0)).float().numpy()
        n = len(cells)
        n_strata = min(_MOST, max(_FEWEST, n // _CELLS), n)
        shuffled = rng.permutation(n)
        few = shuffled[: max(_FITTED * n_strata, 10_000)]
        means = KMeans(
            n_strata,
            init="random",
            n_init=1,
            max_iter=_ROUNDS,
            random_state=int(rng.integers(2**31)),
        )
        with warnings.catch_warnings():
            # copies of cells leave strata empty, which are dropped
            warnings.simplefilter("ignore", ConvergenceWarning)
            means.fit(cells[few])
        label = means.predict(cells)
        order = shuffled[np.argsort(label[shuffled], kind="stable")]
        sizes = np.bincount(label, minlength=n_strata)
        return cls(order, np.concatenate([[0], np.cumsum(sizes[sizes > 0])]))

    @property
    def sizes(self) -> np.ndarray:
        """Return the ``(R,)`` numbers of cells."""
        return np.diff(self.bounds)

    def slices(self) -> list[slice]:
        """Return each stratum as a slice of the order."""
        pairs = zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist(), strict=True)
        return [slice(start, stop) for start, stop in pairs]

    def pilots(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return ``(R, n)`` places in the order, drawn at random within each stratum."""
        share = rng.random((len(self.sizes), n))
        found: np.ndarray = self.bounds[:-1, None] + (share * self.sizes[:, None]).astype(np.int64)
        return found

    def draw(
        self, inclusion: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw places in the order, each cell of a stratum with its probability of inclusion.

        Systematic sampling with one offset: a stratum of probability one is taken whole.

        Parameters
        ----------
        inclusion
            ``(R,)`` probabilities, in (0, 1].
        rng
            Source of the offset.

        Returns
        -------
        Places ``(S,)``, and the stratum of each.
        """
        passed = np.concatenate([[0.0], np.cumsum(inclusion * self.sizes)])
        marks = np.arange(rng.random(), passed[-1], 1.0)
        stratum = np.minimum(np.searchsorted(passed, marks, side="right") - 1, len(inclusion) - 1)
        within = ((marks - passed[stratum]) / inclusion[stratum]).astype(np.int64)
        return self.bounds[stratum] + np.minimum(within, self.sizes[stratum] - 1), stratum


def inclusions(share: np.ndarray, sizes: np.ndarray, n: float) -> np.ndarray:
    """Return with which probability cells of each stratum are drawn, ``n`` in the mean.

    ``min(1, c share_s / size_s)`` with ``c`` such that the sum over cells is ``n``.

    Parameters
    ----------
    share
        ``(R,)`` shares of the draws that strata are to have.
    sizes
        ``(R,)`` numbers of cells.
    n
        Number of draws.
    """
    if n >= sizes.sum():
        return np.ones(len(sizes))
    density = share / sizes
    order = np.argsort(-density)
    # with the k densest strata taken whole, the others share what is left
    whole = np.concatenate([[0], np.cumsum(sizes[order])])[:-1]
    rest = np.cumsum(share[order][::-1])[::-1]
    scale = (n - whole) / rest
    fits = density[order] * scale <= 1
    first = int(np.argmax(fits))
    found: np.ndarray = np.minimum(1.0, density * scale[first])
    return found
