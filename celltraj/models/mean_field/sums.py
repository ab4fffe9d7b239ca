r"""Ridge regression of a mean-field law on paths of several populations.

``b(x; p) = phi(x)' W0 + psi(x; p)' W1`` with ``phi`` the features of the base and ``psi`` those of
the surroundings; ``|W0|^2`` weighs as the family has it, times a stiffness, and the squares of
``W1``, with each feature in units of its standard deviation, weigh ``ridge / own``: ``own = 0``
leaves the base alone. Which of these foretell best how a population moves is asked of each
population in turn, by the sums of all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj.models.references.family import Paths
from celltraj.models.references.mean_field import MeanField


@dataclass(frozen=True, eq=False)
class PopulationSums:
    """Hold the sums over paths that the regression needs, population by population.

    Parameters
    ----------
    law
        Framed law, of ``p`` features of the base and ``q`` of the surroundings, with their range.
    grams
        ``(P, p + q, p + q)`` weighted products of the features of the paths of each population.
    pulls
        ``(P, p + q, d)`` products of features and velocities.
    squares
        ``(P,)`` squares of the velocities.
    scale
        ``(q,)`` standard deviations of the features of the surroundings.
    """

    law: MeanField
    grams: Tensor
    pulls: Tensor
    squares: Tensor
    scale: Tensor

    @classmethod
    def of(cls, law: MeanField, paths: Sequence[Sequence[Paths]]) -> PopulationSums:
        """Return the sums, where all paths of a gap are the crowd that each of them is among.

        Raises
        ------
        ValueError
            The law has no frame yet.
        """
        parts = [_sums_of(law, own) for own in paths]
        total = sum(part.weight for part in parts)
        psi = torch.cat([part.psi for part in parts])
        around = law.surroundings
        if around is None:
            raise ValueError("MeanField has no surroundings yet; frame it first")
        return cls(
            replace(law, surroundings=around.with_edges(psi)),
            torch.stack([part.gram for part in parts]) / total,
            torch.stack([part.pull for part in parts]) / total,
            torch.stack([part.square for part in parts]) / total,
            psi.std(0),
        )

    def solved(self, own: float, stiffness: float) -> MeanField:
        """Return the law whose weights are least squares of all populations."""
        kept = self._kept(own)
        gram = self.grams.sum(0)[kept][:, kept] + torch.diag(self._penalty(own, stiffness))
        solution = torch.linalg.solve(gram, self.pulls.sum(0)[kept])
        n_base = len(self.law.base.penalty())
        base = replace(self.law.base, ridge=self.law.base.ridge * stiffness)
        base = base.with_solution(solution[:n_base])
        # in the order of a file, so that a law that was read has the same last digits
        weights = solution[n_base:].clone(memory_format=torch.contiguous_format)
        return replace(self.law, base=base, weights=weights if own > 0 else None)

    def held_out(self, own: float, stiffness: float) -> Tensor:
        """Return what laws of all others leave of the squared velocities of each, ``(P,)``."""
        kept = self._kept(own)
        grams, pulls = self.grams[:, kept][:, :, kept], self.pulls[:, kept]
        others = grams.sum(0) - grams + torch.diag(self._penalty(own, stiffness))
        w = torch.linalg.solve(others, pulls.sum(0) - pulls)
        left: Tensor = self.squares + (w * (grams @ w - 2 * pulls)).sum((1, 2))
        return left

    def _kept(self, own: float) -> slice:
        return slice(None) if own > 0 else slice(len(self.law.base.penalty()))

    def _penalty(self, own: float, stiffness: float) -> Tensor:
        base = self.law.base.penalty()
        base[1:] *= stiffness  # not of the constant, which is no shape
        if own == 0:
            return base
        # what never varies is not learned from, and needs some weight for a solution
        scale = torch.where(self.scale > 0, self.scale, torch.ones_like(self.scale))
        return torch.cat([base, self.law.base.ridge / own * scale.square()])


@dataclass(frozen=True, eq=False)
class _Part:
    gram: Tensor
    pull: Tensor
    square: Tensor
    psi: Tensor
    weight: float


def _sums_of(law: MeanField, paths: Sequence[Paths]) -> _Part:
    """Return the sums of one population, node by node."""
    grams, pulls, squares, seen, total = [], [], [], [], 0.0
    for part in paths:
        for x, v, step in zip(part.x[:-1], part.velocity, part.times.diff(), strict=True):
            psi = _around(law, x)
            features = torch.cat([law.base.features(x), psi], 1)
            weight = float(step) * part.weights
            weighted = features * weight[:, None]
            grams.append(weighted.T @ features)
            pulls.append(weighted.T @ v)
            squares.append((weight[:, None] * v.square()).sum())
            seen.append(psi)
            total += float(weight.sum())
    return _Part(sum_of(grams), sum_of(pulls), sum_of(squares), torch.cat(seen), total)


def sum_of(parts: Sequence[Tensor]) -> Tensor:
    """Return the sum of tensors of one shape."""
    return torch.stack(list(parts)).sum(0)


def _around(law: MeanField, x: Tensor) -> Tensor:
    if law.surroundings is None:
        raise ValueError("MeanField has no surroundings yet; frame it first")
    return law.surroundings.features(x, x, is_own=True)
