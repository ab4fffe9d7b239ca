"""Which encoder a response takes where none is asked for, judged on populations not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from celltraj._errors import TrainingError
from celltraj._parallel import mapped
from celltraj.models.encoders import Encoder, GraphEncoder, Moments
from celltraj.models.response.lesson import Lesson, Taught, state_of, taught_apart
from celltraj.models.response.neighbours import NeighbourTransfer
from celltraj.models.response.out_of_bag import cheap
from celltraj.models.response.populations import Populations
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.schedule import schedule_of
from celltraj.models.response.strength import FEWEST, Strength
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
_JUDGED = 16  # populations of a half
_NARROW = 0.7  # of the true variance: below it, a graph foretells means and no cells
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
    neighbours: tuple[NeighbourTransfer | None, Strength],
    *,
    generator: torch.Generator,
    progress: bool,
) -> Choice:
    """Return the encoder that is asked for, or the one that the populations ask for.

    Moments where neighbours in other populations tell what becomes of a cell, where kernels or a
    divergence of embeddings are asked for, and of few populations or steps. Otherwise each
    candidate is taught in a small network on half of the populations. Of the others it is asked
    how cells set out: the share ``E |v(0, x) - w|^2 / E |w|^2`` of their coupled ways ``w`` that
    it does not explain. An encoder of cells is taken where it leaves less than moments do, by more
    than the standard error of the difference over populations, and where what it makes of cells has
    seven tenths of their true variance.

    Parameters
    ----------
    lesson
        What networks are taught.
    training
        How they are.
    neighbours
        Where untreated cells of the training went, and what that has to say of other populations.
    generator
        Draws populations and treatments.
    progress
        Whether to show a bar over the small networks.
    """
    if not isinstance(lesson.options.encoder, str):
        return Choice(lesson.options.encoder, "as given")
    base, strength = neighbours
    n_steps = schedule_of(training, lesson.options, lesson.populations).n_steps
    n_steps = min(_STEPS[1], int(_SHARE * n_steps))
    why = _why_not(lesson, strength, n_steps)
    if base is None or why is not None:
        return Choice(_CANDIDATES[_DEFAULT], why or strength.reason)
    halves = halves_of(len(lesson.populations.names), generator)
    small, seed = cheap(training, _WIDTH), generator.initial_seed()
    taught = _taught(lesson, halves, small, n_steps, seed, progress=progress)
    rows = [
        [judged(model, lesson.populations, base, k) for model in models]
        for half, models in zip(halves, taught, strict=True)
        for k in _asked(lesson.populations, base, half, generator)
    ]
    return best_of(torch.tensor(rows, dtype=torch.float64))


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


def _taught(
    lesson: Lesson,
    halves: Sequence[Half],
    training: Training,
    n_steps: int,
    seed: int,
    *,
    progress: bool,
) -> list[list[MetaFlowMatching | None]]:
    """Return small networks of all candidates for each half, None of a training that diverged."""
    lessons = []
    for half in halves:
        kept = torch.zeros(len(lesson.populations.names), dtype=torch.bool)
        kept[half.learned] = True
        lessons += [lesson.of(kept).read_by(encoder) for encoder in _CANDIDATES.values()]
    taught = mapped(
        _taught_if_stable,
        (
            (one, training, _schedule(one, training, n_steps), state_of(seed, _FIRST - k))
            for k, one in enumerate(lessons)
        ),
        n_tasks=len(lessons),
        what=("choosing the encoder", "network"),
        progress=progress,
    )
    models = [
        None if end is None else one.response([end[0]], end[1])
        for one, end in zip(lessons, taught, strict=True)
    ]
    n = len(_CANDIDATES)
    return [models[k : k + n] for k in range(0, len(models), n)]


def _taught_if_stable(
    lesson: Lesson, training: Training, schedule: Schedule, state: Tensor
) -> Taught | None:
    """Return a network; None where its training diverged, so that others are chosen from."""
    try:
        return taught_apart(lesson, training, schedule, state)
    except TrainingError:
        return None


def _schedule(lesson: Lesson, training: Training, n_steps: int) -> Schedule:
    usual = schedule_of(training, lesson.options, lesson.populations)
    return Schedule(n_steps, min(_BATCH, usual.batch_size), usual.learning_rate, n_steps)


def _asked(
    populations: Populations, base: NeighbourTransfer, half: Half, generator: torch.Generator
) -> list[int]:
    """Return a treatment of each population that is judged, of drugs that the others had.

    One of cells that move and have a variance.
    """
    known = set(half.learned.tolist())
    drugs = {one.condition.drugs for one in populations.treated if one.population in known}
    found = []
    for q in half.judged[:_JUDGED].tolist():
        given = [
            k
            for k, (one, moves) in enumerate(zip(populations.treated, base.moves, strict=True))
            if one.population == q
            and one.condition.drugs in drugs
            and min(len(moves.start), len(one.cells.x)) > 1
            and bool(moves.shift.any())
        ]
        if given:
            found.append(given[int(torch.randint(len(given), (), generator=generator))])
    return found


def judged(
    model: MetaFlowMatching | None, populations: Populations, base: NeighbourTransfer, k: int
) -> tuple[float, float]:
    """Return how a model foretells a treatment of a population that it has not seen.

    The share of the ways of its cells that is not explained, and the variance of the cells that it
    makes over the true one; infinity and 0 of no model.
    """
    if model is None:
        return math.inf, 0.0
    one, moves = populations.treated[k], base.moves[k]
    cells = moves.start.double() + model.network.field.centre
    foretold = model.first_velocity(cells, populations.controls[one.population].x, one.condition)
    missed, whole = (way.square().sum() for way in (foretold - moves.shift, moves.shift.double()))
    variance = (cells + foretold).var(0).sum() / one.cells.x.double().var(0).sum()
    return float(missed / whole), float(variance)


def best_of(found: Float[Tensor, "k c 2"]) -> Choice:
    """Return the candidate that leaves least, where that is beyond the error; else moments.

    Parameters
    ----------
    found
        ``(k, c, 2)`` shares not explained and ratios of variance, by population and candidate.
    """
    names, n = list(_CANDIDATES), len(found)
    moments = _CANDIDATES[_DEFAULT]
    if n < FEWEST:
        return Choice(moments, f"by default: {n} populations can be judged, {FEWEST} are needed")
    left, variance = found.mean(0).T
    told = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, left, strict=True))
    told = f"of the ways of cells in {n} populations not seen, small networks leave: {told}"
    best = int(left.nan_to_num(nan=math.inf).argmin())
    gain = found[:, 0, 0] - found[:, best, 0]
    # where moments themselves diverged, the gain has no error
    if best == 0 or float(gain.mean()) <= float(gain.std()) / math.sqrt(n):
        return Choice(moments, told)
    if variance[best] < _NARROW:
        return Choice(moments, f"{told}, with {variance[best]:.0%} of the variance of cells")
    return Choice(_CANDIDATES[names[best]], told)
