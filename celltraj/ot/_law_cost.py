"""Ground costs of laws of motion: what a transition is unlikely by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._arrays import Converted
from celltraj._card import card
from celltraj._typing import Plan
from celltraj.ot._cost import Factors, check_same, convert_fields, row_slices, whole


@runtime_checkable
class Transition(Protocol):
    """A reference whose transition density is known, row by row."""

    def log_transition(self, t0: float, x0: Tensor, t1: float, x1: Tensor) -> Tensor:
        """Return ``log p(x1 at t1 | x0 at t0)`` for leading shapes that broadcast."""


@card()
@dataclass(frozen=True)
class ReferenceCost:
    r"""Ground cost of a reference dynamic, ``C_ij = -log p(y_j at t1 | x_i at t0)``, for epsilon 1.

    Unequal gaps between snapshots are then taken care of by the reference itself.

    Parameters
    ----------
    reference
        Has ``log_transition(t0, x0, t1, x1)``, broadcasting over leading dimensions.
    t0, x
        Earlier time, in the user's unit, and its ``(n, d)`` cells.
    t1, y
        Later time and its ``(m, d)`` cells.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import ReferenceCost
    >>> class Jump:
    ...     def log_transition(self, t0, x0, t1, x1):
    ...         return -(x1 - x0).abs().sum(-1) / (t1 - t0)
    >>> x = torch.zeros(1, 1).double()
    >>> ReferenceCost(Jump(), 0.0, x, 2.0, x + 3).dense()
    tensor([[1.5000]], dtype=torch.float64)
    """

    reference: Transition
    t0: float
    x: Converted
    t1: float
    y: Converted

    def __post_init__(self) -> None:
        convert_fields(self, x="(n, d)", y="(m, d)")
        check_same(self.x, self.y, "x", "y")

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""
        return len(self.x), len(self.y)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])`` in blocks of bounded memory."""
        for rows in row_slices(self.shape[0], self.y.numel()):
            log_p = self.reference.log_transition(self.t0, self.x[rows, None], self.t1, self.y)
            yield rows, -log_p

    def dense(self) -> Plan:
        """Return the full ``(n, m)`` cost."""
        return whole(self)

    def mean(self) -> float:
        """Return the mean cost."""
        total = sum(float(block.sum()) for _, block in self.blocks())
        return total / (self.shape[0] * self.shape[1])

    def take(self, rows: Tensor, columns: Tensor) -> ReferenceCost:
        """Return the cost between some of the points."""
        return ReferenceCost(self.reference, self.t0, self.x[rows], self.t1, self.y[columns])


@card()
@dataclass(frozen=True)
class GaussianCost:
    r"""Ground cost of Gaussian transitions, ``C_ij = (y_j - m_i)' W_i (y_j - m_i) / 2 + o_i``.

    Parameters
    ----------
    m
        ``(n, d)`` means of where each earlier cell goes, in [x].
    precision
        ``(n, d, d)`` positive definite ``W``, in units of the cost per [x]^2.
    offset
        ``(n,)`` constants ``o``, in units of the cost.
    y
        ``(m, d)`` later cells.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import GaussianCost
    >>> mean, y = torch.zeros(1, 1).double(), torch.tensor([[3.0]]).double()
    >>> GaussianCost(mean, torch.full((1, 1, 1), 2.0).double(), mean[0], y).dense()
    tensor([[9.]], dtype=torch.float64)
    """

    m: Converted
    precision: Converted
    offset: Converted
    y: Converted

    def __post_init__(self) -> None:
        convert_fields(self, m="(n, d)", precision="(n, d, d)", offset="(n,)", y="(m, d)")
        check_same(self.m, self.y, "m", "y")
        (n, d), found = self.m.shape, (tuple(self.precision.shape), tuple(self.offset.shape))
        if found != ((n, d, d), (n,)):
            raise ValueError(
                f"{n} means of {d} dimensions need a precision of shape {(n, d, d)} and an offset "
                f"of shape {(n,)}; found {found[0]} and {found[1]}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""
        return len(self.m), len(self.y)

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Return where cells go and where later ones are."""
        return self.m, self.y

    def factors(self) -> Factors:
        """Return quadratic features of both."""
        centre = self.y.mean(0)  # nearer to the origin, products lose fewer digits
        y, mean = self.y - centre, self.m - centre
        i, j = torch.triu_indices(y.shape[1], y.shape[1])
        twice = torch.where(i == j, 0.5, 1.0)
        pulled = (self.precision @ mean[..., None])[..., 0]
        left = torch.cat([self.precision[:, i, j] * twice, -pulled], 1)
        right = torch.cat([y[:, i] * y[:, j], y], 1)
        return Factors(left, right, (pulled * mean).sum(1) / 2 + self.offset, y.new_zeros(len(y)))

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])`` in blocks of bounded memory, each valid until the next."""
        return self.factors().blocks()

    def dense(self) -> Plan:
        """Return the full ``(n, m)`` cost."""
        return whole(self)

    def mean(self) -> float:
        """Return the mean cost."""
        total = sum(float(block.sum()) for _, block in self.blocks())
        return total / (self.shape[0] * self.shape[1])

    def take(self, rows: Tensor, columns: Tensor) -> GaussianCost:
        """Return the cost between some of the cells."""
        parts = self.m[rows], self.precision[rows], self.offset[rows], self.y[columns]
        return GaussianCost(*parts)
