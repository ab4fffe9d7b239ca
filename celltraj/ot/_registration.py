"""Transport of two slices in one space, turned and sized so that they lie upon each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._arrays import ArrayLike, as_floats
from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj.ot._balanced import Balanced
from celltraj.ot._cost import SquaredEuclidean
from celltraj.ot._coupling import Coupling
from celltraj.ot._problem import Problem
from celltraj.ot._rotations import rotations
from celltraj.ot._similarity import Similarity
from celltraj.ot._unbalanced import Unbalanced
from celltraj.ot.sampling import systematic

_EPSILON = 0.02  # of the mean cost while slices are registered, wide enough to turn them
_COARSE, _WIDE, _FIRST = 250, 0.05, 3  # cells a side, epsilon and rounds from each start
_STILL = 1e-3  # of a rotation, in Frobenius norm, at which it has come to rest
_SMALL = 1e-12  # of a spread that is none


@card()
@dataclass(frozen=True)
class Registered:
    """Hold a registration of two slices.

    Parameters
    ----------
    similarity
        What takes earlier places to later ones.
    objectives
        Value of the transport problem by start, in units of its mean cost; the least one was kept.
    rounds
        Rounds from that start.
    converged
        Whether the rotation came to rest.
    """

    similarity: Similarity
    objectives: Mapping[str, float]
    rounds: int
    converged: bool

    @property
    def start(self) -> str:
        """Return the start that was kept."""
        return min(self.objectives, key=lambda name: self.objectives[name])


@checked_fields
@dataclass(frozen=True)
class Registration:
    r"""Registration of two slices with transport between them, linear in the cells.

    ``min_P,R (1 - alpha) <C, P> + alpha (c / s) <D, P> + epsilon KL(P | a b')`` with the cost of
    features ``C_ij = |x_i - y_j|^2 / 2`` and ``D_ij = |v0 + scale R (u_i - u0) - v_j|^2 / 2``, in
    turns: entropic transport, then weighted Procrustes. ``c`` is the mean cost of features and
    ``s`` half the mean squared distance of later places from their centre; ``scale`` makes the
    spread of both slices the same and ``u0``, ``v0`` are their centres, both by the masses of the
    plan, so that nothing depends on units. Marginals are soft while slices are registered: where
    parts of a tissue grow more than others, firm ones turn it. The cost stays a squared distance:
    where :class:`FusedGromov` compares all pairs of distances, this takes memory and time linear in
    the cells, and supposes that a slice turns and grows as a whole; what does not is left to
    transport.

    The problem is not convex: it is solved roughly for a few cells from the rotation that transport
    by features tells and from eight in the plane, or the 24 of a cube in space, and the best is
    followed. Mirror images are excluded unless ``reflects`` allows them.

    Parameters
    ----------
    alpha
        Weight of places, in [0, 1].
    reflects
        Whether slices may be turned over.
    n_cells
        Cells a side that are drawn to find the rotation, which few tell as well as all.
    max_rounds
        Turns of transport and rotation.
    tau
        How firmly the marginals of the earlier and of the later cells hold meanwhile, in (0, 1].
    seed
        Seed of the cells that are drawn.

    Raises
    ------
    ValueError
        ``alpha`` outside [0, 1], a count that is not positive, or a ``tau`` outside (0, 1].

    References
    ----------
    Alvarez-Melis, Jegelka & Jaakkola, *Towards optimal transport with global invariances* (2019);
    Grave, Joulin & Berthet, *Unsupervised alignment of embeddings with Wasserstein Procrustes*
    (2019). Zeira et al., *Alignment and integration of spatial transcriptomics data* (2022), for
    the problem.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Registration, SquaredEuclidean
    >>> u = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]).double()
    >>> v = 3 * torch.stack([-u[:, 1], u[:, 0]], 1)
    >>> cost, even = SquaredEuclidean(u[:, :1], u[:, :1]), torch.full((4,), 0.25).double()
    >>> found = Registration().register(cost, even, even, coordinates=(u, v)).similarity
    >>> round(found.angle), round(found.scale, 6)
    (90, 3.0)
    """

    alpha: float = 0.5
    reflects: bool = False
    n_cells: int = 1000
    max_rounds: int = 50
    tau: tuple[float, float] = (0.96, 0.96)
    seed: int = 0

    def __post_init__(self) -> None:
        Unbalanced(*self.tau)  # refuses what is no pair of shares
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1]; found {self.alpha}")
        if not min(self.n_cells, self.max_rounds) > 0:
            raise ValueError(
                f"n_cells and max_rounds must be positive; found {self.n_cells} and "
                f"{self.max_rounds}"
            )

    def __call__(
        self,
        cost: SquaredEuclidean,
        a: ArrayLike,
        b: ArrayLike,
        *,
        coordinates: tuple[ArrayLike, ArrayLike],
        epsilon: float,
    ) -> Coupling:
        """Return the coupling of all cells once slices are registered.

        Parameters
        ----------
        cost
            Cost of features.
        a, b
            ``(n,)`` and ``(m,)`` weights of equal mass.
        coordinates
            ``(n, k)`` and ``(m, k)`` places of the earlier and of the later cells, ``k`` 2 or 3.
        epsilon
            Regularisation in units of ``cost``.

        Raises
        ------
        TypeError, ValueError
            As :meth:`register` has it, or ``epsilon`` is not positive.
        ConvergenceError
            ``epsilon`` is too small for the solver; carries the coupling.
        """
        problem = Problem.of(cost, a, b, epsilon)
        u, v = _places(coordinates, cost.shape)
        similarity = self.register(cost, a, b, coordinates=(u, v)).similarity
        slices = _Slices(cost.x.double(), cost.y.double(), u, v, problem.a, problem.b)
        joint = slices.joint(similarity, self.alpha)
        return Balanced()(joint, problem.a, problem.b, epsilon=epsilon)

    def register(
        self,
        cost: SquaredEuclidean,
        a: ArrayLike,
        b: ArrayLike,
        *,
        coordinates: tuple[ArrayLike, ArrayLike],
    ) -> Registered:
        """Return the similarity that takes the earlier slice onto the later one.

        Raises
        ------
        TypeError
            ``cost`` is no :class:`SquaredEuclidean`.
        ValueError
            Places that are not finite, neither in two nor in three dimensions or in another number
            of them on either side, of another number of cells, or all at one point; weights that no
            solver takes.
        """
        if not isinstance(cost, SquaredEuclidean):
            raise TypeError(
                "cost must be ct.ot.SquaredEuclidean(x, y), which places can be added to; found "
                f"{type(cost).__name__}. ct.ot.FusedGromov() takes any"
            )
        problem = Problem.of(cost, a, b, 1.0)
        u, v = _places(coordinates, cost.shape)
        slices = _Slices(cost.x.double(), cost.y.double(), u, v, problem.a, problem.b)
        generator = torch.Generator().manual_seed(self.seed)
        few = slices.drawn(_COARSE, generator)
        reached = {
            name: self._follow(few, start, _FIRST, _WIDE) for name, start in self._starts(few)
        }
        best = min(reached.values(), key=lambda one: one[1])[0]
        more = slices.drawn(self.n_cells, generator)
        similarity, _, rounds = self._follow(more, best, self.max_rounds, _EPSILON)
        objectives = {name: one[1] for name, one in reached.items()}
        return Registered(similarity, objectives, rounds, rounds < self.max_rounds)

    def _starts(self, few: _Slices) -> Iterator[tuple[str, Similarity]]:
        """Yield similarities to start from, by name."""
        spread = float(few.x.var(0, correction=0).sum() + few.y.var(0, correction=0).sum())
        if self.alpha < 1 and spread > 0:
            by_features = self._solved(SquaredEuclidean(few.x, few.y), few, _WIDE)
            yield "features", self._turned(few, by_features)
        for name, rotation in rotations(few.u.shape[1], reflects=self.reflects):
            yield name, few.matched(rotation)

    def _follow(
        self, slices: _Slices, similarity: Similarity, most: int, epsilon: float
    ) -> tuple[Similarity, float, int]:
        """Return the similarity that turns lead to, the last value, and how many there were."""
        value = math.inf
        for taken in range(most):
            cost = slices.joint(similarity, self.alpha)
            plan = self._solved(cost, slices, epsilon)
            # per unit of mass: what soft marginals leave out would else count as cheap
            paid = float(plan.f @ plan.row_mass + plan.g @ plan.column_mass)
            value = paid / float(plan.row_mass.sum()) / cost.mean()
            following = self._turned(slices, plan)
            change = float((following.rotation - similarity.rotation).norm())
            similarity = following
            if change <= _STILL:
                return similarity, value, taken
        return similarity, value, most

    def _turned(self, slices: _Slices, plan: Coupling) -> Similarity:
        return Similarity.of_plan(plan, slices.u, slices.v, reflects=self.reflects)

    def _solved(self, cost: SquaredEuclidean, slices: _Slices, relative: float) -> Coupling:
        """Return transport with soft marginals, epsilon relative to the mean cost."""
        solver = Unbalanced(*self.tau, throw=False)
        return solver(cost, slices.a, slices.b, epsilon=relative * (cost.mean() or 1.0))


@dataclass(frozen=True)
class _Slices:
    """Hold features, places and weights of two slices."""

    x: Tensor
    y: Tensor
    u: Tensor
    v: Tensor
    a: Tensor
    b: Tensor

    def drawn(self, n: int, generator: torch.Generator) -> _Slices:
        """Return at most ``n`` cells a side, drawn by their weight."""
        i, j = (
            systematic(w, n, generator) if len(w) > n else torch.arange(len(w))
            for w in (self.a, self.b)
        )
        even = [
            w if len(w) <= n else torch.full((n,), float(w.sum()) / n, dtype=torch.float64)
            for w in (self.a, self.b)
        ]
        return replace(
            self, x=self.x[i], y=self.y[j], u=self.u[i], v=self.v[j], a=even[0], b=even[1]
        )

    def matched(self, rotation: Tensor) -> Similarity:
        """Return the similarity of a rotation, with the centres and spreads of both slices."""
        p, q = self.a / self.a.sum(), self.b / self.b.sum()
        origin, target = p @ self.u, q @ self.v
        before = float(p @ (self.u - origin).square().sum(1))
        after = float(q @ (self.v - target).square().sum(1))
        for name, spread, places in (("earlier", before, self.u), ("later", after, self.v)):
            if not spread > _SMALL * float(places.square().sum(1).max()):
                raise ValueError(
                    f"all {name} cells lie at one point, so that their slice has neither size nor "
                    "direction; alpha=0 couples by features alone"
                )
        return Similarity(rotation, math.sqrt(after / before), origin, target)

    def joint(self, similarity: Similarity, alpha: float) -> SquaredEuclidean:
        """Return the joint cost of features and registered places, in units of that of features."""
        p, q = self.a / self.a.sum(), self.b / self.b.sum()
        centre = (p @ self.x, q @ self.y)
        features = sum(
            float(w @ (z - c).square().sum(1))
            for w, z, c in ((p, self.x, centre[0]), (q, self.y, centre[1]))
        )
        features = (features + float((centre[0] - centre[1]).square().sum())) / 2 or 1.0
        places = float(q @ (self.v - similarity.target).square().sum(1))
        own, shared = math.sqrt(1 - alpha), math.sqrt(alpha * features / places)
        left = torch.cat([own * self.x, shared * similarity(self.u)], 1)
        right = torch.cat([own * self.y, shared * self.v], 1)
        return SquaredEuclidean(left, right)


def _places(
    coordinates: tuple[ArrayLike, ArrayLike], shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return places of both sides, float64, once they suit each other and the cells."""
    u, v = (
        as_floats(one, name, "(n, k)")
        for one, name in zip(coordinates, ("earlier coordinates", "later coordinates"), strict=True)
    )
    k = u.shape[1]
    if v.shape[1] != k or k not in (2, 3):
        raise ValueError(
            "coordinates must be in two or in three dimensions, the same on both sides; found "
            f"{k} and {v.shape[1]}"
        )
    if (len(u), len(v)) != shape:
        raise ValueError(f"coordinates of {len(u)} and {len(v)} cells, cost of shape {shape}")
    return u, v
