"""The law of motion of one population under one condition."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models._response_training import MetaNetwork
from celltraj.models.interpolants import Interpolant
from celltraj.models.networks import Crowd


@dataclass(frozen=True, eq=False)
class ResponseProcess:
    """Move cells of one population under one condition; a reversible ``Process`` on [0, 1].

    Parameters
    ----------
    network
        The trained network.
    interpolant
        Paths that it was trained on.
    known, unknown
        What is known of population and condition, ``(1, g)``, and the same without the condition.
    guidance
        Weight of the condition: 1 as trained, above it more of what sets it apart.
    noise
        Diffusion, in [x] per square root of the duration; 0 for the ODE.
    crowd
        ``(T, m, d)`` cells of the population at ``T`` equally spaced times; None for a field that
        does not see them, and while the crowd itself is moved.
    """

    network: MetaNetwork
    interpolant: Interpolant
    known: Tensor
    unknown: Tensor
    guidance: float = 1.0
    noise: float = 0.0
    crowd: Tensor | None = None

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return self.network.field.sizes.dim

    def velocity(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` velocity of the probability flow, per duration of the response."""
        return self._velocity_and_score(t, x)[0]

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``, in 1/[x]."""
        return self._velocity_and_score(t, x)[1]

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``velocity + noise^2/2 score``, ``(n, d)``."""
        velocity, score = self._velocity_and_score(t, x)
        return velocity + self.noise**2 / 2 * score if self.noise else velocity

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``noise`` everywhere, ``(n, d)``."""
        return torch.full_like(x, self.noise)

    def _velocity_and_score(self, t: float, x: Cells) -> tuple[Cells, Cells]:
        rate, score = self._heads(t, x, self.known)
        if self.guidance != 1:
            plain = self._heads(t, x, self.unknown)
            rate, score = (
                torch.lerp(a, b, self.guidance) for a, b in zip(plain, (rate, score), strict=True)
            )
        scale = self.network.field.scale
        score = (score / scale).to(x.dtype)
        _, slope = self.interpolant.noise(torch.tensor([0.0, 1.0]), torch.tensor([t]))
        return (rate * scale).to(x.dtype) - slope.to(x.dtype) * score, score

    @torch.no_grad()
    def _heads(self, t: float, x: Cells, known: Tensor) -> tuple[Tensor, Tensor]:
        z = x[None]
        time = torch.full((1, len(x), 1), t)
        rate, score = self.network.field.heads(time, z, known, self._crowd_at(t, z))
        return rate[0], score[0]

    def _crowd_at(self, t: float, x: Tensor) -> Crowd | None:
        """Return the cells of the population at one time, by a line between two of its times."""
        if self.network.field.kernels is None:
            return None
        if self.crowd is None:
            cells = x
        else:
            at = min(max(t, 0.0), 1.0) * (len(self.crowd) - 1)
            k = min(int(at), len(self.crowd) - 2)
            cells = torch.lerp(self.crowd[k], self.crowd[k + 1], at - k)[None]
        return Crowd(cells, torch.ones(cells.shape[:2], dtype=torch.bool))
