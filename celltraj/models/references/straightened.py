"""A law of motion seen in coordinates in which its noise is the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.references.chart import Chart, ShapedNoise
from celltraj.models.references.family import (
    Parametric,
    Paths,
    Reference,
    sigma_of,
    with_sigma,
)


def to_straight(chart: Chart, sigma: float, x: Cells, drift: Cells) -> Cells:
    """Return the drift ``b / u - sigma^2 u' / 2``, ``(n, d)``, of coordinates at states ``x``."""
    return drift / chart.shape(x) - sigma**2 / 2 * chart.bend(x)


def to_curved(chart: Chart, sigma: float, x: Cells, drift: Cells) -> Cells:
    """Return the drift ``u (b_z + sigma^2 u' / 2)``, ``(n, d)``, of states ``x``."""
    return chart.shape(x) * (drift + sigma**2 / 2 * chart.bend(x))


@dataclass(frozen=True, eq=False)
class Straightened:
    """Move coordinates of cells as ``law`` moves the cells: a reference of constant noise.

    Parameters
    ----------
    law
        Law of motion whose noise depends on the state.
    sigma
        Its noise in these coordinates; None takes that of ``law``.
    """

    law: ShapedNoise
    sigma: float | None = None

    def __post_init__(self) -> None:
        if self.sigma is None:
            object.__setattr__(self, "sigma", self.law.sigma)
        elif self.sigma != self.law.sigma:
            object.__setattr__(self, "law", with_sigma(self.law, self.sigma))

    @property
    def dim(self) -> int | None:
        """Number of variables; None where the law takes any."""
        return getattr(self.law, "dim", None)

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known."""
        return self.law.is_fitted

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` drift of coordinates, in [z]/[t]."""
        chart = self.law.chart
        state = chart.curved(x.double())
        there = self.law.drift(t, state)
        return to_straight(chart, sigma_of(self), state, there).to(x.dtype)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [z]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return the parameters of the law."""
        return self.law.estimates()

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> Reference:
        """Return the member of the family that is nearest to ``paths`` of coordinates."""
        curved = [self._curved(part) for part in paths]
        fitted = cast("ShapedNoise", self.law.fit(curved, generator=generator))
        return replace(self, law=fitted)

    def _curved(self, paths: Paths) -> Paths:
        chart, sigma = self.law.chart, sigma_of(self)
        x = chart.curved(paths.x.flatten(0, 1))
        inner = x[: paths.velocity.shape[0] * paths.velocity.shape[1]]
        velocity = to_curved(chart, sigma, inner, paths.velocity.flatten(0, 1))
        return replace(paths, x=x.view_as(paths.x), velocity=velocity.view_as(paths.velocity))


class ScoredStraightened(Straightened):
    """The same for a family with few parameters, which the likelihood of snapshots fits."""

    def parameters(self) -> Tensor:
        """Return the parameters ``(p,)`` of the law in coordinates without bounds."""
        return self._free().parameters()

    def with_parameters(self, raw: Tensor) -> ScoredStraightened:
        """Return the member whose :meth:`parameters` are ``raw``."""
        law: Any = self._free().with_parameters(raw)
        return cast("ScoredStraightened", replace(cast("Any", self), law=law))

    def _free(self) -> Parametric:
        return cast("Parametric", self.law)
