"""Velocity and score of cells under a condition, in the light of their population."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from celltraj._card import card
from celltraj.models.networks.carried_reader import CarriedReader, Read
from celltraj.models.networks.mlp import linear, mlp
from celltraj.models.networks.neighbourhood import NeighbourhoodKernels

_FREQUENCIES = 2  # of the time in [0, 1]
_MARGIN = 0.1  # of the width of the box
_MODULATION = 0.1  # of the first modulations, relative to those of a plain layer


@dataclass(frozen=True)
class FieldSizes:
    """Say how large the parts of a :class:`ResponseField` are.

    Parameters
    ----------
    dim
        State variables d.
    embedding
        Features of the embedding of a population; 0 for none.
    token
        Length of the token of a drug.
    covariates
        Length of the vector of covariates; 0 for none.
    heads
        Kernels over the neighbourhood; 0 for none.
    width
        Width of the layers.
    has_survival
        Whether there is a head for the mass of a cell after the treatment.
    vectors, scalars
        Features that each cell carries; 0 for none.
    channels
        Mixed vectors that the rate is a weighted sum of; 0 for a rate with directions of its own.
    """

    dim: int
    embedding: int
    token: int
    covariates: int = 0
    heads: int = 0
    width: int = 128
    has_survival: bool = False
    vectors: int = 0
    scalars: int = 0
    channels: int = 0

    @property
    def carried(self) -> int:
        """How many numbers each cell carries."""
        return self.vectors * self.dim + self.scalars


class Situation(NamedTuple):
    """What the field knows of ``p`` populations and their treatments.

    Parameters
    ----------
    phi
        ``(p, e)`` embeddings of the populations.
    tokens, token_mask
        ``(p, k, f)`` tokens of the drugs, and which of them are there ``(p, k)``.
    covariates
        ``(p, q)`` covariates.
    keeps
        ``(p, 2)`` whether the population and the condition are known, 1 or 0.
    """

    phi: Float[Tensor, "p e"]
    tokens: Float[Tensor, "p k f"]
    token_mask: Bool[Tensor, "p k"]
    covariates: Float[Tensor, "p q"]
    keeps: Float[Tensor, "p 2"]


class Neighbourhood(NamedTuple):
    """Cells of ``p`` populations at one time of each: ``(p, m, d)`` states and their mask."""

    x: Float[Tensor, "p m d"]
    mask: Bool[Tensor, "p m"]


@card()
class ResponseField(torch.nn.Module):
    r"""Predict the rate, the score and the survival of cells of many populations at once.

    ``v(t, x | phi, c)``: every layer is scaled and shifted by what is known of population and
    condition (FiLM: Perez et al. 2018), ``h <- silu((1 + a(phi, c)) * (W h) + b(phi, c))``, beside
    a linear map of state, embedding and condition. The drugs of a condition enter as the sum of
    what their tokens become, so that a combination is composed of its parts. A new field is in
    units of 1, see :meth:`scale_to`.

    Where cells carry features of their own, these are read in place of the state, which with them
    would give away where the path of a cell ends: a regression of the way, without a score. With
    ``channels`` they are read by what no rotation changes, and the rate is ``sum_k a_k u_k`` of
    mixed vectors ``u``: it turns as the cells do.

    Parameters
    ----------
    sizes
        How large its parts are.
    generator
        Draws the first weights.
    """

    centre: Tensor
    scale: Tensor
    box: Tensor

    def __init__(self, sizes: FieldSizes, *, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        width, dim = sizes.width, sizes.dim
        # in double precision: far from zero float32 has no digits left for the cells
        self.register_buffer("centre", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(dim))
        self.register_buffer("box", torch.tensor([[-1.0], [1.0]]).repeat(1, dim))
        self.token = mlp(sizes.token, width, width=width, n_hidden=1, generator=generator)
        self.covariate = linear(sizes.covariates, width, generator) if sizes.covariates else None
        self.no_phi = torch.nn.Parameter(torch.zeros(sizes.embedding))
        self.no_condition = torch.nn.Parameter(torch.zeros(width))
        self.kernels = NeighbourhoodKernels(dim, sizes.heads) if sizes.heads else None
        self.carried = (
            CarriedReader(
                dim,
                sizes.vectors,
                sizes.scalars,
                n_channels=sizes.channels,
                generator=generator,
            )
            if sizes.carried
            else None
        )
        n_own = self.carried.size if self.carried else dim
        n_seen = n_own + (self.kernels.size if self.kernels else 0)
        n_known = n_own + sizes.embedding + width
        # what reads the state or the population is kept apart from what reads time and condition
        self.reads_state = linear(n_seen, width, generator)
        self.reads_time = linear(1 + 2 * _FREQUENCIES, width, generator)
        self.layers = torch.nn.ModuleList([linear(width, width, generator) for _ in range(2)])
        self.by_population = (
            linear(sizes.embedding, 3 * 2 * width, generator) if sizes.embedding else None
        )
        self.by_condition = linear(width, 3 * 2 * width, generator)
        n_out = dim if self.carried else 2 * dim
        self.head = linear(width, sizes.channels or n_out, generator)
        # these have a direction of their own
        self.straight = None if sizes.channels else linear(n_own + sizes.embedding, dim, generator)
        self.shift = None if sizes.channels else linear(width, dim, generator)
        self.survival = (
            mlp(n_known, 1, width=width, n_hidden=2, generator=generator)
            if sizes.has_survival
            else None
        )
        with torch.no_grad():
            self.head.weight.zero_()
            for gentle in (self.straight, self.shift, self.by_population, self.by_condition):
                if gentle is not None:
                    gentle.weight.mul_(_MODULATION)
                    gentle.bias.zero_()

    def scale_to(self, centre: Tensor, scale: Tensor, box: Tensor) -> ResponseField:
        """Take its units from the data, and return the field.

        Parameters
        ----------
        centre
            ``(d,)`` mean state of the training.
        scale
            ``(d,)`` unit that states and rates are measured in.
        box
            ``(2, d)`` least and greatest value of each variable in the training: a state beyond
            them, by more than a tenth of their distance, is seen as if it were at the edge.
            Networks extrapolate wildly, and an ODE never forgets.
        """
        self.centre.copy_(centre)
        self.scale.copy_(scale)
        self.box.copy_((box - centre) / scale)
        return self

    def known(self, situation: Situation) -> Float[Tensor, "p g"]:
        """Return embedding and condition as one vector for each population."""
        tokens = self.token(situation.tokens)
        condition = torch.where(situation.token_mask[..., None], tokens, 0.0).sum(1)
        if self.covariate is not None:
            condition = condition + self.covariate(situation.covariates)
        population, treatment = situation.keeps[:, :1], situation.keeps[:, 1:]
        phi = torch.lerp(self.no_phi.expand_as(situation.phi), situation.phi, population)
        condition = torch.lerp(self.no_condition.expand_as(condition), condition, treatment)
        return torch.cat([phi, condition], 1)

    def heads(
        self,
        t: Float[Tensor, "p n 1"],
        x: Float[Tensor, "p n d"],
        known: Float[Tensor, "p g"],
        neighbourhood: Neighbourhood | None,
        own: Int[Tensor, "p n"] | None = None,
        carried: Float[Tensor, "p n f"] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return rate in units of ``scale`` and score in units of its inverse, ``(p, n, d)``.

        ``neighbourhood`` are cells of each population at the same times, for a field with kernels;
        ``own`` says which of them each state is, and so does not see, -1 for none. ``carried`` are
        the features of each state, for a field that reads them.
        """
        place = (x - self.centre).float() / self.scale
        z = self._inside(place)
        read = self._read(carried)
        own_state = z if read is None else read.inputs
        seen = [own_state]
        if self.kernels is not None:
            if neighbourhood is None:
                raise ValueError("this field sees the cells around a cell; pass neighbourhood=")
            others = (neighbourhood.x - self.centre).float() / self.scale
            seen.append(self.kernels(place, others, neighbourhood.mask, own))
        phi, condition = known.split([self.sizes.embedding, self.sizes.width], 1)
        told = self.head(self._hidden(torch.cat(seen, -1), t, phi, condition))
        if read is not None and self.sizes.channels:
            gated: Tensor = (told[..., None, :] @ read.mixed)[..., 0, :]
            return gated, torch.zeros_like(z)
        rate, score = told.chunk(2, -1) if read is None else (told, torch.zeros_like(z))
        beside = torch.cat([own_state, phi[:, None].expand(-1, z.shape[1], -1)], -1)
        for part, what in ((self.straight, beside), (self.shift, condition[:, None])):
            rate = rate if part is None else rate + part(what)
        return rate, score

    def _hidden(self, seen: Tensor, t: Tensor, phi: Tensor, condition: Tensor) -> Tensor:
        """Return the last hidden layer, scaled and shifted by what is known like all others."""
        modulation = self.by_condition(condition)
        if self.by_population is not None:
            modulation = modulation + self.by_population(phi)
        modulations = modulation[:, None].chunk(6, -1)
        h = self.reads_state(seen) + self.reads_time(_time_features(t))
        for k, layer in enumerate((None, *self.layers)):
            a, b = modulations[2 * k : 2 * k + 2]
            h = torch.nn.functional.silu((1 + a) * (h if layer is None else layer(h)) + b)
        hidden: Tensor = h
        return hidden

    @property
    def has_score(self) -> bool:
        """Whether it predicts the score, which a field that sees no state cannot."""
        return self.carried is None

    def _read(self, carried: Tensor | None) -> Read | None:
        """Return what is read of the features that cells carry; None where they carry none."""
        if self.carried is None:
            return None
        if carried is None:
            raise ValueError("this field reads features that each cell carries; pass carried=")
        read: Read = self.carried(carried)
        return read

    def _inside(self, z: Tensor) -> Tensor:
        """Return the nearest states within the box."""
        low, high = self.box
        margin = _MARGIN * (high - low)
        return torch.clamp(z, low - margin, high + margin)

    def log_survival(
        self,
        x: Float[Tensor, "p n d"],
        known: Float[Tensor, "p g"],
        carried: Float[Tensor, "p n f"] | None = None,
    ) -> Float[Tensor, "p n"]:
        """Return the log of the mass that untreated cells keep, relative to their population."""
        if self.survival is None:
            return torch.zeros_like(x[..., 0])
        z = self._inside((x - self.centre).float() / self.scale)
        read = self._read(carried)
        own = z if read is None else read.inputs
        log_mass: Tensor = self.survival(
            torch.cat([own, known[:, None].expand(-1, z.shape[1], -1)], -1)
        )[..., 0]
        return log_mass


def _time_features(t: Tensor) -> Tensor:
    """Return ``t`` in [0, 1] and its first harmonics, of half a turn and of a whole one."""
    turns = [k * math.pi * t for k in range(1, _FREQUENCIES + 1)]
    return torch.cat([t, *(f(turn) for turn in turns for f in (torch.sin, torch.cos))], -1)
