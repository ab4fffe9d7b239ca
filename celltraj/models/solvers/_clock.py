"""Run torchsde's steps of fixed length on a clock that counts steps.

Every requested time is then a grid point, and steps may be unequal: with ``t(k)`` the grid,
``dX = h_k v(t(k), X) dk + sqrt(|h_k|) noise dW_k``. The noise of a step is that at its start, which
keeps it Ito's in methods of either calculus.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torchsde
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._typing import Cells, States
from celltraj.models.solvers.solver import Equation, StepGrid, after, progress_bar, step_grid

Stage = Callable[[float, float], float]


@dataclass(frozen=True)
class Method:
    """Name a method of torchsde.

    Parameters
    ----------
    name
        Its name there.
    sde_type
        The calculus that it is written for.
    stages
        Time inside a step at which each of its slopes is taken, in their order.
    """

    name: str
    sde_type: str
    stages: tuple[Stage, ...]


class _Clock(torch.nn.Module):
    """Present an equation on the clock of step numbers to torchsde."""

    noise_type = "diagonal"

    def __init__(self, grid: StepGrid, equation: Equation, method: Method, bar: tqdm) -> None:
        super().__init__()
        self.sde_type = method.sde_type
        self.grid, self.equation, self.stages, self.bar = grid, equation, method.stages, bar
        self.n_slopes, self.x = 0, Tensor()
        self.slope = self.increment = Tensor()

    def f(self, clock: Tensor, x: Tensor) -> Tensor:
        # torchsde asks once more than it steps, at the first state, to learn the shape
        if x is not self.x:
            self._evaluate(x)
            self.n_slopes, self.x = self.n_slopes + 1, x
        return self.slope

    def _evaluate(self, x: Tensor) -> None:
        # slopes are counted and not read off the clock: the last of a step may lie at its end
        k, stage = divmod(self.n_slopes, len(self.stages))
        start, stop = self.grid.times[k], self.grid.times[k + 1]
        h = stop - start
        self.slope = h * self.equation.velocity(self.stages[stage](start, stop), x)
        if stage == 0:
            noise = self.equation.noise
            self.increment = (
                torch.zeros_like(x)
                if noise is None
                else math.sqrt(abs(h)) * noise(after(start, stop), x)
            )
            self.bar.update()

    def g(self, clock: Tensor, x: Tensor) -> Tensor:
        return self.increment


def integrate_on_clock(
    method: Method,
    n_steps: int,
    equation: Equation,
    x0: Cells,
    times: Sequence[float],
    *,
    generator: torch.Generator,
    progress: bool,
) -> States:
    """Return the states ``(T, n, d)`` at ``times`` after steps of ``method``.

    Parameters
    ----------
    method
        Method of torchsde.
    n_steps
        Steps between neighbouring breakpoints.
    equation, x0, times, generator, progress
        As of :class:`celltraj.models.SdeSolver`.
    """
    grid = step_grid(times, equation.breakpoints, n_steps)
    brownian = torchsde.BrownianInterval(
        0.0,
        float(len(grid)),
        size=tuple(x0.shape),
        dtype=x0.dtype,
        device=x0.device,
        # torchsde ignores generators, and takes one number
        entropy=int(torch.randint(2**31 - 1, (1,), generator=generator)),
        dt=1.0,
        levy_area_approximation="none",
    )
    with progress_bar(len(grid), progress=progress) as bar:
        path: Tensor = torchsde.sdeint(
            _Clock(grid, equation, method, bar),
            x0,
            torch.tensor(grid.requested, dtype=torch.float64).to(x0),
            bm=brownian,
            method=method.name,
            dt=1.0,
        )
        return path
