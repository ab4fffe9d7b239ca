"""Learn a mean-field law from chains of cells of several populations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj.models.interpolants import ReferenceInterpolant, SplineInterpolant
from celltraj.models.interpolants.paths import STEPS, Curves, as_paths
from celltraj.models.mean_field.sums import PopulationSums
from celltraj.models.references.crowd import Crowd
from celltraj.models.references.mean_field import MeanField
from celltraj.models.references.mean_field_process import MeanFieldProcess
from celltraj.models.several import Chained

OWN = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
STIFFNESS = (1.0, 10.0, 100.0, 1e3, 1e4)
_ROUNDS = 3
_WORTH = 0.01  # of the squared velocities, below which laws explain alike


@dataclass(frozen=True, eq=False)
class FoundLaw:
    """Hold a mean-field law, and how much it leaves of how a population moves that it never saw.

    Parameters
    ----------
    law
        The law of all populations.
    own
        How much what is around a cell counts; 0 for not at all.
    candidates
        By ``own``: what laws of all other populations leave of the squared velocities of one.
    unexplained
        The same of each population, by the law that was chosen.
    crowds
        Every population along its paths.
    """

    law: MeanField
    own: float
    candidates: Mapping[float, float]
    unexplained: Mapping[str, float]
    crowds: Mapping[str, Crowd]


def learned_law(
    family: MeanField,
    courses: Mapping[str, Chained],
    *,
    sigma: float,
    own: Sequence[float] = OWN,
    progress: bool = False,
) -> FoundLaw:
    """Return the law of all populations, fitted to smooth curves and then to its own paths.

    Parameters
    ----------
    family
        Law to be fitted.
    courses
        Chains of each population.
    sigma
        Diffusion, in [x]/sqrt([t]).
    own
        How much what is around a cell may count, 0 among them: what is chosen among.
    progress
        Whether to show a progress bar over the rounds.
    """
    framed = family.framed([x for one in courses.values() for x in one.clouds()], sigma=sigma)
    curves: dict[str, Curves] = {
        name: SplineInterpolant().curves(one.times, one.chain, one.gap)
        for name, one in courses.items()
    }
    with tqdm(total=_ROUNDS, desc="law", unit="round", disable=not progress) as bar:
        for step in range(_ROUNDS):
            paths = [as_paths(curves[name], one.times, one.gap) for name, one in courses.items()]
            sums = PopulationSums.of(framed, paths)
            best, stiffness, candidates = _chosen(sums, own)
            law = sums.solved(best, stiffness)
            if step < _ROUNDS - 1:
                curves = {name: _along(law, curves[name], one) for name, one in courses.items()}
            bar.update()
    left = (sums.held_out(best, stiffness) / sums.squares).tolist()
    crowds = {name: _crowd_of(curves[name], one) for name, one in courses.items()}
    return FoundLaw(law, best, candidates, dict(zip(courses, left, strict=True)), crowds)


def _chosen(
    sums: PopulationSums, among: Sequence[float]
) -> tuple[float, float, dict[float, float]]:
    """Return own and stiffness that foretell populations best, and what each own leaves.

    Nothing around a cell counts unless the best of what does is ahead by a standard error over
    populations, and by a hundredth of the squared velocities.
    """
    total = sums.squares.sum()
    best: dict[float, tuple[float, Tensor]] = {}
    for own in among:
        left = {one: sums.held_out(own, one) for one in STIFFNESS}
        least = min(left, key=lambda one: float(left[one].sum()))
        best[own] = least, left[least]
    candidates = {own: float(left.sum() / total) for own, (_, left) in best.items()}
    own = min(candidates, key=candidates.__getitem__)
    ahead = best[0.0][1] - best[own][1]
    if not ahead.mean() > max(ahead.std() / len(ahead) ** 0.5, _WORTH * sums.squares.mean()):
        own = 0.0
    return own, best[own][0], candidates


def _along(law: MeanField, curves: Curves, one: Chained) -> Curves:
    """Return the paths of one population along the law, among where it was before."""
    process = MeanFieldProcess(law, _crowd_of(curves, one), law.sigma)
    interpolant = ReferenceInterpolant(process, rounds=0, is_smooth=False)
    return interpolant.curves(one.times, one.chain, one.gap)


def _crowd_of(curves: Curves, one: Chained) -> Crowd:
    """Return where the chains of each gap are, at its nodes."""
    times, states = [], []
    share = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64)
    for k in range(len(one.times) - 1):
        rows = (one.gap == k).nonzero().flatten()
        grid = one.times[k] + (one.times[k + 1] - one.times[k]) * share
        grid[-1] = one.times[k + 1]
        times.append(grid)
        # the end of a gap is taken from the chain: a curve there may be one of the next gap
        inside = [curves.at(rows, t.expand(len(rows)))[0] for t in grid[:-1]]
        states.append(torch.stack([*inside, one.chain[k + 1, rows]]).double())
    return Crowd(torch.cat(times), torch.cat(states))
