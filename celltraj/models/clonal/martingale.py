"""Whether the residuals of clones have mean zero given what was known before.

For a law ``P`` and clones seen at ``t0 < t1``, ``R = X_1 - E_P[X_1 | X_0]`` has mean zero, and is
uncorrelated with every function ``psi(X_0)``, where ``P`` is the law of single cells. Marginals,
which a law is fitted to, do not tell this: laws that share them differ in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from celltraj._stats.sign_flips import sign_flip_p, wald, z_scores
from celltraj._typing import Cells
from celltraj.models._simulate import simulate
from celltraj.models.process import Process
from celltraj.models.solvers import SdeSolver

N_LOCAL = 3  # bumps
_UNITS = 5  # clones for each moment, at least: with fewer no covariance can be told
CONSTANT, LINEAR, LOCAL = "constant", "linear", "local"


@dataclass(frozen=True, eq=False)
class ClonePair:
    """Hold the cells of clones that were seen at two times.

    Parameters
    ----------
    times
        The two times.
    x0, x1
        ``(n, d)`` and ``(m, d)`` states at these times, float64.
    clone0, clone1
        ``(n,)`` and ``(m,)`` number of the clone of each cell, from 0 without gaps in both.
    is_ancestor
        Whether cells of the first time are the ancestors of those of the second themselves, and
        not their sisters.
    """

    times: tuple[float, float]
    x0: Tensor
    x1: Tensor
    clone0: Tensor
    clone1: Tensor
    is_ancestor: bool

    @property
    def n_clones(self) -> int:
        """Number of clones."""
        return int(self.clone0.amax()) + 1

    @property
    def has_enough(self) -> bool:
        """Whether there are clones enough for the moments of the constant."""
        return self.n_clones >= _UNITS * self.x0.shape[1]

    @property
    def n_told(self) -> int:
        """Number of clones that tell whether residuals depend on the state."""
        counts = torch.bincount(self.clone0, minlength=self.n_clones)
        return self.n_clones if self.is_ancestor else int((counts > 1).sum())


@dataclass(frozen=True, eq=False)
class Martingale:
    """Hold the test of a law on the clones of two times.

    Parameters
    ----------
    n_clones, n_told
        Clones, and those that tell whether residuals depend on the state.
    statistic
        Wald statistic of all moments.
    n_moments
        Number of moments.
    p
        By flipping the signs of clones.
    moments
        One row for each function and variable: function, variable (a number from 0), residual (mean
        over cells, in [x], of the constant alone), z.
    """

    n_clones: int
    n_told: int
    statistic: float
    n_moments: int
    p: float
    moments: pd.DataFrame


def conditional_mean(
    process: Process,
    x: Cells,
    times: tuple[float, float],
    *,
    n_draws: int,
    solver: SdeSolver | None = None,
    generator: torch.Generator,
    progress: bool = False,
) -> Cells:
    """Return ``E[X_1 | X_0 = x]`` under a law, ``(n, d)``, by simulation.

    Of a law with growth the mean of descendants, ``E[M X_1 | x] / E[M | x]`` with the mass ``M`` of
    a path. A law without noise needs one path a cell.

    Parameters
    ----------
    process
        Law of motion.
    x
        ``(n, d)`` states at the first time.
    times
        The two times.
    n_draws
        Paths of each cell.
    solver
        How the equation is integrated.
    generator
        Source of randomness.
    progress
        Whether to show a progress bar.
    """
    n_draws = n_draws if bool(process.diffusion(times[0], x).any()) else 1
    path = simulate(
        process,
        x.repeat_interleave(n_draws, 0),
        times,
        solver=solver,
        generator=generator,
        progress=progress,
    )
    ends = path.x[-1].double().reshape(len(x), n_draws, -1)
    if path.log_mass is None:
        return ends.mean(1)
    weight = path.log_mass[-1].double().reshape(len(x), n_draws).softmax(1)
    return (weight[..., None] * ends).sum(1)


def martingale(pair: ClonePair, mean: Cells, *, generator: torch.Generator) -> Martingale:
    """Return the test of a law that foretells ``mean`` of the cells of the first time.

    ``g_c = sum_{j in c} (X_1j - E_P[X_1 | X_0]) psi(X_0)``, summed over the ``j`` of clone ``c``: a
    sum, so that clones that left no cell count as the zero they are, and those of cells that
    multiply as many do not count too much. Where the cells seen first are sisters of the ancestor,
    the law is evaluated at one of them and ``psi`` at another, all pairs alike: sisters that are
    exchangeable leave the mean of such a product zero, as instruments do with errors in variables.

    Parameters
    ----------
    pair
        The clones.
    mean
        ``(n, d)`` ``E_P[X_1 | X_0]`` of the cells of the first time.
    generator
        Source of the signs that are flipped.

    Raises
    ------
    ValueError
        Fewer clones than five for each variable.

    References
    ----------
    Hansen (1982) for moments; Weinreb et al., *Lineage tracing on transcriptional landscapes links
    state to fate during differentiation* (2020), for what sisters can tell.
    """
    if not pair.has_enough:
        raise ValueError(
            f"{pair.n_clones} clones were seen at times {pair.times[0]:g} and {pair.times[1]:g}, "
            f"and {pair.x0.shape[1]} variables need {_UNITS * pair.x0.shape[1]}; pass use_rep= "
            "with fewer variables"
        )
    found = {CONSTANT: _constant(pair, mean)}
    for name, psi in _functions(pair).items():
        found[name] = _moments(pair, mean, psi)
    d = pair.x0.shape[1]
    stacked = torch.cat(list(found.values()), 1)
    statistic, white = wald(stacked)
    p = sign_flip_p(white, generator=generator)
    residual = found[CONSTANT].sum(0) / len(pair.x1)
    names = [name for name, one in found.items() for _ in range(one.shape[1])]
    table = pd.DataFrame({"function": names, "variable": np.tile(np.arange(d), len(found))})
    table["residual"] = np.where(
        table["function"] == CONSTANT, residual.numpy()[table["variable"]], np.nan
    )
    table["z"] = z_scores(stacked)
    return Martingale(pair.n_clones, pair.n_told, statistic, white.shape[1], p, table)


def _functions(pair: ClonePair) -> dict[str, Tensor]:
    """Return functions of the states, ``(n, d)`` or ``(n, 1)``, as many as clones can tell.

    One of its own for each variable, then bumps around places that lie far from each other.
    """
    d, x = pair.x0.shape[1], pair.x0
    scale = x.std(0)
    z = (x - x.mean(0)) / torch.where(scale > 0, scale, 1.0)
    room = min(pair.n_told, pair.n_clones) // (_UNITS * d) - 1  # functions besides the constant
    if room < 1:
        return {}
    found = {LINEAR: z}
    squared = torch.cdist(z, z[_far_apart(z, min(N_LOCAL, room - 1))]).square()
    for k in range(squared.shape[1]):
        # as wide as the cloud: the density of so few clones is not told by finer ones
        found[f"{LOCAL} {k + 1}"] = torch.exp(-squared[:, k : k + 1] / (2 * d))
    return found


def _far_apart(z: Cells, n: int) -> list[int]:
    """Return rows of cells that lie far from each other, none in the outer tenth."""
    radius = z.square().sum(1)
    inner = torch.nonzero(radius <= radius.quantile(0.9))[:, 0]
    chosen: list[int] = []
    distance = (z[inner] - z.mean(0)).square().sum(1)
    for _ in range(n):
        at = int(inner[int(distance.argmax())])
        chosen.append(at)
        distance = torch.minimum(distance, (z[inner] - z[at]).square().sum(1))
    return chosen


def _constant(pair: ClonePair, mean: Cells) -> Tensor:
    """Return the sums of residuals by clone, ``(C, d)``."""
    n, d = pair.n_clones, mean.shape[1]
    first = torch.bincount(pair.clone0, minlength=n).double()
    last = torch.bincount(pair.clone1, minlength=n).double()
    foretold = mean.new_zeros(n, d).index_add_(0, pair.clone0, mean) / first[:, None]
    seen = mean.new_zeros(n, d).index_add_(0, pair.clone1, pair.x1)
    return seen - last[:, None] * foretold


def _moments(pair: ClonePair, mean: Cells, psi: Tensor) -> Tensor:
    """Return the sums of residuals times a function by clone, ``(C, d)``; zero where not told."""
    n, d = pair.n_clones, mean.shape[1]
    psi = psi.expand(-1, d)
    first = torch.bincount(pair.clone0, minlength=n).double()[:, None]
    last = torch.bincount(pair.clone1, minlength=n).double()[:, None]
    sums = [mean.new_zeros(n, d).index_add_(0, pair.clone0, one) for one in (mean, psi, mean * psi)]
    seen = mean.new_zeros(n, d).index_add_(0, pair.clone1, pair.x1)
    if pair.is_ancestor:
        return (seen * sums[1] - last * sums[2]) / first
    # over pairs of different sisters: (sum_a mean_a) (sum_b psi_b) - sum_a mean_a psi_a
    crossed = (sums[0] * sums[1] - sums[2]) / (first * (first - 1)).clamp_min(1)
    return torch.where(first > 1, seen * sums[1] / first - last * crossed, 0.0)
