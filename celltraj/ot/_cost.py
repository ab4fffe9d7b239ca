"""Ground costs evaluated in row blocks, so that no n x m array is needed unasked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._arrays import Converted, as_floats
from celltraj._card import card
from celltraj._typing import Plan

_BLOCK = 1_000_000  # entries held at once: 8 MB in float64, so that a block stays in the cache


@runtime_checkable
class Cost(Protocol):
    """Ground cost, as a transport solver asks for it: shape, rows in blocks, mean, parts."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])`` in blocks of bounded memory, each valid until the next."""

    def dense(self) -> Plan:
        """Return the full ``(n, m)`` cost."""

    def mean(self) -> float:
        """Return the mean cost."""

    def take(self, rows: Tensor, columns: Tensor) -> Cost:
        """Return the cost between the rows and columns of two index or boolean vectors."""


def _row_slices(n: int, m: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(m, 1))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _convert(cost: object, *, dtype: torch.dtype | None = None, **shapes: str) -> None:
    """Replace what a frozen cost was given by tensors of these shapes."""
    for name, shape in shapes.items():
        values = as_floats(getattr(cost, name), name, shape, dtype=dtype)
        object.__setattr__(cost, name, values)


def _check_same(x: Tensor, y: Tensor, first: str, second: str) -> None:
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"{first} has {x.shape[1]} dimensions, {second} has {y.shape[1]}; they must agree"
        )


def _whole(cost: Cost) -> Plan:
    matrix = torch.empty(cost.shape, dtype=torch.float64)
    for rows, block in cost.blocks():
        matrix[rows] = block
    return matrix


@card()
@dataclass(frozen=True)
class SquaredEuclidean:
    """Ground cost of half the squared Euclidean distance, ``C_ij = |x_i - y_j|^2 / 2``.

    With this cost a Brownian reference has ``epsilon = sigma^2 (t1 - t0)``.

    Parameters
    ----------
    x, y
        ``(n, d)`` and ``(m, d)`` finite points, tensors, arrays or lists; costs are float64
        whatever they are.

    Raises
    ------
    TypeError
        Coordinates that are no real numbers.
    ValueError
        Dimensions differ, there are no points, or a coordinate is not finite.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import SquaredEuclidean
    >>> SquaredEuclidean(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).dense()
    tensor([[12.5000]], dtype=torch.float64)
    """

    x: Converted
    y: Converted

    def __post_init__(self) -> None:
        _convert(self, x="(n, d)", y="(m, d)")
        _check_same(self.x, self.y, "x", "y")

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""
        return len(self.x), len(self.y)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])`` in blocks of bounded memory, each valid until the next."""
        centre = self.y.mean(0).double()  # nearer to the origin, products lose fewer digits
        x, y = self.x.double() - centre, self.y.double() - centre
        half_x, half_y = (v.square().sum(1, keepdim=True) / 2 for v in (x, y))
        left = torch.cat([x, half_x, torch.ones_like(half_x)], 1)  # one product sums all terms
        right = torch.cat([-y, torch.ones_like(half_y), half_y], 1).T.contiguous()
        room: Tensor | None = None  # one for all blocks: fresh memory costs more than the product
        for rows in _row_slices(*self.shape):
            part = left[rows]
            if room is None:
                room = part.new_empty((len(part), right.shape[1]))
            block = torch.mm(part, right, out=room[: len(part)])
            yield rows, block.clamp_(min=0)

    def dense(self) -> Plan:
        """Return the full ``(n, m)`` cost."""
        return _whole(self)

    def mean(self) -> float:
        """Return the mean cost in closed form, without forming it."""
        x, y = self.x.double(), self.y.double()
        dx, dy = x.mean(0), y.mean(0)
        spread = x.sub(dx).square().sum(1).mean() + y.sub(dy).square().sum(1).mean()
        return float(0.5 * (spread + (dx - dy).square().sum()))

    def take(self, rows: Tensor, columns: Tensor) -> SquaredEuclidean:
        """Return the cost between some of the points."""
        return SquaredEuclidean(self.x[rows], self.y[columns])


@card()
@dataclass(frozen=True)
class DenseCost:
    """Ground cost that is already a matrix.

    Parameters
    ----------
    matrix
        ``(n, m)`` finite costs, in any unit; epsilon has the same unit.

    Raises
    ------
    TypeError
        Entries that are no real numbers.
    ValueError
        Another shape, or an entry that is not finite.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import DenseCost
    >>> DenseCost(torch.tensor([[0.0, 2.0]]).double()).mean()
    1.0
    """

    matrix: Converted

    def __post_init__(self) -> None:
        _convert(self, dtype=torch.float64, matrix="(n, m)")

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])``, views of the matrix."""
        return ((rows, self.matrix[rows]) for rows in _row_slices(*self.shape))

    def dense(self) -> Plan:
        """Return the matrix itself."""
        return self.matrix

    def mean(self) -> float:
        """Return the mean cost."""
        return float(self.matrix.mean())

    def take(self, rows: Tensor, columns: Tensor) -> DenseCost:
        """Return the cost between some rows and columns."""
        return DenseCost(self.matrix[rows][:, columns])


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
        _convert(self, x="(n, d)", y="(m, d)")
        _check_same(self.x, self.y, "x", "y")

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""
        return len(self.x), len(self.y)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])`` in blocks of bounded memory."""
        for rows in _row_slices(self.shape[0], self.y.numel()):
            log_p = self.reference.log_transition(self.t0, self.x[rows, None], self.t1, self.y)
            yield rows, -log_p

    def dense(self) -> Plan:
        """Return the full ``(n, m)`` cost."""
        return _whole(self)

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
        _convert(self, m="(n, d)", precision="(n, d, d)", offset="(n,)", y="(m, d)")
        _check_same(self.m, self.y, "m", "y")
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

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])`` in blocks of bounded memory."""
        # one product of quadratic features sums all terms; nearer to the origin it loses less
        centre = self.y.mean(0)
        y, mean = self.y - centre, self.m - centre
        i, j = torch.triu_indices(y.shape[1], y.shape[1])
        pairs = y[:, i] * y[:, j]
        right = torch.cat([pairs, y, torch.ones_like(y[:, :1])], 1).T
        twice = torch.where(i == j, 0.5, 1.0)
        pulled = (self.precision @ mean[..., None])[..., 0]
        constant = (pulled * mean).sum(1, keepdim=True) / 2 + self.offset[:, None]
        left = torch.cat([self.precision[:, i, j] * twice, -pulled, constant], 1)
        for rows in _row_slices(*self.shape):
            yield rows, left[rows] @ right

    def dense(self) -> Plan:
        """Return the full ``(n, m)`` cost."""
        return _whole(self)

    def mean(self) -> float:
        """Return the mean cost."""
        total = sum(float(block.sum()) for _, block in self.blocks())
        return total / (self.shape[0] * self.shape[1])

    def take(self, rows: Tensor, columns: Tensor) -> GaussianCost:
        """Return the cost between some of the cells."""
        parts = self.m[rows], self.precision[rows], self.offset[rows], self.y[columns]
        return GaussianCost(*parts)
