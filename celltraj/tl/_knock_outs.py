"""What knock-outs share: the genes, the simulation, and what random genes do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.stats import rankdata
from torch import Tensor

from celltraj._anndata import (
    memberships,
    read_groups,
    read_projection,
    read_space,
    read_times,
    sample_record,
    time_of,
    unique_names,
)
from celltraj._stats.correlation import false_discovery
from celltraj._typing import Time
from celltraj.models import KnockedOut, MetaFlowMatching, Process, Projection, simulate
from celltraj.models.genes.knock_out import LOADED
from celltraj.models.lineage.simulated import neighbour_shares
from celltraj.models.process import dim_of

_CELLS = 500  # trajectories of a knock-out
_NEIGHBOURS = 15  # labelled cells that the end of one counts for
_MATCHED = 50  # genes of like expression that a random one is drawn from
_TRIES = 20  # draws for each random set, of which some repeat others
_TIE = 1e-9  # shifts that differ by less are equal
_N_STEPS = 20


@dataclass(frozen=True)
class Experiment:
    """Hold what is knocked out in: cells at the start, labelled cells at the end.

    Parameters
    ----------
    process
        Law of motion.
    genes
        From states to genes.
    names
        Names of the genes.
    start
        ``(n, d)`` states at the first time.
    times
        First and last time, in the user's unit.
    ends
        ``(m, d)`` labelled cells at the last time.
    labels
        ``(m, K)`` their groups, one-hot.
    fates
        Names of the groups.
    level
        Expression that genes are held at.
    seed
        Seed of the noise, the same in every knock-out.
    """

    process: Process
    genes: Projection | None
    names: tuple[str, ...]
    start: Tensor
    times: tuple[float, float]
    ends: Tensor
    labels: np.ndarray
    fates: tuple[str, ...]
    level: float
    seed: int

    def shares(self, genes: Sequence[int] = ()) -> tuple[np.ndarray, float]:
        """Return the shares ``(K,)`` of fates when genes are held, and cells per starting cell."""
        process: Process = self.process
        start = self.start
        held: KnockedOut | None = None
        if len(genes):
            process = held = self._held(genes)
            start = held.hold(start)
        generator = torch.Generator().manual_seed(self.seed)
        path = simulate(process, start, self.times, n_steps=_N_STEPS, generator=generator)
        ends = path.x[-1] if held is None else held.hold(path.x[-1])
        gathered = torch.zeros(len(start)) if path.log_mass is None else path.log_mass[-1]
        near, share = neighbour_shares(ends, self.ends, _NEIGHBOURS)
        found = (share[..., None] * self.labels[near]).sum(1)
        # shares of a mass that is itself too large for a number are known all the same
        return gathered.softmax(0).numpy() @ found, float(gathered.exp().mean())

    def _held(self, genes: Sequence[int]) -> KnockedOut:
        rows = list(genes)
        if self.genes is None:
            loadings = torch.eye(self.start.shape[1], dtype=torch.float64)[rows]
            return KnockedOut(self.process, loadings, torch.zeros(len(rows)).double(), self.level)
        loadings = torch.from_numpy(self.genes.loadings[rows])
        mean = torch.from_numpy(self.genes.mean[rows])
        return KnockedOut(self.process, loadings, mean, self.level)

    def expression(self) -> np.ndarray:
        """Return the mean expression ``(g,)`` of the cells at the start."""
        centre = self.start.mean(0).numpy()
        return centre if self.genes is None else self.genes.mean + self.genes.loadings @ centre

    def spread(self) -> np.ndarray:
        """Return the standard deviation ``(g,)`` of expression over the cells at the start."""
        centred = (self.start - self.start.mean(0)).numpy()
        if self.genes is None:
            spread: np.ndarray = np.sqrt((centred**2).mean(0))
            return spread
        loadings, covariance = self.genes.loadings, centred.T @ centred / len(centred)
        spread = np.sqrt(np.clip(((loadings @ covariance) * loadings).sum(1), 0, None))
        return spread

    @cached_property
    def _ranks(self) -> np.ndarray:
        ranks: np.ndarray = rankdata([self.expression(), self.spread()], axis=1)
        return ranks

    def apart(self, place: int) -> np.ndarray:
        """Return how far ``(g,)`` genes are from one, in ranks of mean and of spread.

        By both, because a gene that varies is moved farther than one that does not.
        """
        distance: np.ndarray = np.hypot(*(self._ranks - self._ranks[:, [place]]))
        return distance

    def can_be_held(self) -> np.ndarray:
        """Return which genes change with the state; of one that is constant nothing is known."""
        if self.genes is None:
            moved: np.ndarray = np.ptp(torch.cat([self.start, self.ends]).numpy(), axis=0) > 0
            return moved
        lengths = np.linalg.norm(self.genes.loadings, axis=1)
        loaded: np.ndarray = lengths >= LOADED
        return loaded


def read_experiment(
    adata: AnnData,
    process: Process,
    *,
    span: tuple[Time, Time | None],
    groupby: str,
    level: float,
    time_key: str,
    seed: int,
) -> Experiment:
    """Return the experiment on cells of ``adata``.

    Raises
    ------
    TypeError
        A response was passed.
    ValueError
        No cells at a time, none of them in a group, or a model in components without a projection.
    """
    if isinstance(process, MetaFlowMatching):
        raise TypeError("a response moves populations; pass a bridge or a flow through time")
    projection = read_projection(adata)
    dim = dim_of(process)
    in_genes = projection is None or dim not in (None, projection.loadings.shape[1])
    if in_genes and dim not in (None, adata.n_vars):
        raise ValueError(
            f"the model has {dim} variables and adata no projection from genes to them; run "
            "ct.pp.pca_model(adata) before the fit"
        )
    use_rep = "X" if in_genes or projection is None else projection.use_rep
    _, x = read_space(adata, process, use_rep, time_key)
    groups, times = read_groups(adata, groupby), read_times(adata, time_key)
    first = time_of(adata, time_key, span[0])
    last = float(times.max()) if span[1] is None else time_of(adata, time_key, span[1])
    if first >= last:
        raise ValueError(f"start={first:g} must be before stop={last:g}")
    for t in (first, last):
        if t not in times:
            raise ValueError(f"no cells at time {t:g}; observed are {np.unique(times).tolist()}")
    ends = np.flatnonzero((times == last) & groups.notna().to_numpy())
    if not len(ends):
        raise ValueError(f"no cell at time {last:g} has a group in adata.obs[{groupby!r}]")
    starts = np.flatnonzero(times == first)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(starts, min(_CELLS, len(starts)), replace=False)
    members = memberships(groups, ends)
    has_cells = members.any(0).numpy()
    return Experiment(
        process,
        None if in_genes else projection,
        tuple(unique_names(adata.var_names, "genes"))
        if in_genes or projection is None
        else projection.names,
        torch.from_numpy(x[chosen]),
        (first, last),
        torch.from_numpy(x[ends]),
        members.numpy()[:, has_cells],
        tuple(groups.cat.categories[has_cells]),
        level,
        seed,
    )


def record_of(
    experiment: Experiment, *, n_null: int, groupby: str, time_key: str
) -> dict[str, Any]:
    """Return what is kept of an experiment beside its results."""
    params = {
        "model": type(experiment.process).__name__,
        "start": experiment.times[0],
        "stop": experiment.times[1],
        "groupby": groupby,
        "level": experiment.level,
        "n_null": n_null,
        "n_cells": len(experiment.start),
        "time_key": time_key,
    }
    return sample_record(params, experiment.seed)


def places_of(names: Sequence[str], experiment: Experiment) -> list[int]:
    """Return the numbers of genes.

    Raises
    ------
    ValueError
        No genes, or some that are not in the data.
    """
    names = list(dict.fromkeys(names))
    place = {name: i for i, name in enumerate(experiment.names)}
    missing = [name for name in names if name not in place]
    if missing or not len(names):
        raise ValueError(
            f"{len(missing)} of {len(names)} genes are not among the {len(place)} of the model "
            f"(first: {missing[:5]}); genes are named as in adata.var_names"
        )
    return [place[name] for name in names]


def check_held(places: Sequence[int], experiment: Experiment) -> None:
    """Raise ValueError where a gene does not change with the state."""
    usable = experiment.can_be_held()
    if flat := [experiment.names[i] for i in places if not usable[i]]:
        raise ValueError(
            f"the state holds nothing of {len(flat)} genes (first: {flat[:5]}), which are constant "
            "or have no loadings, so that nothing is known of their loss; leave them out, or raise "
            "n_comps= of ct.pp.pca_model"
        )


def matched_sets(
    places: Sequence[int], experiment: Experiment, n: int, rng: np.random.Generator
) -> list[list[int]]:
    """Return ``n`` different random sets, fewer where there are not as many.

    Each gene of a set is like one of those given in mean and spread, and none is one of them. Sets
    do not repeat: the same one counted twice would make p values smaller than they are.
    """
    allowed = experiment.can_be_held() & ~np.isin(np.arange(len(experiment.names)), places)
    size = max(_MATCHED, n) if len(places) == 1 else _MATCHED
    pools = []
    for place in places:
        order = np.argsort(np.where(allowed, experiment.apart(place), np.inf), kind="stable")
        pools.append(order[: min(size, int(allowed.sum()))])
    if len(places) == 1:
        return [[int(one)] for one in rng.permutation(pools[0])[:n]]
    sets: dict[tuple[int, ...], None] = {}
    for _ in range(_TRIES * n):
        drawn = tuple(sorted({int(rng.choice(pool)) for pool in pools}))
        if len(drawn) == len(places):
            sets[drawn] = None
        if len(sets) == n:
            break
    return [list(one) for one in sets]


def share_as_large(shifts: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the two-sided p values ``(K,)`` of shifts among ``(n, K)`` random ones."""
    extreme = (np.abs(shifts) >= np.abs(observed) - _TIE).sum(0)
    p_values: np.ndarray = (1 + extreme) / (1 + len(shifts))
    return p_values


def shift_table(
    names: Sequence[str], fates: Sequence[str], control: np.ndarray, held: np.ndarray
) -> pd.DataFrame:
    """Return a row per knock-out and fate, from shares ``(r, K)``."""
    n, k = held.shape
    return pd.DataFrame(
        {
            "genes": np.repeat(np.asarray(names, dtype=object), k),
            "fate": np.tile(np.asarray(fates, dtype=object), n),
            "control": np.tile(control, n),
            "knockout": held.ravel(),
            "shift": (held - control).ravel(),
        }
    )


def with_p(table: pd.DataFrame, p: np.ndarray) -> pd.DataFrame:
    """Return the table with p values, and q by fate (Benjamini & Hochberg)."""
    table = table.assign(p=p, q=np.nan)
    for fate in table["fate"].unique():
        rows = table["fate"] == fate
        table.loc[rows, "q"] = false_discovery(table.loc[rows, ["p"]].to_numpy())[:, 0]
    return table
