"""Paths of least action, derivatives, adaptive steps and gradients, where the truth is known.

``action``: the action over a pass beside ``2 dU / sigma^2`` for potentials with straight and curved
valleys, and of transitions under a pull beside their closed form; ``jacobian``: error of
derivatives of a circuit and time by number of variables; ``steps``: error of the end of geometric
Brownian motion, and of a law that is stiff at first, by evaluations, for adaptive and equal steps;
``adjoint``: bytes that wait for a gradient, and error against backpropagation, by steps. One
thread.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from benchmarks._report import parser, report
from celltraj.models import (
    AdaptiveHeun,
    EulerMaruyama,
    GeneRegulation,
    Heun,
    LeastAction,
    Midpoint,
    OrnsteinUhlenbeck,
    Process,
    SdeSolver,
    least_action,
    simulate,
)
from celltraj.models.jacobian.jacobian import jacobian
from celltraj.models.solvers._exponential import propagator
from celltraj.models.solvers.adjoint import AdjointOptions, integrate_with_gradient

F64 = torch.float64


@dataclass(frozen=True)
class CurvedWell:
    """Roll down ``(x^2 - 1)^2 / 4 + stiff (y - bend (1 - x^2))^2 / 2``, whose pass is 1/4 high."""

    bend: float
    stiff: float
    sigma: float = 0.3

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, 2)`` drift, in [x]/[t]."""
        a = x[:, 0]
        aside = x[:, 1] - self.bend * (1 - a**2)
        slope = a**3 - a + 2 * self.stiff * self.bend * aside * a
        return -torch.stack([slope, self.stiff * aside], 1)

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return ``sigma`` everywhere, ``(n, 2)``, in [x]/sqrt([t])."""
        return torch.full_like(x, self.sigma)


@dataclass(frozen=True)
class Geometric:
    """Follow ``dX = X dt / 2 + .8 X dW``."""

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the drift, in [x]/[t]."""
        return 0.5 * x

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return the diffusion, in [x]/sqrt([t])."""
        return 0.8 * x


@dataclass(frozen=True)
class Fading:
    """Follow a pull that fades, ``dX = -(1 + 300 exp(-30 t)) X dt + .5 dW``."""

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the drift, in [x]/[t]."""
        return -(1 + 300 * math.exp(-30 * t)) * x

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return the diffusion, in [x]/sqrt([t])."""
        return torch.full_like(x, 0.5)


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--cells", type=int, default=20_000)
    chosen = options.parse_args(argv)
    for task in chosen.tasks:
        records = pd.DataFrame(TASKS[task](chosen.cells))
        report(f"dynamics_paths_{task}", records, records.set_index(records.columns[0]), chosen.out)
        records.to_csv(chosen.out / f"dynamics_paths_{task}.csv", index=False)


def _action(n_cells: int) -> list[dict]:
    left, right = (torch.tensor([v, 0.0], dtype=F64) for v in (-1.0, 1.0))
    rows = [
        _path_row(f"well bend={bend:g} stiff={stiff:g}", CurvedWell(bend, stiff), (left, right), n)
        | {"true": 0.5 / 0.3**2}
        for bend, stiff in ((0.0, 1.0), (1.0, 1.0), (1.0, 5.0), (2.0, 10.0))
        for n in (40, 100, 200)
    ]
    matrix = torch.tensor([[-1.0, 2.0], [-1.0, -0.5]], dtype=F64)
    pull = OrnsteinUhlenbeck(matrix=matrix, shift=torch.zeros(2, dtype=F64), sigma=0.7)
    ends = torch.tensor([1.0, 0.0], dtype=F64), torch.tensor([-1.0, 2.0], dtype=F64)
    for duration in (0.5, 2.0, 10.0):
        law = propagator(matrix, duration)
        missed = ends[1] - law.step @ ends[0]
        true = missed @ torch.linalg.solve(0.7**2 * law.noise @ law.noise, missed) / 2
        row = _path_row(f"pull T={duration:g}", pull, ends, 100, stop=duration)
        rows.append(row | {"true": float(true)})
    return [row | {"relative": row["action"] / row["true"] - 1} for row in rows]


def _path_row(
    name: str,
    process: Process,
    ends: tuple[Tensor, Tensor],
    n_points: int,
    stop: float | None = None,
) -> dict:
    begun, generator = time.process_time(), torch.Generator().manual_seed(0)
    options = LeastAction(n_points=n_points)
    path = least_action(process, ends, (0.0, stop), options, generator=generator)
    return {
        "law": name,
        "points": n_points,
        "action": path.action,
        "estimated_error": path.error,
        "agreeing": path.n_agreeing,
        "converged": path.converged,
        "cpu_s": time.process_time() - begun,
    }


def _jacobian(n_cells: int) -> list[dict]:
    rows = []
    for d in (2, 10, 50):
        x = (
            torch.rand(n_cells // 10, d, dtype=F64, generator=torch.Generator().manual_seed(0))
            + 0.1
        )
        weights = torch.randn(d, d, dtype=F64, generator=torch.Generator().manual_seed(1)) / d**0.5
        one = torch.ones(d, dtype=F64)
        law = GeneRegulation(
            half_level=0.5 * one, production=one, degradation=one, bias=0 * one, weights=weights
        )
        level = (x / 0.5) ** 2
        slope = 2 * level / x / (1 + level) ** 2
        logic = torch.sigmoid((level / (1 + level)) @ weights.T)
        true = (logic * (1 - logic))[:, :, None] * weights * slope[:, None] - torch.eye(d).double()
        begun = time.process_time()
        found = jacobian(law, 0.0, x)
        cpu = time.process_time() - begun
        worst = float((found - true).abs().max())
        rows.append({"variables": d, "cells": len(x), "worst_error": worst, "cpu_s": cpu})
    return rows


def _steps(n_cells: int) -> list[dict]:
    adaptive = [AdaptiveHeun(rtol, rtol) for rtol in (1e-1, 1e-2, 1e-3)]
    equal = [make(n) for make, n in itertools.product((EulerMaruyama, Midpoint, Heun), (25, 100))]
    rows = []
    for solver in (*adaptive, *equal):
        rows.append(_geometric_row(solver, n_cells))
        rows.append(_fading_row(solver, n_cells))
    return sorted(rows, key=lambda row: row["law"])


def _geometric_row(solver: SdeSolver, n: int) -> dict:
    """Return the error of the law of the end, and of adaptive steps of the end itself."""
    x0 = torch.ones(n, 1, dtype=F64)
    path = simulate(
        Geometric(), x0, (0.0, 1.0), solver=solver, generator=torch.Generator().manual_seed(0)
    )
    row = {"law": "geometric", "solver": repr(solver), "evaluations": path.n_evaluations}
    logs = path.x[-1].clamp(min=1e-9).log()
    row["mean_error"] = abs(float(logs.mean()) - (0.5 - 0.32))
    row["variance_error"] = abs(float(logs.var()) / 0.64 - 1)
    row["standard_error"] = (2 / n) ** 0.5
    if isinstance(solver, AdaptiveHeun):  # whose first draw is the increment of the whole
        whole = torch.randn(n, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
        exact = torch.exp(0.5 - 0.32 + 0.8 * whole)
        row["strong_error"] = float((path.x[-1] - exact).square().mean().sqrt())
    return row


def _fading_row(solver: SdeSolver, n: int) -> dict:
    """Return the error of the variance at the end, whose truth is one integral."""
    start = torch.full((n, 1), 3.0, dtype=F64)
    row = {"law": "fading pull", "solver": repr(solver)}
    try:
        path = simulate(
            Fading(), start, (0.0, 0.3), solver=solver, generator=torch.Generator().manual_seed(0)
        )
    except ValueError as error:
        return row | {"refused": str(error)[:60]}
    grid = torch.linspace(0, 0.3, 200_001, dtype=F64)
    left = 1.0 * (0.3 - grid) + 10 * ((-30 * grid).exp() - math.exp(-9.0))
    true = float(torch.trapezoid(0.25 * (-2 * left).exp(), grid))
    row["evaluations"] = path.n_evaluations
    row["variance_error"] = abs(float(path.x[-1].var()) / true - 1)
    row["mean_error"] = abs(float(path.x[-1].mean()) - 3 * math.exp(-float(left[0])))
    return row | {"standard_error": (2 / n) ** 0.5}


def _adjoint(n_cells: int) -> list[dict]:
    return [_gradient_row(rate, n_cells) for rate in (5.0, 20.0, 90.0)]


def _gradient_row(rate: float, n: int) -> dict:
    weight = torch.ones(1, dtype=F64, requires_grad=True)
    x0, counts = torch.ones(n, 1, dtype=F64), [0]

    def velocity(t: float, x: Tensor) -> Tensor:
        counts[0] += 1
        return math.cos(rate * t) * rate * weight * x.tanh()

    options = AdjointOptions(1e-6, 1e-8)
    begun = time.process_time()
    with torch.no_grad():
        integrate_with_gradient(velocity, x0, (0.0, 1.0), [weight], options)
    forward, evaluations = time.process_time() - begun, counts[0]
    kept, begun = (
        _bytes_of(lambda: integrate_with_gradient(velocity, x0, (0.0, 1.0), [weight], options)),
        time.process_time(),
    )
    slope = _slope(
        lambda: integrate_with_gradient(velocity, x0, (0.0, 1.0), [weight], options), weight
    )
    cpu = time.process_time() - begun
    # x' = w d(sin(r t)) tanh(x): sinh x = sinh(x0) exp(w sin r), in closed form
    end = torch.asinh(math.sinh(1.0) * (weight * math.sin(rate)).exp())
    (true,) = torch.autograd.grad(end.sum() * n, weight)
    steps = max(8, evaluations // 7)
    through = _bytes_of(lambda: _equal_steps(velocity, x0, steps))
    return {
        "steps": evaluations / 7,
        "saved_MB": kept / 1e6,
        "backpropagation_MB": through / 1e6,
        "relative_error": abs(float(slope / true) - 1),
        "forward_cpu_s": forward,
        "with_gradient_cpu_s": cpu,
    }


def _slope(end_of: Callable[[], Tensor], weight: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(end_of().sum(), weight)
    return slope


def _bytes_of(end_of: Callable[[], Tensor]) -> int:
    """Return the bytes that are saved for backward by a computation."""
    sizes: list[int] = []

    def pack(x: Tensor) -> Tensor:
        sizes.append(x.untyped_storage().nbytes())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        end_of()
    return sum(sizes)


def _equal_steps(velocity: Callable[[float, Tensor], Tensor], x: Tensor, n: int) -> Tensor:
    """Return the end of as many midpoint steps, with their graph."""
    for k in range(n):
        half = x + velocity((k + 0.25) / n, x) / (2 * n)
        x = x + velocity((k + 0.5) / n, half) / n
    return x


TASKS: dict[str, Callable[[int], Sequence[dict]]] = {
    "action": _action,
    "jacobian": _jacobian,
    "steps": _steps,
    "adjoint": _adjoint,
}


if __name__ == "__main__":
    main()
