"""What a bridge is told besides its reference and its training."""

from __future__ import annotations

from dataclasses import dataclass, field

from celltraj._checks import check_at_least, checked_fields
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
    max_cells
        Cells of each snapshot, drawn at random, that the bridge passes through at most; None for
        all. The drift is given at every cell all the same.

    Raises
    ------
    TypeError
        A class or a text in place of a solver.
    ValueError
        ``max_cells`` is less than 1.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.models.BridgeOptions(coupling=ct.ot.Balanced(tol=1e-9)).coupling.is_balanced
    True
    """

    coupling: Solver = solve
    refinement: Refinement = field(default_factory=Refinement)
    max_cells: int | None = 5000

    def __post_init__(self) -> None:
        check_entropic(self.coupling)
        if self.max_cells is not None:
            check_at_least(1, max_cells=self.max_cells)
