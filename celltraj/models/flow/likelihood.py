r"""Density of cells under a flow, by the change of variables along its ODE.

``log p_t(x_t) = log p_0(x_0) + int_0^t (g - div v)(s, x_s) ds`` with ``x_s`` the path of the ODE
that ends in ``x_t`` and ``g`` the rate of growth relative to the population's mean. The divergence
is exact in few variables; in many it is Hutchinson's estimate ``z' (dv/dx) z`` with random signs
``z``, the same along a path. Grathwohl et al., *FFJORD* (2019), eq. 4 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._arrays import takes_arrays
from celltraj._typing import Cells, Earlier
from celltraj.models.solvers.ode import integrate

_EXACT = 30  # variables up to which the divergence is exact
_PROBES = 8  # random directions above


@runtime_checkable
class DeterministicFlow(Protocol):
    """An ODE over a span of times, such as that of a ``FlowMatching``."""

    @property
    def times(self) -> Sequence[float]:
        """Return the times that it spans, first to last."""
        ...

    @property
    def breakpoints(self) -> Sequence[float]:
        """Return times at which the velocity may have a kink."""
        ...

    def velocity(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` velocity, differentiable in ``x``."""
        ...

    def growth(self, t: float, x: Cells) -> Earlier:
        """Return the ``(n,)`` rate of growth relative to the population's mean, in 1/[t]."""
        ...


@takes_arrays
def log_density(
    flow: DeterministicFlow,
    t: float,
    x: Cells,
    base: Callable[[Cells], Earlier],
    *,
    generator: torch.Generator,
    rtol: float = 1e-6,
) -> Earlier:
    """Return the ``(n,)`` log densities of cells at time ``t``, in nats; density in [x]^-d.

    Parameters
    ----------
    flow
        Law of motion; its ODE is followed whatever its noise.
    t
        Time of the cells, in the user's unit.
    x
        ``(n, d)`` cells.
    base
        Log density ``(n,)`` at the first time of the flow.
    generator
        Draws the directions of Hutchinson's estimate, above 30 variables.
    rtol
        Relative tolerance of a step of the ODE. The divergence jumps where a path leaves the box
        of the data, and a loose tolerance steps over that: cells of another time than their own
        were off by .06 nats at 1e-4, by .002 at 1e-6, at six times the evaluations; cells of their
        own time by .003 to .03 and by .0005, at twice the evaluations.

    Raises
    ------
    ValueError
        ``t`` lies outside the times of the flow, or the ODE cannot be integrated.
    """
    first, last = flow.times[0], flow.times[-1]
    if not first <= t <= last:
        raise ValueError(f"time {t:g} lies outside the [{first:g}, {last:g}] of the flow")
    x = x.double()
    if t == first:
        return base(x)
    probes = None
    if x.shape[1] > _EXACT:
        shape, device = (_PROBES, *x.shape), generator.device
        signs = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
        probes = signs.sub(0.5).sign().to(x.device)

    def rates(s: float, state: Tensor) -> Tensor:
        velocity, divergence = velocity_and_divergence(flow, s, state[:, :-1], probes)
        thinning = divergence - flow.growth(s, state[:, :-1])
        return torch.cat([velocity, thinning[:, None]], 1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
    end = integrate(rates, start, (t, first), breakpoints=flow.breakpoints, rtol=rtol).x[-1]
    # integrated backwards, the last column is minus the integral of divergence less growth
    return base(end[:, :-1]) + end[:, -1]


def velocity_and_divergence(
    flow: DeterministicFlow, t: float, x: Cells, probes: Tensor | None
) -> tuple[Cells, Earlier]:
    """Return the velocity ``(n, d)`` of the ODE and its divergence ``(n,)``, in 1/[t].

    ``probes (k, n, d)`` are directions of random signs; None for the exact trace.
    """
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        velocity = flow.velocity(t, point)
        divergence = torch.zeros_like(x[:, 0])
        if probes is None:
            for k in range(x.shape[1]):
                (slope,) = torch.autograd.grad(velocity[:, k].sum(), point, retain_graph=True)
                divergence += slope[:, k]
        else:
            for z in probes:
                (pulled,) = torch.autograd.grad((velocity * z).sum(), point, retain_graph=True)
                divergence += (pulled * z).sum(1) / len(probes)
    return velocity.detach(), divergence
