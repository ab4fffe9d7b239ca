"""What a bridge is told besides its reference and its training."""

from __future__ import annotations

from dataclasses import dataclass, field

from celltraj._checks import checked_fields
from celltraj.models.bridge.refine import Refinement
from celltraj.ot import Solver, solve
from celltraj.ot.solver import check_entropic


@checked_fields
@dataclass(frozen=True)
class BridgeOptions:
    """Say how the cells of a bridge are coupled, and how its reference is refined.

    Parameters
    ----------
    coupling
        Coupling solver. ``ct.ot.solve`` keeps the mass of every cell; under
        ``ct.ot.Unbalanced()`` cells divide and die otherwise than expected, for a price.
    refinement
        When the alternation of bridge and reference ends, for every reference but Brownian motion.

    Raises
    ------
    TypeError
        A class or a text in place of a solver.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.models.BridgeOptions(coupling=ct.ot.Balanced(tol=1e-9)).coupling.is_balanced
    True
    """

    coupling: Solver = solve
    refinement: Refinement = field(default_factory=Refinement)

    def __post_init__(self) -> None:
        check_entropic(self.coupling)
