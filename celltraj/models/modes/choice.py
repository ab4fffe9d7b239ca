r"""Choose the features of slow modes by cells that were left out.

Modes that are found from bursts of one half of the cells are held to those of the other: the
squared canonical correlations of the modes before and after a step are added up,

    R = |C00^-1/2 C01 C11^-1/2|^2,

the more the better, since no functions keep more of the past than the true modes (the variational
approach to Markov processes; Wu & Noe 2020, McGibbon & Pande 2015 for the halves).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from celltraj.models.modes.bursts import Bursts, spread_of
from celltraj.models.modes.features import Features
from celltraj.models.modes.generator import generator_modes

_CELLS_PER_FEATURE = 10
_MOST_PRODUCTS = 300  # features with products: a Gram matrix takes their square for each state
_BUMPS = 100
_FEW_BUMPS = 10  # below which they tell nothing that products do not
_WIDTHS = (0.35, 0.7, 1.4)  # in units of the root of the number of variables


def chosen_features(
    bursts: Bursts, n_modes: int, *, is_reversible: bool, generator: torch.Generator
) -> Features:
    """Return the features whose modes keep most of the past at cells that were left out.

    Linear features or quadratic ones as well, without Gaussians or with those of one of three
    widths; at least ten cells a feature.

    Parameters
    ----------
    bursts
        Cells, and where the law takes them.
    n_modes
        Modes that count.
    is_reversible
        Whether the law is a gradient system.
    generator
        Draws halves and centres.

    Raises
    ------
    ValueError
        There are fewer cells than the simplest features need.
    """
    candidates = list(_candidates(bursts, generator))
    order = torch.randperm(bursts.n_cells, generator=generator)
    halves = [bursts.of_cells(one) for one in order.tensor_split(2)]
    pairs = (halves, halves[::-1])

    def score(features: Features) -> float:
        found = 0.0
        for fit, held in pairs:
            modes = generator_modes(fit, features, n_modes, is_reversible=is_reversible)
            before, after = (_white(modes.functions(x)[:, :n_modes]) for x in held.steps)
            found += float((before.T @ after).square().sum())
        return found

    return max(candidates, key=score) if len(candidates) > 1 else candidates[0]


def _white(values: Tensor) -> Tensor:
    """Return an orthonormal basis of functions over cells, their means taken out."""
    u, sizes, _ = torch.linalg.svd(values - values.mean(0), full_matrices=False)
    kept: Tensor = u[:, sizes > 1e-9 * sizes[0]]
    return kept


def _candidates(bursts: Bursts, generator: torch.Generator) -> Iterator[Features]:
    """Yield features, the simplest first, as far as there are cells for them."""
    x, n, d = bursts.motion.x, bursts.n_cells, bursts.motion.x.shape[1]
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
        if m < _FEW_BUMPS:
            continue
        chosen = torch.randperm(len(x), generator=generator)[:m]
        bumps = (x[chosen] - centre) / scale
        for width in _WIDTHS:
            yield Features(centre, scale, one.is_quadratic, bumps, width * d**0.5)
