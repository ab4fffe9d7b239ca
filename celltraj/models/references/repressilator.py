"""A ring of genes, each repressed by the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._parameters import check_parameters, known
from celltraj.models.references._regression import fit_curve, softplus_inverse, stack_points
from celltraj.models.references.family import Paths, sigma_of

_NAMES = ("beta", "n", "k", "gamma")


@checked_fields
@dataclass(frozen=True)
class Repressilator:
    r"""Move a ring of genes by ``(beta / (1 + (x_{i-1} / k)^n) - gamma x_i) dt + sigma dW``.

    Parameters
    ----------
    beta
        Greatest production, in [x]/[t]; None before a fit.
    n
        Hill coefficient.
    k
        Level of the repressor that halves production, in [x].
    gamma
        Decay, in 1/[t].
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.

    Raises
    ------
    ValueError
        Some parameters are given and others not, or one is negative.

    References
    ----------
    Elowitz & Leibler, *A synthetic oscillatory network of transcriptional regulators* (2000).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Repressilator
    >>> Repressilator(10.0, 3.0, 1.0, 1.0).drift(0.0, torch.tensor([[1.0, 1.0, 2.0]]))
    tensor([[0.1111, 4.0000, 3.0000]])
    """

    beta: float | None = None
    n: float | None = None
    k: float | None = None
    gamma: float | None = None
    sigma: float | None = None
    is_positive = True

    def __post_init__(self) -> None:
        check_parameters(self, _NAMES, _NAMES)

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known."""
        return self.beta is not None

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` drift, in [x]/[t]; below zero a repressor counts as absent."""
        return _drift(torch.tensor([*self.estimates().values()], dtype=x.dtype), x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return beta, n, k and gamma."""
        return known(self, _NAMES)

    def parameters(self) -> Tensor:
        """Return the parameters ``(4,)`` in coordinates without bounds."""
        return softplus_inverse(torch.tensor([*self.estimates().values()]).double().clamp(min=1e-6))

    def with_parameters(self, raw: Tensor) -> Repressilator:
        """Return the member whose :meth:`parameters` are ``raw``."""
        return replace(self, **dict(zip(_NAMES, softplus(raw).tolist(), strict=True)))

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> Repressilator:
        """Return the member nearest to ``paths`` (``generator`` has no use)."""
        start = self if self.is_fitted else self._start(paths)
        raw = fit_curve(lambda raw, x: _drift(softplus(raw), x), start.parameters(), paths)
        return self.with_parameters(raw)

    def _start(self, paths: Sequence[Paths]) -> Repressilator:
        """Return a member of the scales of ``paths``: decay as fast as cells move."""
        _, x, v, _ = stack_points(paths)
        speed = float(v.abs().max())
        return replace(self, beta=speed, n=2.0, k=float(x.mean()), gamma=speed / float(x.max()))


def _drift(parameters: Tensor, x: Tensor) -> Tensor:
    beta, n, k, gamma = parameters
    drift: Tensor = beta / (1 + (x.roll(1, 1).clamp(min=0) / k) ** n) - gamma * x
    return drift
