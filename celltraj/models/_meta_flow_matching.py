r"""One law of motion for many populations: the response of a population to a treatment.

``dX = v(t, X | phi(p0), p_t, c) dt`` leads from untreated cells at ``t = 0`` to treated ones at 1:
``phi`` embeds the untreated population, ``p_t`` are its cells at the same time, as far as they are
near ``X``, and ``c`` is the condition. Given population and condition this is a ``Process`` like
any other; time is the share of the response that is gone.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from celltraj._typing import Cells, Earlier, Targets
from celltraj.models._condition import Condition, ConditionCoder
from celltraj.models._fit import one_thread
from celltraj.models._projection import Projection
from celltraj.models._response_training import MetaNetwork
from celltraj.models._simulate import simulate
from celltraj.models.encoders import PopulationEncoder
from celltraj.models.interpolants import Interpolant
from celltraj.models.networks import Crowd, Situation
from celltraj.models.solvers import Midpoint, SdeSolver

_STEPS = 20
_CROWD = 512  # cells that stand for a population


@dataclass(frozen=True)
class ResponseSource:
    """Say what of an AnnData a model was fitted to, so that it can read another one.

    Parameters
    ----------
    use_rep
        ``"X"`` or a key of ``obsm``.
    variables
        Names of the ``d`` variables.
    population_key
        Column of ``obs`` with the populations.
    condition_keys, dose_keys, covariate_keys
        Columns with drugs, doses and covariates.
    controls
        Labels of untreated cells.
    cell_type_key
        Column with cell types; None where there was none.
    low, high
        Least and greatest value of the training.
    """

    use_rep: str
    variables: tuple[str, ...]
    population_key: str
    condition_keys: tuple[str, ...]
    controls: tuple[str, ...]
    dose_keys: tuple[str, ...] = ()
    covariate_keys: tuple[str, ...] = ()
    cell_type_key: str | None = None
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Support:
    """Remember where the training populations lie, to say how far away a new one is.

    Parameters
    ----------
    names
        Names of the ``p`` populations.
    embeddings
        ``(p, e)`` embedding of each.
    cells
        ``(k, d)`` some untreated cells of each, in units of the field.
    owner
        ``(k,)`` index of the population of each.
    """

    names: tuple[str, ...]
    embeddings: Tensor
    cells: Tensor
    owner: Tensor

    def distance(self, cells: Tensor, *, without: int | None = None) -> Tensor:
        """Return the distance ``(n,)`` of each cell to the nearest one of the training."""
        kept = self.cells if without is None else self.cells[self.owner != without]
        return torch.cat([torch.cdist(part, kept).amin(1) for part in cells.split(1000)])

    @cached_property
    def usual(self) -> float:
        """The distance that one cell in a hundred of a training population has to all others."""
        if len(self.names) < 2:
            return math.inf
        parts = [
            self.distance(self.cells[self.owner == k], without=k) for k in range(len(self.names))
        ]
        return float(torch.cat(parts).quantile(0.99))

    def embedding_ratio(self, phi: Tensor) -> float:
        """Return how far an embedding ``(e,)`` is from the nearest one, in units of the usual.

        The usual is the greatest distance of a training population to its nearest neighbour; NaN
        with fewer than three populations or without an embedding.
        """
        if len(self.names) < 3 or self.embeddings.shape[1] == 0:
            return math.nan
        among = torch.cdist(self.embeddings, self.embeddings)
        among.fill_diagonal_(math.inf)
        nearest = torch.cdist(phi[None], self.embeddings).amin()
        return float(nearest / among.amin(1).amax())


@dataclass(frozen=True)
class Response:
    """Hold predicted cells.

    Parameters
    ----------
    x
        ``(n, d)`` states after the treatment, in the order of the cells before.
    survival
        ``(n,)`` mass that each keeps, with mean 1; None where the couplings kept the mass of every
        cell.
    """

    x: Cells
    survival: Earlier | None


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
    crowd
        ``(T, m, d)`` cells of the population at ``T`` equally spaced times; None for a field that
        does not see them, and while the crowd itself is moved.
    """

    network: MetaNetwork
    interpolant: Interpolant
    known: Tensor
    unknown: Tensor
    guidance: float = 1.0
    noise: float = 0.0
    crowd: Tensor | None = None

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return self.network.field.sizes.dim

    def velocity(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` velocity of the probability flow, per duration of the response."""
        return self._velocity_and_score(t, x)[0]

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``, in 1/[x]."""
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
        return (rate * scale).to(x.dtype) - slope.to(x.dtype) * score, score

    @torch.no_grad()
    def _heads(self, t: float, x: Cells, known: Tensor) -> tuple[Tensor, Tensor]:
        z = x.float()[None]
        time = torch.full((1, len(x), 1), t)
        rate, score = self.network.field.heads(time, z, known, self._crowd_at(t, z))
        return rate[0], score[0]

    def _crowd_at(self, t: float, x: Tensor) -> Crowd | None:
        """Return the cells of the population at one time, by a line between two of its times."""
        if self.network.field.kernels is None:
            return None
        if self.crowd is None:
            cells = x
        else:
            at = min(max(t, 0.0), 1.0) * (len(self.crowd) - 1)
            k = min(int(at), len(self.crowd) - 2)
            cells = torch.lerp(self.crowd[k], self.crowd[k + 1], at - k)[None]
        return Crowd(cells, torch.ones(cells.shape[:2], dtype=torch.bool))


@dataclass(frozen=True, eq=False)
class MetaFlowMatching:
    """Hold a fitted response of many populations to many conditions.

    Parameters
    ----------
    network
        Encoder and field.
    encoder
        What the encoder was built from; None where populations are not embedded.
    interpolant
        Paths between untreated and treated cells.
    coder
        How conditions become numbers.
    support
        Where the training populations lie.
    history
        Training loss at each step.
    source
        What of an AnnData it was fitted to; None for a model fitted to tensors.
    projection
        Way from states back to genes; None where there is none.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=5, n_cells=40, seed=0)
    >>> model = ct.tl.fit_response(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     training=ct.models.ResponseTraining(max_steps=20), progress=False,
    ... )
    >>> model.conditions
    ('after',)
    """

    network: MetaNetwork
    encoder: PopulationEncoder | None
    interpolant: Interpolant
    coder: ConditionCoder
    support: Support
    history: tuple[float, ...] = ()
    source: ResponseSource | None = None
    projection: Projection | None = None

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return self.network.field.sizes.dim

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the drugs that it can predict."""
        return self.coder.drugs

    @property
    def has_survival(self) -> bool:
        """Whether it predicts which cells die."""
        return self.network.field.survival is not None

    def standardised(self, cells: Cells) -> Tensor:
        """Return cells ``(n, d)`` in the units of the field, float32."""
        field = self.network.field
        return (cells.float() - field.centre) / field.scale

    @torch.no_grad()
    def embed(self, cells: Cells) -> Tensor:
        """Return the embedding ``(e,)`` of a population of untreated cells ``(n, d)``."""
        if self.encoder is None:
            return torch.zeros(0)
        features = self.encoder.features(self.standardised(cells))[None]
        return self.network.embed(features, torch.ones(features.shape[:2], dtype=torch.bool))[0]

    def process(
        self,
        population: Cells,
        condition: Condition,
        *,
        guidance: float = 1.0,
        noise: float = 0.0,
        generator: torch.Generator,
    ) -> ResponseProcess:
        """Return the law of motion of the cells of a population under a condition.

        Parameters
        ----------
        population
            ``(m, d)`` untreated cells that stand for the population.
        condition
            What is done to it.
        guidance
            Weight of the condition, 1 as trained.
        noise
            Diffusion, in [x] per square root of the duration of the response.
        generator
            Chooses the cells that stand for the crowd where there are very many.

        Raises
        ------
        ValueError
            An unknown drug, negative noise, or noise where the paths had none.
        """
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise must not be negative; found {noise}")
        if noise > 0 and self.interpolant.sigma == 0:
            raise ValueError(
                "noise needs a score, and paths without noise have none; fit with sigma"
            )
        known = self._known(population, condition, has_condition=True)
        unknown = self._known(population, condition, has_condition=False)
        process = ResponseProcess(
            self.network, self.interpolant, known, unknown, guidance, noise, None
        )
        if self.network.field.kernels is None:
            return process
        chosen = torch.randperm(len(population), generator=generator)[:_CROWD]
        times = torch.linspace(0, 1, _STEPS + 1).tolist()
        # alone, the crowd sees itself: its own path first, and then all others in its midst
        path = simulate(
            replace(process, noise=0.0),
            population[chosen],
            times,
            solver=Midpoint(n_steps=1),
            ode=True,
            generator=generator,
        )
        return replace(process, crowd=path.x.float())

    @torch.no_grad()
    def _known(self, population: Cells, condition: Condition, *, has_condition: bool) -> Tensor:
        tokens = self.coder.tokens(condition)[None]
        situation = Situation(
            self.embed(population)[None],
            tokens,
            torch.ones(tokens.shape[:2], dtype=torch.bool),
            self.coder.covariate_vector(condition)[None],
            torch.tensor([[1.0, float(has_condition)]]),
        )
        return self.network.field.known(situation)

    def respond(
        self,
        cells: Cells,
        condition: Condition,
        *,
        population: Targets | None = None,
        guidance: float = 1.0,
        noise: float = 0.0,
        solver: SdeSolver | None = None,
        generator: torch.Generator,
        progress: bool = False,
    ) -> Response:
        """Predict what a condition makes of untreated cells.

        Parameters
        ----------
        cells
            ``(n, d)`` untreated cells.
        condition
            What is done to them.
        population
            ``(m, d)`` untreated cells of the population they live in; by default ``cells``, where
            one half of them moves in the midst of the other, so that no cell sees itself.
        guidance
            Weight of the condition, 1 as trained.
        noise
            Diffusion of an SDE of the same law; 0 for the ODE.
        solver
            How the equation is integrated; 20 midpoint steps by default.
        generator
            Source of randomness.
        progress
            Whether to show a bar over the steps.

        Raises
        ------
        ValueError
            An unknown drug, or noise that the model cannot have.
        """
        solver = Midpoint(n_steps=_STEPS) if solver is None else solver
        moved = torch.empty_like(cells, dtype=torch.float64)
        everyone = cells if population is None else population
        with one_thread():
            process = self.process(
                everyone, condition, guidance=guidance, noise=noise, generator=generator
            )
            for these, others in self._halves(len(cells), population, generator=generator):
                midst = process
                if others is not None:
                    crowd = self.process(
                        cells[others], condition, guidance=guidance, generator=generator
                    ).crowd
                    midst = replace(process, crowd=crowd)
                path = simulate(
                    midst,
                    cells[these].double(),
                    (0.0, 1.0),
                    solver=solver,
                    ode=noise == 0,
                    generator=generator,
                    progress=progress,
                )
                moved[these] = path.x[-1]
        return Response(moved, self._survival(cells, process.known))

    def _halves(
        self, n: int, population: Targets | None, *, generator: torch.Generator
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Return rows that are moved together, and those in whose midst."""
        if population is not None or self.network.field.kernels is None or n < 2:
            return [(torch.arange(n), None)]
        order = torch.randperm(n, generator=generator)
        first, second = order[: n // 2], order[n // 2 :]
        return [(first, second), (second, first)]

    @torch.no_grad()
    def _survival(self, cells: Cells, known: Tensor) -> Earlier | None:
        if not self.has_survival:
            return None
        mass = self.network.field.log_survival(cells.float()[None], known)[0].exp().double()
        return mass / mass.mean()

    def with_features(self, features: dict[str, list[float]]) -> MetaFlowMatching:
        """Return the model that knows further drugs by their features."""
        return replace(self, coder=self.coder.with_features(features))

    def save(self, directory: str | os.PathLike) -> None:
        """Write the model to ``directory`` (safetensors and JSON); ``ct.load`` reads it."""
        from celltraj.models._save import save_response

        save_response(self, directory)
