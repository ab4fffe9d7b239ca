"""Noise that depends on the state and velocities as references, against laws in closed form.

``directions``: geometric motion run forwards and backwards by SDE and ODE with its exact score, and
drawn from a bridge through samples of it: ends of the mean logarithm. ``sigma``: the noise of the
geometric family from 5 times 500 cells. ``cir``: rate and level of a square-root diffusion.
``velocity``: W1 to a snapshot left out, with simulated velocities that are right or wrong in a
known way, beside that without velocities (``truth``).

    python -m benchmarks.designs_noise --tasks directions sigma --out results
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from celltraj.models import (
    CoxIngersollRoss,
    Geometric,
    LotkaVolterra,
    Midpoint,
    OrnsteinUhlenbeck,
    Process,
    Refinement,
    VelocityReference,
    default_sigma,
    fit_bridge,
    refine,
    simulate,
)
from celltraj.models.bridge.weigh_velocity import (
    STRENGTHS,
    errors_left_out,
    weigh_velocity,
)
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

M, S = 0.3, 0.6  # relative growth and noise of geometric motion
TURN = torch.tensor([[-0.05, -1.0], [1.0, -0.05]])
SPREAD = 0.5  # noise of a measured velocity, over its root mean square


@dataclass(frozen=True)
class KnownGeometric:
    """Geometric motion from a log-normal law, with its score."""

    law: Geometric

    def moments(self, t: float) -> tuple[float, float]:
        """Return mean and variance of the logarithm at ``t``."""
        return (M - S**2 / 2) * t, 0.04 + S**2 * t

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return ``m x``."""
        return self.law.drift(t, x)

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return ``s x``."""
        return self.law.diffusion(t, x)

    def score(self, t: float, x: Tensor) -> Tensor:
        """Return that of the log-normal density."""
        mean, variance = self.moments(t)
        return -(1 + (x.log() - mean) / variance) / x


def generator(seed: int) -> torch.Generator:
    """Return a source of randomness."""
    return torch.Generator().manual_seed(seed)


def geometric_cells(n: int, t: float, seed: int) -> Tensor:
    """Draw cells ``(n, 1)`` of geometric motion."""
    mean, variance = KnownGeometric(Geometric()).moments(t)
    z = torch.randn(n, 1, dtype=torch.float64, generator=generator(seed))
    return (mean + variance**0.5 * z).exp()


def directions(seed: int) -> Iterator[dict]:
    """Yield the error of the mean logarithm of each way of simulating."""
    law = Geometric(torch.tensor([M]), S)
    known, n = KnownGeometric(law), 20_000
    for ode in (True, False):
        for start, stop in ((0.5, 1.5), (1.5, 0.5)):
            x = simulate(
                known,
                geometric_cells(n, start, seed),
                (start, stop),
                solver=Midpoint(60),
                ode=ode,
                generator=generator(seed),
            ).x[-1]
            yield _direction(("ODE" if ode else "SDE"), start, stop, x, known.moments(stop)[0])
    clouds = (geometric_cells(500, 0.5, seed + 1), geometric_cells(500, 1.5, seed + 2))
    bridge = fit_bridge(
        Snapshots((0.5, 1.5), clouds),
        law,
        coupling=solve,
        training=None,
        generator=generator(seed),
        progress=False,
    )
    x = bridge.sample(1.0, n, generator=generator(seed))
    # half way its mean logarithm is that of the two clouds, which are a sample of the law
    yield _direction("bridge", 0.5, 1.0, x, float(torch.cat(clouds).log().mean()))


def _direction(how: str, start: float, stop: float, x: Tensor, truth: float) -> dict:
    found = float(x.log().mean())
    way = f"{how} {start:g} to {stop:g}"
    return {"row": way, "found": found, "truth": truth, "error": found - truth}


def sigma(seed: int) -> Iterator[dict]:
    """Yield noise and growth of the geometric family from 5 times 500 cells."""
    times = (0.0, 0.5, 1.0, 1.5, 2.0)
    clouds = tuple(geometric_cells(500, t, 7 * seed + k) for k, t in enumerate(times))
    law, _ = refine(
        Snapshots(times, clouds),
        Geometric(sigma=1.0),
        coupling=solve,
        refinement=Refinement(estimate_sigma=True, max_rounds=3),
        generator=generator(seed),
        progress=False,
    )
    for name, found, truth in (
        ("sigma", float(law.sigma or math.nan), S),
        ("rate", next(iter(law.estimates().values())), M),
    ):
        yield {"row": name, "found": found, "truth": truth, "error": found / truth - 1}


def cir(seed: int) -> Iterator[dict]:
    """Yield rate and level of a square-root diffusion from 4 times 300 cells."""
    truth = CoxIngersollRoss(torch.tensor([1.0]), torch.tensor([2.0]), 0.5)
    x0 = 0.4 + 0.1 * torch.randn(300, 1, dtype=torch.float64, generator=generator(seed)).abs()
    path = simulate(
        truth, x0, (0.0, 0.4, 0.8, 1.4), solver=Midpoint(40), generator=generator(seed + 1)
    )
    law, _ = refine(
        Snapshots(path.times, tuple(path.x)),
        CoxIngersollRoss(sigma=0.5),
        coupling=solve,
        refinement=Refinement(max_rounds=8),
        generator=generator(seed),
        progress=False,
    )
    for (name, found), value in zip(law.estimates().items(), (1.0, 2.0), strict=True):
        yield {"row": name, "found": found, "truth": value, "error": found / value - 1}


def _turning(n: int, seed: int) -> tuple[Process, Snapshots]:
    law = OrnsteinUhlenbeck(matrix=TURN, shift=torch.zeros(2), sigma=0.1)
    return law, _moved(law, torch.tensor([2.0, 0.0]), tuple(1.4 * k for k in range(5)), n, seed)


def _prey(n: int, seed: int) -> tuple[Process, Snapshots]:
    law = LotkaVolterra(1.0, 0.4, 0.4, 0.1, 0.1)
    return law, _moved(law, torch.tensor([5.0, 4.0]), tuple(2.0 * k for k in range(6)), n, seed)


def _moved(law: Process, centre: Tensor, times: tuple[float, ...], n: int, seed: int) -> Snapshots:
    z = torch.randn(len(times), n, 2, dtype=torch.float64, generator=generator(seed))
    clouds = [centre + 0.25 * z[0]]
    for k, t in enumerate(times[1:], 1):
        start = centre + 0.25 * z[k]  # no cell is seen twice
        path = simulate(law, start, (0.0, t), solver=Midpoint(60), generator=generator(seed + k))
        clouds.append(path.x[-1])
    return Snapshots(times, tuple(clouds))


# what a measurement makes of velocities, given as they are and the unit that they are in
BIASES: dict[str, Callable[[Tensor], Tensor]] = {
    "right": lambda v: v,
    "slow": lambda v: 0.3 * v,
    "turned": lambda v: 0.5 * v + 0.87 * torch.stack([-v[:, 1], v[:, 0]], 1),
    "reversed": lambda v: -v,
    "noise": lambda v: 0 * v,
}


def velocity(seed: int, n: int = 60) -> Iterator[dict]:
    """Yield W1 to snapshots left out without velocities, and with the strength that is found."""
    for name, made in (("rotation", _turning), ("lotka_volterra", _prey)):
        law, snapshots = made(n, seed)
        cells = torch.cat(snapshots.x)
        true = law.drift(0.0, cells)
        size = true.square().mean().sqrt()
        noise = torch.randn(true.shape, dtype=true.dtype, generator=generator(seed + 99))
        noise = SPREAD * size * noise
        for bias, measured in BIASES.items():
            reference = VelocityReference(
                cells=cells,
                velocities=measured(true) + noise,
                sigma=default_sigma(snapshots, generator=generator(seed)),
            )
            start = time.process_time()
            # the strength is found without the snapshot that it is then compared at
            held = snapshots.times[2]
            found = weigh_velocity(
                snapshots.without([held]), reference, coupling=solve, seed=seed, progress=False
            )
            errors = errors_left_out(snapshots, held, reference, solve, seed)
            used = errors[(0.0, *STRENGTHS).index(found.strength)]
            yield {
                "row": f"{name}, {bias}",
                "strength": found.strength,
                "found": used,
                "truth": errors[0],
                "error": used / errors[0] - 1,
                "cpu_s": time.process_time() - start,
            }


TASKS = {"directions": directions, "sigma": sigma, "cir": cir, "velocity": velocity}


def main() -> None:
    """Run what the arguments name, and print a table of each task."""
    parser = argparse.ArgumentParser(
        description=f"Noise and velocities as references; strengths tried are {STRENGTHS}."
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help="folder for one csv a task")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in chosen.tasks:
        rows: list[dict] = []
        for seed in chosen.seeds:
            for row in TASKS[name](seed):
                rows.append({"seed": seed} | row)
                print(rows[-1], flush=True)
        table = pd.DataFrame(rows)
        print(table.groupby("row", sort=False).mean(numeric_only=True).round(4).to_string())
        if chosen.out is not None:
            chosen.out.mkdir(parents=True, exist_ok=True)
            table.to_csv(chosen.out / f"designs_noise_{name}.csv", index=False)


if __name__ == "__main__":
    main()
