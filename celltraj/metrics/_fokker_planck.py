r"""Whether the score and the velocity of a flow belong to one and the same density.

An ODE with velocity ``v`` and growth ``g`` carries the density ``d log p / dt = g - div v - v . s``
with ``s = grad log p``. The gradient of that is an equation of the score alone,

    ds/dt + grad(div v + v . s - g) = 0,

and where a learned score does not meet it, an SDE that uses the score has other marginals than
the ODE. Lai et al., *FP-Diffusion: improving score-based diffusion models by enforcing the
underlying score Fokker-Planck equation* (2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._arrays import ArrayLike, as_floats, takes_arrays
from celltraj._checks import checked
from celltraj._typing import Cells, Column, Earlier

_EXACT = 30  # variables up to which the divergence is exact
_PROBES = 8  # random directions above


@runtime_checkable
class ScoredFlow(Protocol):
    """A velocity and a score, differentiable in time and state."""

    def differentiable_velocity(self, t: Column, x: Cells) -> Cells:
        """Return the velocity ``(n, d)`` of the ODE, in [x]/[t], a time for each state."""
        ...

    def differentiable_score(self, t: Column, x: Cells) -> Cells:
        """Return the score ``(n, d)``, in 1/[x]."""
        ...

    def differentiable_growth(self, t: Column, x: Cells) -> Earlier:
        """Return the rate of growth ``(n,)``, in 1/[t]."""
        ...


@checked
def fokker_planck_residual(flow: object, t: float, x: ArrayLike, *, seed: int = 0) -> float:
    """Return how far the ODE and the SDE of a flow are from the same marginals, relative.

    ``sqrt(E |a + b|^2 / E (|a|^2 + |b|^2))``, ``a = ds/dt`` and ``b = grad(div v + v . s - g)``:
    0 where score and velocity belong to one density, about 1 where they have nothing in common.

    Parameters
    ----------
    flow
        A fitted flow, or any :class:`ScoredFlow`.
    t
        Time, in the user's unit; strictly between two snapshots, where the score is smooth.
    x
        ``(n, d)`` states, such as cells simulated to ``t``.
    seed
        Seed of the directions of Hutchinson's divergence, used above 30 variables.

    Returns
    -------
    The residual, without unit.

    Raises
    ------
    TypeError
        ``flow`` has no velocity and score that can be differentiated, or states that are no real
        numbers.
    ValueError
        No states, another shape, or NaN.

    References
    ----------
    Lai et al., *FP-Diffusion* (2023), eq. 7.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=40, seed=0)
    >>> short = ct.models.Training(max_steps=50)
    >>> flow = ct.tl.fit_flow(adata, training=short, progress=False)
    >>> x = ct.tl.simulate(adata, flow, start=0.0, stop=0.5, n_times=2, progress=False)
    >>> at_end = x[x.obs["time"] == 0.5].X
    >>> ct.metrics.fokker_planck_residual(flow, 0.5, torch.from_numpy(at_end)) > 0
    True
    """
    if not isinstance(flow, ScoredFlow):
        raise TypeError(
            f"a residual needs velocity and score of a flow; found {type(flow).__name__}. Fit one "
            "with ct.tl.fit_flow(adata)"
        )
    x = as_floats(x, "x", "(n, d)")
    if not math.isfinite(t):
        raise ValueError(f"t must be a finite time; found {t}")
    n, d = x.shape
    if d <= _EXACT:
        probes = torch.eye(d, dtype=x.dtype)[:, None].expand(d, n, d)
    else:
        generator = torch.Generator().manual_seed(seed)
        signs = torch.rand(_PROBES, n, d, dtype=x.dtype, generator=generator)
        probes = signs.sub(0.5).sign() / _PROBES**0.5
    clock = torch.full((n, 1), t, dtype=x.dtype)
    change, slope = score_residual(
        flow.differentiable_velocity,
        flow.differentiable_score,
        flow.differentiable_growth,
        clock,
        x,
        probes=probes,
    )
    change, slope = change.detach(), slope.detach()
    size = change.square().sum() + slope.square().sum()
    if float(size) == 0:  # nothing changes, and nothing should
        return 0.0
    return float(((change + slope).square().sum() / size).sqrt())


@takes_arrays
@checked
def score_residual(
    velocity: Callable[[Column, Cells], Cells],
    score: Callable[[Column, Cells], Cells],
    growth: Callable[[Column, Cells], Earlier],
    t: Column,
    x: Cells,
    *,
    probes: Tensor,
) -> tuple[Cells, Cells]:
    """Return ``ds/dt`` and ``grad(div v + v.s - g)``, both ``(n, d)``, which sum to zero.

    ``probes (k, n, d)`` are directions ``e`` with ``sum e' (dv/dx) e = div v``, in the mean.
    """
    with torch.enable_grad():
        change = directional(lambda at: score(at, x), (t,), (torch.ones_like(t),))
        point = x.detach().requires_grad_()
        moved = velocity(t, point)
        scalar = (moved * score(t, point)).sum(1) - growth(t, point)
        for direction in probes:
            (pulled,) = torch.autograd.grad(
                (moved * direction).sum(), point, create_graph=True, retain_graph=True
            )
            scalar = scalar + (pulled * direction).sum(1)
        (slope,) = torch.autograd.grad(scalar.sum(), point, create_graph=True)
    return change, slope


@checked
def directional(
    function: Callable[..., Tensor], at: tuple[Tensor, ...], direction: tuple[Tensor, ...]
) -> Tensor:
    """Return the derivative of ``function`` at a point along a direction, itself differentiable.

    By two reverse passes: a vector-Jacobian product is linear in its vector, and its derivative by
    that vector is the Jacobian-vector product.
    """
    points = tuple(part.detach().requires_grad_() for part in at)
    value = function(*points)
    vector = torch.zeros_like(value).requires_grad_()
    pulled = torch.autograd.grad(value, points, vector, create_graph=True)
    pairs = zip(pulled, direction, strict=True)
    along = torch.stack([(part * towards).sum() for part, towards in pairs]).sum()
    (slope,) = torch.autograd.grad(along, vector, create_graph=True)
    return slope
