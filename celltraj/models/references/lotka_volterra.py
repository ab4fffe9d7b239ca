"""Prey and predator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.nn.functional import softplus

from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._parameters import check_parameters, known
from celltraj.models.references._regression import softplus_inverse, stack_points
from celltraj.models.references.family import Paths, sigma_of

_NAMES = ("alpha", "beta", "gamma", "delta")


@checked_fields
@dataclass(frozen=True)
class LotkaVolterra:
    r"""Lotka-Volterra dynamics: ``(alpha x - beta x y, delta x y - gamma y) dt + sigma dW``.

    ``fit`` is least squares with non-negative parameters, exact since the drift is linear in them.

    Parameters
    ----------
    alpha, gamma
        Growth of the prey and decay of the predator, in 1/[t]; None before a fit.
    beta, delta
        Loss and gain by encounters, in 1/([x][t]).
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.

    Raises
    ------
    ValueError
        Some parameters are given and others not, or one is negative.

    References
    ----------
    Lotka, *Elements of physical biology* (1925); Volterra (1926).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import LotkaVolterra
    >>> LotkaVolterra(1.0, 0.4, 0.4, 0.1).drift(0.0, torch.tensor([[4.0, 2.5]]))  # at rest
    tensor([[0., 0.]])
    """

    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None
    delta: float | None = None
    sigma: float | None = None
    dim = 2
    is_positive = True

    def __post_init__(self) -> None:
        check_parameters(self, _NAMES, _NAMES)

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known."""
        return self.alpha is not None

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, 2)`` drift, in [x]/[t]."""
        alpha, beta, gamma, delta = self.estimates().values()
        prey, predator = x.unbind(1)
        meet = prey * predator
        return torch.stack([alpha * prey - beta * meet, delta * meet - gamma * predator], 1)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, 2)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return alpha, beta, gamma and delta."""
        return known(self, _NAMES)

    def parameters(self) -> Tensor:
        """Return the parameters ``(4,)`` in coordinates without bounds."""
        return softplus_inverse(torch.tensor([*self.estimates().values()]).double().clamp(min=1e-6))

    def with_parameters(self, raw: Tensor) -> LotkaVolterra:
        """Return the member whose :meth:`parameters` are ``raw``."""
        return replace(self, **dict(zip(_NAMES, softplus(raw).tolist(), strict=True)))

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> LotkaVolterra:
        """Return the member nearest to ``paths`` (``generator`` has no use)."""
        _, x, v, w = stack_points(paths)
        prey, predator = x.unbind(1)
        meet, root = prey * predator, w.sqrt()

        def solve(first: Tensor, second: Tensor, target: Tensor) -> list[float]:
            design = torch.stack([first, second], 1) * root[:, None]
            rates: list[float] = nnls(design.numpy(), (target * root).numpy())[0].tolist()
            return rates

        alpha, beta = solve(prey, -meet, v[:, 0])
        delta, gamma = solve(meet, -predator, v[:, 1])
        return replace(self, alpha=alpha, beta=beta, gamma=gamma, delta=delta)
