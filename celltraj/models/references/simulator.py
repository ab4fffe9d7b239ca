"""A user's simulator, fitted without a gradient."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._card import card
from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells, Earlier
from celltraj.models.references._consensus import MOST_STEPS, minimise_by_consensus, n_particles
from celltraj.models.references._parameters import check_sigma
from celltraj.models.references._regression import stack_points
from celltraj.models.references.family import Paths, sigma_of

_MOST_POINTS, _MOST_TIMES = 2_000, 8  # of paths that a simulation is compared with

# a parameter is a number, or a tensor of one for each cell where the program is batched
Advance = Callable[[Mapping[str, Any], Cells, float, float], Cells]
logger = logging.getLogger("celltraj")


class _Place(NamedTuple):
    """Hold what paths do at one time: states and velocities ``(m, d)``, weights ``(m,)``."""

    t: float
    x: Cells
    velocity: Cells
    w: Earlier


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class Simulator:
    r"""Move cells as a program of the user's does, whatever it is made of.

    The drift is ``(advance(parameters, x, t, t + step) - x) / step``. ``fit`` asks for nothing but
    runs of the program: consensus-based optimisation minimises the squared difference between its
    drift and that of the bridge.

    A run is one call of ``advance``. A step of the optimisation takes one for each time at which
    paths are compared, at most 8, and each of the particles, 12 for a parameter and 36 at least:
    for the two of a Lotka-Volterra system about 26,000 runs in the first round of a refinement and
    18,000 in each that follows. With ``batched`` one call advances all particles: 740 and 500. The
    most that a fit may take is logged before it starts, and what it took when it is done.

    Parameters
    ----------
    advance
        ``advance(parameters, x, start, stop) -> (n, d)`` states at ``stop`` of cells ``x (n, d)``
        at ``start``, as tensors in the user's units. Without noise of its own: the mean of the
        program, since ``sigma`` adds the noise.
    bounds
        Lower and upper bound of each parameter, by name.
    step
        Time over which the program is run to read off its drift, in [t]; short beside the times in
        which the drift changes.
    parameters
        Values by name; None before a fit.
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.
    batched
        Whether ``advance`` takes the cells of many parameter vectors at once: each parameter is
        then a tensor ``(n,)``, its value for each row of ``x``.
    max_runs
        Most calls of ``advance`` that one fit may take, each round of a refinement anew; where
        particles have not met by then, the best point so far is taken, and a warning logged.
    progress
        Whether a fit shows a progress bar of its runs.

    Raises
    ------
    ValueError
        Bounds that are not finite and increasing, a step that is not positive, parameters that are
        not those of the bounds, or ``max_runs`` below 1.

    References
    ----------
    Riedl, Klock, Geldhauser & Fornasier, *Gradient is all you need?* (2023), arXiv 2306.09778.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Simulator
    >>> def decay(parameters, x, start, stop):
    ...     return x * 2.0 ** (-(stop - start) / parameters["half_life"])
    >>> Simulator(
    ...     decay, bounds={"half_life": (0.1, 10.0)}, step=0.01, parameters={"half_life": 1.0}
    ... ).drift(0.0, torch.ones(1, 1)).round(decimals=2)
    tensor([[-0.6900]])
    """

    advance: Advance
    bounds: Mapping[str, tuple[float, float]]
    step: float
    parameters: Mapping[str, float] | None = None
    sigma: float | None = None
    batched: bool = False
    max_runs: int = 100_000
    progress: bool = False

    def __post_init__(self) -> None:
        for name, pair in self.bounds.items():
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ValueError(f"bounds of {name} must be a pair (low, high); found {pair!r}")
            low, high = pair
            if not (low < high and math.isfinite(low) and math.isfinite(high)):
                raise ValueError(f"bounds of {name} must be finite and increase; found {low, high}")
        if not self.bounds or not self.step > 0:
            raise ValueError(f"expected some bounds and a positive step; found {self}")
        if self.parameters is not None and set(self.parameters) != set(self.bounds):
            raise ValueError(
                f"parameters {sorted(self.parameters)} are not those of bounds, "
                f"{sorted(self.bounds)}"
            )
        check_sigma(self)
        check_at_least(1, max_runs=self.max_runs)

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known."""
        return self.parameters is not None

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the mean velocity over a step from ``t``, ``(n, d)``, in [x]/[t].

        Raises
        ------
        ValueError
            The parameters are not known, or ``advance`` returns another shape or a number that is
            not finite.
        """
        known = self.estimates()
        values = torch.tensor([[known[name] for name in self.bounds]], dtype=torch.float64)
        moved = self._moved(values, t, x.double())[0]
        if not torch.isfinite(moved).all():
            raise ValueError(f"the simulator is NaN or infinite at time {t:g} with {known}")
        return ((moved - x) / self.step).to(x.dtype)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return the parameters.

        Raises
        ------
        ValueError
            They are not known yet.
        """
        if self.parameters is None:
            raise ValueError("Simulator has no parameters yet; fit it, or pass parameters")
        return dict(self.parameters)

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> Simulator:
        """Return the member nearest to ``paths``; ``generator`` moves the particles.

        Raises
        ------
        ValueError
            ``advance`` returns another shape, or nothing finite within the bounds; or ``max_runs``
            is too few for one step.
        """
        places = _places(paths, generator)
        per_step = len(places) * self._runs_of(n_particles(len(self.bounds)))
        most_steps = min(MOST_STEPS, (self.max_runs - len(places)) // per_step)
        if most_steps < 1:
            raise ValueError(
                f"max_runs={self.max_runs} is less than the {per_step + len(places)} runs of one "
                "step; allow more, or write advance for batched=True"
            )
        most = most_steps * per_step + len(places)
        logger.info("fitting a simulator: at most %d runs, %d a step", most, per_step)
        with tqdm(total=most, desc="simulator", unit="run", disable=not self.progress) as bar:
            found = minimise_by_consensus(
                lambda particles: self._misfits(particles, places, bar),
                len(self.bounds),
                start=None if self.parameters is None else self._in_box(),
                most_steps=most_steps,
                generator=generator,
            )
        runs = found.n_steps * per_step + len(places)
        logger.info("fitted a simulator: %d runs", runs)
        if not found.is_settled:
            logger.warning(
                "particles of a simulator had not met after %d runs: estimates are uncertain by "
                "%.2g of the width of their bounds; raise max_runs=%d",
                runs,
                found.spread,
                self.max_runs,
            )
        values = self._values(found.at).tolist()
        return replace(self, parameters=dict(zip(self.bounds, values, strict=True)))

    def _runs_of(self, n_particles: int) -> int:
        """Return the calls of the program that advance the cells of one time."""
        return 1 if self.batched else n_particles

    def _misfits(self, particles: Tensor, places: Sequence[_Place], bar: tqdm) -> Tensor:
        """Return the mean squared difference of drifts ``(p,)`` of particles ``(p, dim)``."""
        total = torch.zeros(len(particles), dtype=torch.float64)
        values = self._values(particles)
        for place in places:
            moved = self._moved(values, place.t, place.x)
            residual = (moved - place.x) / self.step - place.velocity
            total += residual.square().sum(2) @ place.w
            bar.update(self._runs_of(len(particles)))
        return total

    def _moved(self, values: Tensor, t: float, x: Cells) -> Tensor:
        """Return cells ``(p, n, d)`` a step later, under each of the parameters ``(p, dim)``."""
        if not self.batched:
            named = [dict(zip(self.bounds, one, strict=True)) for one in values.tolist()]
            return torch.stack([self._advanced(parameters, t, x) for parameters in named])
        rows = values.repeat_interleave(len(x), 0)
        columns = dict(zip(self.bounds, rows.unbind(1), strict=True))
        moved = self._advanced(columns, t, x.repeat(len(values), 1))
        return moved.reshape(len(values), *x.shape)

    def _advanced(self, parameters: Mapping[str, Any], t: float, x: Cells) -> Cells:
        moved = self.advance(parameters, x, t, t + self.step)
        if not isinstance(moved, Tensor) or moved.shape != x.shape:
            found = tuple(moved.shape) if isinstance(moved, Tensor) else type(moved).__name__
            raise ValueError(
                f"advance returned {found} for x of shape {tuple(x.shape)}; states have its shape"
            )
        return moved

    def _values(self, shares: Tensor) -> Tensor:
        """Return parameters ``(p, dim)`` from their places in the box."""
        edges = torch.tensor(list(self.bounds.values()), dtype=torch.float64)
        low, high = edges[:, 0], edges[:, 1]
        return low + (high - low) * shares

    def _in_box(self) -> Tensor:
        values = self.estimates()
        shares = [(values[name] - low) / (high - low) for name, (low, high) in self.bounds.items()]
        return torch.tensor(shares).double().clamp(0, 1)


def _places(paths: Sequence[Paths], generator: torch.Generator) -> list[_Place]:
    """Return the points of the paths that a program is compared with, time by time."""
    t, x, velocity, w = stack_points(paths)
    nodes = t[:, 0].unique()
    times = nodes[torch.randperm(len(nodes), generator=generator)[:_MOST_TIMES]]
    most = _MOST_POINTS // len(times)
    chosen = [(time, _choice(t[:, 0] == time, most, generator)) for time in times]
    return [_Place(float(time), x[rows], velocity[rows], w[rows]) for time, rows in chosen]


def _choice(among: Tensor, most: int, generator: torch.Generator) -> Tensor:
    rows = among.nonzero()[:, 0]
    return rows[torch.randperm(len(rows), generator=generator)[:most]]
