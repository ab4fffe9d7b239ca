r"""One law of motion for many populations: the response of a population to a treatment.

``dX = v(t, X | phi(p0), p_t, c) dt`` leads from untreated cells at ``t = 0`` to treated ones at 1:
``phi`` embeds the untreated population, ``p_t`` are its cells at the same time, as far as they are
near ``X``, and ``c`` is the condition. Given population and condition this is a ``Process`` like
any other; time is the share of the response that is gone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from celltraj._card import card
from celltraj._parallel import one_thread
from celltraj._typing import Cells, Earlier, Targets
from celltraj.models._card_facts import response_facts
from celltraj.models._files import Content
from celltraj.models._saved import Saved, content_of, named
from celltraj.models._simulate import simulate
from celltraj.models.encoders import Encoder, carrying, pack_encoder, pooling
from celltraj.models.genes.projection import Projection
from celltraj.models.interpolants import Interpolant, pack_interpolant
from celltraj.models.networks import MetaNetwork, Situation
from celltraj.models.response.cell_identity import content_keys, content_order
from celltraj.models.response.condition import Condition, ConditionCoder
from celltraj.models.response.ensemble import among_neighbours, mean_response
from celltraj.models.response.neighbours import NeighbourTransfer
from celltraj.models.response.process import Response, ResponseProcess, carried_by_blocks
from celltraj.models.response.support import ResponseSource, Support
from celltraj.models.solvers import Midpoint, PredictorCorrector, SdeSolver

_AT_ONCE = 2048  # cells whose nearest are looked for
_STEPS = 20
_NEIGHBOURHOOD = 512  # cells that stand for a population


@card(response_facts)
@dataclass(frozen=True, eq=False)
class MetaFlowMatching(Saved):
    """Meta Flow Matching, fitted: the response of many populations to many conditions.

    Parameters
    ----------
    network
        Encoder and field.
    encoder
        What embeds populations, or gives their cells features of their own; None for neither.
    interpolant
        Paths between untreated and treated cells.
    coder
        How conditions become numbers.
    support
        Where the training populations lie.
    losses
        Training loss at each step.
    source
        What of an AnnData it was fitted to; None for a model fitted to tensors.
    projection
        Way from states back to genes; None where there is none.
    base
        Where untreated cells of the training went, from ``network.field.centre``; None without a
        base.
    strength
        Weight of the base in a prediction; the law of motion has the rest of 1.
    others
        Further networks of an ensemble, whose predictions are averaged. What is asked of a single
        law, its process and the embedding of populations, is that of ``network``.
    has_lived
        Whether it was told what share of the cells lived, and so predicts the share killed.
    reason
        Where the weight of the base comes from, in words.
    encoder_reason
        Where the encoder comes from, in words.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=5, n_cells=40, seed=0)
    >>> model = ct.tl.fit_response(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     training=ct.models.Training(max_steps=20), progress=False,
    ... )
    >>> model.conditions
    ('after',)
    """

    network: MetaNetwork
    encoder: Encoder | None
    interpolant: Interpolant
    coder: ConditionCoder
    support: Support
    losses: tuple[float, ...] = ()
    source: ResponseSource | None = None
    projection: Projection | None = None
    base: NeighbourTransfer | None = None
    strength: float = 0.0
    others: tuple[MetaNetwork, ...] = ()
    has_lived: bool = False
    reason: str = ""
    encoder_reason: str = ""

    @property
    def members(self) -> tuple[MetaFlowMatching, ...]:
        """The responses of an ensemble, one for each of its networks."""
        if not self.others:
            return (self,)
        networks = (self.network, *self.others)
        return tuple(replace(self, network=one, others=()) for one in networks)

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
        return (cells - field.centre).float() / field.scale

    @torch.no_grad()
    def embed(self, cells: Cells) -> Tensor:
        """Return the embedding ``(e,)`` of a population of untreated cells ``(n, d)``.

        Where cells carry features of their own, the mean of their scalars, in standard deviations
        of the training: the field does not read it.
        """
        carried = self.carried(cells, cells)
        return self._phi(cells) if carried.shape[1] == 0 else self.mean_carried(carried)

    @torch.no_grad()
    def mean_carried(self, carried: Float[Tensor, "n f"]) -> Float[Tensor, " s"]:
        """Return the mean of the scalars that cells carry, in the units of the field."""
        reader = self.network.field.carried
        return carried.new_zeros(0) if reader is None else reader.scalars(carried).mean(0)

    @torch.no_grad()
    def _phi(self, cells: Cells) -> Tensor:
        """Return the embedding that the field reads, of no size where it reads none."""
        encoder = pooling(self.encoder)
        if encoder is None:
            return torch.zeros(0, device=cells.device)
        features = encoder.features(self.standardised(cells))[None]
        return self.network.embed(features, torch.ones_like(features[..., 0], dtype=torch.bool))[0]

    def carried(self, cells: Cells, population: Targets) -> Tensor:
        """Return the features ``(n, f)`` that cells of a population carry, vectors first."""
        encoder = carrying(self.encoder)
        if encoder is None:
            return torch.zeros(len(cells), 0, device=cells.device)
        population = population[content_order(population)]
        return encoder.carried(self.standardised(cells), self.standardised(population))

    def carried_by_nearest(self, cells: Cells, population: Targets) -> Tensor:
        """Return the features ``(n, f)`` of the nearest cell of another population, a control."""
        parts = [torch.cdist(x, population).argmin(1) for x in cells.split(_AT_ONCE)]
        return self.carried(population, population)[torch.cat(parts)]

    @property
    def reads_population(self) -> bool:
        """Whether what becomes of a cell depends on the population it lives in."""
        return self.encoder is not None or self.network.field.kernels is not None

    def process(
        self,
        population: Cells,
        condition: Condition,
        *,
        embedded: Targets | None = None,
        guidance: float = 1.0,
        noise: float = 0.0,
        generator: torch.Generator,
    ) -> ResponseProcess:
        """Return the law of motion of the cells of a population under a condition.

        Parameters
        ----------
        population
            ``(m, d)`` untreated cells that stand for the population, in any order.
        condition
            What is done to it.
        embedded
            Cells that are embedded in place of it, for a control.
        guidance
            Weight of the condition, 1 as trained.
        noise
            Diffusion, in [x] per square root of the duration of the response.
        generator
            Chooses the cells that stand for the neighbourhood where there are very many.

        Raises
        ------
        ValueError
            An unknown drug, guidance that is not finite, negative noise, or noise where the paths
            or the field had none.
        """
        if not math.isfinite(guidance):
            raise ValueError(f"guidance must be finite; found {guidance}")
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise must not be negative; found {noise}")
        if noise > 0 and self.interpolant.sigma == 0:
            raise ValueError(
                "noise needs a score, and paths without noise have none; fit with sigma"
            )
        if noise > 0 and not self.network.field.has_score:
            raise ValueError(
                "noise needs a score, and a field of features that cells carry has none; pass "
                "noise=0.0, or fit with an encoder such as ct.models.Moments()"
            )
        population = population[content_order(population)]
        told = population if embedded is None else embedded[content_order(embedded)]
        known = self._known(told, condition, has_condition=True)
        unknown = self._known(told, condition, has_condition=False)
        process = ResponseProcess(self.network, self.interpolant, known, unknown, guidance, noise)
        return self._among(process, population, generator=generator)

    @torch.no_grad()
    def first_velocity(self, cells: Cells, population: Targets, condition: Condition) -> Cells:
        """Return the velocity ``(n, d)`` at which untreated cells set out, per whole response.

        Parameters
        ----------
        cells
            ``(n, d)`` untreated cells, in the midst of which each of them starts.
        population
            ``(m, d)`` untreated cells of the population they live in.
        condition
            What is done to it.
        """
        known = self._known(population, condition, has_condition=True)
        carried = self.carried(cells, population)
        process = ResponseProcess(self.network, self.interpolant, known, known, carried=carried)
        return process.velocity(0.0, cells)

    def _among(
        self,
        process: ResponseProcess,
        population: Cells,
        *,
        generator: torch.Generator,
    ) -> ResponseProcess:
        """Return the law of motion in the midst of a population, where the field sees it."""
        if self.network.field.kernels is None:
            return process
        chosen = torch.randperm(len(population), generator=generator)[:_NEIGHBOURHOOD]
        times = torch.linspace(0, 1, _STEPS + 1).tolist()
        # first the neighbourhood moves in its own midst, and then everyone in the midst of its path
        path = simulate(
            replace(process, noise=0.0),
            population[chosen],
            times,
            solver=Midpoint(n_steps=1),
            ode=True,
            generator=generator,
        )
        return replace(process, neighbourhood=path.x)

    @torch.no_grad()
    def _known(self, population: Cells, condition: Condition, *, has_condition: bool) -> Tensor:
        tokens = self.coder.tokens(condition)[None].to(population.device)
        situation = Situation(
            self._phi(population)[None],
            tokens,
            torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device),
            self.coder.covariate_vector(condition)[None].to(tokens),
            tokens.new_tensor([[1.0, float(has_condition)]]),
        )
        return self.network.field.known(situation)

    def respond(
        self,
        cells: Cells,
        condition: Condition,
        *,
        population: Targets | None = None,
        name: str | None = None,
        embedded: Targets | None = None,
        neighbourhood: Targets | None = None,
        carried: Float[Tensor, "n f"] | None = None,
        keys: Sequence[int] | None = None,
        guidance: float = 1.0,
        noise: float = 0.0,
        ode_solver: SdeSolver | None = None,
        generator: torch.Generator,
        progress: bool = False,
    ) -> Response:
        """Predict what a condition makes of untreated cells.

        ``x + s d(x) + (1 - s) (flow(x) - x)``: the law of motion, and by the ``strength`` of the
        base where the nearest cells of other populations went under the same condition; the law of
        motion alone where none had it. What becomes of a cell depends on itself, its population and
        the condition: neither on the order of cells nor on which others are predicted with it.

        Parameters
        ----------
        cells
            ``(n, d)`` untreated cells.
        condition
            What is done to them.
        population
            ``(m, d)`` untreated cells of the population they live in, by default ``cells``. A cell
            of it moves in the midst of all others: what equals it is left out once.
        name
            Name of the population; one of the training tells nothing of itself as a base. So do
            those that share half of their untreated cells with this one.
        embedded, neighbourhood
            Cells of another population to be embedded or seen in place of these, for a control: a
            prediction that is as good makes no use of what they were told apart by. Where cells
            carry features of their own, each takes those of the nearest cell embedded.
        carried
            Features that the cells carry in place of their own, for a control, see
            :meth:`carried`.
        keys
            A number for each cell, which its noise is drawn by; by default what the cell holds.
        guidance
            Weight of the condition, 1 as trained; any other leaves the base out.
        noise
            Diffusion of an SDE of the same law; 0 for the ODE.
        ode_solver
            How the equation is integrated; 20 midpoint steps by default. One that chooses its steps
            by all cells, such as ``DormandPrince``, agrees to its tolerance.
        generator
            Source of randomness.
        progress
            Whether to show a bar over the steps.

        Raises
        ------
        ValueError
            An unknown drug, noise that the model cannot have, or a solver that moves cells
            together.
        """
        if isinstance(ode_solver, PredictorCorrector):
            raise ValueError(
                "PredictorCorrector corrects all cells by one step, so that a response would "
                "depend on which cells are predicted together; pass ode_solver=ct.models.Midpoint()"
            )
        everyone = cells if population is None else population
        solver = Midpoint(n_steps=_STEPS) if ode_solver is None else ode_solver
        keys = content_keys(cells) if keys is None and noise > 0 else keys
        state, told = generator.get_state(), []
        with one_thread():
            features = carried
            if features is None and embedded is not None:
                features = self.carried_by_nearest(cells, embedded)
            elif features is None:
                features = self.carried(cells, everyone)
            for one in self.members:
                generator.set_state(state)  # all draw alike: networks differ in nothing else
                process = one.process(
                    everyone if neighbourhood is None else neighbourhood,
                    condition,
                    embedded=everyone if embedded is None else embedded,
                    guidance=guidance,
                    noise=noise,
                    generator=generator,
                )
                process = replace(process, carried=features)
                moved = carried_by_blocks(
                    process, cells, keys, solver=solver, generator=generator, progress=progress
                )
                survival, lived = one._survival(cells, everyone, process.known, features)
                told.append(Response(moved, survival, lived=lived))
            # what went under a condition knows of no more and no less of it
            way = self._way(cells, condition, everyone, name) if guidance == 1 else None
        found = mean_response(told)
        return found if way is None else among_neighbours(found, cells + way, self.strength)

    def _way(
        self, cells: Cells, condition: Condition, population: Targets, name: str | None
    ) -> Cells | None:
        """Return where the base moves cells ``(n, d)``; None where no other population tells."""
        if self.base is None:
            return None
        centre = self.network.field.centre
        own = self.base.populations_of(population - centre)
        own = own if name is None else own | {name}
        # in the precision of the cells that they are compared with
        way = self.base.displacement((cells - centre).float(), condition, own)
        return None if way is None else way.to(cells.device)

    @torch.no_grad()
    def _survival(
        self, cells: Cells, population: Targets, known: Tensor, carried: Tensor
    ) -> tuple[Earlier | None, float | None]:
        """Return the mass that cells keep, relative to the mean of their population, and that."""
        if not self.has_survival:
            return None, None
        log = self.network.field.log_survival
        mass, usual = (
            log(one[None], known, told[None])[0].exp().double()
            for one, told in (
                (cells, carried),
                (population, self.carried(population, population)),
            )
        )
        return mass / usual.mean(), float(usual.mean()) if self.has_lived else None

    def with_features(self, features: dict[str, list[float]]) -> MetaFlowMatching:
        """Return the model that knows further drugs by their features."""
        return replace(self, coder=self.coder.with_features(features))

    def pack(self) -> Content:
        """Return the response as facts and tensors, see :func:`celltraj.models.response.unpack`."""
        interpolant, tensors = pack_interpolant(self.interpolant)
        facts: dict[str, Any] = {
            "sizes": asdict(self.network.field.sizes),
            "encoder": None if self.encoder is None else pack_encoder(self.encoder),
            "interpolant": interpolant,
            "coder": self.coder.facts(),
            "populations": self.support.names,
            "history": self.losses,
            "source": None if self.source is None else asdict(self.source),
            "projection": None if self.projection is None else self.projection.facts(),
        }
        if self.others:
            facts["others"] = len(self.others)
        if self.has_lived:
            facts["has_lived"] = True
        if self.reason:
            facts["reason"] = self.reason
        if self.encoder_reason:
            facts["encoder_reason"] = self.encoder_reason
        if self.base is not None:
            facts["base"] = {"strength": self.strength, "moves": self.base.facts()}
        parts: dict[str, Mapping[str, Tensor]] = {
            "network": self.network.state_dict(),
            "interpolant": tensors,
            "coder": {"features": self.coder.features},
            "support": {
                key: getattr(self.support, key) for key in ("embeddings", "cells", "owner")
            },
        }
        for k, one in enumerate(self.others):
            parts[f"other_{k}"] = one.state_dict()
        if self.projection is not None:
            parts["projection"] = self.projection.tensors()
        if self.base is not None:
            parts["base"] = self.base.tensors()
        return content_of("response", facts, named(parts))
