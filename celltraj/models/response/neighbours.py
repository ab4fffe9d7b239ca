"""The response of a cell by that of the nearest untreated cells of other populations; no fit.

Untreated are coupled with treated cells within each population; a new cell moves as the untreated
cells near it do. The population of a cell itself is left out: where it was trained on, the cells
around it know its own coupling, and seem to explain what nobody could predict.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells
from celltraj.models.response.cell_identity import row_bytes
from celltraj.models.response.condition import Condition
from celltraj.models.response.pairs import Pairs
from celltraj.models.response.populations import Populations

_NEAREST = 30  # untreated cells that tell how a cell moves
_MOST = 1000  # cells of a population under a condition that tell the ways of others
_TOTAL = 65_536  # of these in all, as far as all have enough to be neighbours
_BLOCK = 4096  # cells that are looked for at once


@card()
@dataclass(frozen=True, eq=False)
class Moves:
    """Hold untreated cells of one population, and where transport takes them under a condition.

    Parameters
    ----------
    population
        Name of the population.
    condition
        What was done.
    start
        ``(n, d)`` untreated cells.
    shift
        ``(n, d)`` way from each to the mean of the cells that it is coupled with, in [x].
    """

    population: str
    condition: Condition
    start: Cells
    shift: Cells

    @cached_property
    def _held(self) -> frozenset[bytes]:
        return frozenset(row_bytes(self.start.float()))

    def is_of(self, cells: frozenset[bytes]) -> bool:
        """Return whether the cells, as bytes, are of this population: it shares half of them.

        Of a part of them or of these cells: half of the fewer.
        """
        shared = len(self._held & cells)
        return shared > 0 and 2 * shared >= min(len(self._held), len(cells))


@card()
@dataclass(frozen=True, eq=False)
class NeighbourTransfer:
    r"""Move cells as their neighbours among the untreated cells of other populations.

    ``d_q(x) = 1/k sum_(i in N(x)) (y_i - x_i)`` with ``N(x)`` the ``k = 30`` nearest untreated
    cells of all populations other than ``q``, that of ``x``, and ``y_i`` where they are taken under
    the same condition.

    Parameters
    ----------
    moves
        Populations under conditions.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Condition
    >>> from celltraj.models.response.neighbours import Moves, NeighbourTransfer
    >>> drug, x = Condition(("drug",)), torch.zeros(40, 1)
    >>> transfer = NeighbourTransfer((Moves("a", drug, x, x + 2), Moves("b", drug, x, x + 3)))
    >>> transfer.displacement(x[:1], drug).item(), transfer.displacement(x[:1], drug, {"b"}).item()
    (2.0, 2.0)
    """

    moves: tuple[Moves, ...]

    @classmethod
    def of(
        cls,
        populations: Populations,
        pairs: Sequence[Pairs],
        centre: Float[Tensor, " d"],
        *,
        generator: torch.Generator,
    ) -> NeighbourTransfer:
        """Return that of coupled populations; of many cells some are drawn.

        Parameters
        ----------
        populations
            The populations.
        pairs
            Couplings of their treatments, in the same order.
        centre
            What cells are measured from, so that single precision tells them apart.
        generator
            Draws the cells, at most a thousand of a treatment.
        """
        share = min(_MOST, max(_NEAREST, _TOTAL // len(pairs)))
        moves = []
        # of a population the same for all treatments, which then hold the same cells
        drawn = [
            torch.randperm(len(one.x), generator=generator)[:share].sort().values
            for one in populations.controls
        ]
        starts = [
            (one.x[rows].double() - centre).float()
            for one, rows in zip(populations.controls, drawn, strict=True)
        ]
        for one, pair in zip(populations.treated, pairs, strict=True):
            words = tuple(v for v in one.condition.covariates if isinstance(v, str))
            condition = replace(one.condition, covariates=words)
            lives, shift = _ways(pair, drawn[one.population])
            start = starts[one.population]
            start = start if bool(lives.all()) else start[lives]
            moves.append(Moves(populations.names[one.population], condition, start, shift))
        return cls(tuple(moves))

    def facts(self) -> list[dict[str, Any]]:
        """Return all but the cells as plain values, as a file holds them."""
        return [
            {
                "population": one.population,
                "drugs": one.condition.drugs,
                "doses": one.condition.doses,
                "words": one.condition.covariates,
            }
            for one in self.moves
        ]

    def tensors(self) -> dict[str, Tensor]:
        """Return cells and ways of all populations as one tensor each, and how many are whose."""
        return {
            "start": torch.cat([one.start for one in self.moves]),
            "shift": torch.cat([one.shift for one in self.moves]),
            "counts": torch.tensor([len(one.start) for one in self.moves]),
        }

    def centred(self) -> NeighbourTransfer:
        """Return the one that compares cells by their place among those of their population."""
        return NeighbourTransfer(
            tuple(replace(one, start=one.start - one.start.mean(0)) for one in self.moves)
        )

    def populations_of(self, cells: Cells) -> frozenset[str]:
        """Return the names of the populations that these cells ``(n, d)`` are of."""
        held = frozenset(row_bytes(cells.float()))
        return frozenset({one.population for one in self.moves if one.is_of(held)})

    def others(self, condition: Condition, without: Collection[str] = ()) -> tuple[Moves, ...]:
        """Return the populations that had a condition, those of the names ``without`` left out."""
        known = self._by_condition.get(_told_apart(condition), ())
        return tuple(one for one in known if one.population not in without)

    @cached_property
    def _by_condition(self) -> dict[tuple[object, ...], list[Moves]]:
        """Populations by what conditions must share, since a screen has thousands of them."""
        found: dict[tuple[object, ...], list[Moves]] = {}
        for one in self.moves:
            found.setdefault(_told_apart(one.condition), []).append(one)
        return found

    def nearest(
        self, cells: Cells, condition: Condition, without: Collection[str] = ()
    ) -> Float[Tensor, "n k d"] | None:
        """Return the ways of the nearest untreated cells, from near to far.

        Parameters
        ----------
        cells
            ``(n, d)`` untreated cells.
        condition
            What is done to them.
        without
            Populations that tell nothing: that of the cells.

        Returns
        -------
        ``(n, k, d)``, in [x]; None where no other population had this condition.
        """
        moves = self.others(condition, without)
        if not moves:
            return None
        start, shift = (
            np.concatenate([getattr(one, name).numpy() for one in moves])
            for name in ("start", "shift")
        )
        k = min(_NEAREST, len(start))
        found = cKDTree(start).query(cells.detach().cpu().numpy(), np.arange(1, k + 1))[1]
        return torch.from_numpy(shift[found])

    def displacement(
        self, cells: Cells, condition: Condition, without: Collection[str] = ()
    ) -> Cells | None:
        """Return the mean way ``(n, d)`` of the nearest, float64, see :meth:`nearest`."""
        parts = [self.nearest(part, condition, without) for part in cells.split(_BLOCK)]
        known = [part.double().mean(1) for part in parts if part is not None]
        return torch.cat(known) if known else None


def _ways(pairs: Pairs, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return which of some untreated cells live, and their ways; what dies goes nowhere."""
    n, m, at = len(pairs.before), len(pairs.after), rows.numpy()
    mass = np.diff(pairs.cumulative.numpy(), prepend=0.0)
    plan = csr_array((mass, (pairs.i.numpy(), pairs.j.numpy())), shape=(n, m))[at]
    place = pairs.before.double().mean(0).numpy()  # far from zero, differences lose digits
    start, after = (x.double().numpy() - place for x in (pairs.before, pairs.after))
    sent, start = plan.sum(1), start[at]
    lives = sent > 0
    shift = (plan @ after)[lives] / sent[lives, None] - start[lives]
    return torch.from_numpy(lives), torch.from_numpy(shift).float()


def _told_apart(condition: Condition) -> tuple[object, ...]:
    """Return what conditions must share: drugs, doses and covariates that are words.

    Numbers such as age are other ones in every population, and would leave none to learn from.
    """
    doses = condition.doses or (None,) * len(condition.drugs)
    given = sorted(zip(condition.drugs, doses, strict=True))
    return (*given, *(value for value in condition.covariates if isinstance(value, str)))
