"""Growth and noise in proportion to the state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._parameters import check_sigma
from celltraj.models.references._regression import stack_points
from celltraj.models.references.chart import LogChart
from celltraj.models.references.family import Paths, Reference, sigma_of
from celltraj.models.references.straightened import Straightened


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class Geometric:
    r"""Geometric Brownian motion of each variable: ``dX_i = m_i X_i dt + sigma X_i dW_i``.

    ``log X(t) ~ N(log X(0) + (m - sigma^2 / 2) t, sigma^2 t)``: noise in proportion to the amount,
    as of counts that are not logarithms, is constant noise of the logarithm, and a bridge on this
    reference is exact. States are above zero. For log-normalised data constant noise, the default,
    is that law already. Marginals do not tell drift and noise apart without a family, since every
    course of marginals has a drift for each noise (in one variable, and without noise too): the
    sigma that ``Refinement(estimate_sigma=True)`` finds is that of this family, if it is the right
    one.

    Parameters
    ----------
    rates
        ``(d,)`` relative growth ``m``, in 1/[t]; None before a fit.
    sigma
        Relative noise, in 1/sqrt([t]); None takes that of the call that fits.

    Raises
    ------
    ValueError
        ``rates`` is no vector, or ``sigma`` not positive and finite.

    References
    ----------
    Sarkka & Solin, *Applied stochastic differential equations* (2019), section 4.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Geometric
    >>> law = Geometric(rates=torch.tensor([0.5]), sigma=0.1)
    >>> law.drift(0.0, torch.tensor([[4.0]])), law.diffusion(0.0, torch.tensor([[4.0]]))
    (tensor([[2.]]), tensor([[0.4000]]))
    """

    rates: Tensor | None = None
    sigma: float | None = None
    is_positive = True

    def __post_init__(self) -> None:
        check_sigma(self)
        if self.rates is not None:
            object.__setattr__(self, "rates", torch.as_tensor(self.rates).double())
            if self.rates.ndim != 1:
                raise ValueError(f"rates must have shape (d,); found {tuple(self.rates.shape)}")

    @property
    def dim(self) -> int | None:
        """Number of variables; None before a fit."""
        return None if self.rates is None else len(self.rates)

    @property
    def is_fitted(self) -> bool:
        """Whether the rates are known."""
        return self.rates is not None

    @property
    def chart(self) -> LogChart:
        """Coordinates of constant noise: logarithms."""
        return LogChart()

    def straightened(self) -> Reference:
        """Return the law of the logarithms, whose transitions are known exactly."""
        return _LogGeometric(self)

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``m x``, ``(n, d)``, in [x]/[t].

        Raises
        ------
        ValueError
            There is no fit yet.
        """
        return x * self._known.to(x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma x``, ``(n, d)``, in [x]/sqrt([t]); zero below zero."""
        return sigma_of(self) * x.clamp(min=0)

    def estimates(self) -> dict[str, float]:
        """Return the rates, in 1/[t], by name."""
        return {f"m[{i}]": rate for i, rate in enumerate(self._known.tolist())}

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> Geometric:
        """Return the member nearest to ``paths`` (``generator`` has no use).

        The likelihood weighs a squared velocity by ``1 / X^2``: the mean of ``v / X``.
        """
        _, x, v, w = stack_points(paths)
        return replace(self, rates=w @ (v / self.chart.shape(x)))

    @property
    def _known(self) -> Tensor:
        if self.rates is None:
            raise ValueError("Geometric has no rates yet; fit it, or pass rates=")
        return self.rates


class _LogGeometric(Straightened):
    """Brownian motion with a drift."""

    def affine(self, dim: int) -> tuple[Tensor, Tensor]:
        """Return zeros ``(d, d)`` and the drift ``m - sigma^2 / 2 (d,)``, in 1/[t]."""
        drift = self.drift(0.0, torch.zeros(1, dim, dtype=torch.float64))[0]
        return torch.zeros(dim, dim, dtype=torch.float64), drift
