"""Which encoder a response takes where none is asked for, judged on populations not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from celltraj._parallel import mapped
from celltraj.metrics import energy_distance
from celltraj.models.encoders import Encoder, GraphEncoder, Moments
from celltraj.models.response.lesson import Lesson, source_of, state_of, taught_apart
from celltraj.models.response.out_of_bag import cheap
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.schedule import schedule_of
from celltraj.models.response.strength import FEWEST, Strength
from celltraj.models.solvers import Midpoint
from celltraj.models.training.options import Schedule, Training

_DEFAULT = "Moments()"
_CANDIDATES: dict[str, Encoder] = {
    _DEFAULT: Moments(),
    "GraphEncoder()": GraphEncoder(),
    "GraphEncoder(is_equivariant=True)": GraphEncoder(is_equivariant=True),
}
_SHARE = 0.2  # of the steps of the training, that each small network may take
_STEPS = (100, 200)  # fewest, of which shorter ones tell nothing, and most
_WIDTH, _BATCH = 64, 64
_MOST = 64  # populations that learn or are judged
_BOTH_WAYS = 24  # of fewer, halves change places
_JUDGED, _CELLS = 10, 200  # populations of a half, and cells of each
_SOLVER_STEPS = 5
_FIRST = -100  # number of the first small network, where ensembles and bags count from 0 and -1


@dataclass(frozen=True)
class Choice:
    """Hold an encoder, and why it is this one.

    Parameters
    ----------
    encoder
        What embeds populations, or gives their cells features of their own; None for neither.
    reason
        In words.
    """

    encoder: Encoder | None
    reason: str


@dataclass(frozen=True, eq=False)
class Half:
    """Hold populations that small networks learn from, and others that they are judged by.

    Parameters
    ----------
    learned, judged
        Indices of the populations.
    """

    learned: Tensor
    judged: Tensor


def chosen_encoder(
    lesson: Lesson,
    training: Training,
    neighbours: Strength,
    *,
    generator: torch.Generator,
    progress: bool,
) -> Choice:
    """Return the encoder that is asked for, or the one that the populations ask for.

    Moments where neighbours in other populations tell what becomes of a cell, where kernels or a
    divergence of embeddings are asked for, and of few populations or steps. Otherwise each
    candidate is taught in a small network on half of the populations, which predicts the others: an
    encoder of cells is taken where it leaves a smaller share of their energy distance than moments
    do, by more than the standard error of the difference over populations.

    Parameters
    ----------
    lesson
        What networks are taught.
    training
        How they are.
    neighbours
        What neighbours have to say, or that too few populations decide nothing.
    generator
        Draws populations, treatments and cells.
    progress
        Whether to show a bar over the small networks.
    """
    if not isinstance(lesson.options.encoder, str):
        return Choice(lesson.options.encoder, "as given")
    n_steps = schedule_of(training, lesson.options, lesson.populations).n_steps
    n_steps = min(_STEPS[1], int(_SHARE * n_steps))
    if (why := _why_not(lesson, neighbours, n_steps)) is not None:
        return Choice(_CANDIDATES[_DEFAULT], why)
    halves = halves_of(len(lesson.populations.names), generator)
    left = _left(lesson, halves, cheap(training, _WIDTH), n_steps, generator, progress=progress)
    return best_of(left)


def _why_not(lesson: Lesson, neighbours: Strength, n_steps: int) -> str | None:
    """Return why nothing is chosen; None where something is."""
    n = len(lesson.populations.names)
    if lesson.options.asks_for_moments:
        return "by default: n_kernels or kl asks for moments"
    if n < FEWEST:
        return f"by default: {n} populations decide nothing"
    if neighbours.weight > 0:
        return neighbours.reason
    if n_steps < _STEPS[0]:
        return f"by default: small networks of {n_steps} steps tell nothing, {_STEPS[0]} may"
    return None


def halves_of(n: int, generator: torch.Generator) -> list[Half]:
    """Return two halves of at most 64 populations, few of them both ways."""
    order = torch.randperm(n, generator=generator)[:_MOST]
    one, other = order[: len(order) // 2], order[len(order) // 2 :]
    found = [Half(one, other)]
    return [*found, Half(other, one)] if n < _BOTH_WAYS else found


def _left(
    lesson: Lesson,
    halves: Sequence[Half],
    training: Training,
    n_steps: int,
    generator: torch.Generator,
    *,
    progress: bool,
) -> Float[Tensor, "k c"]:
    """Return the share of the energy distance that is left of each population, by candidate."""
    seed = generator.initial_seed()
    cases = [(half, encoder) for half in halves for encoder in _CANDIDATES.values()]
    lessons = []
    for half, encoder in cases:
        kept = torch.zeros(len(lesson.populations.names), dtype=torch.bool)
        kept[half.learned] = True
        lessons.append(lesson.of(kept).read_by(encoder))
    taught = mapped(
        taught_apart,
        (
            (one, training, _schedule(one, training, n_steps), state_of(seed, _FIRST - k))
            for k, one in enumerate(lessons)
        ),
        n_tasks=len(lessons),
        what=("choosing the encoder", "network"),
        progress=progress,
    )
    models = [
        one.response([network], losses)
        for one, (network, losses, _) in zip(lessons, taught, strict=True)
    ]
    columns = []
    for k in range(len(_CANDIDATES)):
        columns.append(
            [
                value
                for half, model in zip(halves, models[k :: len(_CANDIDATES)], strict=True)
                for value in _judged(lesson, half, model, seed)
            ]
        )
    return torch.tensor(columns, dtype=torch.float64).T


def _schedule(lesson: Lesson, training: Training, n_steps: int) -> Schedule:
    usual = schedule_of(training, lesson.options, lesson.populations)
    return Schedule(n_steps, min(_BATCH, usual.batch_size), usual.learning_rate, n_steps)


def _judged(lesson: Lesson, half: Half, model: MetaFlowMatching, seed: int) -> list[float]:
    """Return the share of the energy distance that a model leaves of populations not seen."""
    populations, found = lesson.populations, []
    known = set(half.learned.tolist())
    drugs = {one.condition.drugs for one in populations.treated if one.population in known}
    for q in half.judged[:_JUDGED].tolist():
        generator = source_of("choosing the encoder", seed, populations.names[q])
        given = [
            one
            for one in populations.treated
            if one.population == q and one.condition.drugs in drugs
        ]
        if not given:
            continue
        one = given[int(torch.randint(len(given), (), generator=generator))]
        everyone = populations.controls[q].x
        before, after = (
            x[torch.randperm(len(x), generator=generator)[:_CELLS]].double()
            for x in (everyone, one.cells.x)
        )
        moved = model.respond(
            before,
            one.condition,
            population=everyone,
            ode_solver=Midpoint(n_steps=_SOLVER_STEPS),
            generator=generator,
        ).x
        whole = energy_distance(before.numpy(), after.numpy())
        if whole > 0:
            found.append(energy_distance(moved.numpy(), after.numpy()) / whole)
    return found


def best_of(left: Float[Tensor, "k c"]) -> Choice:
    """Return the candidate that leaves least, where that is beyond the error; else moments."""
    names, n = list(_CANDIDATES), len(left)
    moments = _CANDIDATES[_DEFAULT]
    if n < FEWEST:
        return Choice(moments, f"by default: {n} populations can be judged, {FEWEST} are needed")
    mean = left.mean(0)
    best = int(mean.argmin())
    told = ", ".join(f"{name} {value:.0%}" for name, value in zip(names, mean, strict=True))
    told = f"of the energy distance small networks leave, over {n} populations not seen: {told}"
    gain = left[:, 0] - left[:, best]
    if float(gain.mean()) <= float(gain.std()) / math.sqrt(n):
        return Choice(moments, told)
    return Choice(_CANDIDATES[names[best]], told)
