r"""A law of motion in which genes are held at a level.

With expression ``e = mu + W z`` of states ``z``, the nearest state at which the genes ``S`` are at
their level ``l`` is

    z' = z + W_S^+ (l - mu_S - W_S z),   W_S^+ the pseudo-inverse;

drift and growth are those of ``z'``, without the motion that would change the genes again:
``(1 - W_S^+ W_S) b(t, z')``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Earlier
from celltraj.models.process import GrowingProcess, Process, breakpoints_of, is_growing

LOADED = 1e-6  # length of a row of loadings below which a gene cannot be held
_SAME = 1e-6  # relative; rows of loadings that differ by less are one direction


@card()
@dataclass(frozen=True, eq=False)
class KnockedOut:
    """In-silico knock-out: hold genes at a level; a ``Process``.

    Parameters
    ----------
    process
        Law of motion of the cells as they are.
    loadings
        ``(s, d)`` rows of ``W``: how each of the genes changes with the state.
    mean
        ``(s,)`` expression of these genes at the state zero.
    level
        What they are held at, in the unit of the expression.

    Raises
    ------
    ValueError
        A gene does not change with the state, so that nothing is known of its loss; no state has
        all the genes at the level; a level that is not finite.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian, KnockedOut
    >>> second = KnockedOut(Brownian(0.1), torch.tensor([[0.0, 1.0]]).double(), torch.zeros(1), 0.0)
    >>> second.hold(torch.tensor([[3.0, 5.0]]).double())
    tensor([[3., 0.]], dtype=torch.float64)
    """

    process: Process
    loadings: Tensor
    mean: Tensor
    level: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.level):
            raise ValueError(f"level must be a finite number; found {self.level}")
        lengths = self.loadings.norm(dim=1)
        flat = (lengths < LOADED * max(1.0, float(lengths.max()))).nonzero().flatten().tolist()
        if flat:
            raise ValueError(
                f"genes number {flat} of the knock-out do not change with the state: the "
                "components hold nothing of them; leave them out, or take more components"
            )
        self._check_reachable()

    def _check_reachable(self) -> None:
        asked = self.level - self.mean.double()
        missed = asked - self.loadings.double() @ (self._back @ asked)
        if float(missed.norm()) > _SAME * max(1.0, float(asked.norm())):
            rank = int(torch.linalg.matrix_rank(self.loadings.double(), rtol=_SAME))
            raise ValueError(
                f"no state has all {len(asked)} genes at {self.level:g}: they change along only "
                f"{rank} of {self.dim} variables; hold fewer genes, or take more components"
            )

    @cached_property
    def _back(self) -> Tensor:
        inverse: Tensor = torch.linalg.pinv(self.loadings.double(), rtol=_SAME)
        return inverse

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return self.loadings.shape[1]

    @property
    def has_growth(self) -> bool:
        """Whether cells divide and die."""
        return is_growing(self.process)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Times at which the drift may jump."""
        return breakpoints_of(self.process)

    def hold(self, x: Cells) -> Cells:
        """Return the nearest states ``(n, d)`` whose genes are at the level."""
        found = self.mean.double() + x.double() @ self.loadings.double().T
        return x + ((self.level - found) @ self._back.T).to(x.dtype)

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the drift ``(n, d)`` of the held states that leaves them held, in [x]/[t]."""
        drift = self.process.drift(t, self.hold(x))
        return drift - (drift.double() @ self.loadings.double().T @ self._back.T).to(x.dtype)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return the diffusion ``(n, d)`` of the held states, in [x]/sqrt([t])."""
        return self.process.diffusion(t, self.hold(x))

    def growth(self, t: float, x: Cells) -> Earlier:
        """Return the rate of growth ``(n,)`` of the held states, in 1/[t]; zero without growth."""
        if not isinstance(self.process, GrowingProcess):
            return torch.zeros_like(x[:, 0])
        return self.process.growth(t, self.hold(x))
