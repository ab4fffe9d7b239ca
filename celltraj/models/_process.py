"""The law of motion shared by references, bridges and flows."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from celltraj._typing import Cells


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
