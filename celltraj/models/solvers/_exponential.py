r"""Exact propagation of the linear part of a drift, with its noise.

Over a step ``h`` of ``dX = A X dt + sigma dW``

    F = e^{A h},  P = int_0^h e^{A u} du = h phi1(A h),  Q = sigma^2 |int_0^h e^{A u} e^{A' u} du|

are blocks of one matrix exponential (Van Loan, *Computing integrals involving the matrix
exponential*, 1978). It is taken of a part of the step and doubled, ``F(2h) = F F``,
``P(2h) = F P + P``, ``Q(2h) = F Q F' + Q``: whole, it would hold ``e^{-A h}`` too, which overflows
where the pull is stiff.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.process import Affine
from celltraj.models.solvers.noise import normal_like
from celltraj.models.solvers.solver import Equation


@dataclass(frozen=True)
class Propagator:
    """Hold what a step of the linear part does, for one length of step.

    Parameters
    ----------
    step
        ``(d, d)`` propagator F, without unit.
    integral
        ``(d, d)`` integral P, in [t].
    noise
        ``(d, d)`` symmetric root of Q / sigma^2, in sqrt([t]).
    """

    step: Tensor
    integral: Tensor
    noise: Tensor


def propagator(matrix: Tensor, h: float) -> Propagator:
    """Return the propagator of ``matrix (d, d)``, in 1/[t], over ``h``, of either sign."""
    d = len(matrix)
    n_doublings = max(0, math.ceil(math.log2(max(float((matrix * h).abs().sum(0).max()), 1.0))))
    identity = torch.eye(d, dtype=torch.float64)
    block = torch.zeros(3 * d, 3 * d, dtype=torch.float64)
    block[:d, :d], block[d : 2 * d, d : 2 * d] = matrix, -matrix.T
    block[:d, d : 2 * d] = block[:d, 2 * d :] = identity
    whole = torch.linalg.matrix_exp(block * (h / 2**n_doublings))
    step, integral = whole[:d, :d], whole[:d, 2 * d :]
    noise = whole[:d, d : 2 * d] @ step.T
    for _ in range(n_doublings):
        noise = step @ noise @ step.T + noise
        integral = step @ integral + integral
        step = step @ step
    # backwards in time the integral changes its sign, a covariance does not
    values, vectors = torch.linalg.eigh(math.copysign(0.5, h) * (noise + noise.T))
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    return Propagator(step, integral, root)


@dataclass
class LinearPart:
    """Propagate states along the linear part of an equation; one of these for one simulation.

    Parameters
    ----------
    reference
        Law whose matrix is propagated exactly.
    equation
        What is integrated: drift of the reference and anything else.
    generator
        Source of randomness.
    """

    reference: Affine
    equation: Equation
    generator: torch.Generator
    _known: dict[float, Propagator] = field(default_factory=dict)
    _sigma: float | None = None

    def over(self, h: float, x: Cells) -> Propagator:
        """Return the propagator over ``h``, in the type of ``x``; columns of integrals stand."""
        if h not in self._known:
            found = propagator(self._matrix(x), h)
            self._known[h] = Propagator(found.step.to(x), found.integral.to(x), found.noise.to(x))
        return self._known[h]

    def matrix(self, x: Cells) -> Tensor:
        """Return ``A`` in the type of ``x``."""
        return self._matrix(x).to(x)

    def _matrix(self, x: Cells) -> Tensor:
        d = self.equation.dim(x)
        matrix, _ = self.reference.affine(d)
        if matrix.shape != (d, d):
            raise ValueError(
                f"the reference of the solver has {len(matrix)} variables, the states have {d}"
            )
        wide = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
        wide[:d, :d] = matrix
        return wide

    def draw(self, t: float, h: float, x: Cells) -> Cells:
        """Return what the noise of a step of ``h`` adds to ``x``, zero for an ODE.

        Raises
        ------
        ValueError
            The noise differs between variables, cells or times.
        """
        if self.equation.noise is None:
            return torch.zeros_like(x)
        d = self.equation.dim(x)
        noise = self.equation.noise(t, x)[:, :d]
        if self._sigma is None:
            self._sigma = float(noise[0, 0])
        if not torch.allclose(noise, torch.full_like(noise, self._sigma), rtol=1e-5, atol=0):
            raise ValueError(
                "an exponential integrator needs a diffusion that is the same for all variables, "
                f"cells and times; found {float(noise.min()):g} to {float(noise.max()):g} at time "
                f"{t:g}, and {self._sigma:g} at the start. Choose another solver="
            )
        z = normal_like(x, self.generator)
        z[:, d:] = 0
        return self._sigma * z @ self.over(h, x).noise.T


def check_affine(reference: Affine) -> None:
    """Raise unless ``reference`` has a matrix.

    Raises
    ------
    TypeError
        It is a class, or not affine.
    """
    if isinstance(reference, type) or not isinstance(reference, Affine):
        raise TypeError(
            "an exponential integrator needs an affine reference, such as OrnsteinUhlenbeck("
            f"matrix=, shift=); found {reference!r}"
        )
