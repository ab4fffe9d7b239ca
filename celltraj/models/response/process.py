"""The law of motion of one population under one condition, and what becomes of cells by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Earlier
from celltraj.models._simulate import simulate
from celltraj.models.interpolants import Interpolant
from celltraj.models.networks import MetaNetwork, Neighbourhood
from celltraj.models.response.cell_identity import brownian_paths, content_order, row_bytes
from celltraj.models.solvers import SdeSolver

_BLOCK = 2048  # cells that are moved at once
_TILE = 64  # of which they are a multiple


@card()
@dataclass(frozen=True)
class Response:
    """Hold predicted cells.

    Parameters
    ----------
    x
        ``(n, d)`` states after the treatment, in the order of the cells before.
    survival
        ``(n,)`` mass that each keeps, with mean 1 over its population; None where the couplings
        kept the mass of every cell.
    base
        Weight of the way of neighbours in other populations; 0 where the law of motion says all.
    lived
        Share of the cells that lives, of those that would have without treatment; None where the
        model was not told how many did.
    spread
        ``(n,)`` how far the networks of an ensemble disagree, the standard deviation of the state
        that each predicts, in [x]; None of a single one.
    """

    x: Cells
    survival: Earlier | None
    base: float = 0.0
    lived: float | None = None
    spread: Earlier | None = None


@card()
@dataclass(frozen=True, eq=False)
class ResponseProcess:
    """Move cells of one population under one condition; a reversible ``Process`` on [0, 1].

    Parameters
    ----------
    network
        The trained network.
    interpolant
        Paths that it was trained on.
    known, unknown
        What is known of population and condition, ``(1, g)``, and the same without the condition.
    guidance
        Weight of the condition: 1 as trained, above it more of what sets it apart.
    noise
        Diffusion, in [x] per square root of the duration; 0 for the ODE.
    neighbourhood
        ``(T, m, d)`` cells of the population at ``T`` equally spaced times; None for a field that
        does not see them, and while the neighbourhood itself is moved.
    own
        ``(n,)`` which cell of the neighbourhood each state is that is moved, and so does not see;
        -1 for none. None where no state is one of them.
    carried
        ``(n, f)`` features of each state that is moved, for a field that reads them.
    """

    network: MetaNetwork
    interpolant: Interpolant
    known: Tensor
    unknown: Tensor
    guidance: float = 1.0
    noise: float = 0.0
    neighbourhood: Tensor | None = None
    own: Tensor | None = None
    carried: Tensor | None = None

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return self.network.field.sizes.dim

    @property
    def knows_rows(self) -> bool:
        """Whether it holds something of each cell, and moves no other ones."""
        return self.own is not None or self.carried is not None

    def velocity(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` velocity of the probability flow, per duration of the response."""
        return self._velocity_and_score(t, x)[0]

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``, in 1/[x].

        Raises
        ------
        ValueError
            The field sees no state, and has none.
        """
        if not self.network.field.has_score:
            raise ValueError(
                "a field of features that cells carry sees no state and has no score; fit with an "
                "encoder such as ct.models.Moments()"
            )
        return self._velocity_and_score(t, x)[1]

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``velocity + noise^2/2 score``, ``(n, d)``."""
        velocity, score = self._velocity_and_score(t, x)
        return velocity + self.noise**2 / 2 * score if self.noise else velocity

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``noise`` everywhere, ``(n, d)``."""
        return torch.full_like(x, self.noise)

    def _velocity_and_score(self, t: float, x: Cells) -> tuple[Cells, Cells]:
        rate, score = self._heads(t, x, self.known)
        if self.guidance != 1:
            plain = self._heads(t, x, self.unknown)
            rate, score = (
                torch.lerp(a, b, self.guidance) for a, b in zip(plain, (rate, score), strict=True)
            )
        scale = self.network.field.scale
        score = (score / scale).to(x.dtype)
        _, slope = self.interpolant.noise(torch.tensor([0.0, 1.0]), torch.tensor([t]))
        return (rate * scale).to(x.dtype) - slope.to(x) * score, score

    @torch.no_grad()
    def _heads(self, t: float, x: Cells, known: Tensor) -> tuple[Tensor, Tensor]:
        z = x[None]
        time = torch.full((1, len(x), 1), t, device=x.device)
        neighbourhood = self._neighbourhood_at(t, z)
        rate, score = self.network.field.heads(
            time,
            z,
            known,
            neighbourhood,
            self._own(z, neighbourhood),
            None if self.carried is None else self.carried[None],
        )
        return rate[0], score[0]

    def _neighbourhood_at(self, t: float, x: Tensor) -> Neighbourhood | None:
        """Return the cells of the population at one time, by a line between two of its times."""
        if self.network.field.kernels is None:
            return None
        cells = x if self.neighbourhood is None else _on_a_line(self.neighbourhood, t)[None]
        return Neighbourhood(cells, torch.ones_like(cells[..., 0], dtype=torch.bool))

    def _own(self, x: Tensor, neighbourhood: Neighbourhood | None) -> Tensor | None:
        """Return which cell of the neighbourhood each state is."""
        # a cell that is all there is of its population stands for it
        if neighbourhood is None or neighbourhood.x.shape[1] == 1:
            return None
        own = torch.arange(x.shape[1], device=x.device) if self.neighbourhood is None else self.own
        return None if own is None else own[None]


@dataclass(frozen=True, eq=False)
class NoisyResponse:
    """Move cells along noise that is given for each: ``X = Y + noise W``, ``dY = drift(t, X) dt``.

    With noise that is the same everywhere this is the SDE of the response (Doss, 1977; Sussmann,
    1978), and what is random is drawn cell by cell, whatever solver integrates it.

    Parameters
    ----------
    process
        Law of the response.
    paths
        ``(T, n, d)`` Brownian paths of the cells at ``T`` equally spaced times.
    """

    process: ResponseProcess
    paths: Tensor

    @property
    def knows_rows(self) -> bool:
        """Whether it holds something of each cell: its noise."""
        return True

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the rate of ``Y``, ``(n, d)``."""
        return self.process.drift(t, self.state(t, x))

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return 0 everywhere, ``(n, d)``: the noise is in the drift."""
        return torch.zeros_like(x)

    def score(self, t: float, x: Cells) -> Cells:
        """Return the score of the response at ``X``, ``(n, d)``."""
        return self.process.score(t, self.state(t, x))

    def state(self, t: float, x: Cells) -> Cells:
        """Return ``X`` where ``x`` is ``Y``, ``(n, d)``."""
        return x + self.process.noise * _on_a_line(self.paths, t).to(x)


def carried_along(
    process: ResponseProcess,
    cells: Cells,
    paths: Tensor | None,
    *,
    solver: SdeSolver,
    generator: torch.Generator,
    progress: bool,
) -> Cells:
    """Return ``(n, d)`` cells after the response.

    Parameters
    ----------
    process
        Law of the response, with the features of these cells where they carry any.
    cells
        Untreated cells; one that is of the neighbourhood does not see itself.
    paths
        Brownian path of each cell, ``(T, n, d)``; None for the ODE.
    solver, generator, progress
        As of :func:`celltraj.models.simulate`.
    """
    law = replace(process, own=_places(cells, process.neighbourhood))
    noisy = None if paths is None else NoisyResponse(law, paths)
    path = simulate(
        law if noisy is None else noisy,
        cells.double(),
        (0.0, 1.0),
        solver=solver,
        ode=True,
        generator=generator,
        progress=progress,
    )
    return path.x[-1] if noisy is None else noisy.state(1.0, path.x[-1])


def carried_by_blocks(
    process: ResponseProcess,
    cells: Cells,
    keys: Sequence[int] | None,
    *,
    solver: SdeSolver,
    generator: torch.Generator,
    progress: bool,
) -> Cells:
    """Return ``(n, d)`` cells after the response, few of them at a time, see :func:`carried_along`.

    Where the process is noisy, ``keys`` holds a number for each cell, by which its noise is drawn.
    """
    moved = torch.empty_like(cells, dtype=torch.float64)
    seed = int(torch.randint(2**62, (1,), generator=generator))
    # where a row stands in a product may show in its last digit: the same cells stand in the same
    # order, and equal ones in no rest of a tile
    order = content_order(cells, None if keys is None else torch.tensor(keys))
    for block in order.split(_BLOCK):
        rows = block[torch.arange(-(-len(block) // _TILE) * _TILE) % len(block)]
        paths = None
        if keys is not None and process.noise > 0:
            paths = brownian_paths([keys[k] for k in rows], process.dim, seed=seed)
        told = None if process.carried is None else process.carried[rows]
        there = carried_along(
            replace(process, carried=told),
            cells[rows],
            paths,
            solver=solver,
            generator=generator,
            progress=progress,
        )
        moved[block] = there[: len(block)]
    return moved


def _places(cells: Cells, neighbourhood: Tensor | None) -> Tensor | None:
    """Return which cell of a neighbourhood each cell is, -1 for none; of equal ones the first."""
    if neighbourhood is None:
        return None
    found: dict[bytes, int] = {}
    for k, row in enumerate(row_bytes(neighbourhood[0])):
        found.setdefault(row, k)
    places = [found.get(row, -1) for row in row_bytes(cells.float())]
    return torch.tensor(places, device=cells.device)


def _on_a_line(path: Tensor, t: float) -> Tensor:
    """Return a path ``(T, n, d)`` on [0, 1] at one time, on the line between two of its times."""
    at = min(max(t, 0.0), 1.0) * (len(path) - 1)
    k = min(int(at), len(path) - 2)
    return torch.lerp(path[k], path[k + 1], at - k)
