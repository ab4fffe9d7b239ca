"""The law of motion shared by references, bridges and flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from celltraj._typing import Cells

if TYPE_CHECKING:
    from celltraj.models._paths import Paths


@runtime_checkable
class Process(Protocol):
    """Describe ``dX = drift(t, X) dt + diffusion(t, X) dW`` with ``t`` in the user's unit."""

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` drift, in [x]/[t]."""
        ...

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` diagonal diffusion, in [x]/sqrt([t])."""
        ...


@runtime_checkable
class ReversibleProcess(Process, Protocol):
    """A process whose marginal densities are known by their score."""

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``, in 1/[x]."""
        ...


@runtime_checkable
class Reference(Process, Protocol):
    """A family of processes ``dX = b_theta(t, X) dt + sigma dW`` that can be fitted to paths.

    ``sigma`` is None until it is known; :func:`celltraj.models.fit_bridge` fills it in.
    """

    sigma: float | None

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known, so that the process can be evaluated."""
        ...

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> Self:
        """Return the member of the family under which ``paths`` are most likely.

        The parameters of this member, where it has some, are the start.
        """
        ...

    def estimates(self) -> dict[str, float]:
        """Return the parameters by name; empty for a family whose weights have no meaning."""
        ...


@runtime_checkable
class Affine(Protocol):
    """A reference ``b = A x + c``, whose transitions are known exactly."""

    sigma: float | None

    def affine(self, dim: int) -> tuple[Tensor, Tensor]:
        """Return ``A (d, d)``, in 1/[t], and ``c (d,)``, in [x]/[t]."""
        ...


@runtime_checkable
class Parametric(Reference, Protocol):
    """A reference with few parameters, which are fitted by the likelihood of the snapshots."""

    def parameters(self) -> Tensor:
        """Return the parameters ``(p,)`` in coordinates without bounds."""
        ...

    def with_parameters(self, raw: Tensor) -> Self:
        """Return the member whose :meth:`parameters` are ``raw``."""
        ...
