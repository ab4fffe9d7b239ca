"""One smooth law of motion for all times, by kernel ridge regression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._regression import ends_of_paths, stack_points
from celltraj.models.references.family import Paths, sigma_of

_JITTER = 1e-8  # eigenvalues of the kernel matrix below that carry no direction of their own
_AFFINE = 10.0  # ridge of the affine part in units of that of the kernel
_OWN_SLOPES = 10  # variables up to which each cell has its own: they cost their cube
_REACH = 0.3  # of the width of the data, beyond which a state moves as at the edge


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class KernelReference:
    r"""Move cells by ``dX = b(X) dt + sigma dW``, ``b`` affine plus a smooth correction.

    ``b(x) = c + A z + sum_m w_m k(|z - z_m|)``, ``k(r)`` the mean of ``exp(-r^2 / (2 l^2 d))`` over
    the lengths ``l``, with ``z`` the standardised state and ``z_m`` points of the paths; ``fit`` is
    ridge regression in closed form, in the norm of the kernel. The same law at all times, so that
    what cells do in one gap says what others do where they come by later. Beyond the data the drift
    is that at their edge. In more than ten variables noise spreads around every cell as the mean
    slope of the law has it (``common_slope``); each cell still moves along its own flow.

    Parameters
    ----------
    n_centres
        Points ``z_m``.
    scale
        Shortest length ``l`` over which the drift may change, in standard deviations.
    n_scales
        Number of lengths, each twice the one before: with more than one the drift is smooth where
        that is enough.
    ridge
        Weight of the squared norm, against 1 for the squared velocity.
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.
    frame
        ``(4, d)`` centre, unit, least and greatest value of each variable, in [x]; None before a
        fit.
    centres
        ``(M, d)`` points ``z_m``, without unit.
    weights
        ``(1 + d + M, d)`` constant, affine and kernel weights, in [x]/[t].

    Raises
    ------
    ValueError
        A number is not positive.

    References
    ----------
    Williams & Seeger, *Using the Nystroem method to speed up kernel machines* (2001); Heinonen et
    al., *Learning unknown ODE models with Gaussian processes* (2018).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=40, seed=0)
    >>> bridge = ct.tl.fit_bridge(
    ...     adata, reference=ct.models.KernelReference(n_centres=20),
    ...     options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
    ...     training=None, progress=False,
    ... )
    >>> bridge.reference.is_fitted
    True
    """

    n_centres: int = 60
    scale: float = 1.0
    ridge: float = 1e-3
    sigma: float | None = None
    n_scales: int = 1
    frame: Tensor | None = None
    centres: Tensor | None = None
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        values = (self.n_centres, self.scale, self.ridge, self.n_scales)
        if not min(values) > 0:
            raise ValueError(
                "n_centres, scale, ridge and n_scales must be positive; found {}, {}, {} and "
                "{}".format(*values)
            )

    @property
    def is_fitted(self) -> bool:
        """Whether the weights are known."""
        return self.weights is not None

    @property
    def is_smooth(self) -> bool:
        """Whether a few steps follow the drift over a gap: yes, by the lengths of the kernel."""
        return True

    @property
    def common_slope(self) -> Tensor | None:
        """Return the mean slope at the centres, ``(d, d)``, above ten variables; else None."""
        if self.centres is None or self.frame is None or self.centres.shape[1] <= _OWN_SLOPES:
            return None
        centre, unit, *_ = self.frame
        return self.drift_and_jacobian(0.0, centre + unit * self.centres)[1].mean(0)

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``b(x)``, ``(n, d)``, in [x]/[t].

        Raises
        ------
        ValueError
            There is no fit yet.
        """
        if self.weights is None or self.centres is None:
            raise ValueError("KernelReference has no weights yet; fit it first")
        z = self._standardised(x.double())
        weights, centres = self.weights.to(x.device), self.centres.to(x.device)
        n_affine = 1 + z.shape[1]
        affine = weights[0] + z @ weights[1:n_affine]
        return (affine + self._kernel(z, centres) @ weights[n_affine:]).to(x.dtype)

    def drift_and_jacobian(self, t: float, x: Cells) -> tuple[Cells, Tensor]:
        """Return ``b(x)``, ``(n, d)``, and its derivatives ``db_i/dx_j``, ``(n, d, d)``, in 1/[t].

        Raises
        ------
        ValueError
            There is no fit yet.
        """
        if self.weights is None or self.centres is None or self.frame is None:
            raise ValueError("KernelReference has no weights yet; fit it first")
        z, d = self._standardised(x.double()), x.shape[1]
        affine, weights = self.weights.to(x.device).split([1 + d, len(self.centres)])
        centres = self.centres.to(x.device)
        weights = weights / self.n_scales
        (longest, total), *shorter = self._kernels(z, centres)
        leaning = total / longest
        for width, kernel in shorter:
            total, leaning = total + kernel, leaning + kernel / width
        # sum_m k_m w_m (z_m - z)' / (l^2 d), summed over lengths, in one product
        moments = torch.cat([weights, (weights[:, :, None] * centres[:, None]).flatten(1)], 1)
        pulled, towards = (leaning @ moments).split([d, d * d], 1)
        drift = affine[0] + z @ affine[1:] + total @ weights
        slope = affine[1:].T + (towards.reshape(-1, d, d) - pulled[:, :, None] * z[:, None])
        _, unit, low, high = self.frame.to(x.device)
        # beyond the edge of the data the drift is that at the edge
        inside = (x.double() >= low) & (x.double() <= high)
        return drift.to(x.dtype), (slope * (inside / unit)[:, None]).to(x.dtype)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return nothing: the weights have no meaning of their own."""
        return {}

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> KernelReference:
        """Return the member nearest to ``paths``; ``generator`` chooses the centres."""
        _, x, v, w = stack_points(paths)
        start = self if self.is_fitted else self.framed(ends_of_paths(paths), generator=generator)
        features = start.features(x)
        speed = (w @ v.square()).mean().sqrt().clamp(min=torch.finfo(v.dtype).tiny)
        weighted = features * w[:, None]
        gram, penalty = weighted.T @ features, start.penalty()
        solved = torch.linalg.solve(gram + torch.diag(penalty), weighted.T @ (v / speed)) * speed
        return start.with_solution(solved)

    def framed(self, x: Cells, *, generator: torch.Generator) -> KernelReference:
        """Return the family with units and centres taken from states ``(n, d)``.

        Cells should have been seen there: a centre half way along a path would let the law follow
        the guess of the path.
        """
        unit = x.std(0)
        unit = torch.where(unit > 0, unit, torch.ones_like(unit))  # a constant variable
        low, high = x.amin(0), x.amax(0)
        reach = _REACH * (high - low)
        framed = replace(self, frame=torch.stack([x.mean(0), unit, low - reach, high + reach]))
        chosen = torch.randperm(len(x), generator=generator)[: self.n_centres]
        return replace(framed, centres=framed._standardised(x[chosen]))

    def features(self, x: Cells) -> Tensor:
        """Return ``(n, 1 + d + M)`` features that the drift is linear in, of a framed family.

        Those of the kernel are orthonormal in its norm, so that :meth:`penalty` is diagonal.

        Raises
        ------
        ValueError
            There are no centres yet.
        """
        basis, n_affine = self.basis(x), 1 + self._placed().shape[1]
        return torch.cat([basis[:, :n_affine], basis[:, n_affine:] @ self._to_unit()], 1)

    def basis(self, x: Cells) -> Tensor:
        """Return ``(n, 1 + d + M)`` numbers whose product with the weights is the drift.

        Raises
        ------
        ValueError
            There are no centres yet.
        """
        z, centres = self._standardised(x.double()), self._placed()
        return torch.cat([torch.ones_like(z[:, :1]), z, self._kernel(z, centres)], 1)

    def penalty(self) -> Tensor:
        """Return the ``(1 + d + M,)`` weight of the square of each feature's coefficient."""
        centres = self._placed()
        n_affine = 1 + centres.shape[1]
        penalty = torch.full((n_affine + len(centres),), self.ridge, dtype=centres.dtype)
        penalty[0], penalty[1:n_affine] = self.ridge**2, _AFFINE * self.ridge
        return penalty

    def with_solution(self, coefficients: Tensor) -> KernelReference:
        """Return the member with these ``(1 + d + M, d)`` coefficients of the :meth:`features`."""
        return replace(self, weights=self.weights_of(coefficients))

    def weights_of(self, coefficients: Tensor) -> Tensor:
        """Return the weights ``(..., 1 + d + M, d)`` of coefficients of the :meth:`features`."""
        n_affine = 1 + self._placed().shape[1]
        affine, kernel = coefficients[..., :n_affine, :], coefficients[..., n_affine:, :]
        return torch.cat([affine, self._to_unit() @ kernel], -2)

    def _to_unit(self) -> Tensor:
        centres = self._placed()
        return _inverse_root(self._kernel(centres, centres))

    def _placed(self) -> Tensor:
        """Return the centres."""
        if self.centres is None:
            raise ValueError(
                "KernelReference has no centres: fit it, or pass weights and centres together"
            )
        return self.centres

    def _standardised(self, x: Cells) -> Cells:
        if self.frame is None:
            raise ValueError("KernelReference has no frame yet; fit it first")
        centre, unit, low, high = self.frame.to(x.device)
        scaled: Tensor = (torch.clamp(x, low, high) - centre) / unit
        return scaled

    def _kernel(self, z: Cells, centres: Tensor) -> Tensor:
        longest, *shorter = (kernel for _, kernel in self._kernels(z, centres))
        return sum(shorter, longest) / self.n_scales if shorter else longest

    def _kernels(self, z: Cells, centres: Tensor) -> Iterator[tuple[float, Tensor]]:
        """Yield ``l^2 d`` and the kernel ``(n, M)`` of each length, the longest first."""
        # |z - c|^2 by one product; what rounding takes below zero is no distance
        squares = z.square().sum(1, keepdim=True) + centres.square().sum(1)
        distances = torch.addmm(squares, z, centres.T, alpha=-2).clamp_(min=0)
        width = self.scale**2 * z.shape[1] * 4 ** (self.n_scales - 1)
        kernel = torch.exp(distances.mul_(-0.5 / width))
        yield width, kernel
        for _ in range(1, self.n_scales):
            # a length half as large is the fourth power of the kernel, cheaper than an exponential
            width, kernel = width / 4, kernel.square().square()
            yield width, kernel


def _inverse_root(matrix: Tensor) -> Tensor:
    """Return ``R`` with ``R R' = matrix^-1`` on the directions that the matrix has."""
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp(min=_JITTER)
    features: Tensor = vectors * values.rsqrt()
    return features
