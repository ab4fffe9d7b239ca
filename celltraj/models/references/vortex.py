"""A vortex with a core, carried by a uniform current."""

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

_NAMES = ("x0", "y0", "omega", "core", "u", "v")


@checked_fields
@dataclass(frozen=True)
class Vortex:
    r"""Move a plane by ``omega (1 - exp(-q)) / q (-dy, dx) dt + (u, v) dt + sigma dW``.

    ``(dx, dy) = (x - x0, y - y0)`` and ``q = (dx^2 + dy^2) / core^2``: a rigid rotation inside the
    core whose speed falls as 1/r outside (Lamb and Oseen's vortex), in a uniform current.

    Parameters
    ----------
    x0, y0
        Centre, in [x]; None before a fit.
    omega
        Angular velocity at the centre, counter-clockwise, in 1/[t].
    core
        Radius of the core, in [x].
    u, v
        Current, in [x]/[t].
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.

    Raises
    ------
    ValueError
        Some parameters are given and others not, or the core is negative.

    References
    ----------
    Saffman, *Vortex dynamics* (1992), section 13.1.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Vortex
    >>> turn = Vortex(0.0, 0.0, omega=2.0, core=100.0, u=0.0, v=0.0)
    >>> turn.drift(0.0, torch.tensor([[1.0, 0.0]])).round(decimals=2)
    tensor([[0., 2.]])
    """

    x0: float | None = None
    y0: float | None = None
    omega: float | None = None
    core: float | None = None
    u: float | None = None
    v: float | None = None
    sigma: float | None = None
    dim = 2

    def __post_init__(self) -> None:
        check_parameters(self, _NAMES, ("core",))

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known."""
        return self.x0 is not None

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, 2)`` drift, in [x]/[t]."""
        return _drift(torch.tensor([*self.estimates().values()], dtype=x.dtype), x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, 2)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return x0, y0, omega, core, u and v."""
        return known(self, _NAMES)

    def parameters(self) -> Tensor:
        """Return the parameters ``(6,)`` in coordinates without bounds."""
        raw = torch.tensor([*self.estimates().values()]).double()
        raw[3] = softplus_inverse(raw[3].clamp(min=1e-6))
        return raw

    def with_parameters(self, raw: Tensor) -> Vortex:
        """Return the member whose :meth:`parameters` are ``raw``."""
        return replace(self, **dict(zip(_NAMES, _bounded(raw).tolist(), strict=True)))

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> Vortex:
        """Return the member nearest to ``paths`` (``generator`` has no use)."""
        start = self if self.is_fitted else self._start(paths)
        raw = fit_curve(lambda raw, x: _drift(_bounded(raw), x), start.parameters(), paths)
        return self.with_parameters(raw)

    def _start(self, paths: Sequence[Paths]) -> Vortex:
        """Return the rigid rotation nearest to ``paths`` about their middle."""
        _, x, v, w = stack_points(paths)
        centre, current = w @ x, w @ v
        dx, dy = (x - centre).unbind(1)
        spread = float(w @ (dx**2 + dy**2))
        turn = float(w @ (dx * (v[:, 1] - current[1]) - dy * (v[:, 0] - current[0]))) / spread
        place = {"x0": float(centre[0]), "y0": float(centre[1])}
        return replace(self, **place, omega=turn, core=2 * spread**0.5, u=0.0, v=0.0)


def _bounded(raw: Tensor) -> Tensor:
    return torch.cat([raw[:3], softplus(raw[3:4]), raw[4:]])


def _drift(parameters: Tensor, x: Tensor) -> Tensor:
    x0, y0, omega, core, u, v = parameters
    dx, dy = x[:, 0] - x0, x[:, 1] - y0
    q = (dx**2 + dy**2) / core**2
    near = q < 1e-6  # there (1 - exp(-q)) / q is 1 - q / 2 to all digits
    safe = torch.where(near, torch.ones_like(q), q)
    spin = omega * torch.where(near, 1 - q / 2, -torch.expm1(-safe) / safe)
    return torch.stack([u - spin * dy, v + spin * dx], 1)
