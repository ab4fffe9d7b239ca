r"""The Gaussian law of the paths of a reference, exact where it is affine, else linearised.

Along the flow ``phi`` of each cell, ``phi' = b(t, phi)``, the linearised equation is
``dX = [b(t, phi) + J(t, phi) (X - phi)] dt + sigma dW``. Over one step of the grid

    F' = J F, F(0) = I                      (propagator)
    Q = int F(h - u) D F(h - u)' du   (covariance of the noise gathered in the step)

with ``D = sigma^2 I``, or ``diag s^2(t, phi)`` where the noise depends on the state, so that the
path at the nodes of the grid is a Gaussian Markov chain. Where
``b = A x + c`` nothing is approximated and all cells share ``F`` and ``Q``, one
matrix exponential (Van Loan, *Computing integrals involving the matrix exponential*, 1978). Sarkka
& Solin, *Applied stochastic differential equations* (2019), chapters 6 and 9.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Targets
from celltraj.models.process import Affine, KnownSlope
from celltraj.models.references.chart import ShapedNoise
from celltraj.models.references.family import CommonSlope, Reference, sigma_of
from celltraj.ot import Cost, GaussianCost, SquaredEuclidean

_STIFF = 4.0  # pull times step up to which one matrix exponential keeps its digits
N_STEPS = 12  # nodes of a gap, two Runge-Kutta steps apart
_PROBE = 1e-5  # relative step of central differences: error 1e-10 in double precision


@card()
@dataclass(frozen=True)
class Flow:
    r"""Hold a Gaussian Markov chain for each of ``n`` cells on a grid of times.

    Matrices have a leading ``c``, the number of cells, or 1 where all share them.

    Parameters
    ----------
    times
        ``(S + 1,)`` increasing times, in the user's unit.
    mean
        ``(S + 1, n, d)`` flow of each cell, in [x].
    steps
        ``(S, c, d, d)`` propagators ``F`` of each step, without unit.
    noises
        ``(S, c, d, d)`` covariances ``Q`` gathered in each step, in [x]^2.
    """

    times: tuple[float, ...]
    mean: Tensor
    steps: Tensor
    noises: Tensor

    @cached_property
    def to_end(self) -> Tensor:
        """Return the ``(S + 1, c, d, d)`` propagators from each node to the last."""
        one = torch.eye(self.mean.shape[2], dtype=self.mean.dtype, device=self.steps.device)
        chain = [one.expand_as(self.steps[0])]
        for step in self.steps.flip(0):
            chain.append(chain[-1] @ step)
        return torch.stack(chain[::-1])

    @cached_property
    def covariance(self) -> Tensor:
        """Return the ``(S + 1, c, d, d)`` covariance at each node given the first."""
        chain = [torch.zeros_like(self.noises[0])]
        for step, noise in zip(self.steps, self.noises, strict=True):
            chain.append(step @ chain[-1] @ step.mT + noise)
        return torch.stack(chain)

    @cached_property
    def remaining(self) -> Tensor:
        """Return the ``(S + 1, c, d, d)`` covariance of the last node given each."""
        gathered = self.to_end[1:] @ self.noises @ self.to_end[1:].mT
        left = gathered.flip(0).cumsum(0).flip(0)
        return torch.cat([left, torch.zeros_like(left[:1])])

    def problem(self, y: Targets) -> tuple[Cost, float]:
        """Return cost and epsilon of the transport from the first node to ``y`` at the last.

        ``cost = -epsilon log p(y | x)`` up to one constant, with ``epsilon`` the generalised
        variance ``exp(mean log det / d)``: a Brownian reference has ``sigma^2 (t1 - t0)``.
        """
        return gaussian_problem(self.mean[-1], self.covariance[-1], y)


def gaussian_problem(mean: Cells, covariance: Tensor, y: Targets) -> tuple[Cost, float]:
    """Return cost and epsilon of transport under ``N(y; mean, covariance)``."""
    factor = torch.linalg.cholesky(covariance)
    log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
    epsilon = float((log_det.detach().mean() / mean.shape[1]).exp())
    if len(factor) == 1:
        unit = factor[0] / epsilon**0.5
        x, y = (torch.linalg.solve_triangular(unit, v.T, upper=False).T for v in (mean, y))
        return SquaredEuclidean(x, y), epsilon
    precision = epsilon * torch.cholesky_inverse(factor)
    offset = epsilon / 2 * (log_det - log_det.mean())
    return GaussianCost(mean, precision, offset, y), epsilon


def flow_of(reference: Reference, x: Cells, times: Sequence[float]) -> Flow:
    """Return the law of the paths of ``reference`` from ``x (n, d)`` at ``times[0]``.

    Parameters
    ----------
    reference
        Law of motion; exact where it is ``Affine``, else linearised along the flow of each cell.
    x
        ``(n, d)`` cells at ``times[0]``.
    times
        Increasing nodes, in the user's unit; between two of them a nonlinear reference takes two
        Runge-Kutta steps of order 4, and Simpson's rule for the noise.

    Raises
    ------
    ValueError
        The flow leaves the finite numbers.
    """
    grid = tuple(float(t) for t in times)
    if isinstance(reference, Affine):
        return _affine(reference, x.double(), grid)
    return _linearised(reference, x.double(), grid)


def _affine(reference: Affine, x: Cells, times: tuple[float, ...]) -> Flow:
    matrix, shift = reference.affine(x.shape[1])
    d = x.shape[1]
    # Van Loan: the exponential of [[A, sigma^2 I, c], [0, -A', 0], [0, 0, 0]] h holds F, Q F'^-1
    # and the integral of F c
    block = torch.zeros(2 * d + 1, 2 * d + 1, dtype=torch.float64)
    block[:d, :d], block[d : 2 * d, d : 2 * d] = matrix, -matrix.T
    block[:d, d : 2 * d] = sigma_of(reference) ** 2 * torch.eye(d, dtype=torch.float64)
    block[:d, -1] = shift
    mean, steps, noises = [x], [], []
    pull = float(matrix.abs().sum(0).max())
    for start, stop in pairwise(times):
        h = stop - start
        # e^{-A' h} swamps all else where the pull is stiff: a part of the step is doubled
        n_doublings = max(0, math.ceil(math.log2(max(pull * h / _STIFF, 1.0))))
        whole = torch.linalg.matrix_exp(block * (h / 2**n_doublings))
        step, moved = whole[:d, :d], whole[:d, -1]
        noise = whole[:d, d : 2 * d] @ step.T
        for _ in range(n_doublings):
            noise = step @ noise @ step.T + noise
            moved = step @ moved + moved
            step = step @ step
        # matrices are made where the law's are, which serve all cells
        mean.append(mean[-1] @ step.T.to(x.device) + moved.to(x.device))
        steps.append(step[None])
        noises.append((noise + noise.T)[None] / 2)
    return Flow(times, torch.stack(mean), torch.stack(steps), torch.stack(noises))


def _linearised(reference: Reference, x: Cells, times: tuple[float, ...]) -> Flow:
    n, d = x.shape
    identity = torch.eye(d, dtype=torch.float64, device=x.device)
    probe = _PROBE * (1 + x.abs().amax(0))
    common = reference.common_slope if isinstance(reference, CommonSlope) else None
    common = None if common is None else common.to(x.device)
    n_slopes = n if common is None else 1
    # a protocol is slow to ask: once, and not at every step
    known = reference if isinstance(reference, KnownSlope) else None
    shaped = reference if isinstance(reference, ShapedNoise) else None

    def rates(t: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if common is not None:
            return reference.drift(t, state[0]), common @ state[1]
        if known is not None:
            velocity, jacobian = known.drift_and_jacobian(t, state[0])
        else:
            velocity, jacobian = value_and_jacobian(reference.drift, t, state[0], probe)
        return velocity, jacobian @ state[1]

    mean, steps, noises = [x], [], []
    for start, stop in pairwise(times):
        h = stop - start
        fresh = identity.expand(n_slopes, d, d)
        centre, first = runge_kutta(rates, start, h / 2, (mean[-1], fresh))
        end, second = runge_kutta(rates, start + h / 2, h / 2, (centre, fresh))
        whole = second @ first
        # Simpson's sum of positive definite terms is positive definite however coarse the step
        before, half_way, after = (_shape(shaped, x) for x in (mean[-1], centre, end))
        terms = (before * whole) @ whole.mT + 4 * (half_way * second) @ second.mT + after * identity
        mean.append(end)
        steps.append(whole)
        noises.append(sigma_of(reference) ** 2 * h / 6 * terms)
    if not torch.isfinite(steps[-1]).all() or not torch.isfinite(mean[-1]).all():
        raise ValueError(
            f"the flow of {type(reference).__name__} from {times[0]:g} to {times[-1]:g} is not "
            "finite: its parameters make it explode, or its drift returned NaN"
        )
    return Flow(times, torch.stack(mean), torch.stack(steps), torch.stack(noises))


def _shape(reference: ShapedNoise | None, x: Cells) -> Tensor | float:
    """Return the squared shape ``(n, 1, d)`` of the noise at ``x``; 1 where it is constant."""
    if reference is None:
        return 1.0
    return reference.chart.shape(x).square()[:, None]


def runge_kutta(
    rates: Callable[[float, tuple[Tensor, ...]], tuple[Tensor, ...]],
    t: float,
    h: float,
    state: tuple[Tensor, ...],
    *,
    first: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, ...]:
    """Return ``state`` after one classical Runge-Kutta step of length ``h``.

    ``first`` are the rates at its start, where they are known.
    """

    def ahead(slope: tuple[Tensor, ...], share: float) -> tuple[Tensor, ...]:
        return tuple(v + share * h * k for v, k in zip(state, slope, strict=True))

    k1 = rates(t, state) if first is None else first
    k2 = rates(t + h / 2, ahead(k1, 0.5))
    k3 = rates(t + h / 2, ahead(k2, 0.5))
    k4 = rates(t + h, ahead(k3, 1.0))
    slopes = zip(k1, k2, k3, k4, strict=True)
    return ahead(tuple((a + 2 * b + 2 * c + e) / 6 for a, b, c, e in slopes), 1.0)


def value_and_jacobian(
    drift: Callable[[float, Cells], Cells], t: float, x: Cells, probe: Tensor
) -> tuple[Cells, Tensor]:
    """Return ``drift(t, x)`` and its ``(n, d, d)`` Jacobian by central differences, in one call.

    ``probe (d,)`` are the steps. Nothing is asked of the drift but its values.
    """
    n, d = x.shape
    offsets = torch.diag(probe)
    points = torch.cat([x[None], x + offsets[:, None], x - offsets[:, None]])
    values = drift(t, points.reshape(-1, d)).reshape(2 * d + 1, n, d)
    slopes = (values[1 : d + 1] - values[d + 1 :]) / (2 * probe[:, None, None])
    return values[0], slopes.permute(1, 2, 0)


def gap_flow(
    reference: Reference,
    x: Cells,
    start: float,
    stop: float,
    share: float = 1.0,
    *,
    n_nodes: int = N_STEPS,
) -> Flow:
    """Return the law from ``start`` to ``stop``, on as many steps as that needs.

    ``share`` is that of the gap that lies between the two, ``n_nodes`` the steps of a whole one.
    """
    n_steps = 1 if isinstance(reference, Affine) else max(1, math.ceil(share * n_nodes))
    return flow_of(reference, x, uniform_grid(start, stop, n_steps))


def uniform_grid(start: float, stop: float, n_steps: int) -> tuple[float, ...]:
    """Return ``n_steps + 1`` equally spaced times that end exactly at ``stop``."""
    inner = (start + (stop - start) * k / n_steps for k in range(n_steps))
    return (*inner, stop)
