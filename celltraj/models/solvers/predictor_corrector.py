"""Steps of a process, each corrected by Langevin dynamics at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells, States
from celltraj.models.solvers.noise import normal_like
from celltraj.models.solvers.solver import (
    Equation,
    Law,
    after,
    centre,
    check_positive,
    step_grid,
    walk,
)


@checked_fields
@dataclass(frozen=True)
class PredictorCorrector:
    r"""Follow each midpoint step by steps that lead the cells back to the marginal of its time.

    The predictor is that of :class:`celltraj.models.Midpoint`. The corrector is Langevin dynamics
    at one time, ``x' = x + e score + sqrt(2 e) z`` with ``e = 2 (step |z| / |score|)^2``, the norms
    over all cells. It undoes errors of the predictor and of a learned velocity, at the price of
    noise: trajectories of an ODE are no longer smooth. Where the score is zero nothing is known,
    and nothing corrected; nor at a breakpoint, since the marginal of a bridge is there the observed
    cells alone, which have no score. A Langevin step is not exactly reversible, and raises the
    variance of a Gaussian by the share ``e / 2 sd^2``, about ``step^2``.

    Parameters
    ----------
    n_steps
        Steps between neighbouring breakpoints, as of :class:`celltraj.models.Midpoint`.
    n_corrections
        Langevin steps after each of them; the score is evaluated once in each, besides the
        evaluations of the velocity.
    step
        Signal-to-noise ratio of a Langevin step, without unit.

    Raises
    ------
    ValueError
        A count is not a whole number of at least 1 (or 0 corrections), or ``step`` not positive.
    TypeError
        On the way, the process has no score.

    References
    ----------
    Song et al., *Score-based generative modeling through SDEs* (2021), algorithms 4 and 5.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> path = ct.models.simulate(
    ...     bridge, bridge.snapshots.x[0], (0.0, 0.5), solver=ct.models.PredictorCorrector(10),
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> path.n_evaluations
    20
    """

    n_steps: int = 50
    n_corrections: int = 1
    step: float = 0.1

    def __post_init__(self) -> None:
        check_at_least(1, n_steps=self.n_steps)
        check_at_least(0, n_corrections=self.n_corrections)
        check_positive(step=self.step)

    def __call__(
        self,
        equation: Equation,
        x0: Cells,
        times: Sequence[float],
        *,
        generator: torch.Generator,
        progress: bool = False,
    ) -> States:
        """Return the states ``(T, n, d)`` at ``times``."""
        score = equation.score
        if score is None:
            raise TypeError("PredictorCorrector needs score(t, x), which this process has not")

        def step(start: float, stop: float, x: Cells) -> Cells:
            x = _predict(equation, start, stop, x, generator)
            if stop in equation.breakpoints:
                return x
            for _ in range(self.n_corrections):
                x = self._correct(score, after(stop, start), x, equation.dim(x), generator)
            return x

        grid = step_grid(times, equation.breakpoints, self.n_steps)
        return walk(step, x0, grid, progress=progress)

    def _correct(
        self, score: Law, t: float, x: Cells, dim: int, generator: torch.Generator
    ) -> Cells:
        pull, z = score(t, x), _normal(x, dim, generator)
        # in double precision: near a snapshot the square of an empirical score overflows
        length = float(pull.double().norm())
        if length == 0:
            return x
        e = 2 * (self.step * float(z.double().norm()) / length) ** 2
        return x + e * pull + math.sqrt(2 * e) * z


def _predict(
    equation: Equation, start: float, stop: float, x: Cells, generator: torch.Generator
) -> Cells:
    """Return the state after one midpoint step."""
    h, inside, middle = stop - start, after(start, stop), centre(start, stop)
    if equation.noise is None:
        half = x + h / 2 * equation.velocity(middle, x)
        return x + h * equation.velocity(middle, half)
    z = _normal(x, equation.dim(x), generator)
    drawn = math.sqrt(abs(h)) * equation.noise(inside, x) * z
    half = x + (h * equation.velocity(inside, x) + drawn) / 2
    return x + h * equation.velocity(middle, half) + drawn


def _normal(x: Cells, dim: int, generator: torch.Generator) -> Cells:
    """Return standard normal noise of the first ``dim`` columns, and zeros beside it."""
    z = normal_like(x, generator)
    z[:, dim:] = 0
    return z
