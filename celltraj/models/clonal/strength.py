"""How far clones are followed, by how well they foretell other clones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj.models.clonal.couple import couple_shifted
from celltraj.models.clonal.drift import N_FOLDS, ClonalDrift, folds_of, some_clones
from celltraj.models.clonal.martingale import ClonePair
from celltraj.ot import Coupling, SquaredEuclidean
from celltraj.snapshots import Snapshots

STRENGTHS = (0.0, 0.5, 1.0)
SCALES = (1.0, 2.0, 4.0, 8.0)
LEAST_CLONES = 10
_CELLS = 1000  # of each side of a gap, that clones are foretold by
_KIN = 30  # cells of a clone at each time that are scored


@dataclass(frozen=True, eq=False)
class ClonalGap:
    """Hold a gap with clones that were seen at both of its ends.

    Parameters
    ----------
    snapshots
        Both snapshots, with all cells.
    pair
        Cells of these clones.
    epsilon
        Regularisation of the coupling without clones, in [x]^2.
    """

    snapshots: Snapshots
    pair: ClonePair
    epsilon: float


@dataclass(frozen=True, eq=False)
class FoundStrength:
    """Hold the strength that was chosen, and how all of them did.

    Parameters
    ----------
    strength
        The one that was chosen.
    scale
        Times how much the regularisation was chosen to be of what it is without clones.
    table
        One row for each: strength, scale, score (nats a cell), gain over strength 0 at the same
        scale, its standard error over clones, n_clones, is_chosen.
    """

    strength: float
    scale: float
    table: pd.DataFrame

    @classmethod
    def given(cls, strength: float) -> FoundStrength:
        """Return one that nothing was asked about, with an empty table."""
        return cls(strength, 1.0, pd.DataFrame())

    @classmethod
    def of(cls, scores: np.ndarray, scales: Sequence[float]) -> FoundStrength:
        """Return what scores ``(scales, strengths, n_clones)`` say, strength 0 first."""
        gain, n = scores - scores[:, :1], scores.shape[2]
        table = pd.DataFrame(
            {
                "strength": np.tile(STRENGTHS, len(scales)),
                "scale": np.repeat(scales, len(STRENGTHS)),
                "score": scores.mean(2).ravel(),
                "gain": gain.mean(2).ravel(),
                "error": gain.std(2, ddof=1).ravel() / np.sqrt(n),
                "n_clones": n,
            }
        ).rename(index=str)
        best = _best(table)
        is_better = best["gain"] > best["error"]
        strength, scale = (best["strength"], best["scale"]) if is_better else (0.0, 1.0)
        is_chosen = (table["strength"] == strength) & (table["scale"] == scale)
        return cls(float(strength), float(scale), table.assign(is_chosen=is_chosen))

    @property
    def words(self) -> str:
        """What was found, as a sentence."""
        if not len(self.table):
            return "given"
        best = _best(self.table)
        told = (
            f"{best['gain']:.3f} nats a cell (standard error {best['error']:.3f}, over "
            f"{int(best['n_clones'])} clones)"
        )
        if self.strength == 0:
            return f"none: clones left out are not foretold better by the others, at best by {told}"
        return (
            f"strength {self.strength:g}, epsilon {self.scale:g} times that without clones: clones "
            f"left out are foretold better by the others, by {told}"
        )


def _best(table: pd.DataFrame) -> pd.Series:
    """Return the row of the best score of those that follow clones."""
    followed = table[table["strength"] > 0]
    return followed.iloc[int(followed["score"].to_numpy().argmax())]


def found_strength(
    gap: ClonalGap, *, scales: Sequence[float], generator: torch.Generator, progress: bool
) -> FoundStrength:
    """Return the strength under which clones foretell the later cells of clones left out best.

    In five folds of the clones of a gap: the drift of the other four shifts the cost, and each
    clone of the fifth scores ``mean_j log(mean_i p(y_j | x_i) / b(y_j))`` over its later cells
    ``y_j`` and earlier cells ``x_i``, with ``p`` the conditional law of the plan and ``b`` the
    later snapshot, a proper score. The best strength and scale are taken where they gain more over
    strength 0 at that scale than the standard error of that gain over clones; else 0 and 1.

    Parameters
    ----------
    gap
        Gap with clones.
    scales
        Times how much the regularisation may be of what it is without clones.
    generator
        Source of the folds, and of the cells where there are more than 1,000 of a snapshot.
    progress
        Whether to show a progress bar.
    """
    total = len(scales) * (1 + N_FOLDS * (len(STRENGTHS) - 1))
    with tqdm(total=total, desc="strength", unit="coupling", disable=not progress) as bar:
        return FoundStrength.of(_scores(gap, scales, generator, bar), scales)


def _scores(
    gap: ClonalGap, scales: Sequence[float], generator: torch.Generator, bar: tqdm
) -> np.ndarray:
    """Return the scores of the clones of a gap, ``(scales, strengths, n_clones)``."""
    folds = folds_of(gap.pair.n_clones, generator)
    few = gap.snapshots
    if max(map(len, few.x)) > _CELLS:
        few = few.thinned(_CELLS, generator=generator)
    pair = _few_kin(gap.pair, generator)
    found = np.empty((len(scales), len(STRENGTHS), pair.n_clones))

    def score(aside: ClonePair, drift: ClonalDrift | None, k: int, strength: float) -> np.ndarray:
        epsilon = scales[k] * gap.epsilon
        start = aside.x0 if drift is None else aside.x0 + strength * drift(aside.x0)
        coupling = couple_shifted(few, drift, strength, epsilon)
        bar.update()
        return clone_scores(coupling, aside, start, epsilon)

    for k in range(len(scales)):
        found[k, 0] = score(pair, None, k, 0.0)
    for fold in folds.unique():
        others = folds != fold
        drift = ClonalDrift.fitted(some_clones(gap.pair, others), folds[others])
        aside = some_clones(pair, ~others)
        for k in range(len(scales)):
            for s, strength in enumerate(STRENGTHS[1:], start=1):
                found[k, s, ~others.numpy()] = score(aside, drift, k, strength)
    return found


def clone_scores(coupling: Coupling, pair: ClonePair, start: Tensor, epsilon: float) -> np.ndarray:
    """Return how likely the later cells of each clone are from its earlier ones, ``(n_clones,)``.

    ``mean_j log(mean_i p(y_j | x_i) / b(y_j))``, in nats a cell; of cells that the coupling does
    not hold the potentials are those that the equations of the others give.

    Parameters
    ----------
    coupling
        Coupling of the snapshots under ``|z - y|^2 / 2``.
    pair
        Cells of clones.
    start
        ``(n, d)`` places ``z`` that the earlier ones are moved to.
    epsilon
        Regularisation, in [x]^2.

    Raises
    ------
    TypeError
        The cost of the coupling is another one.
    """
    if not isinstance(coupling.cost, SquaredEuclidean):
        raise TypeError(f"clones are scored under SquaredEuclidean; found {coupling.cost!r}")
    z, y = coupling.cost.ends
    f = -torch.logsumexp((coupling.g - _half_squares(start, y)) / epsilon, 1)
    g = -torch.logsumexp((coupling.f - _half_squares(pair.x1, z)) / epsilon, 1)
    order0, order1 = (one.argsort(stable=True) for one in (pair.clone0, pair.clone1))
    counts = (torch.bincount(one, minlength=pair.n_clones).tolist() for one in _ids(pair))
    starts, ends = (
        torch.split(order, n) for order, n in zip((order0, order1), counts, strict=True)
    )
    found = np.empty(pair.n_clones)
    for c, (i, j) in enumerate(zip(starts, ends, strict=True)):
        ratio = f[i, None] + g[j] - _half_squares(start[i], pair.x1[j]) / epsilon
        found[c] = float((torch.logsumexp(ratio, 0) - np.log(len(i))).mean())
    return found


def _ids(pair: ClonePair) -> Iterable[Tensor]:
    return pair.clone0, pair.clone1


def _half_squares(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y).square() / 2


def _few_kin(pair: ClonePair, generator: torch.Generator) -> ClonePair:
    """Return at most 30 cells of each clone and time, drawn without replacement."""
    kept = [_first_of_each(clones, generator) for clones in _ids(pair)]
    return ClonePair(
        pair.times,
        pair.x0[kept[0]],
        pair.x1[kept[1]],
        pair.clone0[kept[0]],
        pair.clone1[kept[1]],
        pair.is_ancestor,
    )


def _first_of_each(clones: Tensor, generator: torch.Generator) -> Tensor:
    """Return at most 30 places of each clone, in a random order."""
    shuffled = torch.randperm(len(clones), generator=generator)
    order = shuffled[clones[shuffled].argsort(stable=True)]
    counts = torch.bincount(clones)
    first = (counts.cumsum(0) - counts)[clones[order]]
    return order[torch.arange(len(order)) - first < _KIN]
