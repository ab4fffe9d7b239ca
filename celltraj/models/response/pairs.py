"""Couple untreated with treated cells of one population, within cell types where they are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._errors import ConvergenceError
from celltraj._parallel import mapped
from celltraj._typing import Cells, Earlier
from celltraj.models.response.populations import Group, Populations, Treated
from celltraj.ot import Solver, SquaredEuclidean, Transport, wasserstein

_SAMPLE = 500  # cells whose displacement tells that of all
_DROPPED = 1e-2  # share of the mass of a row of a plan that pairs do without


@dataclass(frozen=True)
class Pairs:
    """Hold the sparse plan between the cells of a population before and after a treatment.

    Parameters
    ----------
    before, after
        ``(n, d)`` and ``(m, d)`` cells; those before are the same for all treatments.
    i, j
        ``(k,)`` indices of coupled cells, int32: a cohort has many plans.
    cumulative
        ``(k,)`` running sum of their masses, which ends at 1.
    survival
        ``(n,)`` mass that each cell before keeps, relative to the mean; where cells were counted,
        in units of the cell itself.
    """

    before: Cells
    after: Tensor
    i: Tensor
    j: Tensor
    cumulative: Tensor
    survival: Earlier

    def draw(self, n: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the rows of ``n`` pairs of cells, before and after."""
        uniform = torch.rand(n, dtype=torch.float64, generator=generator)
        at = torch.searchsorted(self.cumulative, uniform, right=True)
        at = at.clamp_(max=len(self.cumulative) - 1)
        return self.i[at].long(), self.j[at].long()


def couple(before: Group, after: Group, solver: Solver, *, sigma: float) -> Pairs:
    """Couple the cells of a population within their types, at epsilon ``sigma^2``.

    The cost is half the squared distance. With cell types mass moves within a type only. Balanced
    plans take the share of each type from before; unbalanced ones are told both shares, so that a
    type that became rare has died.

    Parameters
    ----------
    before, after
        Untreated and treated cells.
    solver
        Coupling solver.
    sigma
        Noise of the coupling, in [x] per square root of the duration of the response.

    Raises
    ------
    ValueError
        No cell type is there both before and after.
    ConvergenceError
        ``sigma`` is too small for the solver.
    """
    n, m = len(before.x), len(after.x)
    rows, columns, masses = [], [], []
    sent = torch.zeros(n, dtype=torch.float64)
    for these, those in _blocks(before, after):
        a = torch.full((len(these),), 1 / n, dtype=torch.float64)
        b = torch.full((len(those),), 1 / m, dtype=torch.float64)
        if solver.is_balanced:
            b = b * (a.sum() / b.sum())
        x, y = before.x[these].double(), after.x[those].double()
        coupling = solver(SquaredEuclidean(x, y), a, b, epsilon=sigma**2)
        sent[these] = n * coupling.row_mass
        i, j, mass = _entries(coupling)
        rows.append(these[i].int())
        columns.append(those[j].int())
        masses.append(mass)
    if not rows:
        raise ValueError("no cell type is there both before and after the treatment")
    cumulative = torch.cat(masses).cumsum(0)
    return Pairs(
        before.x,
        after.x,
        torch.cat(rows),
        torch.cat(columns),
        cumulative / cumulative[-1],
        (sent / sent.mean()).float(),
    )


def couple_treated(
    populations: Populations, treated: Treated, solver: Solver, *, sigma: float
) -> Pairs:
    """Couple the cells of one treatment, see :func:`couple`; an error says which it is.

    Where cells were counted, survival is the share that lived of each, and not relative.
    """
    control = populations.controls[treated.population]
    what = f"{populations.names[treated.population]!r} under {treated.condition.name!r}"
    try:
        pairs = couple(control, treated.cells, solver, sigma=sigma)
    except ConvergenceError as error:
        raise ConvergenceError(f"population {what}: {error}", error.result) from error
    except ValueError as error:
        raise ValueError(f"population {what}: {error}") from error
    if treated.lived is None:
        return pairs
    return replace(pairs, survival=treated.lived * pairs.survival)


def couple_all(
    populations: Populations, solver: Solver, *, sigma: float, progress: bool
) -> list[Pairs]:
    """Return the couplings of all treatments, each population in a process where there are several.

    The untreated cells of a population are held once, whatever the number of its treatments.
    """
    given: list[list[Treated]] = [[] for _ in populations.names]
    places: list[list[int]] = [[] for _ in populations.names]
    for k, one in enumerate(populations.treated):
        given[one.population].append(replace(one, population=0))
        places[one.population].append(k)
    tasks = (
        (Populations((name,), (control,), tuple(these)), solver, sigma)
        for name, control, these in zip(populations.names, populations.controls, given, strict=True)
    )
    plans = mapped(
        _couple_population,
        tasks,
        n_tasks=len(given),
        what=("coupling", "population"),
        progress=progress,
    )
    found: dict[int, Pairs] = {}
    for owner, these in enumerate(plans):
        for k, pairs in zip(places[owner], these, strict=True):
            before, after = populations.controls[owner].x, populations.treated[k].cells.x
            found[k] = replace(pairs, before=before, after=after)  # those of another process go
    return [found[k] for k in range(len(found))]


def _couple_population(populations: Populations, solver: Solver, sigma: float) -> list[Pairs]:
    """Return the couplings of one population."""
    return [couple_treated(populations, one, solver, sigma=sigma) for one in populations.treated]


def _blocks(before: Group, after: Group) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the indices of the cells that may be coupled with each other."""
    if before.types is None or after.types is None:
        yield torch.arange(len(before.x)), torch.arange(len(after.x))
        return
    for code in before.types.unique().tolist():
        these, those = ((group.types == code).nonzero()[:, 0] for group in (before, after))
        if len(those):
            yield these, those


def _entries(coupling: Transport) -> tuple[Tensor, Tensor, Tensor]:
    """Return row, column and mass of the entries of a plan that matter."""
    plan = coupling.to_sparse(mass=_DROPPED).tocoo()
    i, j = (torch.from_numpy(index.astype("int64")) for index in (plan.row, plan.col))
    return i, j, torch.from_numpy(plan.data)


def mean_square_shift(before: Group, after: Group, *, generator: torch.Generator) -> float:
    """Return the mean squared displacement of cells under exact transport of a sample."""
    x, y = (
        group.x[torch.randperm(len(group.x), generator=generator)[:_SAMPLE]].numpy()
        for group in (before, after)
    )
    return wasserstein(x, y, order=2) ** 2


def default_response_sigma(
    groups: list[tuple[Group, Group]], *, generator: torch.Generator, fraction: float = 0.01
) -> float:
    """Return the sigma whose variance is a hundredth of the mean squared displacement.

    Parameters
    ----------
    groups
        Cells before and after each treatment; at most 20 of them, drawn at random, are looked at.
    generator
        Chooses them, and their cells.
    fraction
        Share of the squared displacement that is noise.

    Raises
    ------
    ValueError
        No treatment moved anything.
    """
    order = torch.randperm(len(groups), generator=generator)[:20].tolist()
    squares = [mean_square_shift(*groups[k], generator=generator) for k in order]
    if sum(squares) <= 0:
        raise ValueError(
            "treated cells are where the untreated ones are: nothing sets the scale of sigma; pass "
            "flow=ct.models.ResponseOptions(sigma=...)"
        )
    return math.sqrt(fraction * sum(squares) / len(squares))
