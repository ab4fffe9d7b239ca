r"""Flow matching over all snapshots: velocity and score of one stochastic interpolant.

With ``x_t = mean_t + gamma_t z`` along random chains of cells, two regressions give the law of
motion of the whole population:

- ``m(t, x) = E[d/dt mean_t | x_t = x]``,
- ``score(t, x) = -E[z | x_t = x] / gamma_t``,

so that ``velocity = m - gamma gamma' score`` carries the marginals of the interpolant as an ODE,
and ``velocity + noise^2/2 score`` with diffusion ``noise`` carries the same ones as an SDE, for
any noise, chosen after the training. Albergo, Boffi & Vanden-Eijnden, *Stochastic interpolants*
(2023), theorems 2.6 and 2.8.

Where the couplings let cells grow and die, paths carry mass, all averages are weighted by it, and a
third regression gives ``growth(t, x) = E[d/dt log mass_t | x_t = x]``, which completes the equation
``dp/dt + div(p velocity) = growth p``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Column, Earlier
from celltraj.models._card_facts import flow_facts
from celltraj.models._files import Content
from celltraj.models._saved import Saved, content_of, named
from celltraj.models.flow.losses import Motion
from celltraj.models.growth.path_mass import Growth
from celltraj.models.interpolants import Interpolant, gap_of, pack_interpolant
from celltraj.models.networks import TwoHeads
from celltraj.models.own_snapshots import Passage
from celltraj.models.representation import Representation

_MARGIN = 0.1  # of the width of a box


@card(flow_facts)
@dataclass(frozen=True, eq=False)
class FlowMatching(Saved):
    """Flow, trained by flow matching: velocity, score and growth; a reversible ``Process``.

    Parameters
    ----------
    heads
        Network of rate, score and growth.
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
    losses
        Training loss at each step.
    mass
        How growth follows from what cells send and meet; None where the couplings keep the mass of
        every cell.
    representation
        What is known of the space that it was fitted in; None for bare tensors.
    passages
        How trajectories from the first snapshot met each later one when it was fitted.
    parent
        Digest of the flow that it is an update of, see :func:`celltraj.tl.update`; None for a fit.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> short = ct.models.Training(max_steps=50)
    >>> flow = ct.tl.fit_flow(adata, training=short, seed=0, progress=False)
    >>> flow.drift(0.5, torch.zeros(3, 2)).shape
    torch.Size([3, 2])
    """

    heads: TwoHeads
    times: tuple[float, ...]
    interpolant: Interpolant
    box: Tensor
    noise: float = 0.0
    losses: tuple[float, ...] = ()
    mass: Growth | None = None
    representation: Representation | None = None
    passages: tuple[Passage, ...] = ()
    parent: str | None = None

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return len(self.heads.centre)

    @property
    def span(self) -> tuple[float, float]:
        """First and last time that it was fitted to."""
        return self.times[0], self.times[-1]

    @property
    def has_growth(self) -> bool:
        """Whether cells grow and die along the flow."""
        return self.mass is not None

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
        at = torch.tensor([t], dtype=torch.float64)
        _, slope = self.interpolant.noise(self._clock, at)
        return rate - slope.to(x) * score + (inside - x) / length, score

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``, in 1/[x]."""
        return self._velocity_and_score(t, x)[1]

    def growth(self, t: float, x: Cells) -> Earlier:
        """Return the net rate of growth ``(n,)``, in 1/[t].

        Relative to the mean of the population where only proportions are known; zero where the
        couplings keep the mass of every cell and the population its size.
        """
        if self.mass is None:
            return torch.zeros_like(x[:, 0])
        inside, _ = self._inside(t, x)
        return self.mass.rate(t, *self.heads.predict_mass(t, inside).unbind(1))

    def _inside(self, t: float, x: Cells) -> tuple[Cells, float]:
        """Return the nearest states within the box of the gap of ``t``, and its length."""
        k = int(gap_of(self._clock, torch.tensor(t, dtype=torch.float64)))
        low, high = self.box[k : k + 2, 0].amin(0), self.box[k : k + 2, 1].amax(0)
        # a curve may bend out of the box of its ends
        margin = _MARGIN * (high - low)
        inside = torch.clamp(x, (low - margin).to(x), (high + margin).to(x))
        return inside, self.times[k + 1] - self.times[k]

    def outside(self, t: float, x: Cells) -> Tensor:
        """Return which states ``(n,)`` the network sees as if they were at the edge of its box."""
        return (self._inside(t, x)[0] != x).any(1)

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``velocity + noise^2/2 score``, ``(n, d)``, in [x]/[t]."""
        velocity, score = self._velocity_and_score(t, x)
        return velocity + self.noise**2 / 2 * score if self.noise else velocity

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``noise`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, self.noise)

    def differentiable_velocity(self, t: Column, x: Cells) -> Cells:
        """Return the velocity ``(n, d)`` at a time for each state, differentiable in both."""
        return self._motion.velocity(t.double(), x).to(x.dtype)

    def differentiable_score(self, t: Column, x: Cells) -> Cells:
        """Return the score ``(n, d)`` at a time for each state, differentiable in both."""
        return self._motion.score(t.double(), x).to(x.dtype)

    def differentiable_growth(self, t: Column, x: Cells) -> Earlier:
        """Return the growth ``(n,)`` at a time for each state, up to a function of time."""
        return self._motion.growth(t.double(), x).to(x.dtype)

    @property
    def _clock(self) -> Tensor:
        return torch.tensor(self.times, dtype=torch.float64)

    @property
    def _motion(self) -> Motion:
        return Motion(self.heads, self.interpolant)

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

    def pack(self) -> Content:
        """Return the flow as facts and tensors, see :func:`celltraj.models.flow.unpack`."""
        interpolant, tensors = pack_interpolant(self.interpolant)
        parts: dict[str, Mapping[str, Tensor]] = {
            "heads": self.heads.state_dict(),
            "interpolant": tensors,
        }
        if self.mass is not None:
            parts["mass"] = vars(self.mass)
        facts = {
            "times": self.times,
            "interpolant": interpolant,
            "width": self.heads.sizes.width,
            "noise": self.noise,
            "history": self.losses,
            "representation": None if self.representation is None else asdict(self.representation),
            "passages": [one.packed() for one in self.passages],
            "parent": self.parent,
        }
        return content_of("flow", facts, named(parts) | {"box": self.box})
