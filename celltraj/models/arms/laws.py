"""Learn laws of motion that several conditions share, from chains of cells of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean

import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj.models.arms.shared_ridge import SharedLaws, SharedRidge
from celltraj.models.interpolants import ReferenceInterpolant, SplineInterpolant
from celltraj.models.interpolants.paths import STEPS, Curves, as_paths
from celltraj.models.interpolants.reference import BETTER, FAMILIES, HOLDS, MOST
from celltraj.models.references.gaussian_law import runge_kutta
from celltraj.models.references.kernel import KernelReference
from celltraj.models.several import Chained

OWN = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
_JUDGED = 100  # chains of a gap that laws without it are judged by
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class FoundLaws:
    """Hold the laws of all conditions, and how far such laws miss what they were not fitted to.

    Parameters
    ----------
    laws
        Law of each condition.
    own
        How much each deviates from what all share.
    compared
        Miss by similarity of conditions and ``own``, in the mean over gaps of all conditions.
    misses
        Miss of each gap of each condition, NaN where there is no other gap at all.
    common
        What all share: the law of a condition that is like none of them.
    kind
        Name of the similarity of conditions by which they were found.
    """

    laws: tuple[KernelReference, ...]
    own: float
    compared: Mapping[tuple[str, float], float]
    misses: tuple[tuple[float, ...], ...]
    common: KernelReference
    kind: str

    @property
    def candidates(self) -> dict[float, float]:
        """Miss by ``own``, of the similarity that was chosen."""
        return {own: miss for (kind, own), miss in self.compared.items() if kind == self.kind}

    @property
    def miss(self) -> float:
        """Miss of the laws that were chosen, in the mean over gaps."""
        return self.compared[self.kind, self.own]


def shared_laws(
    courses: Mapping[int, Chained],
    roots: Mapping[str, Tensor],
    *,
    sigma: float,
    alone: Tensor | None = None,
    progress: bool = False,
) -> FoundLaws:
    """Return laws of all conditions, fitted to smooth curves and then to their own paths.

    How much conditions deviate from what all share, in what way, and whether a law may bend
    sharply, is chosen by leaving out each gap of each condition.

    Parameters
    ----------
    courses
        Chains of the conditions that were seen twice or more, by row of each root.
    roots
        ``(C, r)`` root of each similarity of conditions, also of those seen once, the simplest
        first.
    sigma
        Diffusion, in [x]/sqrt([t]).
    alone
        ``(n, d)`` cells of conditions that were seen once: where laws are to be known besides.
    progress
        Whether to show a progress bar over the rounds.
    """
    seen = [one.chain[k + e, one.gap == k] for one, k in _gaps(courses) for e in (0, 1)]
    cells = torch.cat(seen if alone is None else [*seen, alone])
    with tqdm(total=3 * _ROUNDS, desc="laws", unit="round", disable=not progress) as bar:
        found = []
        for family in FAMILIES:
            # a generator of its own: how often laws are fitted changes nothing that is drawn later
            generator = torch.Generator().manual_seed(0)
            framed = replace(family, sigma=sigma).framed(cells, generator=generator)
            found.append(_alternated(courses, roots, framed, bar))
        which = found[1].miss < BETTER * found[0].miss
        best = found[which]
        if best.miss < HOLDS:
            framed = replace(best.laws[0], weights=None)
            best = _alternated(courses, roots, framed, bar, is_smooth=True)
        return best


def _gaps(courses: Mapping[int, Chained]) -> list[tuple[Chained, int]]:
    return [(one, k) for one in courses.values() for k in range(len(one.times) - 1)]


def _alternated(
    courses: Mapping[int, Chained],
    roots: Mapping[str, Tensor],
    family: KernelReference,
    bar: tqdm,
    *,
    is_smooth: bool = False,
) -> FoundLaws:
    """Return laws after several rounds of laws and paths along them.

    What conditions share is chosen on the first curves, and again on the last paths.
    """
    curves: dict[int, Curves] = {
        c: SplineInterpolant().curves(one.times, one.chain, one.gap) for c, one in courses.items()
    }
    ridge = _ridge(family, roots, curves, courses)
    found = _chosen(ridge, roots, courses)
    laws = found.laws
    bar.update()
    for step in range(1, _ROUNDS):
        curves = {
            c: _along(laws[c], is_smooth=is_smooth).curves(one.times, one.chain, one.gap)
            for c, one in courses.items()
        }
        ridge = _ridge(family, roots, curves, courses)
        if step == _ROUNDS - 1:
            found = _chosen(ridge, roots, courses)
        else:
            laws = replace(ridge, root=roots[found.kind]).solved(found.own).laws()
        bar.update()
    return found


def _ridge(
    family: KernelReference,
    roots: Mapping[str, Tensor],
    curves: Mapping[int, Curves],
    courses: Mapping[int, Chained],
) -> SharedRidge:
    root = next(iter(roots.values()))  # sums over paths are the same for each
    paths = [
        as_paths(curves[c], courses[c].times, courses[c].gap) if c in courses else []
        for c in range(len(root))
    ]
    return SharedRidge.of(family, root, paths)


def _along(law: KernelReference, *, is_smooth: bool) -> ReferenceInterpolant:
    return ReferenceInterpolant(law, rounds=0, is_smooth=is_smooth)


def _chosen(
    ridge: SharedRidge, roots: Mapping[str, Tensor], courses: Mapping[int, Chained]
) -> FoundLaws:
    """Return the laws whose like foretell gaps that they are not fitted to, what is shared first.

    One gap alone is foretold by nothing: its law is the shared one.
    """
    first = next(iter(roots))
    if len(ridge.owners) == 1:
        return _found(ridge.solved(0.0), first, {(first, 0.0): float("nan")}, [float("nan")])
    tried: dict[tuple[str, float], tuple[SharedLaws, list[float]]] = {}
    for kind, root in roots.items():
        for own in OWN if len(root) > 1 else OWN[:1]:
            if own == 0 and kind != first:
                tried[kind, own] = tried[first, own]  # one law of all, whatever they are like
                continue
            solved = replace(ridge, root=root).solved(own)
            tried[kind, own] = solved, _misses(solved, courses)
    kind, own = _least({one: misses for one, (_, misses) in tried.items()})
    means = {one: fmean(misses) for one, (_, misses) in tried.items()}
    return _found(tried[kind, own][0], kind, means, tried[kind, own][1])


def _least(misses: Mapping[tuple[str, float], list[float]]) -> tuple[str, float]:
    """Return the first that the best one is not ahead of by a standard error over gaps."""
    best = min(misses, key=lambda one: fmean(misses[one]))
    for one, values in misses.items():
        behind = torch.tensor(values).double() - torch.tensor(misses[best]).double()
        if behind.mean() <= behind.std() / len(behind) ** 0.5:
            return one
    return best


def _misses(laws: SharedLaws, courses: Mapping[int, Chained]) -> list[float]:
    """Return how far laws without a gap miss where its cells go, over how far they go.

    All gaps at once: their laws share what costs most, the kernel.
    """
    family = laws.ridge.family
    weights = family.weights_of(laws.without_each())
    ends = [one.ends(k) for one, k in _gaps(courses)]
    x0 = torch.stack([start[:_JUDGED] for _, _, start, _ in ends])
    x1 = torch.stack([stop[:_JUDGED] for _, _, _, stop in ends])
    lengths = torch.tensor([t1 - t0 for t0, t1, _, _ in ends], dtype=torch.float64)
    h = (lengths / STEPS)[:, None, None]

    def rates(_: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        basis = family.basis(state[0].flatten(0, 1)).unflatten(0, x0.shape[:2])
        return (basis @ weights * h,)

    x = x0
    for step in range(STEPS):
        (x,) = runge_kutta(rates, float(step), 1.0, (x,))
    ratio = ((x1 - x).square().sum(2).mean(1) / (x1 - x0).square().sum(2).mean(1)).sqrt()
    # one gap whose flow runs away says no more than that the law does not hold there
    found: list[float] = ratio.nan_to_num(MOST, posinf=MOST).clamp(max=MOST).tolist()
    return found


def _found(
    laws: SharedLaws, kind: str, compared: Mapping[tuple[str, float], float], misses: list[float]
) -> FoundLaws:
    owners = laws.ridge.owners.tolist()
    n = len(laws.ridge.root)
    parts = [[m for m, c in zip(misses, owners, strict=True) if c == one] for one in range(n)]
    common = laws.ridge.family.with_solution(laws.common)
    return FoundLaws(laws.laws(), laws.own, compared, tuple(map(tuple, parts)), common, kind)
