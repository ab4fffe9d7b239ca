"""How fast the cells of a state multiply, by what became of their clones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._typing import Cells
from celltraj.models.clonal.drift import N_FOLDS, folds_of
from celltraj.models.clonal.near import NearClones
from celltraj.models.clonal.strength import LEAST_CLONES, STRENGTHS

_NEIGHBOURS = (20, 80, 320)  # that are tried: numbers vary more than ways
_QUANTILE = 1.64  # of a normal law, which one in twenty lies above


@dataclass(frozen=True, eq=False)
class KinCounts:
    """Hold the cells of clones at one time, and how many kin were seen at the next.

    Parameters
    ----------
    times
        The two times.
    x
        ``(p, d)`` states of the cells of the first time, float64.
    clone
        ``(p,)`` number of the clone of each, from 0 without gaps.
    later
        ``(n_clones,)`` cells of each clone at the second time, from 0.
    is_ancestor
        Whether cells of the first time are the ancestors of those of the second themselves, and
        not their sisters.
    """

    times: tuple[float, float]
    x: Cells
    clone: Tensor
    later: Tensor
    is_ancestor: bool

    @property
    def n_clones(self) -> int:
        """Number of clones of the first time."""
        return len(self.later)

    @property
    def exposure(self) -> Tensor:
        """Whether a cell counts as one that may have later kin, ``(p,)``."""
        return self._exposures()[self.clone]

    @property
    def kin(self) -> Tensor:
        """Later kin that fall to each cell, ``(p,)``, in all as many as cells that count."""
        share = (self.later / self._sizes())[self.clone]
        return share * (self.exposure.sum() / share.sum()) if share.any() else share

    def check(self) -> None:
        """Raise where clones are too few.

        Raises
        ------
        ValueError
            Fewer than ten clones that tell of growth, or none that was seen again.
        """
        n_told, (t0, t1) = int((self._exposures() > 0).sum()), self.times
        if n_told < LEAST_CLONES:
            asked = "" if self.is_ancestor else " with two cells or more"
            raise ValueError(
                f"growth is told by {LEAST_CLONES} clones or more{asked} at the earlier time of "
                f"each gap; found {n_told} at time {t0:g}. A time without barcodes can be left "
                "out; is_ancestor=True is for cells that are the ancestors of the later ones"
            )
        if not self.later.any():
            raise ValueError(
                f"no clone that was seen at time {t0:g} was seen at time {t1:g} again; are the "
                "labels of both times those of the same barcodes?"
            )

    def some(self, chosen: Tensor) -> KinCounts:
        """Return those of some clones, ``chosen (n_clones,)`` a boolean, numbered anew."""
        numbers, here = torch.cumsum(chosen.long(), 0) - 1, chosen[self.clone]
        clones = numbers[self.clone[here]]
        return KinCounts(self.times, self.x[here], clones, self.later[chosen], self.is_ancestor)

    def _sizes(self) -> Tensor:
        return torch.bincount(self.clone, minlength=self.n_clones).double()

    def _exposures(self) -> Tensor:
        sizes = self._sizes()
        return torch.ones_like(sizes) if self.is_ancestor else (sizes > 1).double()


@dataclass(frozen=True, eq=False)
class KinRatio:
    r"""Estimate how many kin cells of a state leave, beside those of all clones.

    ``r(x) = (sum_a k_a(x) u_a + n) / (sum_a k_a(x) v_a + n)`` over the nearest clonal cells ``a``,
    with ``u_a`` the later kin of the cell, those of its clone shared out to its earlier cells, in
    units in which all are as many as cells that count; ``v_a`` 1 where the clone would have been
    seen without this cell, else 0; the kernel of :class:`celltraj.models.clonal.near.NearClones`,
    and ``n`` the cells of a mean clone, whose ratio is 1.

    With ``v = 1`` for all cells, clones seen by their only cell would count against their state: of
    ``m`` cells, each seen with probability ``p``, a share ``1 - (1 - p)^(m - 1)`` of the later kin
    belongs to clones seen before, and the same share of the earlier cells has a sister seen. So
    their ratio is growth, whatever ``m`` is.

    Parameters
    ----------
    near
        The clonal cells, with ``u_a - 1`` and ``v_a - 1``.
    """

    near: NearClones

    @classmethod
    def of(cls, counts: KinCounts, *, n_neighbors: int) -> KinRatio:
        """Return what clones tell."""
        values = torch.stack([counts.kin, counts.exposure], 1) - 1
        weights = torch.full_like(counts.kin, counts.n_clones / len(counts.x))
        return cls(NearClones.of(counts.x, values, weights, n_neighbors=n_neighbors))

    @classmethod
    def fitted(
        cls, counts: KinCounts, folds: Tensor, told: Callable[[], object] = lambda: None
    ) -> KinRatio:
        """Return it with as many neighbours as foretell the clones best that are left out.

        ``folds (n_clones,)`` are numbers below 5; ``told`` is called after each number.
        """
        scores = []
        for n in _NEIGHBOURS:
            ratio = _left_out(counts, folds, partial(_of_clones, n_neighbors=n))
            scores.append(float(gains(counts, ratio, 1.0).mean()))
            told()
        return cls.of(counts, n_neighbors=_NEIGHBOURS[int(np.argmax(scores))])

    def __call__(self, x: Cells) -> Tensor:
        """Return the logarithm of the ratio of cells ``x (n, d)``, ``(n,)``."""
        one: Tensor = torch.log1p(self.near(x))
        return one[:, 0] - one[:, 1]


@dataclass(frozen=True, eq=False)
class ClonalGrowth:
    """Hold how fast cells multiply, and how well that foretold clones left out.

    Parameters
    ----------
    ratio
        What clones tell.
    strength
        How far it is followed: 0, .5 or 1.
    level
        Logarithm of the mean of ``r^strength`` over the clonal cells.
    span
        Time between both snapshots, in [t].
    gain, error
        What clones left out gain over equal growth at the best strength above 0, in nats a clone,
        and the standard error over clones.
    z
        The slope of the gain at strength 0 over its standard error.
    n_clones
        Clones of the earlier time.
    """

    ratio: KinRatio
    strength: float
    level: float
    span: float
    gain: float
    error: float
    z: float
    n_clones: int

    @property
    def words(self) -> str:
        """What was found, as a sentence."""
        told = (
            f"{self.gain:.3f} nats a clone (standard error {self.error:.3f}, z {self.z:.1f}, over "
            f"{self.n_clones} clones)"
        )
        if self.strength == 0:
            return f"none: numbers of clones left out are not foretold, at best by {told}"
        return (
            f"strength {self.strength:g}: numbers of clones left out are foretold better than by "
            f"equal growth, by {told}"
        )

    def __call__(self, x: Cells) -> Tensor:
        """Return the net growth of cells ``x (n, d)``, ``(n,)`` in 1/[t]."""
        if self.strength == 0:
            return x.new_zeros(len(x))
        return (self.strength * self.ratio(x) - self.level) / self.span


def clonal_growth(
    counts: KinCounts, *, generator: torch.Generator, progress: bool = False
) -> ClonalGrowth:
    """Return net growth as clones tell it, as far as they foretell the numbers of others.

    ``growth(x) = log(r(x)^s / mean(r^s)) / (t1 - t0)`` with ``s`` the best of .5 and 1 in five
    folds of clones by its :func:`gains` over equal growth, where their :func:`slopes` at ``s = 0``
    are above 1.64 times their standard error over clones, else 0. The gain itself would be a weak
    test: where the slope is ``z`` errors from 0, the gain is so by about ``z / 2``. The number of
    neighbours is chosen within the clones not left out.

    Parameters
    ----------
    counts
        Cells of clones.
    generator
        Source of the folds.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        Fewer than ten clones that tell of growth, or none that was seen again.

    References
    ----------
    Weinreb et al., *Lineage tracing on transcriptional landscapes links state to fate during
    differentiation* (2020), for clones sampled at two times.
    """
    counts.check()
    folds = folds_of(counts.n_clones, generator)
    total = (N_FOLDS + 1) * len(_NEIGHBOURS)
    with tqdm(total=total, desc="growth of clones", unit="fit", disable=not progress) as bar:
        log_ratio = _left_out(counts, folds, partial(KinRatio.fitted, told=bar.update))
        ratio = KinRatio.fitted(counts, folds, bar.update)
    found = {s: gains(counts, log_ratio, s) for s in STRENGTHS if s > 0}
    best = max(found, key=lambda s: float(found[s].mean()))
    gain, error = _mean_and_error(found[best])
    slope, slope_error = _mean_and_error(slopes(counts, log_ratio))
    z = slope / slope_error if slope_error > 0 else 0.0
    strength = best if z > _QUANTILE and gain > 0 else 0.0
    level = float(_level(counts, strength * ratio(counts.x)))
    span = counts.times[1] - counts.times[0]
    return ClonalGrowth(ratio, strength, level, span, gain, error, z, counts.n_clones)


def gains(counts: KinCounts, log_ratio: Tensor, strength: float) -> Tensor:
    r"""Return what each clone gains in Poisson log-likelihood over equal growth, ``(n_clones,)``.

    ``sum_a u_a log m_a - v_a (m_a - 1)`` over its cells, with ``m = r^s / mean(r^s)``, in nats: as
    ``E u = g E v`` it is greatest on average where ``r^s`` goes with the growth ``g``.

    Parameters
    ----------
    counts
        Cells of clones.
    log_ratio
        ``(p,)`` log r at each of them.
    strength
        ``s``.
    """
    scaled = strength * log_ratio
    log_mean = scaled - _level(counts, scaled)
    each = counts.kin * log_mean - counts.exposure * torch.expm1(log_mean)
    return torch.bincount(counts.clone, weights=each, minlength=counts.n_clones)


def slopes(counts: KinCounts, log_ratio: Tensor) -> Tensor:
    """Return the derivative of the :func:`gains` by the strength at 0, ``(n_clones,)``.

    ``sum_a (u_a - v_a) (log r_a - mean)``: the score of equal growth, of mean 0 where it is true
    and the ratio is that of other clones.

    Parameters
    ----------
    counts
        Cells of clones.
    log_ratio
        ``(p,)`` log r at each of them.
    """
    exposure = counts.exposure
    apart = log_ratio - (exposure * log_ratio).sum() / exposure.sum()
    each = (counts.kin - exposure) * apart
    return torch.bincount(counts.clone, weights=each, minlength=counts.n_clones)


def _mean_and_error(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std()) / len(values) ** 0.5


def _level(counts: KinCounts, log_ratio: Tensor) -> Tensor:
    """Return the logarithm of the mean ratio over cells that count."""
    exposure = counts.exposure
    return torch.logsumexp(log_ratio + exposure.log(), 0) - exposure.sum().log()


def _of_clones(counts: KinCounts, _folds: Tensor, *, n_neighbors: int) -> KinRatio:
    return KinRatio.of(counts, n_neighbors=n_neighbors)


def _left_out(
    counts: KinCounts, folds: Tensor, fit: Callable[[KinCounts, Tensor], KinRatio]
) -> Tensor:
    """Return the log ratio of each cell as the clones of the other folds tell it, ``(p,)``."""
    found = torch.empty_like(counts.kin)
    for fold in folds.unique():
        others, aside = folds != fold, (folds == fold)[counts.clone]
        found[aside] = fit(counts.some(others), folds[others])(counts.x[aside])
    return found
