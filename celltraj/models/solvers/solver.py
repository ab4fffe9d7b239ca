r"""What a solver is given and what it returns.

``dX = v(t, X) dt + noise(t, X) dW`` in Ito's sense, onto every requested time and every breakpoint.
A step from ``start`` to ``stop`` evaluates its laws inside, at :func:`after` its start or at its
:func:`centre`: at a breakpoint a drift jumps, and an empirical score has no limit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._card import card
from celltraj._typing import Cells, States

Law = Callable[[float, Tensor], Tensor]


@card()
@dataclass(frozen=True)
class Equation:
    """Hold the right-hand side that a solver integrates, in the direction of its times.

    Parameters
    ----------
    velocity
        ``velocity(t, x)`` of the shape of ``x``, in [x]/[t].
    noise
        ``noise(t, x)``, the diagonal diffusion, in [x]/sqrt([t]); None for an ODE.
    score
        ``score(t, x)``, gradient of the log marginal density, in 1/[x]; None where it is not known.
    breakpoints
        Times at which the velocity may jump or have a kink.
    n_integrals
        Trailing columns of the state that gather an integral along each path, such as the log of
        its mass: their noise and score are zero, and nothing depends on them.
    knows_rows
        Whether the velocity of a row depends on which row it is, so that it cannot be asked of some
        rows alone.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Equation
    >>> Equation(lambda t, x: -x).velocity(0.0, torch.ones(1, 1))
    tensor([[-1.]])
    """

    velocity: Law
    noise: Law | None = None
    score: Law | None = None
    breakpoints: tuple[float, ...] = ()
    n_integrals: int = 0
    knows_rows: bool = False

    def dim(self, x: Cells) -> int:
        """Return the number of columns of ``x`` that are state variables."""
        return x.shape[1] - self.n_integrals


@runtime_checkable
class SdeSolver(Protocol):
    """Integrate an equation; a frozen dataclass of options, or any function of this signature.

    Examples
    --------
    A solver of your own: Euler's steps of one length, for an ODE without breakpoints.

    >>> import torch
    >>> from celltraj.models import OrnsteinUhlenbeck, simulate
    >>> def euler(equation, x0, times, *, generator, progress):
    ...     states = [x0]
    ...     for start, stop in zip(times, times[1:]):
    ...         x, h = states[-1], (stop - start) / 100
    ...         for k in range(100):
    ...             x = x + h * equation.velocity(start + k * h, x)
    ...         states.append(x)
    ...     return torch.stack(states)
    >>> pull = OrnsteinUhlenbeck(matrix=-torch.eye(1), shift=torch.zeros(1), sigma=0.1)
    >>> path = simulate(
    ...     pull, torch.ones(1, 1), (0.0, 1.0), solver=euler, generator=torch.Generator()
    ... )
    >>> path.x[-1], path.n_evaluations
    (tensor([[0.3660]]), 100)
    """

    def __call__(
        self,
        equation: Equation,
        x0: Cells,
        times: Sequence[float],
        *,
        generator: torch.Generator,
        progress: bool,
    ) -> States:
        """Return the states ``(T, n, d)`` at ``times``, from ``x0 (n, d)`` at the first.

        Parameters
        ----------
        equation
            Right-hand side.
        x0
            ``(n, d)`` states at ``times[0]``.
        times
            Strictly monotone times, in the user's unit; the solver steps onto each of them, and
            onto the breakpoints between them.
        generator
            The only source of randomness.
        progress
            Whether to show a progress bar.
        """
        ...


def gather(
    equation: Equation,
    rate: Law,
    *,
    both: Callable[[float, Tensor], tuple[Tensor, Tensor]] | None = None,
) -> Equation:
    """Return the equation with one more column, which gathers ``rate(t, x) (n,)`` along each path.

    ``rate`` is per unit of time; the column begins where the state of the solver says. ``both``
    returns the velocity and the rate where they are cheaper together.
    """

    def beside(law: Law | None, last: Law) -> Law | None:
        if law is None:
            return None
        return lambda t, z: torch.cat([law(t, z[:, :-1]), last(t, z[:, :-1])[:, None]], 1)

    def zero(t: float, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, 0])

    def velocity(t: float, z: Tensor) -> Tensor:
        x = z[:, :-1]
        v, gathered = (equation.velocity(t, x), rate(t, x)) if both is None else both(t, x)
        return torch.cat([v, gathered[:, None].to(x.dtype)], 1)

    return replace(
        equation,
        velocity=velocity,
        noise=beside(equation.noise, zero),
        score=beside(equation.score, zero),
        n_integrals=equation.n_integrals + 1,
    )


@dataclass(frozen=True)
class StepGrid:
    """Hold the times of all steps, and the positions of the requested ones among them."""

    times: tuple[float, ...]
    requested: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.times) - 1


def step_grid(times: Sequence[float], breakpoints: Sequence[float], n_steps: int) -> StepGrid:
    """Return ``n_steps`` steps between neighbouring breakpoints, cut at the requested times.

    Steps shrink quadratically towards the end of each interval between breakpoints, where bridge
    drifts are steepest; requested times cut the step they fall into.
    """
    knots = segments((times[0], times[-1]), breakpoints)
    fraction = 1 - (1 - torch.arange(n_steps, dtype=torch.float64) / n_steps) ** 2
    steps = [a + (b - a) * f for a, b in itertools.pairwise(knots) for f in fraction.tolist()]
    grid = sorted({*steps, times[-1], *times}, reverse=times[0] > times[-1])
    position = {t: k for k, t in enumerate(grid)}
    return StepGrid(tuple(grid), tuple(position[t] for t in times))


def segments(times: Sequence[float], breakpoints: Sequence[float]) -> tuple[float, ...]:
    """Return ``times`` and the breakpoints between them, in the order of ``times``."""
    first, last = min(times), max(times)
    inside = [float(b) for b in breakpoints if first < b < last]
    return tuple(sorted({*times, *inside}, reverse=times[0] > times[-1]))


def after(start: float, stop: float) -> float:
    """Return the first time inside a step."""
    return math.nextafter(start, stop)


def centre(start: float, stop: float) -> float:
    """Return the time at the middle of a step."""
    return 0.5 * (start + stop)


def walk(
    step: Callable[[float, float, Tensor], Tensor], x0: Cells, grid: StepGrid, *, progress: bool
) -> States:
    """Return the states ``(T, n, d)`` at the requested times of ``x = step(start, stop, x)``."""
    x, states = x0, [x0]
    with progress_bar(len(grid), progress=progress) as bar:
        for start, stop in itertools.pairwise(grid.times):
            x = step(start, stop, x)
            states.append(x)
            bar.update()
    return torch.stack([states[k] for k in grid.requested])


def progress_bar(n_steps: int, *, progress: bool) -> tqdm:
    """Return a bar over the steps of a simulation."""
    return tqdm(total=n_steps, desc="simulating", unit="step", disable=not progress)


def check_positive(**values: Any) -> None:
    """Raise unless every value is positive and finite.

    Raises
    ------
    ValueError
        One is not.
    """
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite; found {value!r}")
