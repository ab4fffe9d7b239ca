"""What a flow is told besides its paths and its training."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from celltraj._checks import check_at_least, checked_fields
from celltraj.ot import Solver, solve
from celltraj.ot.solver import check_solver


@checked_fields
@dataclass(frozen=True)
class Penalties:
    """Weigh what a flow should be besides right; each is relative and 0 leaves it out.

    Parameters
    ----------
    kinetic
        Mean squared velocity, in units of the squared mean speed of the paths.
    acceleration
        Mean squared acceleration along the flow, in units of that speed per mean gap.
    solver_error
        Error estimate of the adaptive solver, that of Dormand and Prince, for steps of up to half
        a gap at random times, in units of a thousandth of that speed: where it is small, a
        simulation takes long steps (Pal et al., *Locally regularized neural differential
        equations*, 2023). 10 saves two thirds of the evaluations on embryoid bodies.
    fokker_planck
        Residual of the equation that ties the score to the velocity, see
        :func:`celltraj.metrics.fokker_planck_residual`. It is for simulations with noise: at 1,
        after 1,000 steps on embryoid bodies, the marginals of ODE and SDE come nearer to each
        other, W2 from .63 to .60 in five variables and, less surely, from .23 to .22 in two. The
        gain is small and has a price: in two variables W1 to the data rises from .21 to .22, after
        2,000 steps from .19 to .22. For the residual says how an error of the score goes on in
        time, not how large it is, and it is least for a score that vanishes: 30 halves the score
        and parts ODE and SDE in two variables.
    likelihood
        Negative log likelihood of a few points of each batch along the ODE back to the first
        snapshot, in nats per variable: maximum likelihood beside the regression, for flows
        without growth. Each step then integrates an ODE and its adjoint: some five times as dear in
        two variables, more where the flow is stiff.

    Raises
    ------
    ValueError
        A weight is negative.

    Examples
    --------
    >>> from celltraj.models import Penalties
    >>> Penalties(solver_error=0.1).kinetic
    0.0
    """

    kinetic: float = 0.0
    acceleration: float = 0.0
    solver_error: float = 0.0
    fokker_planck: float = 0.0
    likelihood: float = 0.0

    def __post_init__(self) -> None:
        for one in fields(self):
            if not 0 <= getattr(self, one.name) < float("inf"):
                raise ValueError(
                    f"{one.name} must not be negative; found {getattr(self, one.name)}"
                )


@checked_fields
@dataclass(frozen=True)
class FlowOptions:
    """Say how the cells of a flow are coupled, and what it should be besides right.

    Parameters
    ----------
    coupling
        Coupling solver. ``ct.ot.solve`` (default) holds both snapshots, with the growth that is
        expected. Under ``ct.ot.Unbalanced(tau_a=0.97, tau_b=0.99)`` cells divide and die otherwise
        than expected, for a price: nearer to a snapshot between two others where proportions
        shift, further from the end of a long course, whose mass then lies on few trajectories.
    penalties
        What the flow should be besides right.
    max_cells
        Cells of each snapshot, drawn at random, that are coupled at most; None for all. Velocities
        are given at every cell all the same. Couplings of a noise as low as that of a flow cost
        about the square of the cells, and from some thousands on more of them tell little.

    Raises
    ------
    TypeError
        A class or a text in place of a solver.
    ValueError
        ``max_cells`` is less than 1.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.models.FlowOptions(coupling=ct.ot.Unbalanced()).penalties.kinetic
    0.0
    """

    coupling: Solver = solve
    penalties: Penalties = field(default_factory=Penalties)
    max_cells: int | None = 5000

    def __post_init__(self) -> None:
        check_solver(self.coupling, "coupling")
        if self.max_cells is not None:
            check_at_least(1, max_cells=self.max_cells)
