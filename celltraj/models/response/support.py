"""What a response was fitted to, and where that lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from celltraj._card import card
from celltraj.models.response.scale import PopulationScales, ScaleChange


@card()
@dataclass(frozen=True)
class ResponseSource:
    """Say what of an AnnData a model was fitted to, so that it can read another one.

    Parameters
    ----------
    use_rep
        ``"X"`` or a key of ``obsm``.
    variables
        Names of the ``d`` variables.
    population_key
        Column of ``obs`` with the populations.
    condition_keys, dose_keys, covariate_keys
        Columns with drugs, doses and covariates.
    controls
        Labels of untreated cells.
    cell_type_key
        Column with cell types; None where there was none.
    low, high
        Least and greatest value of the training.
    """

    use_rep: str
    variables: tuple[str, ...]
    population_key: str
    condition_keys: tuple[str, ...]
    controls: tuple[str, ...]
    dose_keys: tuple[str, ...] = ()
    covariate_keys: tuple[str, ...] = ()
    cell_type_key: str | None = None
    low: float = 0.0
    high: float = 0.0


@card()
@dataclass(frozen=True)
class Support:
    """Remember where the training populations lie, to say how far away a new one is.

    Parameters
    ----------
    names
        Names of the ``p`` populations.
    embeddings
        ``(p, e)`` embedding of each.
    cells
        ``(k, d)`` some untreated cells of each, in units of the field.
    owner
        ``(k,)`` index of the population of each.
    """

    names: tuple[str, ...]
    embeddings: Tensor
    cells: Tensor
    owner: Tensor

    @classmethod
    def nowhere(cls) -> Support:
        """Return that of no population."""
        return cls((), torch.empty(0, 0), torch.empty(0, 0), torch.empty(0, dtype=torch.long))

    def distance(self, cells: Tensor, *, without: int | None = None) -> Tensor:
        """Return the distance ``(n,)`` of each cell to the nearest one of the training."""
        kept = self.cells if without is None else self.cells[self.owner != without]
        return torch.cat([torch.cdist(part, kept).amin(1) for part in cells.split(1000)])

    @cached_property
    def usual(self) -> float:
        """The distance that one cell in a hundred of a training population has to all others."""
        if len(self.names) < 2:
            return math.inf
        parts = [
            self.distance(self.cells[self.owner == k], without=k) for k in range(len(self.names))
        ]
        return float(torch.cat(parts).quantile(0.99))

    @cached_property
    def _scales(self) -> PopulationScales:
        return PopulationScales.of(self.cells, self.owner)

    def scale_change(self, cells: Tensor) -> ScaleChange | None:
        """Return how scale and place of cells ``(n, d)`` differ from those of the training.

        In units of the field; None where too few cells are there on either side.
        """
        return self._scales.change(cells)

    def remembered(self, name: str) -> int:
        """Return how many untreated cells of a population of the training are kept."""
        return int((self.owner == self.names.index(name)).sum()) if name in self.names else 0

    def embedding_ratio(self, phi: Tensor) -> float:
        """Return how far an embedding ``(e,)`` is from the nearest one, in units of the usual.

        The usual is the greatest distance of a training population to its nearest neighbour; NaN
        with fewer than three populations or without an embedding.
        """
        if len(self.names) < 3 or self.embeddings.shape[1] == 0:
            return math.nan
        among = torch.cdist(self.embeddings, self.embeddings)
        among.fill_diagonal_(math.inf)
        nearest = torch.cdist(phi[None], self.embeddings).amin()
        return float(nearest / among.amin(1).amax())
