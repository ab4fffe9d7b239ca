"""Populations of cells, each untreated and under treatments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells
from celltraj.models._card_facts import populations_facts, treated_facts
from celltraj.models.response.cell_identity import content_order
from celltraj.models.response.condition import Condition


@card()
@dataclass(frozen=True)
class Group:
    """Hold cells of one population under one condition.

    Parameters
    ----------
    x
        ``(n, d)`` states, float64.
    types
        ``(n,)`` codes of cell types; None where there are no labels.
    """

    x: Cells
    types: Tensor | None = None

    def in_order(self) -> Group:
        """Return the cells in an order that does not depend on the one they came in."""
        order = content_order(self.x, self.types)
        return Group(self.x[order], None if self.types is None else self.types[order])


@card(treated_facts)
@dataclass(frozen=True)
class Treated:
    """Hold the treated cells of one population.

    Parameters
    ----------
    population
        Index of the population.
    condition
        What was done.
    cells
        The cells after it.
    lived
        Share of the cells that lived, of those that would have without treatment; None where
        nobody counted.
    """

    population: int
    condition: Condition
    cells: Group
    lived: float | None = None


@card(populations_facts)
@dataclass(frozen=True)
class Populations:
    """Hold populations of unequal sizes, each with one control that serves all its treatments.

    Parameters
    ----------
    names
        Name of each population.
    controls
        Untreated cells of each; those of several controls of one population are pooled.
    treated
        Treated cells, in any number and order.

    Raises
    ------
    ValueError
        No treated cells, a control without cells, states that are not finite, or of another
        dimension than the others, or a share that lived of some treatments only or not positive.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Condition, Group, Populations, Treated
    >>> control, after = Group(torch.zeros(5, 2)), Group(torch.ones(4, 2))
    >>> Populations(("a",), (control,), (Treated(0, Condition(("drug",)), after),)).dim
    2
    """

    names: tuple[str, ...]
    controls: tuple[Group, ...]
    treated: tuple[Treated, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.names) != len(self.controls) or not self.treated:
            raise ValueError(
                f"each of {len(self.names)} populations needs a control, and one of them treated "
                f"cells; found {len(self.controls)} controls and {len(self.treated)} treatments"
            )
        for name, group in self._named():
            if group.x.ndim != 2 or len(group.x) == 0 or group.x.shape[1] != self.dim:
                raise ValueError(
                    f"{name} has states of shape {tuple(group.x.shape)}; expected cells of "
                    f"{self.dim} variables"
                )
            if not torch.isfinite(group.x).all():
                raise ValueError(f"{name} has states that are NaN or infinite; drop these cells")
        self._check_lived()

    def _check_lived(self) -> None:
        for one in self.treated if self.has_lived else ():
            if one.lived is None or not 0 < one.lived < math.inf:
                raise ValueError(
                    f"the share of cells that lived must be positive and finite for every "
                    f"treatment; found {one.lived} for {self.names[one.population]!r} under "
                    f"{one.condition.name!r}"
                )

    @property
    def has_lived(self) -> bool:
        """Whether cells were counted, so that the share that lived is known."""
        return any(one.lived is not None for one in self.treated)

    def _named(self) -> list[tuple[str, Group]]:
        controls = [
            (f"the control of {n!r}", g) for n, g in zip(self.names, self.controls, strict=True)
        ]
        treated = [
            (f"{self.names[one.population]!r} under {one.condition.name!r}", one.cells)
            for one in self.treated
        ]
        return controls + treated

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return self.controls[0].x.shape[1]

    @property
    def groups(self) -> tuple[Group, ...]:
        """All cells, by population and condition; controls first."""
        return (*self.controls, *(one.cells for one in self.treated))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The condition of each treatment."""
        return tuple(one.condition for one in self.treated)

    def in_order(self) -> Populations:
        """Return the same, so that what is drawn by position depends on no order of cells."""
        return Populations(
            self.names,
            tuple(group.in_order() for group in self.controls),
            tuple(replace(one, cells=one.cells.in_order()) for one in self.treated),
        )

    def subset(self, kept: Sequence[int]) -> Populations:
        """Return the populations of some treatments, by their indices, and these treatments."""
        chosen = [self.treated[k] for k in kept]
        used = sorted({one.population for one in chosen})
        at = {old: new for new, old in enumerate(used)}
        return Populations(
            tuple(self.names[i] for i in used),
            tuple(self.controls[i] for i in used),
            tuple(replace(one, population=at[one.population]) for one in chosen),
        )
