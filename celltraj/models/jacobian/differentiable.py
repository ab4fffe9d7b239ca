r"""Derivatives of any law by the state: torch's where they are right, else differences.

A law of the user may use NumPy, or leave a part out of torch's graph, which nothing then tells. So
torch's derivative along one direction is compared with a central difference at a few states.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.solvers.solver import Law

_STEP = 1e-4  # of the spread of a variable: networks in single precision have no digits for less
_AGREE = 2e-2  # relative; a kink between the two states is no reason to distrust torch
_PROBED = 16  # states
_GOLDEN = 0.6180339887498949


def is_differentiable(law: Law, t: float, x: Cells) -> bool:
    """Return whether torch finds the derivative of ``law`` by the state.

    Parameters
    ----------
    law
        ``law(t, x)`` of the shape of ``x``.
    t
        Time to try it at, in the user's unit.
    x
        ``(n, d)`` states to try it at, of which a few are taken.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.jacobian.differentiable import is_differentiable
    >>> x = torch.tensor([[0.5], [2.0]]).double()
    >>> is_differentiable(lambda t, x: x**2, 0.0, x)
    True
    >>> is_differentiable(lambda t, x: x * x.detach(), 0.0, x)  # half of it is hidden
    False
    """
    kept = x[torch.linspace(0, len(x) - 1, min(_PROBED, len(x))).long()]
    weights = 1 + (_GOLDEN * torch.arange(1, kept.numel() + 1, dtype=x.dtype)) % 1
    weights = weights.reshape(kept.shape).to(kept)
    step = steps_of(x)
    with torch.enable_grad():
        point = kept.detach().clone().requires_grad_()
        try:
            value = law(t, point)
        except RuntimeError:  # NumPy inside refuses a tensor that asks for a derivative
            return False
        if not value.requires_grad:
            return False
        (slope,) = torch.autograd.grad((weights * value).sum(), point, allow_unused=True)
    if slope is None:
        return False
    with torch.no_grad():
        ahead, behind = law(t, kept + step), law(t, kept - step)
        found = (weights * (ahead - behind) / 2).sum(1)
        expected = (slope * step).sum(1)
        size = expected.abs().amax().clamp(min=torch.finfo(x.dtype).tiny)
        return bool((found - expected).abs().median() <= _AGREE * size)


def differentiable(law: Law, t: float, x: Cells) -> Law:
    """Return ``law`` itself where torch differentiates it, else one whose slope is of differences.

    Parameters
    ----------
    law, t, x
        As of :func:`is_differentiable`.
    """
    if is_differentiable(law, t, x):
        return law
    step = steps_of(x)

    def differenced(s: float, y: Tensor) -> Tensor:
        found: Tensor = cast("Any", _Differenced).apply(y, law, s, step)
        return found

    return differenced


def steps_of(x: Cells) -> Tensor:
    """Return how far each variable is moved for a difference, ``(d,)``, in [x]."""
    spread = x.amax(0) - x.amin(0)
    size = x.abs().amax(0)
    return _STEP * torch.where(spread > 0, spread, torch.where(size > 0, size, 1.0))


class _Differenced(torch.autograd.Function):
    """Evaluate a law, and take its slope from central differences."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, law: Law, t: float, step: Tensor) -> Tensor:
        ctx.save_for_backward(x, step)
        ctx.law, ctx.t = law, t
        return law(t, x.detach())

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None, None]:
        x, step = ctx.saved_tensors
        pulled = torch.empty_like(x)
        for j in range(x.shape[1]):
            moved = torch.zeros_like(step)
            moved[j] = step[j]
            change = ctx.law(ctx.t, x + moved) - ctx.law(ctx.t, x - moved)
            pulled[:, j] = (slopes[0] * change).sum(1) / (2 * step[j])
        return pulled, None, None, None
