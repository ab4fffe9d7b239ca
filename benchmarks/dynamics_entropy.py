"""How near is the entropy production of a law, from cells of one snapshot, to what is known.

``laws``: cells drawn from the stationary density of a law, whose drift and noise are given:
rotating Ornstein-Uhlenbeck processes (2 w^2 / k) and a driven double well (by quadrature). Columns:
lower, plug_in and middle, the absolute error of the middle, whether the bracket holds the truth,
and the rate by a Gaussian score, the trivial row. ``bridge``: six snapshots of a relaxing rotation,
to which a bridge on the right family is fitted, its sigma given, beside the closed form.
"""

from __future__ import annotations

import math
import time
from argparse import Namespace

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

import celltraj as ct
from benchmarks._report import parser, report
from celltraj.models import OrnsteinUhlenbeck, Process
from celltraj.models.thermodynamics.entropy_production import entropy_production

SIGMA = 0.7  # of the double well, and the noise of the bridge's cells
CASES = (  # law, w or g, cells, variables
    ("rotation", 0.0, 2000, 2),
    ("rotation", 1.0, 500, 2),
    ("rotation", 1.0, 2000, 2),
    ("rotation", 3.0, 2000, 2),
    ("rotation", 1.0, 2000, 10),
    ("rotation", 1.0, 5000, 10),
    ("double well", 0.0, 4000, 2),
    ("double well", 0.5, 4000, 2),
    ("double well", 1.0, 4000, 2),
)


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--cells", type=int, default=500, help="of a snapshot of 'bridge'")
    chosen = options.parse_args(argv)
    for task in chosen.tasks:
        TASKS[task](chosen)


class DrivenWell:
    """Roll down ``V = (x^2 - 1)^2 / 4 + y^2 / 2`` and turn along its level lines.

    Parameters
    ----------
    g
        Speed of the turn, of the slope: the density stays ``exp(-2 V / sigma^2)``.
    sigma
        Diffusion, in [x]/sqrt([t]).
    """

    def __init__(self, g: float, sigma: float) -> None:
        self.g, self.sigma = g, sigma

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, 2)`` drift, in [x]/[t]."""
        slope = torch.stack([x[:, 0] ** 3 - x[:, 0], x[:, 1]], 1)
        return -slope + self.g * torch.stack([-slope[:, 1], slope[:, 0]], 1)

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return ``sigma`` everywhere, ``(n, 2)``, in [x]/sqrt([t])."""
        return torch.full_like(x, self.sigma)


def turning(w: float, dim: int, sigma: float = 1.0) -> OrnsteinUhlenbeck:
    """Return a pull of 1 on all variables with a rotation of the first two."""
    matrix = -torch.eye(dim)
    matrix[0, 1], matrix[1, 0] = -w, w
    return OrnsteinUhlenbeck(matrix=matrix, shift=torch.zeros(dim), sigma=sigma)


def drawn(
    name: str, speed: float, n: int, dim: int, rng: np.random.Generator
) -> tuple[Process, Tensor, float]:
    """Return a law, cells of its stationary density, and its entropy production."""
    if name == "rotation":
        x = rng.normal(size=(n, dim)) / math.sqrt(2)
        return turning(speed, dim), torch.from_numpy(x), 2 * speed**2
    grid = np.linspace(-4, 4, 40_001)
    p = np.exp(-((grid**2 - 1) ** 2) / 2 / SIGMA**2)
    p /= p.sum()
    y = SIGMA / math.sqrt(2) * rng.normal(size=n)
    x = np.column_stack([rng.choice(grid, n, p=p), y])
    slope = p @ (grid**3 - grid) ** 2 + SIGMA**2 / 2
    return DrivenWell(speed, SIGMA), torch.from_numpy(x), 2 * speed**2 / SIGMA**2 * slope


def _by_gaussian(law: Process, x: Tensor) -> float:
    """Return the plug-in rate with the score of a Gaussian."""
    noise = law.diffusion(0.0, x)[0].square() / 2
    score = -(x - x.mean(0)) @ torch.linalg.inv(torch.cov(x.T))
    return float(((law.drift(0.0, x) - noise * score).square() / noise).sum(1).mean())


def _laws(chosen: Namespace) -> None:
    rows = []
    for case in CASES:
        for seed in range(chosen.repeats):
            law, x, true = drawn(*case, np.random.default_rng(seed))
            start = time.process_time()
            generator = torch.Generator().manual_seed(seed)
            found = entropy_production(law, 0.0, x, confidence=0.95, generator=generator)
            seconds = time.process_time() - start
            middle = (found.lower + found.plug_in) / 2
            row = dict(zip(("law", "speed", "cells", "variables"), case, strict=True))
            row |= {"seed": seed, "true": true, "lower": found.lower, "plug_in": found.plug_in}
            row |= {"middle": middle, "error": abs(middle - true), "gaussian": _by_gaussian(law, x)}
            row |= {"held": float(found.interval[0] <= true <= found.interval[1])}
            row |= {"called_moving": float(math.isnan(found.middle)), "cpu_s": seconds}
            rows.append(row)
    records = pd.DataFrame(rows)
    keys = ["law", "speed", "cells", "variables"]
    table = records.groupby(keys, sort=False).mean().drop(columns="seed")
    report("dynamics_entropy_laws", records, table, chosen.out)


def relaxing(n: int, rng: np.random.Generator) -> tuple[AnnData, pd.DataFrame]:
    """Return six snapshots of a rotation at 1 that relaxes from (3, 0), and its true rates."""
    times = 0.25 * np.arange(6)
    parts, rates = [], []
    for t in times:
        mean = 3 * np.exp((-1 + 1j) * t)
        variance = SIGMA**2 / 2 * (1 - 0.5 * math.exp(-2 * t))  # from half of the stationary one
        centre = np.array([mean.real, mean.imag])
        parts.append(centre + math.sqrt(variance) * rng.normal(size=(n, 2)))
        matrix = np.array([[-1.0, -1.0], [1.0, -1.0]])
        around = matrix + SIGMA**2 / 2 / variance * np.eye(2)
        spent = (matrix @ centre) @ (matrix @ centre) + variance * np.trace(around @ around.T)
        rates.append({"time": t, "true": 2 / SIGMA**2 * spent})
    obs = pd.DataFrame({"time": np.repeat(times, n)}).rename(index=str)
    return AnnData(np.concatenate(parts).astype(np.float32), obs=obs), pd.DataFrame(rates)


def _bridge(chosen: Namespace) -> None:
    rows = []
    for seed in range(min(chosen.repeats, 3)):
        adata, true = relaxing(chosen.cells, np.random.default_rng(seed))
        start = time.process_time()
        bridge = ct.tl.fit_bridge(
            adata,
            reference=OrnsteinUhlenbeck(),
            sigma=SIGMA,
            growth=None,
            training=None,
            seed=seed,
            progress=False,
        )
        fit_s = time.process_time() - start
        ct.tl.entropy_production(adata, bridge, progress=False, seed=seed)
        seconds = time.process_time() - start - fit_s
        table = ct.get.entropy_production(adata).merge(true, on="time")
        rows.append(table.assign(seed=seed, fit_s=fit_s, cpu_s=seconds))
    records = pd.concat(rows, ignore_index=True)
    kept = ["true", "lower", "plug_in", "low", "high", "least", "fit_s", "cpu_s"]
    report("dynamics_entropy_bridge", records, records.groupby("time")[kept].mean(), chosen.out)


TASKS = {"laws": _laws, "bridge": _bridge}


if __name__ == "__main__":
    main()
