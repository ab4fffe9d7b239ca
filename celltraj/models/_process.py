"""The law of motion shared by references, bridges and flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast, runtime_checkable

import torch
from torch import Tensor

from celltraj._typing import Cells, Earlier

if TYPE_CHECKING:
    from celltraj.models.references._paths import Paths


@runtime_checkable
class Process(Protocol):
    """Describe ``dX = drift(t, X) dt + diffusion(t, X) dW`` with ``t`` in the user's unit.

    In Ito's sense. The diffusion of a cell may depend on time and on its own state; autograd takes
    the derivative of it that a backward simulation and the probability flow need, see
    :class:`KnownNoise`.
    """

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
class KnownNoise(Process, Protocol):
    """A process that knows how its noise changes with the state.

    For a diffusion that torch cannot differentiate, or whose derivative it does not find, such as
    that of ``sqrt(x)`` at 0.
    """

    def variance_divergence(self, t: float, x: Cells) -> Cells:
        """Return the derivative of ``diffusion_i^2`` by ``x_i``, ``(n, d)``, in [x]/[t]."""
        ...


@runtime_checkable
class GrowingProcess(Process, Protocol):
    """A process whose cells also multiply and die.

    A process that knows only in an instance whether it grows says so in ``has_growth``.
    """

    def growth(self, t: float, x: Cells) -> Earlier:
        """Return the net rate at which the mass at ``x`` grows, ``(n,)``, in 1/[t]."""
        ...


@runtime_checkable
class Reference(Process, Protocol):
    """A family of processes ``dX = b_theta(t, X) dt + sigma dW`` that can be fitted to paths.

    A frozen dataclass, whose ``sigma`` is None until it is known; ``ct.tl.fit_bridge`` fills it in.
    """

    @property
    def sigma(self) -> float | None:
        """Return the diffusion, in [x]/sqrt([t])."""
        ...

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known, so that the process can be evaluated."""
        ...

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> Reference:
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

    @property
    def sigma(self) -> float | None:
        """Return the diffusion, in [x]/sqrt([t])."""
        ...

    def affine(self, dim: int) -> tuple[Tensor, Tensor]:
        """Return ``A (d, d)``, in 1/[t], and ``c (d,)``, in [x]/[t]."""
        ...


@runtime_checkable
class Parametric(Reference, Protocol):
    """A reference with few parameters, which are fitted by the likelihood of the snapshots."""

    def parameters(self) -> Tensor:
        """Return the parameters ``(p,)`` in coordinates without bounds."""
        ...

    def with_parameters(self, raw: Tensor) -> Parametric:
        """Return the member whose :meth:`parameters` are ``raw``."""
        ...


def is_growing(process: Process) -> TypeGuard[GrowingProcess]:
    """Return whether cells of the process multiply or die."""
    return isinstance(process, GrowingProcess) and getattr(process, "has_growth", True)


def with_sigma(reference: Reference, sigma: float) -> Reference:
    """Return ``reference`` with another diffusion.

    Raises
    ------
    TypeError
        It is a class and not an instance, not a dataclass, or has no field ``sigma``.
    """
    if isinstance(reference, type):
        raise TypeError(f"pass an instance, {reference.__name__}(...), in place of the class")
    if not is_dataclass(reference) or not hasattr(reference, "sigma"):
        raise TypeError(
            f"{type(reference).__name__} must be a dataclass with a field sigma to serve as a "
            "reference; a torch.nn.Module can be passed as it is"
        )
    return cast("Reference", replace(cast("Any", reference), sigma=sigma))


def sigma_of(reference: Reference | Affine) -> float:
    """Return the diffusion of a reference that has one.

    Raises
    ------
    ValueError
        ``sigma`` is still None.
    """
    if reference.sigma is None:
        raise ValueError(
            f"{type(reference).__name__} has no sigma yet; pass sigma=, in [x]/sqrt([t])"
        )
    return reference.sigma
