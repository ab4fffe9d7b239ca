"""The random genes that all genes of a screen are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from celltraj.tl._knock_outs import Experiment, share_as_large

# of the random genes, the quarter that is nearest in expression: by a half of them, 6.6 % in place
# of 6 % of the genes that vary more than most have p values below .05, and of others 1 or none
_NEAREST = 4


def random_genes(experiment: Experiment, n: int, rng: np.random.Generator) -> list[int]:
    """Return genes from the whole range of expression, at random in each part of it."""
    usable = np.flatnonzero(experiment.can_be_held())
    order = usable[np.argsort(experiment.expression()[usable], kind="stable")]
    parts = np.array_split(order, min(n, len(order)))
    return [int(rng.choice(part)) for part in parts]


def screen_p(
    experiment: Experiment,
    places: Sequence[int],
    random: Sequence[int],
    shifts: np.ndarray,
    null: np.ndarray,
) -> np.ndarray:
    """Return ``(r, K)`` shares of the random genes nearest in expression with as large shifts."""
    others = np.asarray(random)
    found = np.empty_like(shifts)
    for row, place in enumerate(places):
        rest = np.flatnonzero(others != place)
        order = np.argsort(experiment.apart(place)[others[rest]], kind="stable")
        near = rest[order[: max(1, len(others) // _NEAREST)]]
        found[row] = share_as_large(null[near], shifts[row])
    return found
