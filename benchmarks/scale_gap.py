"""One gap by every solver there is, at the same epsilon, judged alike: the rows beside ours.

The error is the L1 distance of both marginals of the plan from those asked for. ``plan_cost`` is
the mean cost over the plan in units of that over all pairs: a plan of low rank may have the right
marginals and still send cells elsewhere. Peers are asked for 1e-3 in their own measure.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import ot as pot
import torch

import celltraj as ct
from benchmarks._apart import apart, twice
from benchmarks.peers_gap import SOLVERS

EPSILON = 0.05  # of the mean cost, the default of ct.tl.couplings
TOL = 1e-3
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # P 1, P' 1 and P y
Row = dict[str, object]


def _by_celltraj(x: np.ndarray, y: np.ndarray, tol: float | None = None) -> Callable[[], Arrays]:
    cost = ct.ot.SquaredEuclidean(*map(torch.from_numpy, (x, y)))
    a, b = (torch.full((len(z),), 1 / len(z), dtype=torch.float64) for z in (x, y))
    found = ct.ot.Balanced(tol=tol)(cost, a, b, epsilon=EPSILON * cost.mean())

    def sums() -> Arrays:
        # over all pairs, also where the solver drew some: its own estimate does not count here
        plan = ct.ot.Coupling.of(cost, (found.f, found.g), (a, b), epsilon=found.epsilon)
        carried = plan.pull(torch.from_numpy(y).double())
        return plan.row_mass.numpy(), plan.column_mass.numpy(), carried.numpy()

    return sums


def _by_pot(x: np.ndarray, y: np.ndarray) -> Callable[[], Arrays]:
    x, y = x.astype(float), y.astype(float)
    a, b = (np.full(len(z), 1 / len(z)) for z in (x, y))
    cost = pot.dist(x, y)
    options = {"method": "sinkhorn_log", "stopThr": TOL, "warn": False}
    plan = np.asarray(pot.sinkhorn(a, b, cost, EPSILON * cost.mean(), **options))
    return lambda: (plan.sum(1), plan.sum(0), plan @ y)


HERE: dict[str, Callable[..., Callable[[], Arrays]]] = {
    "celltraj": _by_celltraj,
    f"celltraj, tol {TOL:g}": partial(_by_celltraj, tol=TOL),
    "POT sinkhorn_log": _by_pot,
}


def rows(x: np.ndarray, y: np.ndarray, peers: str | None, known: set[str]) -> Iterator[Row]:
    """Yield what each solver costs for cells ``x (n, d)`` and ``y (m, d)``, and how far it is off.

    Parameters
    ----------
    x, y
        Cells at both ends, float32.
    peers
        Python that has moscot and OTT; they are left out without.
    known
        Names of the rows that are there already.
    """
    for name in HERE:
        if (call := _title(name)) not in known:
            yield {"call": call, **apart(_here, name, x, y)}
    for name in SOLVERS if peers else ():
        if (call := _title(name)) in known:
            continue
        found = _elsewhere(str(peers), name, x, y)
        if found is not None:
            yield {"call": call, **found}


def _title(name: str) -> str:
    return f"one gap: {name}"


def _here(name: str, x: np.ndarray, y: np.ndarray) -> Row:
    solve = HERE[name]
    solve(x[:60], y[:60])
    sums, cost = twice(lambda: solve(x, y))
    return {**cost, **judged(x, y, sums())}


def _elsewhere(python: str, name: str, x: np.ndarray, y: np.ndarray) -> Row | None:
    """Return the row of a stranger's program, or say in one line why there is none."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "cells.npz"), Path(folder, "found.npz")
        np.savez(given, x=x, y=y, epsilon=EPSILON)
        command = [python, "-m", "benchmarks.peers_gap", name, str(given), str(found)]
        env = os.environ | {"PYTHONPATH": str(root)}
        run = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
        if run.returncode != 0:
            why = (run.stderr.strip() or f"ended with {run.returncode}").splitlines()[-1]
            print(f"left out: {name} on {len(x):,} cells: {why}", flush=True)
            return None
        with np.load(found) as all_of_it:
            content = dict(all_of_it)
    sums = tuple(content.pop(key).astype(float) for key in ("rows", "columns", "carried"))
    return {**{key: float(value) for key, value in content.items()}, **judged(x, y, sums)}


def judged(x: np.ndarray, y: np.ndarray, sums: Arrays) -> dict[str, float]:
    """Return the error of the marginals of a plan and its cost, from its sums ``P 1, P' 1, P y``.

    ``sum P |x - y|^2 = |x|^2 . P 1 + |y|^2 . P' 1 - 2 sum x * P y``, so that no plan is held whole.
    """
    x, y = x.astype(float), y.astype(float)
    row_mass, column_mass, carried = sums
    error = np.abs(row_mass - 1 / len(x)).sum() + np.abs(column_mass - 1 / len(y)).sum()
    squares = [np.square(z).sum(1) for z in (x, y)]
    cost = squares[0] @ row_mass + squares[1] @ column_mass - 2 * (x * carried).sum()
    mean = squares[0].mean() + squares[1].mean() - 2 * x.mean(0) @ y.mean(0)
    return {"error": float(error), "plan_cost": float(cost / row_mass.sum() / mean)}
