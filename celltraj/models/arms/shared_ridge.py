r"""Laws of motion of several conditions at once, by multi-task ridge regression.

``b_c(x) = phi(x)' W psi(c)`` with ``phi`` the features of a :class:`KernelReference` and
``psi(c) = (1, sqrt(own) L_c)``, ``L L'`` the similarity of conditions: a law that all share plus
what each has of its own, penalised alike. ``own = 0`` leaves one law for all, a large ``own`` laws
that know nothing of each other. Evgeniou & Pontil, *Regularized multi-task learning* (2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj.models.references.family import Paths
from celltraj.models.references.kernel import KernelReference


@dataclass(frozen=True, eq=False)
class SharedRidge:
    """Hold the sums over paths that ridge regression needs, gap by gap.

    Parameters
    ----------
    family
        Framed family, ``p`` features.
    root
        ``(C, r)`` root of the similarity of conditions.
    owners
        ``(G,)`` condition of each gap.
    grams
        ``(G, p, p)`` weighted products of the features of the paths of each gap.
    pulls
        ``(G, p, d)`` products of features and velocities.
    """

    family: KernelReference
    root: Tensor
    owners: Tensor
    grams: Tensor
    pulls: Tensor

    @classmethod
    def of(
        cls, family: KernelReference, root: Tensor, paths: Sequence[Sequence[Paths]]
    ) -> SharedRidge:
        """Return the sums over the paths of every gap of each condition.

        Each gap of each condition counts by its length, as in the fit of one law.
        """
        owners, grams, pulls, total = [], [], [], 0.0
        for c, own in enumerate(paths):
            for part in own:
                _, x, v, w = part.points()
                features = family.features(x)
                weighted = features * w[:, None]
                owners.append(c)
                grams.append(weighted.T @ features)
                pulls.append(weighted.T @ v)
                total += float(w.sum())
        return cls(
            family,
            root,
            torch.tensor(owners),
            torch.stack(grams) / total,
            torch.stack(pulls) / total,
        )

    def solved(self, own: float) -> SharedLaws:
        """Return the laws of all conditions, of which each deviates as ``own`` allows it."""
        n, p = len(self.root), self.grams.shape[1]
        psi = torch.ones(n, 1, dtype=torch.float64)
        if own > 0:
            psi = torch.cat([psi, own**0.5 * self.root], 1)
        here = psi[self.owners]
        q = psi.shape[1]
        gram = torch.einsum("gij,gq,gr->iqjr", self.grams, here, here).reshape(p * q, p * q)
        pull = torch.einsum("gid,gq->iqd", self.pulls, here).reshape(p * q, -1)
        gram.diagonal().add_(self.family.penalty().repeat_interleave(q))
        factor = torch.linalg.cholesky(gram)
        solution = torch.cholesky_solve(pull, factor).reshape(p, q, -1)
        inverse = torch.cholesky_inverse(factor).reshape(p, q, p, q)
        return SharedLaws(
            self,
            own,
            solution[:, 0],
            torch.einsum("iqd,cq->cid", solution, psi),
            torch.einsum("iqjr,cq,cr->cij", inverse, psi, psi),
        )


@dataclass(frozen=True, eq=False)
class SharedLaws:
    """Hold the laws of all conditions.

    Parameters
    ----------
    ridge
        What they were solved from.
    own
        How much each may deviate from what all share.
    common
        ``(p, d)`` coefficients of what all share.
    coefficients
        ``(C, p, d)`` of the features of the family.
    covariance
        ``(C, p, p)`` by which the sums of a condition move its own coefficients.
    """

    ridge: SharedRidge
    own: float
    common: Tensor
    coefficients: Tensor
    covariance: Tensor

    def laws(self) -> tuple[KernelReference, ...]:
        """Return the law of each condition."""
        family = self.ridge.family
        return tuple(replace(family, weights=one) for one in family.weights_of(self.coefficients))

    def without_each(self) -> Tensor:
        """Return the coefficients ``(G, p, d)`` of the condition of each gap, found without it.

        ``(I - B G)^-1 (w - B h)`` with ``w`` those of all gaps, ``G`` and ``h`` the sums of the gap
        and ``B`` the covariance (Woodbury): exactly what solving anew without it gives.
        """
        ridge, owners = self.ridge, self.ridge.owners
        b = self.covariance[owners]
        rest = torch.eye(b.shape[1], dtype=b.dtype) - b @ ridge.grams
        left: Tensor = torch.linalg.solve(rest, self.coefficients[owners] - b @ ridge.pulls)
        return left
