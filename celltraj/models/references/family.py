"""Families of laws of motion that can be fitted to paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from celltraj._card import card
from celltraj.models.process import Affine, Process


@card()
@dataclass(frozen=True)
class Paths:
    """Hold ``N`` weighted paths of one gap on a grid of times.

    Parameters
    ----------
    times
        ``(S + 1,)`` nodes, in the user's unit.
    x
        ``(S + 1, N, d)`` states, in [x].
    velocity
        ``(S, N, d)`` drift of each path at all nodes but the last, in [x]/[t].
    weights
        ``(N,)`` weights that sum to one.
    effective
        Effective sample size of the weights within a pair, as a share; 1 where the reference is
        affine.
    """

    times: Tensor
    x: Tensor
    velocity: Tensor
    weights: Tensor
    effective: float = 1.0

    def points(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return times ``(S N, 1)``, states and velocities ``(S N, d)``, weights ``(S N,)``.

        A weight is that of the path times the length of the step, so that sums are integrals.
        """
        n_steps, n, d = self.velocity.shape
        t = self.times[:-1, None, None].expand(n_steps, n, 1)
        weights = self.times.diff()[:, None] * self.weights
        return (
            t.reshape(-1, 1),
            self.x[:-1].reshape(-1, d),
            self.velocity.reshape(-1, d),
            (weights.flatten()),
        )


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
class Parametric(Reference, Protocol):
    """A reference with few parameters, which are fitted by the likelihood of the snapshots."""

    def parameters(self) -> Tensor:
        """Return the parameters ``(p,)`` in coordinates without bounds."""
        ...

    def with_parameters(self, raw: Tensor) -> Parametric:
        """Return the member whose :meth:`parameters` are ``raw``."""
        ...


@runtime_checkable
class Smooth(Reference, Protocol):
    """A reference that knows how much its drift changes over a gap.

    Others are followed in small steps, and their slope counts in how far noise takes a cell.
    """

    @property
    def is_smooth(self) -> bool:
        """Whether a few steps follow the drift over a gap, and noise spreads about as without."""
        ...


@runtime_checkable
class CommonSlope(Reference, Protocol):
    """A reference under which noise may spread alike around all cells.

    Each cell moves along its own flow all the same. A slope of each would take ``n d^2`` numbers at
    every node of a gap, and entropic costs as many products for each pair of cells.
    """

    @property
    def common_slope(self) -> Tensor | None:
        """Return the ``(d, d)`` slope, in 1/[t]; None where each cell has its own."""
        ...


def is_smooth(reference: Reference) -> bool:
    """Return whether the drift of ``reference`` is known to change little over a gap."""
    return isinstance(reference, Smooth) and reference.is_smooth


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
