"""A user's simulator, fitted without a gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._consensus import minimise_by_consensus
from celltraj.models.references._parameters import check_sigma
from celltraj.models.references._regression import stack_points
from celltraj.models.references.family import Paths, sigma_of

_MOST_POINTS, _MOST_TIMES = 2_000, 24  # of paths that a simulation is compared with

Advance = Callable[[Mapping[str, float], Cells, float, float], Cells]


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class Simulator:
    r"""Move cells as a program of the user's does, whatever it is made of.

    The drift is ``(advance(parameters, x, t, t + step) - x) / step``. ``fit`` asks for nothing but
    runs of the program: consensus-based optimisation minimises the squared difference between its
    drift and that of the bridge.

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

    Raises
    ------
    ValueError
        Bounds that are not finite and increasing, a step that is not positive, or parameters that
        are not those of the bounds.

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
        moved = self._advanced(self.estimates(), t, x.double())
        if not torch.isfinite(moved).all():
            raise ValueError(
                f"the simulator is NaN or infinite at time {t:g} with {self.estimates()}"
            )
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
            ``advance`` returns another shape, or nothing finite within the bounds.
        """
        t, x, velocity, w = stack_points(paths)
        nodes = t[:, 0].unique()
        times = nodes[torch.randperm(len(nodes), generator=generator)[:_MOST_TIMES]]
        most = _MOST_POINTS // len(times)
        rows = [_choice(t[:, 0] == time, most, generator) for time in times]

        def value(theta: Tensor) -> float:
            parameters = self._named(theta)
            total = 0.0
            for start, at in zip(times.tolist(), rows, strict=True):
                moved = self._advanced(parameters, start, x[at])
                residual = (moved - x[at]) / self.step - velocity[at]
                total += float(w[at] @ residual.square().sum(1))
            return total

        found = minimise_by_consensus(
            lambda particles: torch.tensor([value(one) for one in particles]).double(),
            len(self.bounds),
            start=None if self.parameters is None else self._in_box(),
            generator=generator,
        )
        return replace(self, parameters=self._named(found))

    def _advanced(self, parameters: dict[str, float], t: float, x: Cells) -> Cells:
        moved = self.advance(parameters, x, t, t + self.step)
        if not isinstance(moved, Tensor) or moved.shape != x.shape:
            found = tuple(moved.shape) if isinstance(moved, Tensor) else type(moved).__name__
            raise ValueError(
                f"advance returned {found} for x of shape {tuple(x.shape)}; states have its shape"
            )
        return moved

    def _named(self, theta: Tensor) -> dict[str, float]:
        items = zip(self.bounds.items(), theta.tolist(), strict=True)
        return {name: low + (high - low) * share for (name, (low, high)), share in items}

    def _in_box(self) -> Tensor:
        values = self.estimates()
        shares = [(values[name] - low) / (high - low) for name, (low, high) in self.bounds.items()]
        return torch.tensor(shares).double().clamp(0, 1)


def _choice(among: Tensor, most: int, generator: torch.Generator) -> Tensor:
    rows = among.nonzero()[:, 0]
    return rows[torch.randperm(len(rows), generator=generator)[:most]]
