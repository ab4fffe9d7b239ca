"""Ground costs evaluated in row blocks, so that no n x m array is needed unasked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._arrays import Converted, as_floats
from celltraj._card import card
from celltraj._typing import Earlier, Later, Plan

_BLOCK = 1_000_000  # entries held at once: 8 MB in float64, so that a block stays in the cache
_LEAST_ROWS = 64  # of a product, which reads its right-hand side once for all of them
_WIDTH = 1024  # columns at once, whose part of the right-hand side stays in the cache


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


def row_slices(n: int, m: int) -> Iterator[slice]:
    """Return blocks of rows of an ``(n, m)`` cost, each of bounded memory."""
    step = max(1, _BLOCK // max(m, 1))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def convert_fields(cost: object, *, dtype: torch.dtype | None = None, **shapes: str) -> None:
    """Replace what a frozen cost was given by tensors of these shapes."""
    for name, shape in shapes.items():
        values = as_floats(getattr(cost, name), name, shape, dtype=dtype)
        object.__setattr__(cost, name, values)


def check_same(x: Tensor, y: Tensor, first: str, second: str) -> None:
    """Raise where two clouds have unequal dimensions."""
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"{first} has {x.shape[1]} dimensions, {second} has {y.shape[1]}; they must agree"
        )


def whole(cost: Cost) -> Plan:
    """Return the full ``(n, m)`` cost, gathered from its blocks."""
    matrix = torch.empty(cost.shape, dtype=torch.float64)
    for rows, block in cost.blocks():
        matrix[rows] = block
    return matrix


@card()
@dataclass(frozen=True)
class Factors:
    """Hold a cost as a product of features of the earlier and of the later cells.

    ``C_ij = sum_p left_ip right_jp + u_i + v_j``.

    Parameters
    ----------
    left, right
        ``(n, p)`` and ``(m, p)`` features of the cells, float64.
    u, v
        ``(n,)`` and ``(m,)`` what each cell adds, in units of the cost.
    """

    left: Tensor
    right: Tensor
    u: Earlier
    v: Later

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])`` in blocks of bounded memory, each valid until the next."""
        one_u, one_v = torch.ones_like(self.u)[:, None], torch.ones_like(self.v)[:, None]
        left = torch.cat([self.left, self.u[:, None], one_u], 1)  # one product sums all terms
        right = torch.cat([self.right, one_v, self.v[:, None]], 1)
        return product_blocks(left, right)


def product_blocks(left: Tensor, right: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield ``(rows, left[rows] right')`` in blocks of rows, each valid until the next.

    A block has a million entries, or 64 rows where these are more.
    """
    n, m = len(left), len(right)
    step = min(n, max(_LEAST_ROWS, _BLOCK // m))
    room = left.new_empty((step, m))  # one for all: fresh memory costs more than the product
    for start in range(0, n, step):
        part = left[start : start + step]
        block = room[: len(part)]
        for first in range(0, m, _WIDTH):
            few = right[first : first + _WIDTH]
            torch.mm(part, few.T, out=block[:, first : first + _WIDTH])
        yield slice(start, start + len(part)), block


@runtime_checkable
class ProductCost(Cost, Protocol):
    """Ground cost that is a product of features of the earlier and of the later cells."""

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Return ``(n, d)`` and ``(m, d)`` points of one space: near ones have like costs."""

    def factors(self) -> Factors:
        """Return the features."""


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
        convert_fields(self, x="(n, d)", y="(m, d)")
        check_same(self.x, self.y, "x", "y")

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""
        return len(self.x), len(self.y)

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Return both clouds."""
        return self.x, self.y

    def factors(self) -> Factors:
        """Return the points as features: ``-x . y + |x|^2 / 2 + |y|^2 / 2``."""
        centre = self.y.mean(0).double()  # nearer to the origin, products lose fewer digits
        x, y = self.x.double() - centre, self.y.double() - centre
        return Factors(x, -y, *(points.square().sum(1) / 2 for points in (x, y)))

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])`` in blocks of bounded memory, each valid until the next."""
        return ((rows, block.clamp_(min=0)) for rows, block in self.factors().blocks())

    def dense(self) -> Plan:
        """Return the full ``(n, m)`` cost."""
        return whole(self)

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
        convert_fields(self, dtype=torch.float64, matrix="(n, m)")

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])``, views of the matrix."""
        return ((rows, self.matrix[rows]) for rows in row_slices(*self.shape))

    def dense(self) -> Plan:
        """Return the matrix itself."""
        return self.matrix

    def mean(self) -> float:
        """Return the mean cost."""
        return float(self.matrix.mean())

    def take(self, rows: Tensor, columns: Tensor) -> DenseCost:
        """Return the cost between some rows and columns."""
        return DenseCost(self.matrix[rows][:, columns])
