"""The coherent sets of a time course: in which of them its cells are, from time to time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj.models.lineage.lineage import Lineage
from celltraj.models.modes.chain import Chain
from celltraj.models.modes.coherent import CoherentModes
from celltraj.models.modes.sets import Sets, n_sets_of


@dataclass(frozen=True, eq=False)
class CoherentSets:
    """Hold the coherent set of each cell at the first time, the last, and those between.

    Parameters
    ----------
    labels
        ``T`` tensors ``(n_k,)``: the number of the set, -1 for a cell without descendants.
    shares
        ``(T, k)`` share of each set in the cells of each time, by descendants at the last.
    decided
        ``(T, k)`` mean share of the descendants of the cells of a set that are in it at the last
        time: from when on it is near 1, the sets are apart.
    """

    labels: tuple[Tensor, ...]
    shares: Tensor
    decided: Tensor

    @property
    def n_sets(self) -> int:
        """How many sets there are."""
        return self.shares.shape[1]


def coherent_sets(
    lineage: Lineage,
    modes: CoherentModes,
    *,
    n_sets: int | None = None,
    generator: torch.Generator,
) -> CoherentSets:
    """Return the coherent sets of couplings.

    At the last time by k-means on the modes, cells counting by their mass. A cell of the first time
    is in the set that most of its descendants reach, one between in the set through which most
    paths pass it that begin and end in the same.

    Parameters
    ----------
    lineage
        Couplings.
    modes
        Their slow modes.
    n_sets
        Number of sets, at most one more than modes; by default from the largest gap between rates.
    generator
        Draws the centres that k-means begins with.

    Examples
    --------
    >>> import torch
    >>> from scipy.sparse import csr_array
    >>> from celltraj.models import Lineage
    >>> from celltraj.models.modes.coherent import coherent_modes
    >>> from celltraj.models.modes.course import coherent_sets
    >>> from celltraj.ot import SparseCoupling
    >>> plan = SparseCoupling(csr_array([[0.4, 0.1], [0.1, 0.4]]))
    >>> half = torch.tensor([0.5, 0.5]).double()
    >>> lineage = Lineage((0.0, 1.0), (plan,), (half, half))
    >>> modes = coherent_modes(lineage, 0.0, 1.0, 1, generator=torch.Generator())
    >>> coherent_sets(lineage, modes, n_sets=2, generator=torch.Generator()).decided
    tensor([[0.8000, 0.8000],
            [1.0000, 1.0000]], dtype=torch.float64)
    """
    k = n_sets_of(modes.rates, modes.log_errors) if n_sets is None else n_sets
    sets = Sets.of(modes.functions[-1], modes.masses[-1], k, generator=generator)
    ends = sets.labels(modes.functions[-1])
    first, last = lineage.span(modes.times[0], modes.times[-1])
    chain = Chain.of(lineage, first, last)
    fates, _ = chain.means(_members(ends, k))
    origins = chain.onwards(_members(_greatest(fates[0]), k))
    inner = zip(fates[1:-1], origins[1:-1], strict=True)
    labels = (_greatest(fates[0]), *(_greatest(fate * origin) for fate, origin in inner), ends)
    rows = [
        _told(mass, label, fate, k)
        for mass, label, fate in zip(modes.masses, labels, fates, strict=True)
    ]
    shares, decided = (torch.stack(part) for part in zip(*rows, strict=True))
    return CoherentSets(labels, shares, decided)


def _members(labels: Tensor, k: int) -> Tensor:
    """Return ``(n, k)`` memberships of labels ``(n,)``; a row of zeros for -1."""
    return (labels[:, None] == torch.arange(k)).double()


def _greatest(shares: Tensor) -> Tensor:
    """Return where each row is greatest, ``(n,)``, -1 where it is missing or zero."""
    known = shares.nan_to_num()
    return torch.where(known.sum(1) > 0, known.argmax(1), -1)


def _told(mass: Tensor, labels: Tensor, fates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the share of each set ``(k,)``, and which share of its descendants stay in it."""
    weighted = _members(labels, k) * mass[:, None]
    total = weighted.sum(0)
    stay = (weighted * fates.nan_to_num()).sum(0)
    return total, torch.where(total > 0, stay / total, torch.nan)
