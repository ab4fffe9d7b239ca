"""Least squares of a reference on the drift of paths, which is its maximum likelihood.

With ``v`` the drift of the bridge, ``KL(Q | P_theta) = E_Q int |v - b_theta|^2 ds / (2 sigma^2)``
up to what does not depend on ``theta`` (Girsanov).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from celltraj.models.references.family import Paths

_MOST_POINTS = 8_000  # of paths that a network is fitted to at once


def stack_points(paths: Sequence[Paths]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return times, states, velocities and weights of all points of all gaps."""
    parts = zip(*(part.points() for part in paths), strict=True)
    t, x, velocity, weights = (torch.cat(part) for part in parts)
    return t, x, velocity, weights / weights.sum()


def ends_of_paths(paths: Sequence[Paths]) -> Tensor:
    """Return the ``(n, d)`` states at which the paths of all gaps begin and end."""
    return torch.cat([end for part in paths for end in (part.x[0], part.x[-1])])


def minimise(loss: Callable[[], Tensor], raw: Sequence[Tensor], *, max_iter: int) -> None:
    """Minimise ``loss()`` in place over the leaves ``raw`` by L-BFGS with a strong Wolfe search."""
    optimizer = torch.optim.LBFGS(
        raw,
        max_iter=max_iter,
        tolerance_grad=1e-9,
        tolerance_change=1e-11,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(closure)


def fit_curve(
    drift: Callable[[Tensor, Tensor], Tensor], start: Tensor, paths: Sequence[Paths]
) -> Tensor:
    """Return the free parameters ``(p,)`` of least squares of ``drift(raw, x)`` on the paths."""
    _, x, velocity, weights = stack_points(paths)
    scale = (weights[:, None] * velocity.square()).sum()
    raw = start.clone().requires_grad_()

    def loss() -> Tensor:
        return (weights[:, None] * (drift(raw, x) - velocity).square()).sum() / scale

    minimise(loss, [raw], max_iter=500)
    return raw.detach()


def fit_module(
    module: torch.nn.Module,
    paths: Sequence[Paths],
    *,
    decay: float,
    max_iter: int,
    generator: torch.Generator,
) -> torch.nn.Module:
    """Return a copy of ``module(t, x)`` fitted to the paths, from the weights that it has.

    ``decay`` times the sum of squared weight matrices is added to the share of the squared
    velocity that is not explained.

    Raises
    ------
    ValueError
        The module has no parameter that asks for a gradient.
    """
    points = stack_points(paths)
    kept = torch.randperm(len(points[0]), generator=generator)[:_MOST_POINTS]
    t, x, velocity, weights = (part[kept] for part in points)
    weights = weights / weights.sum()
    scale = (weights[:, None] * velocity.square()).sum()
    module = copy.deepcopy(module)
    free = [p for p in module.parameters() if p.requires_grad]
    if not free:
        raise ValueError(f"{type(module).__name__} has no parameter to fit")

    def loss() -> Tensor:
        residual = (weights[:, None] * (module(t, x) - velocity).square()).sum() / scale
        loss: Tensor = residual + decay * sum(p.square().sum() for p in free if p.ndim > 1)
        return loss

    minimise(loss, free, max_iter=max_iter)
    return module


def softplus_inverse(value: Tensor) -> Tensor:
    """Return ``r`` with ``softplus(r) = value``."""
    return value + torch.log(-torch.expm1(-value))
