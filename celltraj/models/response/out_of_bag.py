"""Whether a network adds to neighbours, judged on populations that small ones have not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from celltraj.metrics import energy_distance
from celltraj.models.response.neighbours import NeighbourTransfer
from celltraj.models.response.populations import Populations, Treated
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.strength import FEWEST, HALF, Strength
from celltraj.models.solvers import Midpoint
from celltraj.models.training.options import Schedule, Training

SHARE = 0.3  # of the cost of a training of some thousand steps, that all small ones may take
_NETWORKS = 8  # of which half have not seen a population
_WIDTH, _BATCH = 32, 64  # of the small ones
_CHEAPER = 1.25  # times, that a step of theirs is, with what judging them costs
FEWEST_STEPS = 100  # of each: shorter ones are worse than neighbours whatever there is to learn
_LOWER = (0.25, 0.0)  # weights of the network, in place of a half
_POPULATIONS, _CELLS = 12, 100  # that are scored
_STEPS = 5  # of the solver that predicts them


def left_out(n_populations: int, *, generator: torch.Generator) -> Bool[Tensor, "k p"]:
    """Return which populations each of eight networks does without: each of four, half of all.

    Networks come in pairs, of which one is without one half, drawn at random, and one without the
    other.
    """
    rows = torch.zeros(_NETWORKS, n_populations, dtype=torch.bool)
    for k in range(0, _NETWORKS, 2):
        order = torch.randperm(n_populations, generator=generator)
        rows[k, order[: n_populations // 2]] = True
        rows[k + 1] = ~rows[k]
    return rows


def small(training: Training, schedule: Schedule) -> tuple[Training, Schedule]:
    """Return how each small network is trained, all at no more than three tenths of the cost."""
    steps = max(1, int(SHARE * _CHEAPER * schedule.n_steps / _NETWORKS))
    batch = min(_BATCH, schedule.batch_size)
    return cheap(training, _WIDTH), Schedule(steps, batch, schedule.learning_rate, steps)


def cheap(training: Training, width: int) -> Training:
    """Return the training of a network that is only asked which way to go, and then forgotten."""
    where = replace(training.trainer, checkpoint=None, resume=False, logger=None)
    return replace(training, width=min(width, training.width), patience=None, trainer=where)


@dataclass(frozen=True, eq=False)
class Bag:
    """Hold small networks, and what the populations that they have not seen are judged by.

    Parameters
    ----------
    models
        Small networks, each as a response without a base.
    without
        ``(k, p)`` which populations each has not seen.
    base
        Neighbours.
    populations
        Populations of the training.
    centre
        What the cells of the base are measured from.
    """

    models: Sequence[MetaFlowMatching]
    without: Bool[Tensor, "k p"]
    base: NeighbourTransfer
    populations: Populations
    centre: Float[Tensor, " d"]

    def weighed(self, *, generator: torch.Generator) -> Strength:
        """Return the weight of neighbours: a half, or more where networks predict worse.

        Each population is predicted by the mean of the networks that have not seen it, beside
        neighbours in the populations that these have seen. ``E(w)`` is the energy distance to its
        treated cells, with the weight ``w`` of the network. The default ``w`` of a half is lowered
        only where ``E(w) / E(0)`` exceeds 1, on average over populations, by more than its standard
        error.

        Parameters
        ----------
        generator
            Draws the populations, treatments and cells that are looked at.
        """
        ratios = self._ratios(generator)
        n = len(ratios)
        if n < FEWEST:
            return Strength(
                HALF, f"by default: {n} populations can be judged by others, {FEWEST} are needed"
            )
        mean, error = ratios.mean(0), ratios.std(0) / math.sqrt(n)
        told = (
            f"out of bag, with a network {mean[0]:.2f} +- {error[0]:.2f} of the energy distance is "
            f"left that neighbours alone leave, over {n} populations"
        )
        if mean[0] <= 1 + error[0]:
            return Strength(HALF, told)
        best = min(range(len(_LOWER)), key=lambda k: float(mean[1 + k]))
        return Strength(1 - _LOWER[best], f"{told}, so that it has less to say")

    def _ratios(self, generator: torch.Generator) -> Tensor:
        """Return ``E(w) / E(0)`` of populations, for the default and for lower weights."""
        found: list[list[float]] = []
        given: dict[int, list[Treated]] = {}
        for one in self.populations.treated:
            given.setdefault(one.population, []).append(one)
        for q in torch.randperm(len(self.populations.names), generator=generator).tolist():
            chosen = int(torch.randint(len(given[q]), (), generator=generator))
            row = self._ratio(given[q][chosen], generator)
            if row is not None:
                found.append(row)
            if len(found) == _POPULATIONS:
                break
        return torch.tensor(found, dtype=torch.float64).reshape(len(found), 1 + len(_LOWER))

    def _ratio(self, one: Treated, generator: torch.Generator) -> list[float] | None:
        """Return that of one population; None where no other had the condition, or all is met."""
        before, after = (
            x[torch.randperm(len(x), generator=generator)[:_CELLS]].double()
            for x in (self.populations.controls[one.population].x, one.cells.x)
        )
        place, moved, ways = (before - self.centre).float(), [], []
        for k in self.without[:, one.population].nonzero()[:, 0].tolist():
            names = {self.populations.names[q] for q in self.without[k].nonzero()[:, 0].tolist()}
            way = self.base.displacement(place, one.condition, names)
            if way is not None:
                told = self.models[k].respond(
                    before,
                    one.condition,
                    ode_solver=Midpoint(n_steps=_STEPS),
                    generator=generator,
                )
                moved.append(told.x - before)
                ways.append(way)
        if not moved:
            return None
        flow, way = torch.stack(moved).mean(0), torch.stack(ways).mean(0)
        left = [
            energy_distance((before + torch.lerp(way, flow, w)).numpy(), after.numpy())
            for w in (0.0, HALF, *_LOWER)
        ]
        return [value / left[0] for value in left[1:]] if left[0] > 0 else None
