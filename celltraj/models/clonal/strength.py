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
from celltraj.models.clonal.drift import ClonalDrift, folds_of, some_clones
from celltraj.models.clonal.martingale import ClonePair
from celltraj.ot import Coupling
from celltraj.snapshots import Snapshots

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
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
        Regularisation of the coupling, in [x]^2.
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
    table
        One row for each: strength, score (nats a cell), gain over strength 0, its standard error
        over clones, n_clones.
    """

    strength: float
    table: pd.DataFrame

    @classmethod
    def given(cls, strength: float) -> FoundStrength:
        """Return one that nothing was asked about, with an empty table."""
        return cls(strength, pd.DataFrame())

    @property
    def words(self) -> str:
        """What was found, as a sentence."""
        if not len(self.table):
            return "given"
        row = self.table.set_index("strength").loc[self.strength]
        if self.strength == 0:
            best = self.table.iloc[1:].sort_values("gain").iloc[-1]
            return (
                "none: clones that were left out are not foretold better by the others (at best "
                f"{best['gain']:.3f} nats a cell, standard error {best['error']:.3f}, over "
                f"{int(row['n_clones'])} clones)"
            )
        return (
            f"strength {self.strength:g}: clones that were left out are foretold better by "
            f"{row['gain']:.3f} nats a cell than without the others (standard error "
            f"{row['error']:.3f}, over {int(row['n_clones'])} clones)"
        )


def found_strength(
    gaps: Sequence[ClonalGap], *, generator: torch.Generator, progress: bool
) -> FoundStrength:
    """Return the strength under which clones foretell the later cells of clones left out best.

    In five folds of the clones of each gap: the drift of the other four shifts the cost, and each
    clone of the fifth scores ``mean_j log(mean_i p(y_j | x_i) / b(y_j))`` over its later cells
    ``y_j`` and earlier cells ``x_i``, with ``p`` the conditional law of the plan and ``b`` the
    later snapshot, a proper score. The best strength is taken where it gains more over 0 than the
    standard error of that gain over clones; else 0.

    Parameters
    ----------
    gaps
        Gaps with clones.
    generator
        Source of the folds, and of the cells where there are more than 1,000 of a snapshot.
    progress
        Whether to show a progress bar.
    """
    total = len(gaps) * (1 + 5 * (len(STRENGTHS) - 1))
    with tqdm(total=total, desc="strength", unit="coupling", disable=not progress) as bar:
        parts = [_scores_of_gap(one, generator, bar) for one in gaps]
    scores = np.concatenate(parts, axis=1)
    gain = scores - scores[0]
    n = scores.shape[1]
    table = pd.DataFrame(
        {
            "strength": STRENGTHS,
            "score": scores.mean(1),
            "gain": gain.mean(1),
            "error": gain.std(1, ddof=1) / np.sqrt(n),
            "n_clones": n,
        }
    ).rename(index=str)
    best = table.iloc[int(table["score"].to_numpy().argmax())]
    is_better = best["gain"] > best["error"]
    return FoundStrength(float(best["strength"]) if is_better else 0.0, table)


def _scores_of_gap(gap: ClonalGap, generator: torch.Generator, bar: tqdm) -> np.ndarray:
    """Return the scores of the clones of a gap, ``(strengths, n_clones)``."""
    folds = folds_of(gap.pair, generator)
    few = gap.snapshots
    if max(map(len, few.x)) > _CELLS:
        few = few.thinned(_CELLS, generator=generator)
    pair = _few_kin(gap.pair, generator)
    found = np.empty((len(STRENGTHS), pair.n_clones))
    plain = couple_shifted(few, None, 0.0, gap.epsilon)
    found[0] = clone_scores(plain, pair, pair.x0, gap.epsilon)
    bar.update()
    for fold in folds.unique():
        taught, is_aside = some_clones(gap.pair, folds != fold), folds == fold
        inner = folds[folds != fold]
        drift, aside = ClonalDrift.fitted(taught, inner), some_clones(pair, is_aside)
        step = drift(aside.x0)
        for k, strength in enumerate(STRENGTHS[1:], start=1):
            coupling = couple_shifted(few, drift, strength, gap.epsilon)
            start = aside.x0 + strength * step
            found[k, is_aside.numpy()] = clone_scores(coupling, aside, start, gap.epsilon)
            bar.update()
    return found


def clone_scores(
    coupling: Coupling, pair: ClonePair, start: Tensor, epsilon: float
) -> np.ndarray:
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
    """
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
