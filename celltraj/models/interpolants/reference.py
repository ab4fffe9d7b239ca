"""Paths of one law of motion that is learned from the chains themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import cast

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj.models.interpolants._curves import Curves, HermiteCurves
from celltraj.models.interpolants._interpolant import (
    bridge_noise,
    check_sigma,
    with_noise_of,
)
from celltraj.models.interpolants.paths import STEPS, as_paths, at_all
from celltraj.models.interpolants.spline import SplineInterpolant
from celltraj.models.references.family import Reference, with_sigma
from celltraj.models.references.gaussian_law import runge_kutta
from celltraj.models.references.kernel import KernelReference

# a smooth law, and one that may bend sharply: of nine kernels the two that eleven data sets
# together did best with
FAMILIES = (KernelReference(n_scales=2), KernelReference(ridge=1e-4))
BETTER = 0.95  # of the miss of the smooth law, below which the sharper one is taken
HOLDS, FAILS = 0.75, 0.95  # misses below which a law holds, and above which it does not
MOST = 3.0  # miss of a gap beyond which it counts as this


@card()
@checked_fields
@dataclass(frozen=True)
class ReferenceInterpolant:
    r"""Join neighbouring cells of a chain by the path of a law of motion shared by all.

    ``x_t = phi_t(x0) + (t - t0)/(t1 - t0) (x1 - phi_{t1}(x0))`` with ``phi`` the flow of the drift
    of ``reference`` and its miss made up for along the way. The law is fitted to the chains: first
    to smooth curves through them, then to its own paths, ``rounds`` times. Snapshots fix where
    cells are and say little of how they get from one to the next; that a law does not change with
    time, and that cells of one snapshot pass where those of another were seen, says more. Where the
    law holds, what it misses in one gap leads on to the next and is made up for along the curve of
    :class:`SplineInterpolant` (``is_smooth``); elsewhere it is chance, and made up for at a
    constant rate in each gap. The noise is a Brownian bridge over each gap.

    Parameters
    ----------
    reference
        Family of laws, such as ``KernelReference()``, or the true one where it is known. None for a
        smooth law or a sharper one: the smooth one, unless the sharper one foretells gaps that are
        left out by 5 % better.
    rounds
        Fits of the law; 0 takes it as it is.
    sigma
        Noise, in [x]/sqrt([t]); None takes that of the fit.
    miss
        How far the law, fitted to all other gaps, misses where the cells of a gap go, over how far
        they go, in the mean over gaps; a fit fills it in, but not of one gap. Below 1 there is
        something that all times have in common.
    is_smooth
        Whether paths keep their velocity across snapshots; None for where the law holds, that is
        where it misses less than three quarters of the way.

    Raises
    ------
    ValueError
        ``rounds`` or ``sigma`` is negative, or there are no rounds and no reference.

    References
    ----------
    Shen, Berlinghieri & Broderick, *Multi-marginal Schroedinger bridges with iterative reference
    refinement* (2024), for the alternation of paths and law; here at fixed couplings.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import OrnsteinUhlenbeck, ReferenceInterpolant
    >>> decay = OrnsteinUhlenbeck(matrix=-torch.eye(1), shift=torch.zeros(1), sigma=0.1)
    >>> path = ReferenceInterpolant(decay, rounds=0)
    >>> chain = torch.tensor([1.0, 0.25]).reshape(2, 1, 1).double()
    >>> first = torch.tensor([0])
    >>> curves = path.curves(torch.tensor([0.0, 1.0]).double(), chain, first)
    >>> x, _ = curves.at(first, torch.tensor([0.5]).double())  # e^-1/2 - (e^-1 - .25) / 2
    >>> round(float(x), 3)
    0.548
    """

    reference: Reference | None = None
    rounds: int = 6
    sigma: float | None = None
    miss: float | None = None
    is_smooth: bool | None = None

    def __post_init__(self) -> None:
        check_sigma(self)
        if self.rounds < 0 or (self.rounds == 0 and self.reference is None):
            raise ValueError(
                "rounds must be at least 1, or 0 with a reference= that is known; found "
                f"rounds={self.rounds} and reference={self.reference}"
            )

    @property
    def law(self) -> Reference:
        """Return the law of motion.

        Raises
        ------
        ValueError
            It has not been chosen yet: fit the interpolant first.
        """
        if self.reference is None:
            raise ValueError("ReferenceInterpolant has no law yet; fit it to chains first")
        return self.reference

    @property
    def in_words(self) -> str:
        """Return what the miss says of the law."""
        if self.miss is None:
            return "nothing tells whether one law of motion holds at all times"
        if self.miss < HOLDS:
            what = "foretells much of how cells move in gaps that it was not fitted to"
        elif self.miss < FAILS:
            what = "foretells little of how cells move in gaps that it was not fitted to"
        else:
            what = "explains nothing here of gaps that it was not fitted to"
        return f"one law for all times {what} (it misses by {self.miss:.2f} of the way)"

    def fit(
        self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float
    ) -> ReferenceInterpolant:
        """Return the interpolant with its law fitted to the chains."""
        families = FAMILIES if self.reference is None else (self.reference,)
        start = with_noise_of(self, sigma)
        starts = [replace(start, reference=with_sigma(one, sigma)) for one in families]
        first = _best(_all_fitted(starts, times, chain, gap, is_smooth=bool(self.is_smooth)))
        holds = self.rounds and first.miss is not None and first.miss < HOLDS
        if self.is_smooth is None and holds:
            return _best(_all_fitted(starts, times, chain, gap, is_smooth=True))
        return first

    def _fitted(self, times: Tensor, chain: Tensor, gap: Tensor) -> ReferenceInterpolant:
        current, curves = self, cast("Curves", SplineInterpolant().curves(times, chain, gap))
        # a generator of its own: how often the law is fitted changes nothing that is drawn later
        generator = torch.Generator().manual_seed(0)
        for _ in range(self.rounds):
            paths = as_paths(curves, times, gap)
            law = current.law.fit(paths, generator=generator)
            current = replace(current, reference=law)
            curves = current.curves(times, chain, gap)
        if self.rounds == 0 or len(times) == 2:
            return current
        return replace(current, miss=current._missed(curves, times, chain, gap))

    def _missed(self, curves: Curves, times: Tensor, chain: Tensor, gap: Tensor) -> float:
        """Return how far laws of the paths of all other gaps miss the ends of each gap."""
        paths, misses = as_paths(curves, times, gap), []
        drawn = [k for k in range(len(times) - 1) if bool((gap == k).any())]
        for place, k in enumerate(drawn):
            generator = torch.Generator().manual_seed(0)
            others = paths[:place] + paths[place + 1 :]
            law = self.law.fit(others, generator=generator)
            rows = (gap == k).nonzero().flatten()
            x0, x1 = chain[k, rows], chain[k + 1, rows]
            flow, _ = replace(self, reference=law)._flow(times, chain, k, rows)
            missed = (x1 - flow[-1]).square().sum(1).mean()
            misses.append(float((missed / (x1 - x0).square().sum(1).mean()).sqrt()))
        # one gap whose flow runs away says no more than that the law does not hold there
        return fmean(min(one, MOST) if math.isfinite(one) else MOST for one in misses)

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> HermiteCurves:
        """Return the path of each chain ``(T, n, d)`` over its gap ``(n,)``.

        Raises
        ------
        ValueError
            The flow of the law leaves the finite numbers.
        """
        x = torch.empty(STEPS + 1, *chain.shape[1:], dtype=chain.dtype)
        v = torch.empty_like(x)
        drawn = [(gap == k).nonzero().flatten() for k in range(len(times) - 1)]
        # what is missed adds up along whole chains; else only the flow over its own gap is needed
        everyone = torch.arange(chain.shape[1])
        followed = [everyone if self.is_smooth else rows for rows in drawn]
        flows = {
            k: self._flow(times, chain, k, rows)
            for k, rows in enumerate(followed)
            if self.is_smooth or len(rows)
        }
        missed = _missed_so_far(chain, list(flows.values())) if self.is_smooth else None
        for k, here in enumerate(drawn):
            if not len(here):
                continue
            flow, velocity = flows[k]
            if missed is None:
                share = torch.linspace(0, 1, STEPS + 1, dtype=chain.dtype)[:, None, None]
                miss = chain[k + 1, here] - flow[-1]
                along, rate = share * miss, miss / float(times[k + 1] - times[k])
            else:
                flow, velocity = flow[:, here], velocity[:, here]
                along, rate = _spline(times, missed[:, here], k)
            x[:, here], v[:, here] = flow + along, velocity + rate
        if not torch.isfinite(v).all():
            raise ValueError(
                f"the flow of {type(self.law).__name__} is not finite: its parameters make "
                "it explode between two snapshots"
            )
        return HermiteCurves(times[gap], times[gap + 1] - times[gap], x, v)

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma ``(n,)`` and ``gamma gamma'`` of a Brownian bridge over each gap."""
        return bridge_noise(self, times, t)

    def _flow(self, times: Tensor, chain: Tensor, k: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return positions and velocities ``(S + 1, n, d)`` of the flow of the law over a gap."""

        def rates(t: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (self.law.drift(t, state[0]),)

        start, stop = float(times[k]), float(times[k + 1])
        h = (stop - start) / STEPS
        flow: list[Tensor] = [chain[k, rows]]
        velocity: list[Tensor] = []
        for step in range(STEPS):
            t = start + step * h
            velocity += rates(t, (flow[-1],))
            flow += runge_kutta(rates, t, h, (flow[-1],), first=(velocity[-1],))
        velocity += rates(start + STEPS * h, (flow[-1],))
        return torch.stack(flow), torch.stack(velocity)


def _missed_so_far(chain: Tensor, flows: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return ``(T, n, d)`` what the law missed of each chain up to each snapshot, summed."""
    misses = [after - flow[-1] for after, (flow, _) in zip(chain[1:], flows, strict=True)]
    return torch.stack([torch.zeros_like(chain[0]), *misses]).cumsum(0)


def _all_fitted(
    starts: Sequence[ReferenceInterpolant],
    times: Tensor,
    chain: Tensor,
    gap: Tensor,
    *,
    is_smooth: bool,
) -> list[ReferenceInterpolant]:
    return [replace(one, is_smooth=is_smooth)._fitted(times, chain, gap) for one in starts]


def _best(found: Sequence[ReferenceInterpolant]) -> ReferenceInterpolant:
    """Return the first, unless a later one foretells gaps that are left out better by a margin."""
    misses = [math.inf if one.miss is None else one.miss for one in found]
    best = min(range(len(found)), key=misses.__getitem__)
    return found[best] if misses[best] < BETTER * misses[0] else found[0]


def _spline(times: Tensor, missed: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return what is missed since the start of gap ``k``, and its rate, ``(S + 1, n, d)`` both."""
    rows = torch.arange(missed.shape[1])
    curves = SplineInterpolant().curves(times, missed - missed[k], torch.full_like(rows, k))
    grid = times[k] + (times[k + 1] - times[k]) * torch.linspace(0, 1, STEPS + 1).to(times)
    along, rate = at_all(curves, rows, grid)
    return along.to(missed), rate.to(missed)
