"""Meta flow matching as its paper describes it: our own re-implementation, in plain torch.

Atanackovic et al., *Meta Flow Matching: Integrating Vector Fields on the Wasserstein Manifold*
(2024), arXiv 2408.14608. No line is the authors'. Kept from the paper: graph convolutions over
nearest neighbours, averaged over the population; this mean beside state and time as input of the
velocity; exact transport within the minibatch of a population; optimisers of their own for encoder
and velocity. Sizes are those of the small setting of our comparison, the same for all rows. Where
we had a choice it is the kinder one: averages over neighbours are products with a matrix, four
times as fast as messages at these sizes, and a population larger than the samples of the training
is embedded in parts of that size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import silu

from benchmarks._peer import one_thread
from celltraj.models import Populations
from celltraj.models.networks import linear, mlp

Average = Callable[[Tensor], Tensor]  # of the neighbours of each cell, and itself
Update = Callable[["Batch"], None]
_STEPS = 20  # midpoint steps of a prediction, as many as ours


@dataclass(frozen=True)
class PeerTraining:
    """Say how the networks of a peer are trained.

    Parameters
    ----------
    max_steps
        Steps; in alternation each is one of the encoder and one of the velocity.
    n_populations, n_points
        Populations per step, and cells of each before and after.
    n_neighbours
        Neighbours of a cell in the graph.
    width
        Width of all layers and of the embedding.
    learning_rate
        That of Adam.
    """

    max_steps: int = 3000
    n_populations: int = 10
    n_points: int = 128
    n_neighbours: int = 20
    width: int = 128
    learning_rate: float = 1e-3


class Batch(NamedTuple):
    """Hold coupled cells ``(p, n, d)`` of ``p`` populations and times ``(p, n, 1)`` in [0, 1]."""

    before: Tensor
    after: Tensor
    t: Tensor


def nearest(x: Tensor, k: int) -> Tensor:
    """Return the ``k`` nearest cells ``(p, n, k + 1)`` of each, itself among them."""
    k = min(k, x.shape[1] - 1)
    return torch.cdist(x, x).topk(k + 1, largest=False, sorted=False).indices


def by_matrix(graph: Tensor) -> Average:
    """Average over neighbours by a product with the normalised matrix of the graph."""
    p, n, k = graph.shape
    share = torch.zeros(p, n, n).scatter_(2, graph, 1 / k)
    return lambda h: share @ h


def by_messages(graph: Tensor) -> Average:
    """Average over neighbours by a message along each edge, as graph libraries do."""
    p, n, k = graph.shape
    sender = (graph + n * torch.arange(p)[:, None, None]).reshape(-1)
    receiver = torch.arange(p * n).repeat_interleave(k)

    def average(h: Tensor) -> Tensor:
        cells = h.reshape(p * n, -1)
        return torch.zeros_like(cells).index_add(0, receiver, cells[sender] / k).reshape(h.shape)

    return average


class GraphNetwork(torch.nn.Module):
    """Embed populations by three graph convolutions and the mean over cells.

    ``h <- silu(A (W h + b))``, with ``A`` the mean over a cell and its neighbours: all cells have
    as many, so that this is the usual symmetric normalisation.
    """

    def __init__(self, dim: int, width: int, *, generator: torch.Generator) -> None:
        super().__init__()
        sizes = (dim, width, width)
        self.layers = torch.nn.ModuleList([linear(size, width, generator) for size in sizes])

    def forward(self, x: Tensor, average: Average) -> Tensor:
        """Return the embeddings ``(p, width)`` of the cells ``(p, n, d)``."""
        h = x
        for layer in self.layers:
            h = silu(average(layer(h)))
        return h.mean(1)


class PeerNetwork(torch.nn.Module):
    """Hold the velocity, a perceptron of state, time and embedding, and an encoder or none."""

    def __init__(
        self, dim: int, options: PeerTraining, *, has_encoder: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        width, self.n_neighbours = options.width, options.n_neighbours
        self.encoder = GraphNetwork(dim, width, generator=generator) if has_encoder else None
        n_in = dim + 5 + has_encoder * width
        self.velocity = mlp(n_in, dim, width=width, generator=generator)

    def embed(self, x: Tensor) -> Tensor:
        """Return the embeddings ``(p, e)`` of the cells ``(p, n, d)``, by a new graph."""
        if self.encoder is None:
            return x.new_zeros(len(x), 0)
        return self.encoder(x, by_matrix(nearest(x, self.n_neighbours)))

    def rate(self, t: Tensor, x: Tensor, phi: Tensor) -> Tensor:
        """Return the velocity ``(p, n, d)``."""
        turns = [k * math.pi * t for k in (1, 2)]
        time = [t, *(f(turn) for turn in turns for f in (torch.sin, torch.cos))]
        return self.velocity(torch.cat([x, *time, phi[:, None].expand(-1, x.shape[1], -1)], -1))

    def loss(self, batch: Batch, phi: Tensor) -> Tensor:
        """Return the mean squared error of the velocity on straight paths."""
        x = torch.lerp(batch.before, batch.after, batch.t)
        return (self.rate(batch.t, x, phi) - (batch.after - batch.before)).square().mean()


@dataclass(frozen=True, eq=False)
class PeerResponse:
    """Hold a trained peer.

    Parameters
    ----------
    network
        The trained network.
    n_points
        Cells of a population per step of its training.
    """

    network: PeerNetwork
    n_points: int

    @torch.no_grad()
    def respond(
        self, cells: Tensor, *, population: Tensor | None = None, generator: torch.Generator
    ) -> Tensor:
        """Return what becomes of cells ``(n, d)`` of a population, by default of these alone."""
        everyone = (cells if population is None else population).float()
        everyone = everyone[torch.randperm(len(everyone), generator=generator)]
        parts = everyone.tensor_split(max(1, round(len(everyone) / self.n_points)))
        phi = torch.stack([self.network.embed(part[None]) for part in parts]).mean(0)
        x, dt = cells.float()[None], 1 / _STEPS
        for k in range(_STEPS):
            middle = x + dt / 2 * self._rate(k * dt, x, phi)
            x = x + dt * self._rate((k + 0.5) * dt, middle, phi)
        return x[0].to(cells.dtype)

    def _rate(self, t: float, x: Tensor, phi: Tensor) -> Tensor:
        return self.network.rate(torch.full_like(x[..., :1], t), x, phi)


def fit_without_phi(populations: Populations, training: PeerTraining, *, seed: int) -> PeerResponse:
    """Train flow matching that knows nothing of the population."""
    return _fit(populations, training, _joint, has_encoder=False, seed=seed)


def fit_alternating(populations: Populations, training: PeerTraining, *, seed: int) -> PeerResponse:
    """Train encoder and velocity in turns, by an optimiser each, as published."""
    return _fit(populations, training, _alternating, has_encoder=True, seed=seed)


def fit_joint(populations: Populations, training: PeerTraining, *, seed: int) -> PeerResponse:
    """Train the same network by one optimiser."""
    return _fit(populations, training, _joint, has_encoder=True, seed=seed)


def _fit(
    populations: Populations,
    training: PeerTraining,
    updating: Callable[[PeerNetwork, float], Update],
    *,
    has_encoder: bool,
    seed: int,
) -> PeerResponse:
    generator = torch.Generator().manual_seed(seed)
    with one_thread():
        network = PeerNetwork(
            populations.dim, training, has_encoder=has_encoder, generator=generator
        )
        update = updating(network, training.learning_rate)
        for batch in _batches(populations, training, generator):
            update(batch)
    return PeerResponse(network, training.n_points)


def _joint(network: PeerNetwork, learning_rate: float) -> Update:
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)

    def update(batch: Batch) -> None:
        loss = network.loss(batch, network.embed(batch.before))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return update


def _alternating(network: PeerNetwork, learning_rate: float) -> Update:
    encoder, velocity = (
        torch.optim.Adam(part.parameters(), lr=learning_rate)
        for part in (network.encoder, network.velocity)
    )

    def update(batch: Batch) -> None:
        phi = network.embed(batch.before)
        encoder.zero_grad()
        network.loss(batch, phi).backward()
        encoder.step()
        # the velocity learns with what the encoder said before it was changed
        velocity.zero_grad()
        network.loss(batch, phi.detach()).backward()
        velocity.step()

    return update


def _batches(
    populations: Populations, training: PeerTraining, generator: torch.Generator
) -> Iterator[Batch]:
    """Yield cells of random populations, coupled by exact transport within each minibatch."""
    groups = [
        (populations.controls[one.population].x.float(), one.cells.x.float())
        for one in populations.treated
    ]
    n = min(training.n_points, *(len(x) for group in groups for x in group))
    for _ in range(training.max_steps):
        chosen = torch.randperm(len(groups), generator=generator)[: training.n_populations]
        drawn = [_coupled(groups[k], n, generator) for k in chosen.tolist()]
        before, after = (torch.stack(part) for part in zip(*drawn, strict=True))
        yield Batch(before, after, torch.rand(*before.shape[:2], 1, generator=generator))


def _coupled(group: Sequence[Tensor], n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    before, after = (x[torch.randperm(len(x), generator=generator)[:n]] for x in group)
    _, partner = linear_sum_assignment(torch.cdist(before, after).square().numpy())
    return before, after[torch.from_numpy(partner)]
