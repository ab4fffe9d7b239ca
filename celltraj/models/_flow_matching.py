r"""Flow matching over all snapshots: velocity and score of one stochastic interpolant.

With ``x_t = mean_t + gamma_t z`` along random chains of cells, two regressions give the law of
motion of the whole population:

- ``m(t, x) = E[d/dt mean_t | x_t = x]``,
- ``score(t, x) = -E[z | x_t = x] / gamma_t``,

so that ``velocity = m - gamma gamma' score`` carries the marginals of the interpolant as an ODE,
and ``velocity + noise^2/2 score`` with diffusion ``noise`` carries the same ones as an SDE, for
any noise, chosen after the training. Albergo, Boffi & Vanden-Eijnden, *Stochastic interpolants*
(2023), theorems 2.6 and 2.8.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from scipy.sparse import csr_array
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._snapshots import Snapshots
from celltraj._typing import Cells
from celltraj.models._bridge import couple
from celltraj.models._chains import sample_chains
from celltraj.models._training import DRAWN_AT_ONCE, TrainingOptions, train_heads
from celltraj.models.interpolants import Interpolant, gap_of, noise_of, sample_path
from celltraj.models.networks import TwoHeads
from celltraj.models.references import Brownian
from celltraj.ot import Solver

_MARGIN = 0.1  # of the width of a box
_DROPPED = 1e-3  # share of the mass of a row of a plan that chains do without


@dataclass(frozen=True)
class FlowTraining(TrainingOptions):
    """Say how the network of a flow is trained.

    Parameters
    ----------
    max_steps
        Optimiser steps; by default one for every two cells, between 4,000 and 20,000.
    batch_size
        Points of paths per step.
    width
        Width of the three hidden layers.
    learning_rate
        Peak of AdamW's one-cycle schedule (Smith & Topin, *Super-convergence*, 2019).
    ema_decay
        Decay per step of the averaged weights that are used for prediction.

    Raises
    ------
    ValueError
        A number is not positive, or the decay not in [0, 1).

    Examples
    --------
    >>> from celltraj.models import FlowTraining
    >>> FlowTraining(max_steps=500).batch_size
    512
    """

    fewest_steps: ClassVar[int] = 4_000


@dataclass(frozen=True, eq=False)
class FlowMatching:
    """Hold a trained flow; a reversible ``Process``.

    Parameters
    ----------
    heads
        Network of rate and score.
    times
        ``(T,)`` sampling times that it was trained on, in the user's unit.
    interpolant
        Paths that it was trained on.
    box
        ``(T, 2, d)`` least and greatest value of each variable at each time: beyond those of the
        two snapshots around it a cell is led back, at the rate of one gap, and seen by the network
        as if it were at the edge. Networks extrapolate wildly, and an ODE never forgets.
    noise
        Diffusion of the process, in [x]/sqrt([t]); 0 for the ODE. The marginals are the same.
    history
        Training loss at each step.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> short = ct.models.FlowTraining(max_steps=50)
    >>> flow = ct.tl.fit_flow(adata, training=short, seed=0, progress=False)
    >>> flow.drift(0.5, torch.zeros(3, 2)).shape
    torch.Size([3, 2])
    """

    heads: TwoHeads
    times: tuple[float, ...]
    interpolant: Interpolant
    box: Tensor
    noise: float = 0.0
    history: tuple[float, ...] = ()

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return len(self.heads.centre)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Times at which the velocity may have a kink: the snapshots."""
        return self.times

    def velocity(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` velocity of the probability flow, in [x]/[t]."""
        return self._velocity_and_score(t, x)[0]

    def _velocity_and_score(self, t: float, x: Cells) -> tuple[Cells, Cells]:
        inside, length = self._inside(t, x)
        rate, score = self.heads.predict(t, inside)
        _, slope = noise_of(self.interpolant, torch.tensor(self.times), torch.tensor([t]))
        return rate - slope.to(x.dtype) * score + (inside - x) / length, score

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``, in 1/[x]."""
        return self._velocity_and_score(t, x)[1]

    def _inside(self, t: float, x: Cells) -> tuple[Cells, float]:
        """Return the nearest states within the box of the gap of ``t``, and its length."""
        k = int(gap_of(torch.tensor(self.times), torch.tensor(t)))
        low, high = self.box[k : k + 2, 0].amin(0), self.box[k : k + 2, 1].amax(0)
        # a curve may bend out of the box of its ends
        margin = _MARGIN * (high - low)
        inside = torch.clamp(x, (low - margin).to(x.dtype), (high + margin).to(x.dtype))
        return inside, self.times[k + 1] - self.times[k]

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``velocity + noise^2/2 score``, ``(n, d)``, in [x]/[t]."""
        velocity, score = self._velocity_and_score(t, x)
        return velocity + self.noise**2 / 2 * score if self.noise else velocity

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``noise`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, self.noise)

    def with_noise(self, noise: float) -> FlowMatching:
        """Return the same flow with another diffusion and the same marginals.

        Raises
        ------
        ValueError
            ``noise`` is negative, or positive where the paths have no noise to learn a score from.
        """
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise must not be negative; found {noise}")
        if noise > 0 and self.interpolant.sigma == 0:
            raise ValueError(
                "noise needs a score, and paths without noise have none; fit with sigma above 0"
            )
        return replace(self, noise=noise)

    def save(self, directory: str | os.PathLike) -> None:
        """Write the flow to ``directory`` (safetensors and JSON); ``ct.load`` reads it."""
        from celltraj.models._save import save_flow

        save_flow(self, directory)


def fit_flow(
    snapshots: Snapshots,
    interpolant: Interpolant,
    *,
    sigma: float,
    solver: Solver,
    training: FlowTraining,
    generator: torch.Generator,
    progress: bool = True,
) -> FlowMatching:
    """Couple neighbouring snapshots once, and learn the flow along chains of cells.

    Parameters
    ----------
    snapshots
        Observed clouds.
    interpolant
        Paths through a chain; its sigma is filled in where it has none.
    sigma
        Noise of the coupling, in [x]/sqrt([t]): epsilon is ``sigma^2`` times the gap.
    solver
        Coupling solver, such as ``ct.ot.solve``.
    training
        How the network is trained.
    generator
        Source of randomness.
    progress
        Whether couplings and training show progress bars.

    Raises
    ------
    TypeError
        ``interpolant`` is a class and not an instance.
    ConvergenceError
        A gap's coupling did not reach the solver's tolerance.

    Examples
    --------
    >>> import torch
    >>> from celltraj import ot
    >>> from celltraj._snapshots import Snapshots
    >>> from celltraj.models import FlowTraining, SplineInterpolant, fit_flow
    >>> x = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    >>> flow = fit_flow(
    ...     Snapshots((0.0, 1.0), (x, x + 2)), SplineInterpolant(), sigma=0.2, solver=ot.solve,
    ...     training=FlowTraining(max_steps=300), generator=torch.Generator().manual_seed(0),
    ...     progress=False,
    ... )
    >>> bool((flow.drift(0.5, x + 1) - 2).abs().mean() < 0.2)
    True
    """
    if isinstance(interpolant, type):
        raise TypeError(f"pass an instance, {interpolant.__name__}(...), in place of the class")
    if interpolant.sigma is None:
        interpolant = cast("Interpolant", replace(cast("Any", interpolant), sigma=sigma))
    gaps = tqdm(list(snapshots.pairs()), desc="coupling", unit="gap", disable=not progress)
    plans = [
        couple(snapshots, Brownian(sigma), k, solver)[1].to_sparse(mass=_DROPPED) for k, _ in gaps
    ]
    n_steps = training.n_steps(snapshots)
    batches = _Batches(snapshots, plans, interpolant, generator, n_steps, training.batch_size)
    heads = TwoHeads(snapshots, width=training.width, generator=generator)
    trained, history = train_heads(heads, training, n_steps, batches, progress=progress)
    box = torch.stack([torch.stack(list(x.aminmax(dim=0))) for x in snapshots.x])
    return FlowMatching(trained, snapshots.times, interpolant, box, history=history)


class _Batches:
    """Draw points of paths, with times uniform over the whole duration.

    Iterates over lists of steps, each a tuple of time, state, rate, noise and width.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        plans: list[csr_array],
        interpolant: Interpolant,
        generator: torch.Generator,
        n_steps: int,
        batch_size: int,
    ) -> None:
        self.snapshots, self.plans, self.interpolant = snapshots, plans, interpolant
        self.generator, self.n_steps, self.batch_size = generator, n_steps, batch_size

    def __len__(self) -> int:
        return math.ceil(self.n_steps / DRAWN_AT_ONCE)

    def __iter__(self) -> Iterator[list[tuple[Tensor, ...]]]:
        size = self.batch_size
        left = self.n_steps
        while left > 0:
            n = min(left, DRAWN_AT_ONCE)
            yield list(zip(*(part.split(size) for part in self._points(n * size)), strict=True))
            left -= n

    def _points(self, n: int) -> tuple[Tensor, ...]:
        """Return time, state, rate, noise and width of ``n`` points."""
        times = torch.tensor(self.snapshots.times, dtype=torch.float64)
        rows = sample_chains(self.snapshots, self.plans, n, generator=self.generator)
        chain = torch.stack([x[i] for x, i in zip(self.snapshots.x, rows, strict=True)])
        # stratified: the times of a batch of draws cover the duration evenly
        jitter = torch.rand(n, dtype=torch.float64, generator=self.generator)
        share = (torch.arange(n) + jitter) / n
        share = share[torch.randperm(n, generator=self.generator)]
        t = times[0] + (times[-1] - times[0]) * share
        path = sample_path(self.interpolant, times, chain, t, generator=self.generator)
        parts = (t[:, None], path.x, path.rate, path.z, path.width)
        return tuple(part.float() for part in parts)
