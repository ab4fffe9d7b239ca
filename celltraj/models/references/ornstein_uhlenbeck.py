"""Mean reversion, of each variable alone or with couplings between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._regression import stack_points
from celltraj.models.references.family import Paths, sigma_of


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class OrnsteinUhlenbeck:
    r"""Ornstein-Uhlenbeck process: ``dX = (A X + c) dt + sigma dW``, transitions in closed form.

    Mean reversion to ``-A^-1 c`` where the eigenvalues of ``A`` have negative real parts; rotation
    and growth are members too. ``fit`` is ridge regression in closed form.

    Parameters
    ----------
    full
        Whether variables act on each other; otherwise ``A`` is diagonal.
    matrix
        ``(d, d)`` matrix ``A``, in 1/[t]; None before a fit.
    shift
        ``(d,)`` constant ``c``, in [x]/[t].
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.
    ridge
        Weight of the squared coefficients of standardised variables, against 1 for the data.

    Raises
    ------
    ValueError
        Shapes of ``matrix`` and ``shift`` do not agree, or sigma or ridge is out of range.

    References
    ----------
    Sarkka & Solin, *Applied stochastic differential equations* (2019), section 6.2.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import OrnsteinUhlenbeck
    >>> pull = OrnsteinUhlenbeck(matrix=-torch.eye(1), shift=torch.ones(1), sigma=1.0)
    >>> pull.drift(0.0, torch.tensor([[3.0]]))
    tensor([[-2.]])
    >>> pull.estimates()
    {'A[0,0]': -1.0, 'c[0]': 1.0}
    """

    full: bool = True
    matrix: Tensor | None = None
    shift: Tensor | None = None
    sigma: float | None = None
    ridge: float = 1e-3

    def __post_init__(self) -> None:
        if (self.matrix is None) != (self.shift is None):
            raise ValueError("pass matrix= and shift= together, or neither")
        if self.matrix is not None and self.shift is not None:
            object.__setattr__(self, "matrix", torch.as_tensor(self.matrix).double())
            object.__setattr__(self, "shift", torch.as_tensor(self.shift).double())
            if self.matrix.shape != (len(self.shift), len(self.shift)):
                raise ValueError(
                    f"matrix has shape {tuple(self.matrix.shape)}, shift {tuple(self.shift.shape)};"
                    " expected (d, d) and (d,)"
                )
        if self.ridge < 0 or (self.sigma is not None and not self.sigma > 0):
            raise ValueError(f"sigma must be positive and ridge not negative; found {self}")

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known."""
        return self.matrix is not None

    def affine(self, dim: int) -> tuple[Tensor, Tensor]:
        """Return ``A (d, d)``, in 1/[t], and ``c (d,)``, in [x]/[t]."""
        if self.matrix is None or self.shift is None:
            raise ValueError("OrnsteinUhlenbeck has no parameters yet; fit it, or pass matrix=")
        return self.matrix, self.shift

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``A x + c``, ``(n, d)``, in [x]/[t]."""
        matrix, shift = (one.to(x.device) for one in self.affine(x.shape[1]))
        return (x.double() @ matrix.T + shift).to(x.dtype)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return the entries of ``A``, in 1/[t], and of ``c``, in [x]/[t], by name."""
        matrix, shift = self.affine(0)
        d = range(len(shift))
        pulls = {f"A[{i},{j}]": float(matrix[i, j]) for i in d for j in d if self.full or i == j}
        return pulls | {f"c[{i}]": float(shift[i]) for i in d}

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> OrnsteinUhlenbeck:
        """Return the member nearest to ``paths`` (``generator`` has no use)."""
        _, x, v, w = stack_points(paths)
        centre, mean_v = w @ x, w @ v
        scale = (w @ (x - centre).square()).sqrt()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))  # a constant variable
        z = (x - centre) / scale
        cross = (w[:, None] * (v - mean_v)).T @ z  # (d, d): of velocity with state
        if self.full:
            gram = z.T @ (w[:, None] * z)
            gram.diagonal().add_(self.ridge)
            slopes = torch.linalg.solve(gram, cross.T).T
        else:
            slopes = torch.diag(cross.diagonal() / (1 + self.ridge))
        matrix = slopes / scale
        return replace(self, matrix=matrix, shift=mean_v - matrix @ centre)
