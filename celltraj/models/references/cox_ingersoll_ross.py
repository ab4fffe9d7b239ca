"""Mean reversion with the noise of births and deaths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.nn.functional import softplus

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._parameters import check_sigma
from celltraj.models.references._regression import softplus_inverse, stack_points
from celltraj.models.references.chart import RootChart
from celltraj.models.references.family import Paths, Reference, sigma_of
from celltraj.models.references.straightened import ScoredStraightened

_LEAST = 1e-6  # of a rate or level: below it a parameter has no gradient


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class CoxIngersollRoss:
    r"""Square-root diffusion: ``dX_i = k_i (l_i - X_i) dt + sigma sqrt(X_i) dW_i``.

    Production and first-order decay with noise whose variance grows as the amount does, that of
    births and deaths one by one (Feller 1951). The stationary law is Gamma of shape
    ``2 k l / sigma^2`` and rate ``2 k / sigma^2``; at any time the mean is
    ``l + (x0 - l) e^{-k t}``. States are above zero, which they do not reach where
    ``2 k l >= sigma^2``. A bridge on it is fitted in ``2 sqrt(X)``, whose noise is constant and
    whose drift is linearised along each cell. Marginals do not tell drift and noise apart without a
    family, see :class:`celltraj.models.Geometric`.

    Parameters
    ----------
    rates
        ``(d,)`` mean reversion ``k``, in 1/[t]; None before a fit.
    levels
        ``(d,)`` mean level ``l``, in [x]; None before a fit.
    sigma
        Noise at ``X = 1``, in sqrt([x]/[t]); None takes that of the call that fits.

    Raises
    ------
    ValueError
        One of ``rates`` and ``levels`` without the other, of another shape, or not positive.

    References
    ----------
    Feller, *Two singular diffusion problems* (1951); Cox, Ingersoll & Ross, *A theory of the term
    structure of interest rates* (1985).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import CoxIngersollRoss
    >>> law = CoxIngersollRoss(torch.tensor([2.0]), torch.tensor([3.0]), sigma=0.5)
    >>> law.drift(0.0, torch.tensor([[4.0]])), law.diffusion(0.0, torch.tensor([[4.0]]))
    (tensor([[-2.]]), tensor([[1.]]))
    """

    rates: Tensor | None = None
    levels: Tensor | None = None
    sigma: float | None = None
    is_positive = True

    def __post_init__(self) -> None:
        check_sigma(self)
        if (self.rates is None) != (self.levels is None):
            raise ValueError("pass rates= and levels= together, or neither")
        if self.rates is None or self.levels is None:
            return
        for name in ("rates", "levels"):
            object.__setattr__(self, name, torch.as_tensor(getattr(self, name)).double())
        both = torch.cat([self.rates.flatten(), self.levels.flatten()])
        if self.rates.ndim != 1 or self.rates.shape != self.levels.shape or not (both > 0).all():
            raise ValueError(
                f"rates and levels must be positive, both of shape (d,); found {self.rates} and "
                f"{self.levels}"
            )

    @property
    def dim(self) -> int | None:
        """Number of variables; None before a fit."""
        return None if self.rates is None else len(self.rates)

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known."""
        return self.rates is not None

    @property
    def chart(self) -> RootChart:
        """Coordinates of constant noise: twice the roots."""
        return RootChart(0.0, 1.0)

    def straightened(self) -> Reference:
        """Return the law of twice the roots."""
        return ScoredStraightened(self)

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``k (l - x)``, ``(n, d)``, in [x]/[t].

        Raises
        ------
        ValueError
            There is no fit yet.
        """
        rates, levels = self._known
        return rates.to(x) * (levels.to(x) - x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma sqrt(x)``, ``(n, d)``, in [x]/sqrt([t]); next to zero below zero."""
        return sigma_of(self) * self.chart.shape(x)

    def estimates(self) -> dict[str, float]:
        """Return rates, in 1/[t], and levels, in [x], by name."""
        rates, levels = (one.tolist() for one in self._known)
        named = {f"k[{i}]": rate for i, rate in enumerate(rates)}
        return named | {f"l[{i}]": level for i, level in enumerate(levels)}

    def parameters(self) -> Tensor:
        """Return the parameters ``(2 d,)`` in coordinates without bounds."""
        return softplus_inverse(torch.cat(self._known).clamp(min=_LEAST))

    def with_parameters(self, raw: Tensor) -> CoxIngersollRoss:
        """Return the member whose :meth:`parameters` are ``raw``."""
        rates, levels = softplus(raw).clamp(min=_LEAST).chunk(2)
        return replace(self, rates=rates, levels=levels)

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> CoxIngersollRoss:
        """Return the member nearest to ``paths`` (``generator`` has no use).

        The likelihood weighs a squared velocity by ``1 / X``; ``k l`` and ``k`` are not negative.
        """
        _, x, v, w = stack_points(paths)
        found = [_pull(*column, w) for column in zip(x.T, v.T, strict=True)]
        rates, levels = torch.tensor(found, dtype=torch.float64).clamp(min=_LEAST).unbind(1)
        return replace(self, rates=rates, levels=levels)

    @property
    def _known(self) -> tuple[Tensor, Tensor]:
        if self.rates is None or self.levels is None:
            raise ValueError("CoxIngersollRoss has no parameters yet; fit it, or pass rates=")
        return self.rates, self.levels


def _pull(x: Tensor, v: Tensor, w: Tensor) -> tuple[float, float]:
    """Return rate and level of one variable by weighted least squares of ``v`` on ``1, -x``."""
    root = (w / x.clamp(min=torch.finfo(x.dtype).eps)).sqrt()
    design = torch.stack([root, -root * x], 1)
    (production, rate), _ = nnls(design.numpy(), (root * v).numpy())
    return rate, production / max(rate, _LEAST)
