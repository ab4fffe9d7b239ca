"""What every class of coupling answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from scipy.sparse import csr_array
from torch import Tensor


@runtime_checkable
class Transport(Protocol):
    """Transport plan: what carries mass over one gap, a :class:`Coupling` or a sparse plan."""

    @property
    def row_mass(self) -> Tensor:
        """Return the ``(n,)`` row sums of the plan."""

    @property
    def column_mass(self) -> Tensor:
        """Return the ``(m,)`` column sums of the plan."""

    @property
    def marginal_error(self) -> float:
        """Return the L1 distance of both marginals from those asked for; NaN if not known."""

    @property
    def converged(self) -> bool:
        """Return whether the solver reached its tolerance."""

    def report(self) -> dict[str, object]:
        """Return one row: epsilon, marginal_error, converged, n_iters, mass, and what it took."""

    def push(self, v: Tensor) -> Tensor:
        """Return ``P' v`` for ``v`` of shape ``(n,)`` or ``(n, k)``."""

    def pull(self, v: Tensor) -> Tensor:
        """Return ``P v`` for ``v`` of shape ``(m,)`` or ``(m, k)``."""

    def entropy(self) -> Tensor:
        """Return the ``(n,)`` entropy of where each earlier cell goes, in nats."""

    def sample(
        self, n: int, *, generator: torch.Generator, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` index pairs, earlier cells in the shares ``rows (n,)``."""

    def to_sparse(self, *, mass: float = 1e-3) -> csr_array:
        """Return the plan without its smallest entries, ``mass`` of each row."""

    def sparse_rows(self, *, mass: float = 1e-3) -> Iterator[tuple[int, csr_array]]:
        """Yield rows of ``to_sparse`` in blocks, each with the number of its first row."""
