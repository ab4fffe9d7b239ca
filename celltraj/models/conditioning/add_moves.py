r"""Cells that make the moves of several laws at once.

    x(t) = x_0 + sum_i b_i (phi_i(t, x_0) - x_0),    log m(t) = sum_i b_i log m_i(t, x_0)

with ``phi_i`` the probability flow of a law and ``m_i`` the mass that its growth leaves of the
cell. Moves add cell by cell and survivals multiply (Bliss), which asks for no score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from celltraj._arrays import takes_arrays
from celltraj._typing import Cells
from celltraj.models._simulate import Trajectories, simulate
from celltraj.models.solvers import SdeSolver


@takes_arrays
def add_moves(
    parts: Mapping[Any, float] | Sequence[tuple[Any, float]],
    x0: Cells,
    times: Sequence[float],
    *,
    solver: SdeSolver | None = None,
    generator: torch.Generator,
    progress: bool = False,
) -> Trajectories:
    r"""Add the moves that several laws make of each cell: two drugs together from each alone.

    Each law carries the cells by its probability flow; their moves add, their masses multiply.
    Unlike :class:`celltraj.models.Composed` that is no law of marginals: it takes a drug to do to a
    cell beside another what it does alone, and needs neither a score nor a control.

    Parameters
    ----------
    parts
        Powers ``b_i`` by fitted models, or a list of pairs of both.
    x0
        ``(n, d)`` cells at ``times[0]``, in [x].
    times
        Strictly monotone times, in the user's unit.
    solver
        How the equations are integrated, as of :func:`celltraj.models.simulate`.
    generator
        Source of randomness.
    progress
        Whether to show progress bars.

    Returns
    -------
    States at ``times`` and log masses; the number of evaluations is that of all laws.

    Raises
    ------
    ValueError
        No models, or times that are not monotone.
    TypeError
        A model with noise and without a score, whose probability flow is not known.

    References
    ----------
    Bliss, *The toxicity of poisons applied jointly* (1939).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import OrnsteinUhlenbeck, add_moves
    >>> class Shift:
    ...     def drift(self, t, x):
    ...         return torch.ones_like(x)
    ...     def diffusion(self, t, x):
    ...         return torch.zeros_like(x)
    >>> add_moves({Shift(): 1, Shift(): 0.5}, torch.zeros(1, 1), (0.0, 1.0),
    ...           generator=torch.Generator()).x[-1]
    tensor([[1.5000]])
    """
    pairs = list(parts.items() if isinstance(parts, Mapping) else parts)
    if not pairs:
        raise ValueError("parts names no model; pass such as {flow_a: 1, flow_b: 1}")
    paths, moved, masses = [], torch.zeros_like(x0), []
    for process, power in pairs:
        is_noisy = bool(process.diffusion(float(times[0]), x0[:1]).any())
        path = simulate(
            process, x0, times, solver=solver, ode=is_noisy, generator=generator, progress=progress
        )
        paths.append(path)
        moved = moved + power * (path.x - x0)
        if path.log_mass is not None:
            masses.append(power * path.log_mass)
    n_evaluations = sum(one.n_evaluations for one in paths)
    log_mass = torch.stack(masses).sum(0) if masses else None
    return Trajectories(paths[0].times, x0 + moved, n_evaluations, paths[0].solver, log_mass)
