"""What a cell sees of the cells around it, as features that a drift is linear in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Targets

_SAME = 1e-10  # squared distance, in squared units, of cells at one place


class Seen(NamedTuple):
    """What ``n`` cells see of a population, by ``K`` widths.

    Parameters
    ----------
    density
        ``(n, K)`` mean of the kernel, in [0, 1].
    pull
        ``(n, K, d)`` mean of the kernel times the way to a cell, in widths.
    centre
        ``(n, d)`` way to the mean of the population, in units of each variable.
    """

    density: Tensor
    pull: Tensor
    centre: Tensor


@card()
@dataclass(frozen=True, eq=False)
class Surroundings:
    r"""Describe the surroundings of a cell, the same wherever in space they are.

    With ``z`` the state in units of each variable, ``K_h(r) = exp(-|r|^2 / (2 h^2))`` and ``y`` of
    the population ``p``: the densities ``rho_h = E K_h(y - z)`` through functions that are linear
    between bends, the pulls ``M_h = E K_h(y - z) (y - z) / h``, and the way to the mean.

    Parameters
    ----------
    unit
        ``(d,)`` unit of each variable, in [x].
    widths
        ``(K,)`` widths ``h``, without unit.
    bends
        ``(K, B)`` densities at which the response to each may change its slope.
    edges
        ``(2, q)`` least and greatest value of each feature that was seen: beyond them they count
        as at the edge.
    """

    unit: Tensor
    widths: Tensor
    bends: Tensor
    edges: Tensor | None = None

    @property
    def size(self) -> int:
        """Number ``q`` of features."""
        (n_widths, n_bends), dim = self.bends.shape, len(self.unit)
        return n_widths * (n_bends + dim) + dim

    def features(self, x: Cells, crowd: Targets, *, is_own: bool = False) -> Tensor:
        """Return ``(n, q)`` features of cells among a crowd; ``is_own`` for the crowd itself.

        A cell does not see itself, nor copies of itself at the same place.
        """
        return self._within(self._expanded(self.seen(x, crowd, is_own=is_own)))

    def seen(self, x: Cells, crowd: Targets, *, is_own: bool = False) -> Seen:
        """Return densities, pulls and the way to the mean."""
        z, y = self._scaled(x, crowd)
        density, pull = [], []
        distances = _distances(z, y)
        n: Tensor | int = len(y)
        if is_own:
            is_self = distances < _SAME
            distances = torch.where(is_self, torch.inf, distances)
            n = (~is_self).sum(1, keepdim=True).clamp(min=1)
        for h in self.widths.tolist():
            kernel = torch.exp(distances / (-2 * h**2))
            total = kernel.sum(1, keepdim=True)
            density.append(total / n)
            pull.append((kernel @ y - total * z) / (n * h))
        return Seen(torch.cat(density, 1), torch.stack(pull, 1), y.mean(0) - z)

    def features_and_slopes(self, x: Cells, crowd: Targets) -> tuple[Tensor, Tensor]:
        """Return features ``(n, q)`` and their derivatives by the state ``(n, q, d)``, in 1/[x]."""
        z, y = self._scaled(x, crowd)
        n, d = z.shape
        identity = torch.eye(d, dtype=z.dtype, device=z.device)
        # moments of the cells of the crowd, 1, y and y y', in one product for each width
        moments = torch.cat(
            [torch.ones_like(y[:, :1]), y, (y[:, :, None] * y[:, None]).flatten(1)], 1
        )
        density, pull, by_density, by_pull = [], [], [], []
        distances = _distances(z, y)
        for k, h in enumerate(self.widths.tolist()):
            kernel = torch.exp(distances / (-2 * h**2))
            rho, first, second = (kernel @ (moments / len(y))).split([1, d, d * d], 1)
            density.append(rho)
            pull.append((first - rho * z) / h)
            is_above = (rho > self.bends[k].to(rho)).to(rho)
            by_density.append(is_above[:, :, None] * (pull[-1] / h)[:, None])
            cross = first[:, :, None] * z[:, None]
            around = second.view(n, d, d) - cross - cross.mT
            around = around + rho[:, :, None] * (z[:, :, None] * z[:, None])
            by_pull.append(around / h**3 - rho[:, :, None] * identity / h)
        slopes = torch.cat([*by_density, *by_pull, -identity.expand(n, d, d)], 1)
        seen = Seen(torch.cat(density, 1), torch.stack(pull, 1), y.mean(0) - z)
        features = self._expanded(seen)
        if self.edges is not None:
            low, high = self.edges.to(features)
            slopes = slopes * ((features >= low) & (features <= high))[:, :, None]
        return self._within(features), slopes / self.unit.to(slopes)

    def with_edges(self, features: Tensor) -> Surroundings:
        """Return the same with the range of some ``(n, q)`` features."""
        return replace(self, edges=torch.stack([features.amin(0), features.amax(0)]))

    def _expanded(self, seen: Seen) -> Tensor:
        risen = (seen.density[:, :, None] - self.bends.to(seen.density)).clamp(min=0)
        return torch.cat([risen.flatten(1), seen.pull.flatten(1), seen.centre], 1)

    def _within(self, features: Tensor) -> Tensor:
        if self.edges is None:
            return features
        low, high = self.edges.to(features)
        return features.clamp(low, high)

    def _scaled(self, x: Cells, crowd: Targets) -> tuple[Tensor, Tensor]:
        """Return states in their units, from the mean of the crowd: differences keep digits."""
        y = crowd.to(x.device).double()
        middle, unit = y.mean(0), self.unit.to(x.device)
        return (x.double() - middle) / unit, (y - middle) / unit


def _distances(z: Tensor, y: Tensor) -> Tensor:
    """Return the squared distances ``(n, m)``."""
    squares = z.square().sum(1, keepdim=True) + y.square().sum(1)
    return torch.addmm(squares, z, y.T, alpha=-2).clamp_(min=0)
