"""Interpolation by moscot behind the signature that ``ct.tl.cross_validate`` calls.

Klein et al., *Mapping cells through time and space with moscot* (2025). Its environment (jax) is
not this package's; the row is there where both can be imported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import csr_array
from torch import Tensor

from celltraj._anndata import read_snapshots
from celltraj.ot.sampling import draw_partners
from celltraj.snapshots import Snapshots

EPSILON = 1e-3  # of the mean cost, as moscot's tutorials set it


@dataclass(frozen=True)
class Displacement:
    """Hold one partner for each cell as a ``Process``: straight lines at constant speed.

    A law of motion knows the state of a cell and not its name, and a plan knows the name only. Both
    agree here because ``cross_validate`` pushes *all* cells of a snapshot, in their order, from its
    time: row ``i`` of ``x`` is cell ``i`` of the snapshot before ``t``.

    Parameters
    ----------
    snapshots
        Observed clouds.
    partners
        For each gap, the ``(n_k, d)`` cell at its end that each cell at its start goes to.
    """

    snapshots: Snapshots
    partners: tuple[Tensor, ...]

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Times at which cells are paired anew."""
        return self.snapshots.times

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return ``(x1 - x0) / (t1 - t0)`` by row, in [x]/[t].

        Raises
        ------
        ValueError
            ``x`` does not hold as many rows as the snapshot before ``t``.
        """
        k = self.snapshots.gap_of(t)
        start = self.snapshots.x[k]
        if x.shape != start.shape:
            raise ValueError(
                f"pass the {len(start)} cells observed at {self.snapshots.times[k]:g}, in their "
                f"order; found an array of shape {tuple(x.shape)}"
            )
        return ((self.partners[k] - start) / self.snapshots.gaps[k]).to(x.dtype)

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return zeros: a partner is drawn once, in the fit."""
        return torch.zeros_like(x)


def fit_moscot(
    adata: AnnData, *, time_key: str = "time", use_rep: str | None = None, seed: int = 0
) -> Displacement:
    """Couple every pair of neighbouring snapshots by moscot and draw one partner for each cell."""
    snapshots, _ = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    rng = np.random.default_rng(seed)
    partners = [
        snapshots.x[k + 1][draw_partners(plan, np.arange(plan.shape[0]), rng.random(plan.shape[0]))]
        for k, plan in enumerate(_plans(snapshots))
    ]
    return Displacement(snapshots, tuple(partners))


def _plans(snapshots: Snapshots) -> list[csr_array]:
    """Return moscot's plan ``(n_k, n_{k+1})`` of each gap, balanced, its other options default."""
    from moscot.problems.time import TemporalProblem

    index = np.repeat(np.arange(len(snapshots.times)), [len(x) for x in snapshots.x])
    cells = AnnData(
        torch.cat(snapshots.x).numpy(),
        # the number of the snapshot serves as its time: only the order of pairs depends on it
        obs=pd.DataFrame({"snapshot": pd.Categorical(index)}, index=map(str, range(len(index)))),
    )
    cells.obsm["cells"] = cells.X
    problem = TemporalProblem(cells).prepare(time_key="snapshot", joint_attr="cells")
    problem = problem.solve(epsilon=EPSILON)
    return [
        csr_array(np.asarray(problem.solutions[pair].transport_matrix, dtype=float))
        for pair in snapshots.pairs()
    ]
