"""Test whether moments have mean zero, by flipping the signs of independent units."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

N_FLIPS = 1999
_RELATIVE = 1e-10  # of the largest eigenvalue, below which a direction is not told


def wald(moments: Tensor) -> tuple[float, Tensor]:
    """Return ``G' S^- G`` for ``G = sum_c g_c`` and ``S = sum_c g_c g_c'``, and whitened moments.

    Parameters
    ----------
    moments
        ``(n, q)`` one row ``g_c`` for each unit.

    References
    ----------
    Hansen, *Large sample properties of generalized method of moments estimators* (1982).

    Examples
    --------
    >>> import torch
    >>> from celltraj._stats.sign_flips import wald
    >>> round(wald(torch.tensor([[1.0], [1.0], [-1.0], [1.0]]))[0], 6)
    1.0
    """
    scaled = moments / moments.square().sum(0).sqrt().clamp_min(torch.finfo(moments.dtype).tiny)
    values, vectors = torch.linalg.eigh(scaled.T @ scaled)
    is_told = values > _RELATIVE * values.amax().clamp_min(torch.finfo(moments.dtype).tiny)
    white = scaled @ vectors[:, is_told] / values[is_told].sqrt()
    return float(white.sum(0).square().sum()), white


def sign_flip_p(white: Tensor, *, generator: torch.Generator, n_flips: int = N_FLIPS) -> float:
    """Return how often the signs of units, drawn at random, give a statistic as large.

    Units whose moments are as likely as their opposites give a p that is exact; others one that is
    right for many units. ``S`` is the same for all signs.

    Parameters
    ----------
    white
        ``(n, q)`` whitened moments of :func:`wald`.
    generator
        Source of the signs.
    n_flips
        Number of draws.

    References
    ----------
    Winkler et al., *Permutation inference for the general linear model* (2014), section on sign
    flips; Canay, Romano & Shaikh, *Randomization tests under an approximate symmetry assumption*
    (2017).
    """
    signs = torch.randint(0, 2, (n_flips, len(white)), generator=generator).to(white.dtype) * 2 - 1
    drawn = (signs @ white).square().sum(1)
    found = white.sum(0).square().sum()
    # the same signs for all give the statistic itself, up to rounding
    return float((1 + int((drawn >= found * (1 - 1e-9)).sum())) / (n_flips + 1))


def z_scores(moments: Tensor) -> np.ndarray:
    """Return ``G / sqrt(S)`` of each moment, ``(q,)``; NaN where it is zero for all units."""
    total, spread = moments.sum(0), moments.square().sum(0).sqrt()
    found: np.ndarray = torch.where(spread > 0, total / spread, torch.nan).numpy()
    return found
