"""Laws of motion, and what more is known of some of them."""

from __future__ import annotations

import os
from typing import Protocol, TypeGuard, runtime_checkable

from torch import Tensor

from celltraj._typing import Cells, Earlier


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
class SharedGrowth(GrowingProcess, Protocol):
    """A growing process whose drift and growth share work, which is done once for both."""

    def drift_and_growth(self, t: float, x: Cells) -> tuple[Cells, Earlier]:
        """Return what ``drift(t, x)`` and ``growth(t, x)`` return."""
        ...


@runtime_checkable
class PiecewiseProcess(Process, Protocol):
    """A process that knows at which times its drift may jump."""

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Return these times, in the user's unit; no step of a solver goes across one."""
        ...


@runtime_checkable
class FittedProcess(PiecewiseProcess, Protocol):
    """A law of motion that was fitted to snapshots: a bridge or a flow."""

    @property
    def dim(self) -> int:
        """Return the number of state variables d."""
        ...

    @property
    def span(self) -> tuple[float, float]:
        """Return the first and the last time that it was fitted to, in the user's unit."""
        ...

    @property
    def has_growth(self) -> bool:
        """Whether cells divide and die along it."""
        ...

    def velocity(self, t: float, x: Cells) -> Cells:
        """Return the mean velocity ``(n, d)`` of cells at ``x``, in [x]/[t]."""
        ...

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the model to a folder; :func:`celltraj.load` reads it."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A law of motion that knows where its data lay, and is extrapolated elsewhere."""

    def outside(self, t: float, x: Cells) -> Tensor:
        """Return which states ``(n,)`` lie outside the data around time ``t``."""
        ...


@runtime_checkable
class OnReference(Protocol):
    """A law of motion that stays near another one, as a bridge does."""

    @property
    def reference(self) -> Process:
        """Return the other one."""
        ...


@runtime_checkable
class _OfDimension(Protocol):
    """A process that knows its number of variables; None where it takes any."""

    @property
    def dim(self) -> int | None: ...


@runtime_checkable
class _Undecided(Protocol):
    """A process that knows only in an instance whether it grows."""

    @property
    def has_growth(self) -> bool: ...


@runtime_checkable
class KnownSlope(Protocol):
    """A reference that knows how its drift changes with the state; others are differenced."""

    def drift_and_jacobian(self, t: float, x: Cells) -> tuple[Cells, Tensor]:
        """Return the drift ``(n, d)`` and its derivatives ``db_i/dx_j``, ``(n, d, d)``."""
        ...


@runtime_checkable
class KnowsRows(Protocol):
    """A process that holds something of each cell that it moves, and moves no other ones."""

    @property
    def knows_rows(self) -> bool:
        """Whether it does; else it can be asked of any cells."""
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


def is_growing(process: Process) -> TypeGuard[GrowingProcess]:
    """Return whether cells of the process multiply or die."""
    says_no = isinstance(process, _Undecided) and not process.has_growth
    return isinstance(process, GrowingProcess) and not says_no


def breakpoints_of(process: Process) -> tuple[float, ...]:
    """Return the times at which the drift may jump; none where the process knows of none."""
    return tuple(process.breakpoints) if isinstance(process, PiecewiseProcess) else ()


def dim_of(process: Process) -> int | None:
    """Return the number of state variables; None where the process takes any."""
    return process.dim if isinstance(process, _OfDimension) else None


def span_of(process: Process) -> tuple[float, float] | None:
    """Return the first and last time that it was fitted to; None for a law of all times."""
    return process.span if isinstance(process, FittedProcess) else None


def reference_of(process: Process) -> Process:
    """Return the law that a process stays near; itself where it knows of none."""
    return process.reference if isinstance(process, OnReference) else process
