"""Any drift with noise whose variance grows in proportion to the state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._parameters import check_sigma
from celltraj.models.references.chart import RootChart, ShapedNoise
from celltraj.models.references.family import Parametric, Paths, Reference, sigma_of
from celltraj.models.references.kernel import KernelReference
from celltraj.models.references.straightened import Straightened


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class LinearNoise:
    r"""Give any reference noise of linear variance: ``dX = b dt + sigma sqrt(a + c X) dW``.

    That of reactions among few molecules (chemical Langevin equation), above a floor ``a`` that
    holds for all cells, counts of zero among them. ``b`` is the drift of another reference, such as
    ``LotkaVolterra()``. A bridge on it is fitted in ``2 sqrt(a + c X) / c``, whose noise is
    constant. A family with few parameters is fitted by the likelihood; any other by its own least
    squares, which count all velocities alike: right, but not with the least error. Marginals do not
    tell drift and noise apart without a family, see :class:`celltraj.models.Geometric`.

    Parameters
    ----------
    drift_of
        Reference whose drift it is, fitted or not; its own sigma plays no part.
    floor
        Variance ``a`` at ``X = 0``, not negative, in units of ``sigma^2``.
    slope
        Increase ``c`` of the variance, positive, for each unit of ``X``.
    sigma
        Noise where ``a + c X = 1``, in [x]/sqrt([t]); None takes that of the call that fits.

    Raises
    ------
    TypeError
        ``drift_of`` is no reference, or one whose noise depends on the state itself.
    ValueError
        ``floor`` is negative, or ``slope`` or ``sigma`` not positive and finite.

    References
    ----------
    Gillespie, *The chemical Langevin equation* (2000).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import LinearNoise, LotkaVolterra
    >>> law = LinearNoise(LotkaVolterra(1.0, 0.4, 0.4, 0.1), floor=0.0, sigma=0.1)
    >>> law.diffusion(0.0, torch.tensor([[4.0, 1.0]]))
    tensor([[0.2000, 0.1000]])
    """

    drift_of: Reference = field(default_factory=KernelReference)
    floor: float = 1.0
    slope: float = 1.0
    sigma: float | None = None

    def __post_init__(self) -> None:
        check_sigma(self)
        if isinstance(self.drift_of, type) or not isinstance(self.drift_of, Reference):
            raise TypeError(
                "drift_of must be a reference, such as ct.models.LotkaVolterra(); found "
                f"{self.drift_of!r}"
            )
        if isinstance(self.drift_of, ShapedNoise):
            raise TypeError(
                f"{type(self.drift_of).__name__} has noise of its own that depends on the state; "
                "drift_of must be a reference of constant noise"
            )
        if not 0 <= self.floor < float("inf") or not 0 < self.slope < float("inf"):
            raise ValueError(
                f"floor must not be negative and slope be positive; found {self.floor} and "
                f"{self.slope}. Without a slope the noise is constant: pass the reference alone"
            )

    @property
    def dim(self) -> int | None:
        """Number of variables; None where the drift takes any."""
        return getattr(self.drift_of, "dim", None)

    @property
    def is_positive(self) -> bool:
        """Whether the drift describes amounts."""
        return bool(getattr(self.drift_of, "is_positive", False))

    @property
    def is_fitted(self) -> bool:
        """Whether the drift is known."""
        return self.drift_of.is_fitted

    @property
    def chart(self) -> RootChart:
        """Coordinates of constant noise: roots."""
        return RootChart(self.floor, self.slope)

    def straightened(self) -> Reference:
        """Return the law of the roots."""
        is_scored = isinstance(self.drift_of, Parametric)
        return _Scored(self) if is_scored else Straightened(self)

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` drift, in [x]/[t]."""
        return self.drift_of.drift(t, x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma sqrt(a + c x)``, ``(n, d)``, in [x]/sqrt([t]); next to zero below that."""
        return sigma_of(self) * self.chart.shape(x)

    def estimates(self) -> dict[str, float]:
        """Return the parameters of the drift."""
        return self.drift_of.estimates()

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> LinearNoise:
        """Return the same noise with the drift that is nearest to ``paths``."""
        return replace(self, drift_of=self.drift_of.fit(paths, generator=generator))


class _Scored(Straightened):
    """The law of the roots where the drift has few parameters."""

    def parameters(self) -> Tensor:
        """Return the parameters ``(p,)`` of the drift in coordinates without bounds."""
        return cast("Parametric", self._noisy.drift_of).parameters()

    def with_parameters(self, raw: Tensor) -> _Scored:
        """Return the member whose :meth:`parameters` are ``raw``."""
        drift = cast("Parametric", self._noisy.drift_of).with_parameters(raw)
        return replace(self, law=replace(self._noisy, drift_of=drift))

    @property
    def _noisy(self) -> LinearNoise:
        return cast("LinearNoise", self.law)
