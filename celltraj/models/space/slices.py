"""Slices of a tissue at several times, turned and sized into one frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._errors import DataWarning, warn
from celltraj.ot import Registration, Similarity, SquaredEuclidean, Transport
from celltraj.snapshots import Snapshots

_LARGEST = 3.0  # ratio of the sizes of neighbouring slices beyond which units are likely to differ


@card()
@dataclass(frozen=True)
class Slices:
    """Hold the cells of several slices, each in a frame and unit of its own.

    Parameters
    ----------
    features
        Snapshots of the features of the cells, with their weights and the growth expected of them.
    places
        ``T`` tensors ``(n_k, k)``, ``k`` 2 or 3.
    """

    features: Snapshots
    places: tuple[Tensor, ...]

    def register(self, k: int, options: Registration) -> Similarity:
        """Return the similarity that takes slice ``k`` onto the next.

        Raises
        ------
        ValueError
            All cells of a slice lie at one point.
        """
        cost = SquaredEuclidean(*self.features.x[k : k + 2])
        a, b = self.features.expected(k), self.features.weights[k + 1]
        found = options.register(cost, a, b, coordinates=(self.places[k], self.places[k + 1]))
        if not found.converged:
            t0, t1 = self.features.times[k : k + 2]
            warn(
                f"the slices at {t0:g} and {t1:g} still turned after {options.max_rounds} rounds "
                "of registration: neither features nor outlines tell how they lie upon each other. "
                "A smaller alpha= lets features say more",
                DataWarning,
            )
        return found.similarity

    def of_plan(self, k: int, plan: Transport) -> Similarity:
        """Return the similarity that a plan of gap ``k`` tells."""
        return Similarity.of_plan(plan, *self.places[k : k + 2])

    def registered(self, similarities: Sequence[Similarity]) -> tuple[Tensor, ...]:
        """Return the places ``(n_k, k)`` of all slices in the frame of the last."""
        found = [self.places[-1].double()]
        whole: Similarity | None = None
        for u, one in zip(self.places[-2::-1], reversed(similarities), strict=True):
            whole = one if whole is None else one.then(whole)
            found.append(whole(u))
        return tuple(reversed(found))

    def joint(self, registered: Sequence[Tensor], alpha: float) -> Snapshots:
        """Return snapshots whose squared distances weigh features and registered places.

        ``(1 - alpha) |x - y|^2 + alpha (c / s) |u - v|^2``, with ``c`` and ``s`` the mean costs of
        features and of places over all gaps: in the unit of features, and the same in any unit of
        places.
        """
        own = _mean_cost(self.features.x) or 1.0
        shared = math.sqrt(alpha * own / _mean_cost(registered)) if alpha else 0.0
        x = tuple(
            torch.cat([math.sqrt(1 - alpha) * x.double(), shared * places], 1)
            for x, places in zip(self.features.x, registered, strict=True)
        )
        f = self.features
        return Snapshots(f.times, x, f.weights, f.growth, f.sizes)


def check_sizes(times: Sequence[float], similarities: Sequence[Similarity]) -> None:
    """Warn of neighbouring slices of so unequal size that their units are likely to differ."""
    scales = {
        f"{t0:g} to {t1:g}": round(one.scale, 4)
        for (t0, t1), one in zip(pairwise(times), similarities, strict=True)
        if not 1 / _LARGEST <= one.scale <= _LARGEST
    }
    if scales:
        raised = ", ".join(f"{gap}: {scale:g} times" for gap, scale in scales.items())
        warn(
            f"slices change their size by more than a factor of {_LARGEST:g} ({raised}): tissues "
            "seldom do, and coordinates may be in different units. Couplings do not depend on "
            "them; places between slices pass from one unit to the other. Multiply the places of "
            "the slices of one unit to have them in the other, and couple anew",
            DataWarning,
        )


def _mean_cost(clouds: Sequence[Tensor]) -> float:
    """Return the mean of ``|x - y|^2 / 2`` over the gaps."""
    costs = [SquaredEuclidean(x, y).mean() for x, y in pairwise(clouds)]
    return math.fsum(costs) / len(costs)
