r"""Functions of the state that modes are made of, and what the generator of a law makes of them.

For ``dX = b(X) dt + s(X) dW`` with diagonal ``s`` the generator is

    L f = b . grad f + 1/2 sum_i s_i^2 d_i^2 f,

known in closed form for each feature: ``1``, the standardised variables ``z``, with ``quadratic``
their products, and Gaussians ``exp(-|z - c|^2 / 2 w^2)`` around some cells. No function but these
is differentiated, and no ``n x p x d`` array is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.process import Process


@dataclass(frozen=True, eq=False)
class Motion:
    """Hold cells, and how a law without explicit time moves them.

    Parameters
    ----------
    x
        ``(n, d)`` states, in [x].
    drift
        ``(n, d)``, in [x]/[t].
    variance
        ``(n, d)`` squared diffusion, in [x]^2/[t].
    """

    x: Tensor
    drift: Tensor
    variance: Tensor

    @classmethod
    def of(cls, process: Process, x: Cells, time: float) -> Motion:
        """Return how a process moves cells."""
        x = x.double()
        with torch.no_grad():
            return cls(x, process.drift(time, x), process.diffusion(time, x).square())


@dataclass(frozen=True, eq=False)
class Features:
    """Hold features of the state.

    Parameters
    ----------
    centre, scale
        ``(d,)``, in [x]: ``z = (x - centre) / scale``.
    is_quadratic
        Whether products of two variables are among them.
    bumps
        ``(m, d)`` centres ``c`` of Gaussians, in units of ``z``.
    width
        Width ``w`` of these.
    """

    centre: Tensor
    scale: Tensor
    is_quadratic: bool
    bumps: Tensor
    width: float = 1.0

    @property
    def n_features(self) -> int:
        """How many there are, the constant included."""
        d = len(self.centre)
        return 1 + d + self.is_quadratic * d * (d + 1) // 2 + len(self.bumps)

    def values(self, x: Cells) -> Tensor:
        """Return the features ``(n, p)`` of states ``(n, d)``."""
        z = (x.double() - self.centre) / self.scale
        parts = [torch.ones_like(z[:, :1]), z]
        if self.is_quadratic:
            i, j = self._pairs
            parts.append(z[:, i] * z[:, j])
        parts.append(self._gaussians(z))
        return torch.cat(parts, 1)

    def generated(self, motion: Motion) -> Tensor:
        """Return ``L f``, ``(n, p)``, of every feature ``f``, in 1/[t]."""
        z = (motion.x - self.centre) / self.scale
        b, v = motion.drift / self.scale, motion.variance / self.scale.square()
        parts = [torch.zeros_like(z[:, :1]), b]
        if self.is_quadratic:
            i, j = self._pairs
            parts.append(b[:, i] * z[:, j] + z[:, i] * b[:, j] + torch.where(i == j, v[:, i], 0.0))
        kernel, c, w2 = self._gaussians(z), self.bumps, self.width**2
        towards = b @ c.T - (b * z).sum(1, keepdim=True)  # b . (c - z)
        curved = (v * z.square()).sum(1, keepdim=True) - 2 * (v * z) @ c.T + v @ c.square().T
        bent = curved / w2 - v.sum(1, keepdim=True)
        parts.append(kernel * (towards + bent / 2) / w2)
        return torch.cat(parts, 1)

    @property
    def _pairs(self) -> tuple[Tensor, Tensor]:
        d = len(self.centre)
        i, j = torch.triu_indices(d, d)
        return i, j

    def _gaussians(self, z: Tensor) -> Tensor:
        squares = z.square().sum(1, keepdim=True) + self.bumps.square().sum(1)
        distances = torch.addmm(squares, z, self.bumps.T, alpha=-2).clamp_(min=0)
        return torch.exp(distances / (-2 * self.width**2))
