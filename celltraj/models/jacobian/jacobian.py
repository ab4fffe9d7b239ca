r"""Derivatives of a law of motion by the state, cell by cell and on average.

``J_ij(t, x) = dv_i/dx_j``: how what variable ``j`` has changes the velocity of ``i``. In principal
components ``x = mean + z W'`` the derivative by genes is ``W J W'``, of rank as many as there are
components: it is never formed for more pairs of genes than are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.jacobian.differentiable import is_differentiable, steps_of
from celltraj.models.process import FittedProcess, KnownSlope, Process, span_of
from celltraj.models.solvers.solver import Law

BLOCK = 1024  # cells at once
Jacobians = Float[Tensor, "n d d"]


@dataclass(frozen=True)
class Slopes:
    """Differentiate the mean velocity of a process by the state.

    Parameters
    ----------
    process
        Law of motion: of a bridge or a flow the velocity is meant, of any other its drift.
    by
        How: ``"known"`` by the process itself, ``"torch"`` by its graph, ``"differences"`` where
        the process hides what it computes from torch.
    step
        ``(d,)`` steps of differences, in [x].
    """

    process: Process
    by: str
    step: Tensor

    @classmethod
    def of(cls, process: Process, t: float, x: Cells) -> Slopes:
        """Return what suits a process, tried at a time and a few states."""
        if isinstance(process, KnownSlope) and not isinstance(process, FittedProcess):
            return cls(process, "known", steps_of(x))
        by = "torch" if is_differentiable(_velocity(process, t), t, x) else "differences"
        return cls(process, by, steps_of(x))

    def __call__(self, t: float, x: Cells) -> Jacobians:
        """Return ``dv_i/dx_j`` of each cell, ``(n, d, d)``, in 1/[t].

        Raises
        ------
        ValueError
            One is not finite.
        """
        if self.by == "known" and isinstance(self.process, KnownSlope):
            found = self.process.drift_and_jacobian(t, x)[1].detach()
        elif self.by == "torch":
            found = _by_torch(_velocity(self.process, t), t, x)
        else:
            found = _by_differences(_velocity(self.process, t), t, x, self.step)
        n_bad = int((~torch.isfinite(found)).flatten(1).any(1).sum())
        if n_bad:
            raise ValueError(
                f"the derivative of the velocity of {type(self.process).__name__} is not finite "
                f"for {n_bad} of {len(x)} cells at time {t:g}"
            )
        return found


def jacobian(process: Process, t: float, x: Cells) -> Jacobians:
    """Return the derivatives ``dv_i/dx_j`` of the mean velocity at cells, ``(n, d, d)``.

    Of a bridge or a flow the derivatives of its velocity, of any other process those of its drift.
    They cost ``d`` products with the transposed derivative, each as dear as a few evaluations. The
    velocity of a cell may not depend on other cells.

    Parameters
    ----------
    process
        Law of motion.
    t
        Time, in the user's unit.
    x
        ``(n, d)`` states.

    Returns
    -------
    ``(n, d, d)``, in 1/[t].

    Raises
    ------
    ValueError
        A derivative is not finite.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import OrnsteinUhlenbeck
    >>> from celltraj.models.jacobian.jacobian import jacobian
    >>> pull = OrnsteinUhlenbeck(
    ...     matrix=torch.tensor([[-1.0, 2.0], [0.0, -1.0]]), shift=torch.zeros(2), sigma=1.0
    ... )
    >>> jacobian(pull, 0.0, torch.ones(1, 2).double())
    tensor([[[-1.,  2.],
             [ 0., -1.]]], dtype=torch.float64)
    """
    slopes = Slopes.of(process, t, x)
    return torch.cat([slopes(t, part) for part in x.split(BLOCK)])


def _velocity(process: Process, t: float) -> Law:
    """Return the mean velocity at and after a time; after its last one a bridge is its drift."""
    span = span_of(process)
    if isinstance(process, FittedProcess) and span is not None and t <= span[1]:
        return process.velocity
    return process.drift


def _by_torch(law: Law, t: float, x: Cells) -> Jacobians:
    with torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        value = law(t, point)
        rows = [_row(value[:, i].sum(), point) for i in range(x.shape[1])]
    return torch.stack(rows, 1)


def _row(value: Tensor, point: Cells) -> Cells:
    if not value.requires_grad:  # a variable whose velocity is the same everywhere
        return torch.zeros_like(point)
    (row,) = torch.autograd.grad(value, point, retain_graph=True, allow_unused=True)
    return torch.zeros_like(point) if row is None else row


def _by_differences(law: Callable[..., Tensor], t: float, x: Cells, step: Tensor) -> Jacobians:
    columns = []
    with torch.no_grad():
        for j in range(x.shape[1]):
            moved = torch.zeros_like(step)
            moved[j] = step[j]
            columns.append((law(t, x + moved) - law(t, x - moved)) / (2 * step[j]))
    return torch.stack(columns, 2)
