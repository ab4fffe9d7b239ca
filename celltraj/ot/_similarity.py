"""Rotation, scale and offset that take the coordinates of one slice into those of another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from celltraj._arrays import ArrayLike, as_floats
from celltraj._card import card
from celltraj.ot._transport import Transport

_SPACE = 3


@card()
@dataclass(frozen=True)
class Similarity:
    """Similarity transform ``u -> v0 + scale R (u - u0)`` in two or three dimensions.

    Parameters
    ----------
    rotation
        ``(k, k)`` orthogonal matrix ``R``.
    scale
        How many times larger things become.
    origin, target
        ``(k,)`` point ``u0`` and where it goes, ``v0``: the centres of two slices.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Similarity
    >>> quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).double()
    >>> half = Similarity(quarter, 4.0, torch.zeros(2).double(), torch.ones(2).double()).part(0.5)
    >>> round(half.angle), half.scale, half.target.tolist()
    (45, 2.0, [0.5, 0.5])
    """

    rotation: Tensor
    scale: float
    origin: Tensor
    target: Tensor

    @classmethod
    def of_plan(
        cls, plan: Transport, u: Tensor, v: Tensor, *, reflects: bool = False
    ) -> Similarity:
        r"""Return the similarity that a plan tells, by weighted Procrustes.

        ``R`` maximises ``tr(R' sum_ij P_ij (v_j - v0) (u_i - u0)')``; the scale is the ratio of the
        root mean squared distances from the centres, which a blurred plan does not shrink.

        Parameters
        ----------
        plan
            ``(n, m)`` coupling.
        u, v
            ``(n, k)`` and ``(m, k)`` coordinates.
        reflects
            Whether a mirror image counts as a rotation.

        Raises
        ------
        ValueError
            All cells of a side lie at one point.

        References
        ----------
        Kabsch, *A solution for the best rotation to relate two sets of vectors* (1976); Schönemann
        (1966).
        """
        p, q = plan.row_mass / plan.row_mass.sum(), plan.column_mass / plan.column_mass.sum()
        origin, target = p @ u, q @ v
        u, v = u - origin, v - target
        spreads = [float(w @ z.square().sum(1)) for w, z in ((p, u), (q, v))]
        for name, spread in zip(("earlier", "later"), spreads, strict=True):
            if not spread > 0:
                raise ValueError(
                    f"all {name} cells lie at one point, which has neither size nor direction"
                )
        left, _, right = torch.linalg.svd(plan.pull(v).T @ u)
        signs = torch.ones(len(origin), dtype=torch.float64)
        if not reflects:
            signs[-1] = torch.linalg.det(left @ right).sign()
        rotation = (left * signs) @ right
        return cls(rotation, math.sqrt(spreads[1] / spreads[0]), origin, target)

    @property
    def offset(self) -> Tensor:
        """Return ``t (k,)`` of ``v = scale R u + t``."""
        return self.target - self.scale * self.rotation @ self.origin

    @property
    def angle(self) -> float:
        """Return the angle of the rotation in degrees; anticlockwise is positive in the plane."""
        if len(self.rotation) < _SPACE:
            return math.degrees(math.atan2(float(self.rotation[1, 0]), float(self.rotation[0, 0])))
        cosine = (float(self.rotation.trace()) - 1) / 2
        return math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))

    def __call__(self, u: ArrayLike) -> Tensor:
        """Return where points ``(n, k)`` go."""
        points = as_floats(u, "u", "(n, k)")
        return self.target + self.scale * (points - self.origin) @ self.rotation.T

    def inverse(self) -> Similarity:
        """Return the way back."""
        return Similarity(self.rotation.T, 1 / self.scale, self.target, self.origin)

    def then(self, other: Similarity) -> Similarity:
        """Return this one followed by another."""
        target = other(self.target[None])[0]
        rotation = other.rotation @ self.rotation
        return Similarity(rotation, other.scale * self.scale, self.origin, target)

    def part(self, s: float) -> Similarity:
        """Return a share ``s`` of the way: angle and centre by ``s``, the scale to the power ``s``.

        Raises
        ------
        ValueError
            It mirrors, and nothing lies between a slice and its mirror image.
        """
        if float(torch.linalg.det(self.rotation)) < 0:
            raise ValueError(
                "the similarity mirrors: there is no slice between one and its mirror image. "
                "Mirror one of them before, or register without reflection"
            )
        k = len(self.rotation)
        whole = np.eye(_SPACE)
        whole[:k, :k] = self.rotation.numpy()
        turned = Rotation.from_rotvec(s * Rotation.from_matrix(whole).as_rotvec()).as_matrix()
        target = torch.lerp(self.origin, self.target, s)
        rotation = torch.from_numpy(np.ascontiguousarray(turned[:k, :k]))
        return Similarity(rotation, self.scale**s, self.origin, target)

    def between(self, u: Tensor, v: Tensor, s: float) -> Tensor:
        """Return where pairs ``(n, k)`` of earlier and later places are a share ``s`` of the way.

        Straight lines in the frame of the earlier slice, taken a share ``s`` of the motion: a slice
        that moves as a whole stays what it is, where straight lines between the places themselves
        would shrink one that turns.
        """
        return self.part(s)(torch.lerp(u, self.inverse()(v), s))
