"""A mean-field law with the population known over time: an ordinary process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from celltraj._arrays import ArrayLike, as_floats
from celltraj._card import card
from celltraj._typing import Cells, Targets
from celltraj.models.references.crowd import Crowd
from celltraj.models.references.family import Paths
from celltraj.models.references.mean_field import MeanField

N_CELLS = 512  # that stand for a population
_STEPS = 50
_SLOPES, _SLOPE_TIMES = 64, 5  # cells and times that a common slope is the mean of


@card()
@dataclass(frozen=True, eq=False)
class MeanFieldProcess:
    r"""Move cells among a population: ``dX = b(X; p_t) dt + sigma dW``, ``p_t`` known over time.

    :meth:`of` moves all cells of a population together, each as the others are at that moment (a
    McKean-Vlasov particle system), and keeps their paths. Among these any cell moves by a drift
    ``b(t, x)`` of its own, so that this is a process like others, for
    :func:`celltraj.tl.simulate` and whatever takes a process.

    Parameters
    ----------
    law
        How cells move as their population is.
    crowd
        The population over time.
    sigma
        Diffusion, in [x]/sqrt([t]).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["dish"] = [f"dish {k % 3}" for k in range(adata.n_obs)]
    >>> fitted = ct.tl.fit_mean_field(
    ...     adata, population_key="dish", growth=None, training=None, progress=False
    ... )
    >>> first = adata[adata.obs["time"] == 0.0].copy()
    >>> process = fitted.of(first.X, start=0.0, stop=2.0)
    >>> later = ct.tl.simulate(first, process, start=0.0, stop=2.0, n_times=2, progress=False)
    >>> later.n_obs == 2 * first.n_obs
    True
    """

    law: MeanField
    crowd: Crowd
    sigma: float | None

    @classmethod
    def of(
        cls,
        law: MeanField,
        cells: ArrayLike,
        *,
        start: float,
        stop: float,
        n_steps: int = _STEPS,
        seed: int = 0,
    ) -> MeanFieldProcess:
        """Move a population by the law, all of its cells together, and keep what it becomes.

        At most 512 cells stand for it, drawn where there are more. Heun's rule for the drift,
        Euler's for the noise.

        Parameters
        ----------
        law
            A fitted law.
        cells
            ``(n, d)`` cells of the population at ``start``, in [x].
        start, stop
            First and last time, in the user's unit.
        n_steps
            Steps from one to the other.
        seed
            Seed of the noise, and of which cells stand for the population.

        Raises
        ------
        ValueError
            There are fewer than two cells or of other variables than the law has, ``stop`` is not
            later than ``start``, there is no step, or cells leave the finite numbers.
        """
        x = as_floats(cells, "cells", "(n, d)")
        _check(law, x, start, stop, n_steps)
        generator = torch.Generator().manual_seed(seed)
        x = x[torch.randperm(len(x), generator=generator)[:N_CELLS].sort().values]
        times = torch.linspace(start, stop, n_steps + 1, dtype=torch.float64)
        path, h = [x], (stop - start) / n_steps
        for _ in range(n_steps):
            noise = torch.randn(x.shape, dtype=x.dtype, generator=generator)
            noise = law.sigma * h**0.5 * noise
            rate = law.drift(x, x, is_own=True)
            guess = x + h * rate + noise
            x = x + h / 2 * (rate + law.drift(guess, guess, is_own=True)) + noise
            path.append(x)
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"cells leave the finite numbers between {start:g} and {stop:g}")
        return cls(law, Crowd(times, torch.stack(path)), law.sigma)

    @property
    def is_fitted(self) -> bool:
        """Whether the law is known."""
        return self.law.is_fitted

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return self.crowd.x.shape[2]

    @property
    def is_smooth(self) -> bool:
        """Whether a few steps follow the drift over a gap: yes, by the widths of its kernels."""
        return True

    @cached_property
    def common_slope(self) -> Tensor | None:
        """Return the mean slope among the population over its time, ``(d, d)``, in 1/[t].

        What a cell sees near by may change steeply on its way: true of where it is, and wrong of
        where noise takes it. Each cell moves along its own flow; noise spreads alike around all.
        """
        times = torch.linspace(*self.crowd.span, _SLOPE_TIMES + 2).tolist()[1:-1]
        slopes = []
        for t in times:
            x = self.crowd.at(t)
            slopes.append(self.law.drift_and_jacobian(x[:_SLOPES], x)[1].mean(0))
        return torch.stack(slopes).mean(0)

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``b(x; p_t)``, ``(n, d)``, in [x]/[t].

        Raises
        ------
        ValueError
            The population is not known at ``t``.
        """
        return self.law.drift(x, self._crowd_at(t, x))

    def drift_and_jacobian(self, t: float, x: Cells) -> tuple[Cells, Tensor]:
        """Return ``b(x; p_t)``, ``(n, d)``, and its derivatives by the state, ``(n, d, d)``."""
        return self.law.drift_and_jacobian(x, self._crowd_at(t, x))

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, self.law.sigma if self.sigma is None else self.sigma)

    def _crowd_at(self, t: float, x: Cells) -> Targets:
        """Return the population at a time; where it plays no part, any time is as good."""
        return self.crowd.at(t) if self.law.is_mean_field else x

    def estimates(self) -> dict[str, float]:
        """Return nothing: the weights have no meaning of their own."""
        return {}

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> MeanFieldProcess:
        """Refuse: paths of one population do not tell how it moves its cells.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(
            "a mean-field law is learned from several populations together, by "
            "ct.tl.fit_mean_field; one alone cannot tell it from a law that changes with time"
        )


def _check(law: MeanField, x: Cells, start: float, stop: float, n_steps: int) -> None:
    if law.base.frame is None or not law.is_fitted:
        raise ValueError("MeanField has no weights yet; fit it with ct.tl.fit_mean_field")
    dim = law.base.frame.shape[1]
    if x.shape[1] != dim:
        raise ValueError(f"cells have {x.shape[1]} variables, the law has {dim}")
    if len(x) < 2:
        raise ValueError("a population is two cells or more; found 1")
    if not start < stop < float("inf") or not start > -float("inf"):
        raise ValueError(f"stop must be later than start; found {start:g} and {stop:g}")
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1; found {n_steps}")
