r"""Descendants, ancestors and fates of cells along the couplings of a time course.

Over a gap, a cell ``i`` of weight ``w_i`` sends the mass ``P_ij`` to the cell ``j``, so that
``T_ij = P_ij / w_i`` is the number of its descendants that are like ``j``, up to a factor that the
gap shares. With plans that keep all mass the rows of ``T`` sum to one; where cells divide and die,
they sum to the growth of each cell. Then

    descendants of a mass p:   p <- T' p                       (forwards through the gaps)
    ancestors of a mass p:     p <- P (p / (P' 1))             (backwards; no mass is lost)
    fates, labels L at the end: F_ik = (T ... T L)_ik / (T ... T 1)_i,

where a fate is the share of a cell's descendants that carry a label: exact, one pass over each
plan, for as many labels as there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._arrays import ArrayLike, ConvertedAll, as_floats, as_rows, takes_arrays
from celltraj._card import card
from celltraj._typing import Earlier
from celltraj.models._card_facts import lineage_facts
from celltraj.ot import Transport

_HUGE = 640.0  # logarithm of the largest numbers in a product with a plan


@card(lineage_facts)
@dataclass(frozen=True)
class Lineage:
    """Couplings of a time course: descendants, ancestors, fates and growth of its cells.

    Parameters
    ----------
    times
        ``(T,)`` increasing sampling times, in the user's unit.
    couplings
        ``T - 1`` plans, of gap after gap.
    weights
        ``T`` weights ``(n_k,)`` of the cells, each of sum 1.
    numbers
        ``(T,)`` sizes of the population, in any unit; all 1 where only proportions are known.

    Raises
    ------
    ValueError
        Numbers of times, couplings, weights and sizes do not agree, or a size is not positive.

    Examples
    --------
    >>> import torch
    >>> from scipy.sparse import csr_array
    >>> from celltraj.models import Lineage
    >>> from celltraj.ot import SparseCoupling
    >>> plan = SparseCoupling(csr_array([[0.5, 0.0], [0.25, 0.25]]))
    >>> half = torch.tensor([0.5, 0.5]).double()
    >>> lineage = Lineage((0.0, 1.0), (plan,), (half, half))
    >>> lineage.fates(torch.eye(2).double(), at=1.0)[0]  # the second cell has either fate
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]], dtype=torch.float64)
    """

    times: tuple[float, ...]
    couplings: tuple[Transport, ...]
    weights: ConvertedAll
    numbers: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        numbers = self.numbers or (1.0,) * len(self.times)
        object.__setattr__(self, "numbers", tuple(float(n) for n in numbers))
        n = len(self.times)
        lengths = len(self.couplings) + 1, len(self.weights), len(self.numbers)
        if n < 2 or lengths != (n, n, n):
            raise ValueError(
                f"{n} times need {n - 1} couplings, {n} weights and {n} sizes; found "
                f"{len(self.couplings)}, {lengths[1]} and {lengths[2]}"
            )
        if not all(0 < size < float("inf") for size in self.numbers):
            raise ValueError(f"sizes of the population must be positive; found {self.numbers}")
        weights = tuple(as_floats(w, "weights", "(n,)") for w in self.weights)
        object.__setattr__(self, "weights", weights)
        shapes = [(len(one.row_mass), len(one.column_mass)) for one in self.couplings]
        if shapes != [(len(w), len(v)) for w, v in itertools.pairwise(weights)]:
            raise ValueError(
                f"couplings of shapes {shapes} do not tie {[len(w) for w in weights]} cells"
            )

    def index(self, time: float) -> int:
        """Return which snapshot was taken at ``time``.

        Raises
        ------
        ValueError
            None was.
        """
        if time not in self.times:
            raise ValueError(
                f"no cells at time {time}; observed times are {[float(t) for t in self.times]}"
            )
        return self.times.index(time)

    def span(self, source: float, target: float) -> tuple[int, int]:
        """Return the snapshots of two times, the first before the second.

        Raises
        ------
        ValueError
            No cells at one of them, or ``source`` is not before ``target``.
        """
        first, last = self.index(source), self.index(target)
        if first >= last:
            raise ValueError(
                f"source={source:g} must be before target={target:g}; to go back in time from "
                "target, ask for ancestors (ct.tl.pull)"
            )
        return first, last

    def descendants(
        self, mass: ArrayLike, source: float, target: float, *, progress: bool = False
    ) -> tuple[Tensor, ...]:
        """Return the mass at every time from ``source`` to ``target``.

        ``mass`` is ``(n,)`` or ``(n, k)``, of the cells at ``source``; it grows with the
        population.
        """
        first, last = self.span(source, target)
        found = [as_rows(mass, len(self.weights[first]), "mass")]
        for k in _passes(range(first, last), "descendants", progress=progress):
            found.append(self.couplings[k].push(_per_weight(found[-1], self.weights[k])))
            found[-1] = found[-1] * self._scale(k)
        return tuple(found)

    def ancestors(
        self, mass: ArrayLike, source: float, target: float, *, progress: bool = False
    ) -> tuple[Tensor, ...]:
        """Return the mass at every time from ``source`` to ``target``, whose cells hold ``mass``.

        Every descendant has an ancestor: the total stays the same.
        """
        first, last = self.span(source, target)
        found = [as_rows(mass, len(self.weights[last]), "mass")]
        for k in _passes(range(last - 1, first - 1, -1), "ancestors", progress=progress):
            plan = self.couplings[k]
            found.insert(0, plan.pull(_per_weight(found[0], plan.column_mass)))
        return tuple(found)

    def fates(self, labels: ArrayLike, at: float, *, progress: bool = False) -> tuple[Tensor, ...]:
        """Return ``(n_k, K)`` shares of descendants by label, at every time up to ``at``.

        ``labels (n, K)`` are those of the cells at ``at``, a row of zeros for a cell without one:
        shares are among descendants that have a label, NaN for a cell without such a descendant.
        """
        last = self.index(at)
        labels = as_rows(labels, len(self.weights[last]), "labels")
        found, log_total = [_shares(labels)], labels.sum(1).log()
        for k in _passes(range(last - 1, -1, -1), "fates", progress=progress):
            plan, weights = self.couplings[k], self.weights[k]
            # cells of a time may differ by hundreds of powers of ten: their numbers of descendants
            # are kept as logarithms, and in the product by as much as a float holds
            top = log_total[log_total < torch.inf].max()
            number = (log_total - top + _HUGE).clamp(min=0).exp()
            number = torch.where(torch.isneginf(log_total), 0.0, number)
            pulled = plan.pull(found[0].nan_to_num() * number[:, None])
            pulled[(weights == 0) | (plan.row_mass == 0)] = 0
            found.insert(0, _shares(pulled))
            log_total = pulled.sum(1).log() - torch.where(weights > 0, weights, 1.0).log()
        return tuple(found)

    def growth(self, k: int) -> Earlier:
        """Return the net rate ``(n_k,)`` of growth over gap ``k`` of the cells before it, in 1/[t].

        ``log(descendants per cell) / (t_{k+1} - t_k)``; minus infinity for a cell without any, NaN
        for one without weight.
        """
        sent = self.couplings[k].row_mass * self._scale(k) / self.weights[k]
        return sent.log() / (self.times[k + 1] - self.times[k])

    def _scale(self, k: int) -> float:
        """Return the descendants of all cells per unit of mass of plan ``k``."""
        ratio = self.numbers[k + 1] / self.numbers[k]
        return ratio / float(self.couplings[k].row_mass.sum())


@takes_arrays
def joint_masses(
    lineage: Lineage, before: Tensor, after: Tensor, source: float, target: float
) -> Tensor:
    """Return the mass ``(A, B)`` that moves between groups of cells, of sum 1.

    Parameters
    ----------
    lineage
        Couplings.
    before
        ``(n, A)`` membership of the cells at ``source``.
    after
        ``(m, B)`` membership of the cells at ``target``.
    source, target
        Two times, in the user's unit.
    """
    weight = lineage.weights[lineage.index(source)]
    reached = lineage.descendants(before.mul(weight[:, None]), source, target)[-1]
    joint = reached.T @ after
    return joint / joint.sum()


def _passes(gaps: range, name: str, *, progress: bool) -> Iterable[int]:
    """Return the gaps under a progress bar: a pass over a large plan takes seconds."""
    passes: Iterable[int] = tqdm(gaps, desc=name, unit="gap", disable=not progress)
    return passes


def _shares(values: Tensor) -> Tensor:
    """Return ``(n, K)`` values as shares of their rows, NaN where a row is zero."""
    total = values.sum(1, keepdim=True)
    return torch.where(total > 0, values / total, torch.nan)


def _per_weight(values: Tensor, weights: Tensor) -> Tensor:
    """Return values over weights, row by row; 0 where a weight is."""
    scale = torch.where(weights > 0, 1 / weights, 0.0)
    return values * (scale if values.ndim == 1 else scale[:, None])


def band_of(shares: Sequence[ArrayLike], confidence: float) -> tuple[Tensor, Tensor]:
    """Return lower and upper quantiles of ``(n, K)`` shares over several models."""
    stacked = torch.stack([as_floats(one, "shares", is_finite=False) for one in shares])
    tail = (1 - confidence) / 2
    return torch.nanquantile(stacked, tail, 0), torch.nanquantile(stacked, 1 - tail, 0)
