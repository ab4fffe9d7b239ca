"""The result of a transport solver: potentials, never an unasked dense plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from celltraj._arrays import ArrayLike, as_floats, as_rows, takes_arrays
from celltraj._card import card
from celltraj._kernels import fill_plan
from celltraj._typing import Earlier, Later, Plan
from celltraj.ot._card_facts import coupling_facts
from celltraj.ot._cost import Cost
from celltraj.ot._device_tiles import DeviceTiles, device_named
from celltraj.ot._solver_stats import SolverStats
from celltraj.ot._sparsify import sparse_block
from celltraj.ot._tiles import SINGLE_SHARE, TiledPlan, marginals_of
from celltraj.ot.checks import check_mass
from celltraj.ot.sampling import draw_columns, systematic


@card(coupling_facts)
@dataclass(frozen=True)
class Coupling:
    r"""Entropic optimal transport plan, held by its potentials.

    ``P_ij = exp((f_i + g_j - C_ij) / epsilon)``.

    Of ten million pairs and more ``push`` and ``pull`` take entries in float32 where that provably
    moves less than a fifth of ``marginal_error``; sums are float64, and all else is. Given a tensor
    on a GPU they compute there, in float64, and answer there.

    Parameters
    ----------
    cost
        Ground cost of shape ``(n, m)``, rows are the earlier cells.
    f, g
        ``(n,)`` and ``(m,)`` potentials, in units of the cost; ``-inf`` where a weight is zero.
    a, b
        ``(n,)`` and ``(m,)`` marginals that were asked for.
    epsilon
        Regularisation, in units of the cost.
    marginal_error
        L1 distance of both marginals of the plan from those asked for, recomputed at the end.
    converged
        Whether ``marginal_error`` reached the solver's tolerance.
    n_iters
        Passes over the cost that were taken.
    row_mass, column_mass
        ``(n,)`` and ``(m,)`` marginals of the plan; they equal ``a`` and ``b`` when balanced.
    stats
        What the solver did.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Sinkhorn, SquaredEuclidean
    >>> x, half = torch.tensor([[0.0], [9.0]]).double(), torch.tensor([0.5, 0.5]).double()
    >>> coupling = Sinkhorn()(SquaredEuclidean(x, x + 1), half, half, epsilon=0.1)
    >>> coupling.pull(x + 1) / half[:, None]  # where each cell goes on average
    tensor([[ 1.0000],
            [10.0000]], dtype=torch.float64)
    """

    cost: Cost
    f: Earlier
    g: Later
    a: Earlier
    b: Later
    epsilon: float
    marginal_error: float
    converged: bool
    n_iters: int
    row_mass: Earlier
    column_mass: Later
    stats: SolverStats

    @classmethod
    def of(
        cls,
        cost: Cost,
        potentials: tuple[Tensor, Tensor],
        weights: tuple[ArrayLike, ArrayLike],
        *,
        epsilon: float,
        tol: float = 1e-3,
    ) -> Coupling:
        """Return the balanced coupling of potentials that a solver of your own found.

        Parameters
        ----------
        cost
            Ground cost of shape ``(n, m)``.
        potentials
            ``f (n,)`` and ``g (m,)``, in units of the cost; ``-inf`` where a weight is zero.
        weights
            ``a (n,)`` and ``b (m,)``, the marginals that were asked for.
        epsilon
            Regularisation, in units of the cost.
        tol
            Marginal error up to which the coupling counts as converged.
        """
        f, g = (v.double() for v in potentials)
        a, b = (as_floats(w, "weights", "(n,)", dtype=torch.float64) for w in weights)
        row, column = marginals_of(cost, (f, g), (a, b), float(epsilon))
        error = float((row - a).abs().sum() + (column - b).abs().sum())
        reached = error, error <= tol, 0, row, column, SolverStats()
        return cls(cost, f, g, a, b, float(epsilon), *reached)

    @property
    def effort(self) -> SolverStats:
        """Raise: this is now ``stats``."""
        raise AttributeError("Coupling.effort is now Coupling.stats; .report() is a row of a table")

    def _plan_blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, P[rows])``, each valid until the next."""
        f, g = ((v / self.epsilon).numpy() for v in (self.f, self.g))
        room: Tensor | None = None  # one for all blocks: fresh memory of each is slow to come back
        for rows, cost in self.cost.blocks():
            room = torch.empty_like(cost) if room is None else room
            block = room[: len(cost)]
            fill_plan(cost.numpy(), f[rows], g, 1 / self.epsilon, block.numpy())
            yield rows, block

    def _tiled(self) -> TiledPlan:
        """Return the plan in tiles, rounded where that takes less than it misses anyway."""
        f, g = self.f / self.epsilon, self.g / self.epsilon
        whole = TiledPlan.of(self.cost, f, g, self.epsilon)
        masses = self.row_mass.numpy(), self.column_mass.numpy()
        return whole.rounded(*masses, SINGLE_SHARE * self.marginal_error)

    def _on(self, device: torch.device) -> tuple[DeviceTiles, Earlier, Later]:
        """Return the cost on a device, and both potentials there in units of epsilon."""
        f, g = ((v / self.epsilon).to(device) for v in (self.f, self.g))
        return DeviceTiles.of(self.cost, self.epsilon, device), f, g

    def to_dense(self) -> Plan:
        """Return the full ``(n, m)`` plan."""
        whole = torch.empty(self.cost.shape, dtype=torch.float64)
        for rows, block in self._plan_blocks():
            whole[rows] = block
        return whole

    def push(self, v: ArrayLike) -> Tensor:
        """Return ``P' v`` for ``v`` of shape ``(n,)`` or ``(n, k)``, on the device of ``v``."""
        if isinstance(v, Tensor) and v.is_cuda:
            tiles, f, g = self._on(v.device)
            return tiles.push(f, g, as_rows(v.cpu(), len(f), "v").to(v.device))
        return self._tiled().push(as_rows(v, len(self.f), "v"))

    def pull(self, v: ArrayLike) -> Tensor:
        """Return ``P v`` for ``v`` of shape ``(m,)`` or ``(m, k)``, on the device of ``v``."""
        if isinstance(v, Tensor) and v.is_cuda:
            tiles, f, g = self._on(v.device)
            return tiles.pull(f, g, as_rows(v.cpu(), len(g), "v").to(v.device))
        return self._tiled().pull(as_rows(v, len(self.g), "v"))

    def entropy(self) -> Earlier:
        """Return the ``(n,)`` entropy of where each earlier cell goes, in nats; NaN for nowhere."""
        whole = TiledPlan.of(self.cost, self.f / self.epsilon, self.g / self.epsilon, self.epsilon)
        return self.row_mass.log() - whole.entropies() / self.row_mass

    def growth(self) -> Earlier:
        """Return the ``(n,)`` posterior growth: mass a cell sends over the mass it was given.

        It is 1 for a balanced plan and NaN for a cell that was given no mass.
        """
        return self.row_mass / self.a

    def report(self) -> dict[str, object]:
        """Return what was reached and what it took, one row of a table."""
        stats = asdict(self.stats)
        del stats["passes"]  # the same as n_iters
        return {
            "epsilon": self.epsilon,
            "marginal_error": self.marginal_error,
            "converged": self.converged,
            "n_iters": self.n_iters,
            "mass": float(self.row_mass.sum()),
            **stats,
            "fallbacks": tuple(self.stats.fallbacks),
        }

    def to_sparse(self, *, mass: float = 1e-3) -> csr_array:
        """Return the plan without its smallest entries, as a ``(n, m)`` CSR array.

        Parameters
        ----------
        mass
            Share of each row's mass that may be dropped, in [0, 1).

        Raises
        ------
        ValueError
            ``mass`` lies outside [0, 1).
        """
        return csr_array(vstack([rows for _, rows in self.sparse_rows(mass=mass)]))

    def sparse_rows(self, *, mass: float = 1e-3) -> Iterator[tuple[int, csr_array]]:
        """Yield rows of :meth:`to_sparse` in blocks, each with the number of its first row."""
        check_mass(mass)
        for rows, block in self._plan_blocks():
            yield rows.start, sparse_block(block.numpy(), mass)

    def extend(self, cost: Cost, *, device: str | None = None) -> Tensor:
        r"""Return the ``(k,)`` potentials of ``k`` unseen earlier cells, by the c-transform.

        ``f = -epsilon log sum_j exp((g_j - C_j) / epsilon)``, so that
        ``exp((f + g_j - C_j) / epsilon)`` is the law of where one unseen cell goes.

        Parameters
        ----------
        cost
            ``(k, m)`` cost from the unseen cells to the later ones of this coupling.
        device
            ``"cuda"`` computes the cost on a GPU, block by block; by default the CPU.

        Returns
        -------
        The potentials, in units of the cost, on the CPU.

        Raises
        ------
        ValueError
            ``cost`` has another number of columns; a device that is not here.
        """
        if cost.shape[1] != len(self.g):
            raise ValueError(f"cost has {cost.shape[1]} columns; the coupling has {len(self.g)}")
        if device is not None:
            there = device_named(device)
            tiles = DeviceTiles.of(cost, self.epsilon, there)
            return -self.epsilon * tiles.log_rows(self.g.to(there) / self.epsilon).cpu()
        unseen = torch.zeros(cost.shape[0], dtype=torch.float64)
        plan = TiledPlan.of(cost, unseen, self.g / self.epsilon, self.epsilon)
        return -self.epsilon * plan.log_rows()

    @takes_arrays
    def sample(
        self, n: int, *, generator: torch.Generator, rows: Earlier | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` index pairs ``(i, j)`` from the plan, each of shape ``(n,)``.

        ``rows (n,)`` are the shares in which earlier cells are drawn, by default those of the plan.

        Rows are drawn by systematic sampling: each earlier cell appears ``n a_i`` times to within
        one, which removes most of the noise of independent draws and leaves the law of each pair
        unchanged.
        """
        i = systematic(self.row_mass if rows is None else rows, n, generator)
        uniform = torch.rand(n, dtype=torch.float64, generator=generator)
        j = torch.cat([_columns(block, rows, i, uniform) for rows, block in self._plan_blocks()])
        order = torch.randperm(n, generator=generator)
        return i[order], j[order]


def _columns(block: Tensor, rows: slice, i: Tensor, uniform: Tensor) -> Tensor:
    """Draw the column of every sample whose (sorted) row ``i`` lies in ``block``."""
    start, stop = torch.searchsorted(i, torch.tensor([rows.start, rows.stop])).tolist()
    return draw_columns(block, i[start:stop] - rows.start, uniform[start:stop])
