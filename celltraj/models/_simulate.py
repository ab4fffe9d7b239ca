"""Simulate any process, forwards and backwards, by an SDE or its probability-flow ODE.

The midpoint steps are torchsde's. It runs on a clock that counts steps, so that every requested
time is a grid point and steps may be unequal: with ``t(k)`` the grid,
``dX = h_k b(t(k), X) dk + sqrt(|h_k|) sigma dW_k``. The noise of a step is that at its start, which
keeps it Ito's; the drift of its middle is of second order in the step, where Euler's would need
hundreds of steps to follow a curved flow to within a small sigma, and brings a path of a bridge to
its end exactly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torchsde
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._typing import Cells, States
from celltraj.models._process import Process, ReversibleProcess


@dataclass(frozen=True)
class Trajectories:
    """Hold simulated states: ``times (T,)`` in the user's unit and ``x (T, n, d)``."""

    times: tuple[float, ...]
    x: States


class _Clock(torch.nn.Module):
    """Present a velocity and a noise on the clock of step numbers to torchsde."""

    noise_type = "diagonal"
    sde_type = "stratonovich"  # as torchsde's midpoint asks; the same as Ito's with frozen noise

    def __init__(self, grid: Tensor, velocity: Callable, noise: Callable | None, bar: tqdm) -> None:
        super().__init__()
        self.grid, self.velocity, self.noise, self.bar = grid, velocity, noise, bar
        self.at_start = Tensor()

    def _step(self, clock: Tensor) -> tuple[float, float]:
        k = min(int(clock), len(self.grid) - 2)
        start, stop = float(self.grid[k]), float(self.grid[k + 1])
        # The ODE evaluates each step at its centre (second order, and never at a snapshot, where
        # an empirical score is singular); the SDE first at the one-sided limit inside the step.
        is_centre = self.noise is None or float(clock) > int(clock)
        return (0.5 * (start + stop) if is_centre else math.nextafter(start, stop)), stop - start

    def f(self, clock: Tensor, x: Tensor) -> Tensor:
        t, h = self._step(clock)
        self.bar.update(int(clock) + 1 - self.bar.n)
        return h * self.velocity(t, x)

    def g(self, clock: Tensor, x: Tensor) -> Tensor:
        if self.noise is None:
            return torch.zeros_like(x)
        if float(clock) == int(clock):
            t, h = self._step(clock)
            self.at_start = math.sqrt(abs(h)) * self.noise(t, x)
        return self.at_start


def simulate(
    process: Process,
    x0: Cells,
    times: Sequence[float],
    *,
    n_steps: int = 50,
    ode: bool = False,
    generator: torch.Generator,
    progress: bool = False,
) -> Trajectories:
    """Simulate ``process`` from ``x0`` onto every time in ``times``.

    Increasing times run the forward SDE, decreasing times the backward SDE with drift
    ``b - sigma^2 score``; ``ode=True`` follows ``b - sigma^2 score / 2`` in either direction.

    Parameters
    ----------
    process
        Law of motion; needs ``score`` backwards and for the ODE.
    x0
        ``(n, d)`` states at ``times[0]``.
    times
        Strictly monotone times, in the user's unit.
    n_steps
        Steps between neighbouring breakpoints of the process (the snapshots of a bridge), or from
        the first to the last time where it has none; requested times are added to them.
    ode
        Whether to follow the probability flow instead of the SDE.
    generator
        Source of randomness.
    progress
        Whether to show a progress bar over the steps.

    Returns
    -------
    States at ``times``.

    Raises
    ------
    ValueError
        Fewer than two times, times not monotone, or states that become non-finite.
    TypeError
        A backward or ODE simulation of a process without a score.

    References
    ----------
    Anderson, *Reverse-time diffusion equation models* (1982); Song et al., *Score-based generative
    modeling through SDEs* (2021), eq. 6 and 13.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian, simulate
    >>> path = simulate(
    ...     Brownian(0.1), torch.zeros(5, 2), (0.0, 0.5, 2.0), generator=torch.Generator()
    ... )
    >>> path.x.shape
    torch.Size([3, 5, 2])
    """
    times = tuple(float(t) for t in times)
    steps = [b - a for a, b in itertools.pairwise(times)]
    if not steps or not (all(h > 0 for h in steps) or all(h < 0 for h in steps)):
        raise ValueError(f"times must hold two or more strictly monotone values; found {times}")
    weight = 0.5 if ode else float(steps[0] < 0)
    grid, on_request = _grid(times, getattr(process, "breakpoints", ()), n_steps)
    entropy = int(torch.randint(2**31 - 1, (1,), generator=generator))
    brownian = torchsde.BrownianInterval(
        0.0,
        float(len(grid) - 1),
        size=tuple(x0.shape),
        dtype=x0.dtype,
        entropy=entropy,
        dt=1.0,
        levy_area_approximation="none",
    )
    bar = tqdm(total=len(grid) - 1, desc="simulating", unit="step", disable=not progress)
    with torch.no_grad(), bar:
        clock = _Clock(grid, _velocity(process, weight), None if ode else process.diffusion, bar)
        x = torchsde.sdeint(
            clock,
            x0,
            torch.tensor(on_request, dtype=torch.float64).to(x0.dtype),
            bm=brownian,
            method="midpoint",
            dt=1.0,
        )
    if not torch.isfinite(x).all():
        raise ValueError(
            f"the simulation from {times[0]:g} to {times[-1]:g} became non-finite; raise n_steps"
        )
    return Trajectories(times, x)


def _velocity(process: Process, weight: float) -> Callable[[float, Tensor], Tensor]:
    """Return ``b - weight sigma^2 score``: weight 0 forward, 1 backward, 1/2 probability flow."""
    if weight == 0:
        return process.drift
    if not isinstance(process, ReversibleProcess):
        raise TypeError(
            f"{type(process).__name__} has no score(t, x): it can only be simulated forwards"
        )

    def velocity(t: float, x: Cells) -> Cells:
        variance = process.diffusion(t, x).square()
        return process.drift(t, x) - weight * variance * process.score(t, x)

    return velocity


def _grid(
    times: tuple[float, ...], breakpoints: Sequence[float], n_steps: int
) -> tuple[Tensor, list[int]]:
    """Return all step times and the positions of the requested ones among them.

    Steps shrink quadratically towards the end of each interval between breakpoints, where bridge
    drifts are steepest; requested times cut the step they fall into.
    """
    start, stop = times[0], times[-1]
    inside = sorted(b for b in breakpoints if min(start, stop) < b < max(start, stop))
    knots = [start, *(inside if start < stop else inside[::-1]), stop]
    fraction = 1 - (1 - torch.arange(n_steps, dtype=torch.float64) / n_steps) ** 2
    steps = [a + (b - a) * f for a, b in itertools.pairwise(knots) for f in fraction.tolist()]
    grid = sorted({*steps, stop, *times}, reverse=start > stop)
    position = {t: k for k, t in enumerate(grid)}
    return torch.tensor(grid, dtype=torch.float64), [position[t] for t in times]
