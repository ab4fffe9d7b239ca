"""A population by what each of its cells sees around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from celltraj._checks import checked_fields
from celltraj._typing import Cells, Targets
from celltraj.models.encoders._cell_encoder import Carried
from celltraj.models.encoders._soft_graph import (
    LOCAL_SCALARS,
    LOCAL_VECTORS,
    N_LOCAL,
    WIDE_SCALARS,
    WIDE_VECTORS,
    SoftGraph,
    typical_bandwidths,
)

_COVARIANCE = ("stretched", "across")
_HOPS = (1, 2)


@checked_fields
@dataclass(frozen=True)
class GraphEncoder:
    r"""Give each cell of a population what it sees around it at six scales.

    With ``w_ij`` proportional to ``exp(-|x_i - x_j|^2 / 2 b^2)`` over the other cells of the
    population, a cell carries the vectors ``m_b(i) = (sum_j w_ij x_j - x_i) / b``, ``C_b m_b`` and
    ``C_b m_c`` (``C_b`` the covariance of its surroundings over ``b^2``, ``c`` the next scale) and
    ``sum_j w_ij m_b(j)``, and the scalars ``s_b = log mean_j exp(...)``, ``r_b = sqrt(sum_j w_ij
    |x_j - x_i|^2) / b`` and their means over its surroundings. The bandwidths are those by which
    a typical cell has 2, 5, 15, 40 and 75 percent of its population as effective neighbours,
    ``1 / sum_j w_ij^2``, in any number of variables; at the last scale all cells are alike.

    The features are computed once, of the untreated population, and carried by each cell while it
    moves; there are no weights but in the field that reads them, in place of the state: a
    regression of the way of a cell, which spreads treated cells too little where nothing about an
    untreated one tells where it goes. It has no score, hence no noise, and no kernels. Where a
    population is pooled into one vector, as by :class:`celltraj.models.PooledGraphEncoder`, it is
    lost *where* a neighbourhood is. Time grows with the square of the cells of a population; of
    more than 3,000 a fixed part, from the middle to the outside, is the graph.

    It pays where the cells around a cell decide what becomes of it, and not where all populations
    respond alike, as healthy donors do: there moments of the population, the default of
    :class:`celltraj.models.ResponseOptions`, are better.

    Parameters
    ----------
    is_equivariant
        Whether cells turned together respond as turned cells: the field is then a sum of the
        vectors of a cell, weighted by what no rotation changes, and knows no place. For shapes,
        and where no direction is special. By default it reads place, vectors and scalars alike: a
        drug moves cells along an axis.
    n_hops
        1, or 2 with what the cells around a cell see.
    has_covariance
        Whether there are ``C_b m_b`` and ``C_b m_c``.
    bandwidths
        Five from narrow to wide and the unit of the last scale, in units of the field (standard
        deviations); by default those of the populations of the training, see above.

    Raises
    ------
    ValueError
        ``n_hops`` is neither 1 nor 2, or there are other bandwidths than six positive ones in
        order.

    References
    ----------
    Satorras et al., *E(n) equivariant graph neural networks* (2021), and Jing et al., *Learning
    from protein structure with geometric vector perceptrons* (2021), for vectors gated by
    invariants; Frasca et al., *SIGN: scalable inception graph neural networks* (2020), for hops
    without weights.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.encoders import GraphEncoder
    >>> x = torch.arange(5.0)[:, None]  # cells on a line
    >>> encoder = GraphEncoder(n_hops=1, has_covariance=False).fit([x])
    >>> seen = encoder.carried(x, x)
    >>> seen.shape  # six vectors of one number each, where the cell is, and eleven scalars
    torch.Size([5, 18])
    >>> float(seen[2, :6].abs().max()) < 1e-5  # as much to the left as to the right
    True
    """

    is_equivariant: bool = False
    n_hops: int = 2
    has_covariance: bool = True
    bandwidths: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.n_hops not in _HOPS:
            raise ValueError(f"n_hops must be 1 or 2; found {self.n_hops!r}")
        if self.bandwidths is None:
            return
        is_rising = all(a <= b for a, b in pairwise(self.bandwidths[:-1]))
        if len(self.bandwidths) != N_LOCAL + 1 or min(self.bandwidths) <= 0 or not is_rising:
            raise ValueError(
                f"bandwidths must be {N_LOCAL} positive numbers from narrow to wide, and the unit "
                f"of the whole population; found {self.bandwidths}"
            )

    @property
    def n_vectors(self) -> int:
        """Number of vectors of a cell."""
        return len(self._kept((LOCAL_VECTORS, WIDE_VECTORS))) + (not self.is_equivariant)

    @property
    def n_scalars(self) -> int:
        """Number of scalars of a cell."""
        return len(self._kept((LOCAL_SCALARS, WIDE_SCALARS)))

    def fit(self, populations: Sequence[Cells]) -> GraphEncoder:
        """Return the encoder with the bandwidths of these populations, unless it has some."""
        if self.bandwidths is not None:
            return self
        return replace(self, bandwidths=typical_bandwidths(populations))

    def carried(self, cells: Cells, population: Targets) -> Carried:
        """Return what cells ``(n, d)`` see in their population ``(m, d)``."""
        with torch.no_grad():
            seen = SoftGraph.of(population, self._scales).seen_from(cells)
        vectors = seen.vectors[:, self._kept((LOCAL_VECTORS, WIDE_VECTORS))]
        scalars = seen.scalars[:, self._kept((LOCAL_SCALARS, WIDE_SCALARS))]
        # where it is tells a law with directions of its own more than where the others are
        place = cells.float()[:, : 0 if self.is_equivariant else None]
        return torch.cat([vectors.flatten(1), place, scalars], 1)

    @property
    def _scales(self) -> tuple[float, ...]:
        if self.bandwidths is None:
            raise ValueError("the encoder has no bandwidths yet; call fit(populations) first")
        return self.bandwidths

    def _kept(self, names: tuple[tuple[str, ...], tuple[str, ...]]) -> list[int]:
        """Return which features there are, by their names at a local and at the last scale."""
        local, wide = names
        everything = [*local * N_LOCAL, *wide]
        return [
            k
            for k, name in enumerate(everything)
            if (self.has_covariance or name not in _COVARIANCE)
            and (self.n_hops > 1 or not name.startswith("second"))
        ]
