r"""Choose the features of slow modes by cells that were left out.

Modes that are found from one half of the cells are held to the other half: its cells move for a
short time, and the squared canonical correlations of the modes before and after are added up,

    R = |C00^-1/2 C01 C11^-1/2|^2,

the more the better, since no functions keep more of the past than the true modes (the variational
approach to Markov processes; Wu & Noe 2020, McGibbon & Pande 2015 for the halves).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models._simulate import simulate
from celltraj.models.modes.features import Features, Motion
from celltraj.models.modes.generator import generator_modes
from celltraj.models.process import Process

_CELLS_PER_FEATURE = 10
_MOST_PRODUCTS = 300  # features with products: a Gram matrix takes their square for each cell
_BUMPS = 100
_WIDTHS = (0.35, 0.7, 1.4)  # in units of the root of the number of variables
_MOST = 10_000  # cells that move
_NUDGE = 1e-3  # of the spread, over which slopes are taken
_STEPS = 10  # of a burst


@dataclass(frozen=True, eq=False)
class Pace:
    """Hold how fast a law changes from place to place, over the cells.

    Parameters
    ----------
    usual, fast
        Median and 95 % quantile of ``|b(x + e) - b(x)| / |e|``, in 1/[t].
    """

    usual: float
    fast: float

    @classmethod
    def of(cls, process: Process, motion: Motion, *, generator: torch.Generator) -> Pace:
        """Return the pace of a law at cells; that of its noise where the drift is constant."""
        x = motion.x
        scale = spread_of(x)
        nudge = _NUDGE * scale * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        with torch.no_grad():
            change = (process.drift(0.0, x + nudge) - motion.drift) / scale
        slopes = change.norm(dim=1) / (nudge / scale).norm(dim=1)
        noise = float((motion.variance / scale.square()).mean())
        levels = torch.tensor([0.5, 0.95], dtype=x.dtype)
        usual, fast = torch.quantile(slopes[:_MOST], levels).clamp(min=noise).tolist()
        return cls(usual, fast)


def spread_of(x: Cells) -> Tensor:
    """Return the standard deviation ``(d,)`` of each variable, 1 for one that is constant."""
    scale = x.std(0)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def chosen_features(
    process: Process,
    motion: Motion,
    n_modes: int,
    *,
    lag: float,
    is_reversible: bool,
    generator: torch.Generator,
) -> Features:
    """Return the features whose modes keep most of the past at cells that were left out.

    Linear features or quadratic ones as well, without Gaussians around cells or with those of one
    of three widths; at least ten cells a feature.

    Parameters
    ----------
    process
        Law of motion.
    motion
        Cells, and how the law moves them.
    n_modes
        Modes that count.
    lag
        Time for which cells move, in [t].
    is_reversible
        Whether the law is a gradient system.
    generator
        Draws halves, centres and noise.

    Raises
    ------
    ValueError
        There are fewer cells than the simplest features need.
    """
    n = len(motion.x)
    order = torch.randperm(n, generator=generator)[:_MOST]
    candidates = list(_candidates(motion.x, order))
    if len(candidates) == 1:
        return candidates[0]
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    after = simulate(process, motion.x, (0.0, lag), n_steps=_STEPS, generator=generator).x[-1]
    scores = [
        sum(
            _score(motion.take(fit), one, (motion.x[held], after[held]), n_modes, is_reversible)
            for fit, held in (halves, halves[::-1])
        )
        for one in candidates
    ]
    return candidates[int(torch.tensor(scores).argmax())]


def _score(
    fit: Motion,
    features: Features,
    held: tuple[Tensor, Tensor],
    n_modes: int,
    is_reversible: bool,  # noqa: FBT001
) -> float:
    modes = generator_modes(fit, features, n_modes, is_reversible=is_reversible)
    before, after = (_white(modes.functions(x)[:, :n_modes]) for x in held)
    return float((before.T @ after).square().sum())


def _white(values: Tensor) -> Tensor:
    """Return an orthonormal basis of functions over cells, their means taken out."""
    u, sizes, _ = torch.linalg.svd(values - values.mean(0), full_matrices=False)
    kept: Tensor = u[:, sizes > 1e-9 * sizes[0]]
    return kept


def _candidates(x: Cells, order: Tensor) -> Iterator[Features]:
    """Yield features, the simplest first, as far as there are cells for them."""
    n, d = x.shape
    centre, scale = x.mean(0), spread_of(x)
    none = x.new_zeros(0, d)
    linear = Features(centre, scale, is_quadratic=False, bumps=none)
    if n < _CELLS_PER_FEATURE * linear.n_features:
        raise ValueError(
            f"modes of a law in {d} variables need {_CELLS_PER_FEATURE * linear.n_features} cells "
            f"at least, ten for each of {linear.n_features} linear features; found {n}. Pass more "
            "cells, or a law in fewer components"
        )
    products = Features(centre, scale, is_quadratic=True, bumps=none)
    most = n / _CELLS_PER_FEATURE
    plain = [linear] + [products] * (products.n_features <= min(most, _MOST_PRODUCTS))
    yield from plain
    for one in plain:
        m = int(min(_BUMPS, most - one.n_features))
        if m < 10:
            continue
        bumps = (x[order[:m]] - centre) / scale
        for width in _WIDTHS:
            yield Features(centre, scale, one.is_quadratic, bumps, width * d**0.5)
