"""Paths of one law of motion that is learned from the chains themselves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.interpolants._curves import Curves, HermiteCurves
from celltraj.models.interpolants._interpolant import (
    bridge_noise,
    check_sigma,
    with_noise_of,
)
from celltraj.models.interpolants.spline import SplineInterpolant
from celltraj.models.references.family import Paths, Reference, with_sigma
from celltraj.models.references.gaussian_law import runge_kutta
from celltraj.models.references.kernel import KernelReference

_STEPS = 8  # Runge-Kutta steps over a gap


@card()
@checked_fields
@dataclass(frozen=True)
class ReferenceInterpolant:
    r"""Join neighbouring cells of a chain by the path of a law of motion shared by all.

    ``x_t = phi_t(x0) + (t - t0)/(t1 - t0) (x1 - phi_{t1}(x0))`` with ``phi`` the flow of the drift
    of ``reference`` and its miss made up for along the way. The law is fitted to the chains: first
    to smooth curves through them, then to its own paths, ``rounds`` times. Snapshots fix where
    cells are and say little of how they get from one to the next; that a law does not change with
    time, and that cells of one snapshot pass where those of another were seen, says more. The noise
    is a Brownian bridge over each gap.

    Parameters
    ----------
    reference
        Family of laws, such as ``KernelReference()``, or the true one where it is known.
    rounds
        Fits of the law; 0 takes it as it is.
    sigma
        Noise, in [x]/sqrt([t]); None takes that of the fit.

    Raises
    ------
    ValueError
        ``rounds`` or ``sigma`` is negative.

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

    reference: Reference = field(default_factory=KernelReference)
    rounds: int = 6
    sigma: float | None = None

    def __post_init__(self) -> None:
        check_sigma(self)
        if self.rounds < 0:
            raise ValueError(f"rounds must not be negative; found {self.rounds}")

    def fit(
        self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float
    ) -> ReferenceInterpolant:
        """Return the interpolant with its law fitted to the chains."""
        current: ReferenceInterpolant = replace(
            with_noise_of(self, sigma), reference=with_sigma(self.reference, sigma)
        )
        curves: Curves = SplineInterpolant().curves(times, chain, gap)
        # a generator of its own: how often the law is fitted changes nothing that is drawn later
        generator = torch.Generator().manual_seed(0)
        for _ in range(self.rounds):
            paths = _as_paths(curves, times, gap)
            law = current.reference.fit(paths, generator=generator)
            current = replace(current, reference=law)
            curves = current.curves(times, chain, gap)
        return current

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> HermiteCurves:
        """Return the path of each chain ``(T, n, d)`` over its gap ``(n,)``.

        Raises
        ------
        ValueError
            The flow of the law leaves the finite numbers.
        """
        x = torch.empty(_STEPS + 1, *chain.shape[1:], dtype=chain.dtype)
        v = torch.empty_like(x)
        for k in range(len(times) - 1):
            here = (gap == k).nonzero().flatten()
            if len(here):
                ends = chain[k, here], chain[k + 1, here]
                x[:, here], v[:, here] = self._pinned(float(times[k]), float(times[k + 1]), *ends)
        if not torch.isfinite(v).all():
            raise ValueError(
                f"the flow of {type(self.reference).__name__} is not finite: its parameters make "
                "it explode between two snapshots"
            )
        return HermiteCurves(times[gap], times[gap + 1] - times[gap], x, v)

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma ``(n,)`` and ``gamma gamma'`` of a Brownian bridge over each gap."""
        return bridge_noise(self, times, t)

    def _pinned(self, start: float, stop: float, x0: Cells, x1: Cells) -> tuple[Tensor, Tensor]:
        """Return positions and velocities ``(S + 1, n, d)`` of the paths from x0 to x1."""

        def rates(t: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (self.reference.drift(t, state[0]),)

        h = (stop - start) / _STEPS
        flow = [x0]
        for step in range(_STEPS):
            flow += runge_kutta(rates, start + step * h, h, (flow[-1],))
        velocity = torch.stack([rates(start + s * h, (x,))[0] for s, x in enumerate(flow)])
        miss = x1 - flow[-1]
        share = torch.linspace(0, 1, _STEPS + 1, dtype=x0.dtype)[:, None, None]
        return torch.stack(flow) + share * miss, velocity + miss / (stop - start)


def _as_paths(curves: Curves, times: Tensor, gap: Tensor) -> list[Paths]:
    """Return the curves of each gap as equally weighted paths.

    Their nodes are the middles of equal steps, by which neither end of a gap counts more.
    """
    paths = []
    for k in range(len(times) - 1):
        rows = (gap == k).nonzero().flatten()
        if not len(rows):
            continue
        step = (times[k + 1] - times[k]) / _STEPS
        grid = times[k] + step * (torch.arange(_STEPS + 1, dtype=times.dtype) + 0.5)
        # the last node only closes the last step, and a law is not asked beyond the snapshot
        at = grid.clamp(max=float(times[k + 1]))
        points = [curves.at(rows, t.expand(len(rows))) for t in at]
        x, v = (torch.stack(part).double() for part in zip(*points, strict=True))
        weights = torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
        paths.append(Paths(grid, x, v[:-1], weights))
    return paths
