"""A graph of soft edges over one population, read where a cell is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from celltraj._typing import Cells, Targets

# effective neighbours of a typical cell, as shares of its population: what kernels of .14, .22,
# .39, .68 and 1.3 standard deviations have in two normal dimensions, and the same in many
SHARES = (0.02, 0.05, 0.15, 0.4, 0.75)
N_LOCAL = len(SHARES)
# at each local scale, and at the last, where all cells are alike
LOCAL_VECTORS = ("mean", "stretched", "across", "second")
LOCAL_SCALARS = ("density", "reach", "second density", "second reach")
WIDE_VECTORS, WIDE_SCALARS = ("mean", "stretched"), ("reach",)
_MOST = 3_000  # cells that a graph is built over
_BLOCK = _MOST**2  # distances held at once
_FEWEST = 2  # effective neighbours in a small population
_ANCHORS = 64  # cells whose effective neighbours set the bandwidths
_GRID = 24  # bandwidths that are tried
_FINEST, _COARSEST = 0.02, 2.0  # of them, in units of the median distance
_LEAST = 1e-6  # unit of a population of equal cells
_LEAST_LOGIT = -80.0


@dataclass(frozen=True)
class NodeFeatures:
    """Hold what cells see of a graph, scale after scale from narrow to wide.

    Parameters
    ----------
    vectors
        ``(n, v, d)``, at each local scale of bandwidth ``b`` the way ``m_b`` to the mean of the
        surroundings in bandwidths, ``C_b m_b`` and ``C_b m_c`` with their covariance ``C_b`` and
        the next scale ``c``, and the mean of the ways that the cells around see; at the last scale
        the first two.
    scalars
        ``(n, s)``, at each local scale the log of the mean weight, the root mean square distance
        to the surroundings in bandwidths, and the means of both that the cells around see; at the
        last scale the distance.
    """

    vectors: Float[Tensor, "n v d"]
    scalars: Float[Tensor, "n s"]


@dataclass(frozen=True, eq=False)
class SoftGraph:
    r"""Weight the cells of a population by their distance from any cell.

    ``w_ij = exp(-|x_i - x_j|^2 / 2 b^2) / sum_k exp(-|x_i - x_k|^2 / 2 b^2)``, a cell itself left
    out.

    Parameters
    ----------
    population
        ``(m, d)`` cells from the inside out, float32.
    bandwidths
        ``(b,)`` bandwidths, in [x], from narrow to wide; the last is the unit of ways and distances
        where all cells are alike.
    """

    population: Cells
    bandwidths: Sequence[float]

    @classmethod
    def of(cls, cells: Cells, bandwidths: Sequence[float]) -> SoftGraph:
        """Return the graph over a population; above 3,000 cells over a fixed part of it."""
        inside_out = _from_the_middle(cells.float())
        kept = inside_out[_spread_out(len(inside_out), _MOST)]
        return cls(kept, bandwidths)

    @cached_property
    def nodes(self) -> NodeFeatures:
        """What each cell of the graph sees, without itself."""
        return self._seen(self.population, None)

    def seen_from(self, cells: Cells) -> NodeFeatures:
        """Return what cells ``(n, d)`` see; one that is of the graph does not see itself."""
        x, at = cells.float(), _places(cells.float(), self.population)
        new = (at < 0).nonzero()[:, 0]
        vectors, scalars = self.nodes.vectors[at], self.nodes.scalars[at]
        for rows in new.split(max(1, _BLOCK // len(self.population))) if len(new) else ():
            seen = self._seen(x[rows], self.nodes)
            vectors[rows], scalars[rows] = seen.vectors, seen.scalars
        return NodeFeatures(vectors, scalars)

    def _seen(self, x: Cells, nodes: NodeFeatures | None) -> NodeFeatures:
        """Return what cells see; without ``nodes`` they are those of the graph."""
        if nodes is None and len(x) == 1:
            return _nothing(x)
        edges = _Edges.between(x, self.population, leave_own=nodes is None)
        parts: list[NodeFeatures] = []
        for k in reversed(range(N_LOCAL + 1)):
            wider = parts[-1].vectors[:, 0] if parts else None
            parts.append(self._at_scale(k, edges, wider, nodes))
        parts.reverse()
        return NodeFeatures(
            torch.cat([one.vectors for one in parts], 1),
            torch.cat([one.scalars for one in parts], 1),
        )

    def _at_scale(
        self, k: int, edges: _Edges, wider: Tensor | None, nodes: NodeFeatures | None
    ) -> NodeFeatures:
        """Return what cells see at one scale, where ``wider`` are the ways at the next, if any."""
        b, y = self.bandwidths[k], self.population
        weights = edges.alike() if wider is None else edges.weights(b)
        total = weights.sum(1, keepdim=True)
        around = weights @ y / total
        mean = (around - edges.x) / b
        reach = ((weights * edges.squares).sum(1, keepdim=True) / total).sqrt() / b
        stretched = _stretched(mean, weights, y, around) / (total * b**2)
        if wider is None:
            return NodeFeatures(torch.stack([mean, stretched], 1), reach)
        density = (total / edges.counts).log() - edges.nearest / (2 * b**2)
        told = torch.cat([density, reach], 1)
        ways, heard = mean, told
        if nodes is not None:
            first = len(LOCAL_SCALARS) * k
            ways = nodes.vectors[:, len(LOCAL_VECTORS) * k]
            heard = nodes.scalars[:, first : first + 2]
        second, heard = (weights @ torch.cat([ways, heard], 1) / total).split([y.shape[1], 2], 1)
        across = _stretched(wider, weights, y, around) / (total * b**2)
        vectors = torch.stack([mean, stretched, across, second], 1)
        return NodeFeatures(vectors, torch.cat([told, heard], 1))


@dataclass(frozen=True, eq=False)
class _Edges:
    """Hold what all scales need of cells ``x`` among ``m`` others.

    Parameters
    ----------
    x
        ``(k, d)`` cells.
    squares
        ``(k, m)`` squared distances.
    nearest, counts
        ``(k, 1)`` the least of those to others, and how many others there are.
    closer
        ``(k, m)`` the least less the squared distance; minus infinity where a cell meets itself.
    """

    x: Cells
    squares: Tensor
    nearest: Tensor
    counts: Tensor
    closer: Tensor

    @classmethod
    def between(cls, x: Cells, y: Targets, *, leave_own: bool) -> _Edges:
        """Return those to all cells ``y``, without the diagonal where each cell is its own."""
        # through products of large numbers small distances would have no digits
        squares = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square_()
        others = squares.clone().fill_diagonal_(torch.inf) if leave_own else squares
        nearest = others.amin(1, keepdim=True)
        counts = torch.full_like(nearest, len(y) - leave_own)
        return cls(x, squares, nearest, counts, nearest - others)

    def weights(self, bandwidth: float) -> Tensor:
        """Return weights relative to that of the nearest cell, ``(k, m)``."""
        # numbers below float32's normal ones are slow, and add nothing to 1
        return (self.closer * (0.5 / bandwidth**2)).clamp_(min=_LEAST_LOGIT).exp_()

    def alike(self) -> Tensor:
        """Return the same weight of all others."""
        return (self.closer > -torch.inf).to(self.x.dtype)


def _nothing(x: Cells) -> NodeFeatures:
    """Return what cells see that have nobody around them."""
    n_vectors = len(LOCAL_VECTORS) * N_LOCAL + len(WIDE_VECTORS)
    n_scalars = len(LOCAL_SCALARS) * N_LOCAL + len(WIDE_SCALARS)
    return NodeFeatures(x.new_zeros(len(x), n_vectors, x.shape[1]), x.new_zeros(len(x), n_scalars))


def _stretched(v: Tensor, weights: Tensor, y: Targets, mean: Tensor) -> Tensor:
    """Return ``sum_j w_j (y_j - mean) ((y_j - mean) . v)`` for each cell, ``(k, d)``."""
    # the covariance itself would be d^2 numbers a cell
    along = (v @ y.T).sub_((mean * v).sum(1, keepdim=True)).mul_(weights)
    return along @ y - along.sum(1, keepdim=True) * mean


def _from_the_middle(cells: Cells) -> Cells:
    """Return cells by their distance from the mean, those of one distance by what they hold."""
    values = cells.detach().cpu().numpy()
    values = values[np.lexsort(values.T[::-1])]
    radius = np.square(values - values.mean(0, dtype=np.float64)).sum(1)
    return torch.from_numpy(values[np.argsort(radius, kind="stable")]).to(cells.device)


def _spread_out(n: int, most: int) -> Int[Tensor, " k"]:
    """Return at most ``most`` indices below ``n``, equally far apart."""
    return torch.arange(n) if n <= most else torch.arange(most) * n // most


def _places(x: Cells, population: Targets) -> Int[Tensor, " n"]:
    """Return which cell of the population each cell is, of equal ones any; -1 for none."""
    found = {row.tobytes(): k for k, row in enumerate(_plain(population))}
    return torch.tensor([found.get(row.tobytes(), -1) for row in _plain(x)], device=x.device)


def _plain(x: Cells) -> np.ndarray:
    return np.ascontiguousarray(x.detach().cpu().numpy() + 0.0)  # minus zero is zero


def typical_bandwidths(populations: Sequence[Cells]) -> tuple[float, ...]:
    """Return the geometric means over populations of their :func:`bandwidths_of`."""
    logs = [np.log(bandwidths_of(cells)) for cells in populations]
    return tuple(np.exp(np.mean(logs, axis=0)).tolist())


def bandwidths_of(cells: Cells) -> tuple[float, ...]:
    """Return the bandwidths by which a typical cell has its share of effective neighbours.

    A cell has ``1 / sum_j w_ij^2`` of them; ``SHARES`` says which parts of a population, at least
    two cells. The last bandwidth is the root mean square distance from the mean.
    """
    x = _from_the_middle(cells.float()).double()
    n = len(x)
    wide = max(_LEAST, float((x - x.mean(0)).square().sum(1).mean().sqrt()))
    rows = _spread_out(n, _ANCHORS)
    distances = torch.cdist(x[rows], x, compute_mode="donot_use_mm_for_euclid_dist")
    if n == 1:
        return (wide,) * (N_LOCAL + 1)
    distances[torch.arange(len(rows)), rows] = torch.inf
    unit = max(_LEAST, float(distances[distances < torch.inf].median()))
    grid = np.geomspace(_FINEST, _COARSEST, _GRID) * unit
    found = [_effective(distances.square(), b) for b in grid]
    wanted = np.log(np.maximum(np.array(SHARES) * (n - 1), _FEWEST))
    local = np.exp(np.interp(wanted, found, np.log(grid)))
    return (*local.tolist(), wide)


def _effective(squares: Tensor, bandwidth: float) -> float:
    """Return the median over cells of the log of their effective neighbours, 1 / sum w^2."""
    weights = (squares / (-2 * bandwidth**2)).softmax(1)
    return float(-weights.square().sum(1).log().median())
