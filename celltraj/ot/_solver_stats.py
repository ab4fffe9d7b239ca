"""What a transport solver did."""

from __future__ import annotations

from dataclasses import dataclass, field

from celltraj._checks import checked_fields


@checked_fields
@dataclass
class SolverStats:
    """Solver statistics: what a transport solver did; it is filled while the solver works.

    Parameters
    ----------
    passes
        Evaluations of the whole plan.
    sweeps
        Sinkhorn updates, with or without a pass of their own.
    newton_steps, cg_iterations, factorisations
        Accepted Newton steps, their inner iterations, and systems factorised to speed these up.
    dropped_mass
        Share of the plan left out of the last Newton system; the plan itself is never cut.
    fallbacks
        What was done where the plain recipe failed, in order.
    """

    passes: int = 0
    sweeps: int = 0
    newton_steps: int = 0
    cg_iterations: int = 0
    factorisations: int = 0
    dropped_mass: float = 0.0
    fallbacks: list[str] = field(default_factory=list)
