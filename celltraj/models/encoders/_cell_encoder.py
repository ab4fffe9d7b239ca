"""Features that every cell of a population has of its own, which tell a law what surrounds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from celltraj._typing import Cells, Targets

Carried = Float[Tensor, "n f"]


@runtime_checkable
class CellEncoder(Protocol):
    """Give each untreated cell features of its own, which it carries along its response.

    A frozen dataclass of options, without weights: the features are computed once for a cell. They
    are a function of the cell and its population alone.
    """

    @property
    def is_equivariant(self) -> bool:
        """Return whether cells turned together respond as turned cells."""
        ...

    @property
    def n_vectors(self) -> int:
        """Return the number of vectors ``v`` of a cell."""
        ...

    @property
    def n_scalars(self) -> int:
        """Return the number of scalars ``s`` of a cell."""
        ...

    def fit(self, populations: Sequence[Cells]) -> CellEncoder:
        """Return the encoder that has taken its scales from the populations of a training."""
        ...

    def carried(self, cells: Cells, population: Targets) -> Carried:
        """Return the features of cells in the midst of a population.

        Parameters
        ----------
        cells
            ``(n, d)`` untreated cells, in the units of the field.
        population
            ``(m, d)`` untreated cells of the population they live in; a cell that is one of them
            is not its own neighbour.

        Returns
        -------
        Tensor
            ``(n, v d + s)`` float32: the vectors, one after the other, and the scalars.
        """
        ...
