"""Estimate at which rates cells jump between states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import (
    annotated,
    read_groups,
    read_rates,
    read_times,
    sample_record,
    times_of,
)
from celltraj._anndata.results import JUMP_RATES
from celltraj._checks import checked
from celltraj._errors import DataWarning, listed, warn
from celltraj._typing import Time
from celltraj.models.jumps.fit import JumpData, JumpFit, fit_jump_process

_ALL = "all"  # name of the only sample where none are told apart
_SHOWN = 5


@checked
def jump_rates(
    adata: AnnData,
    *,
    groupby: str,
    time_key: str = "time",
    sample_key: str | None = None,
    growth_key: str | None = None,
    edges: Sequence[tuple[str, str]] | None = None,
    forecast: Time | Sequence[Time] | None = None,
    confidence: float = 0.95,
    key_added: str = "jump_rates",
    copy: bool = False,
    seed: int = 0,
) -> AnnData | None:
    """Markov jump process: estimate the rates at which cells change from one state to another.

    ``dp/dt = p (Q + diag r) - (p . r) p`` for the shares ``p`` of states, ``Q_ij`` the rate from
    ``i`` to ``j``, ``r`` the net growth of each state: maximum likelihood of the numbers of cells
    at all times, which are multinomial, the first shares of each sample unknown. The shares of one
    population do not tell all rates, since forth and back may balance: samples that start from
    other shares do (sorted fractions, cultures, conditions that leave rates alone).

    Parameters
    ----------
    adata
        Cells of two times or more.
    groupby
        Column of ``obs`` with the state of each cell; cells without one are left out.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept.
    sample_key
        Column with the samples, each of which was seen at several times and has shares of its own
        at the first of all; by default all cells are of one.
    growth_key
        Column of ``obs`` with the net growth of each cell, in 1/[t]; each state grows by the mean
        of its cells. By default states grow alike.
    edges
        Pairs of states between which cells may jump; by default all.
    forecast
        Times, also later than those that were sampled, to foretell shares at.
    confidence
        Level of the intervals.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the draws that intervals of a forecast are made of.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]``: params
    (with ``dispersion``, by which factor samples vary more than drawn cells do, and which widens
    all intervals), version, seed, table (source, target, rate, lower, upper, in 1/[t], and
    identified, whether the rate is known to a factor of two) and with ``forecast`` the table of
    shares (sample, time, state, share, lower, upper), which :func:`celltraj.get.jump_rates` reads.

    Warns
    -----
    DataWarning
        Rates that the counts do not tell.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        Fewer than two states or times, no such state in ``edges``, or a time before the first.

    Notes
    -----
    Rates read off couplings (:func:`celltraj.tl.transitions`) are a lower bound: transport takes
    the least that leads from one snapshot to the next, and misses what goes forth and back. The
    logs of rates have a normal prior around one jump in the whole course that is a factor of twenty
    wide. Intervals are those of the fit, with samples as the units that vary, and take the rates to
    be constant and the same in all samples.

    References
    ----------
    Kalbfleisch & Lawless, *The analysis of panel data under a Markov assumption* (1985), for the
    likelihood; McCullagh & Nelder, *Generalized linear models* (1989), section 4.5.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=200, seed=0)
    >>> adata.obs["side"] = ["left" if x < 2 else "right" for x in adata.X[:, 0]]
    >>> ct.tl.jump_rates(adata, groupby="side", edges=[("left", "right")])
    >>> ct.get.jump_rates(adata)[["source", "target", "identified"]].values.tolist()
    [['left', 'right', True]]
    """
    JUMP_RATES.claim(adata, key_added)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; found {confidence}")
    samples, data = _data(adata, groupby, time_key, sample_key, growth_key, edges)
    later = _later(adata, time_key, forecast, data.times[0])
    fit = fit_jump_process(data)
    table = _table(fit, confidence)
    _warn_of_untold(table)
    params = {
        "groupby": groupby,
        "time_key": time_key,
        "sample_key": sample_key,
        "growth_key": growth_key,
        "edges": None if edges is None else np.array([" -> ".join(one) for one in edges], object),
        "confidence": confidence,
        "dispersion": fit.dispersion,
    }
    tables: dict[str, Any] = {"table": table}
    if later:
        tables["forecast"] = _forecast(fit, samples, later, confidence, seed)
    adata = annotated(adata, copy)
    JUMP_RATES.write(adata, key_added, sample_record(params, seed) | tables)
    return adata if copy else None


def _data(
    adata: AnnData,
    groupby: str,
    time_key: str,
    sample_key: str | None,
    growth_key: str | None,
    edges: Sequence[tuple[str, str]] | None,
) -> tuple[list[str], JumpData]:
    """Return the names of the samples, and how many cells of each are in each state."""
    groups, times = read_groups(adata, groupby), read_times(adata, time_key)
    there = groups.notna().to_numpy()
    owners = pd.Series(_ALL, index=adata.obs_names, dtype="category")
    if sample_key is not None:
        owners = read_groups(adata, sample_key)
        there &= owners.notna().to_numpy()
    states, unique = list(groups.cat.categories), np.unique(times[there])
    if len(states) < 2 or len(unique) < 2:
        raise ValueError(
            f"rates need two states or more at two times or more; found {len(states)} states in "
            f"obs[{groupby!r}] and cells of them at {len(unique)} times"
        )
    names = list(owners.cat.categories)
    counts = np.zeros((len(names), len(unique), len(states)))
    places = (owners.cat.codes, np.searchsorted(unique, times), groups.cat.codes)
    np.add.at(counts, tuple(np.asarray(one)[there] for one in places), 1)
    growth = np.zeros(len(states))
    if growth_key is not None:
        rates = pd.Series(read_rates(adata, growth_key)[there])
        growth = rates.groupby(groups[there].to_numpy(), observed=True).mean()[states].to_numpy()
    data = JumpData(
        tuple(states),
        tuple(unique.tolist()),
        torch.from_numpy(counts),
        torch.from_numpy(growth),
        _may_jump(states, edges),
    )
    return names, data


def _may_jump(states: list[str], edges: Sequence[tuple[str, str]] | None) -> torch.Tensor:
    """Return whether cells may jump from one state to another, ``(K, K)``."""
    if edges is None:
        return ~torch.eye(len(states), dtype=torch.bool)
    found = torch.zeros(len(states), len(states), dtype=torch.bool)
    for source, target in edges:
        if unknown := [one for one in (source, target) if one not in states]:
            raise ValueError(f"edges= names {unknown}, and the states are {states}")
        if source == target:
            raise ValueError(f"a jump leads to another state; found {(source, target)} in edges=")
        found[states.index(source), states.index(target)] = True
    if not found.any():
        raise ValueError("edges= names no jump; leave it out for all")
    return found


def _later(
    adata: AnnData, time_key: str, forecast: Time | Sequence[Time] | None, first: float
) -> tuple[float, ...]:
    """Return the times to foretell shares at."""
    if forecast is None:
        return ()
    found = times_of(adata, time_key, forecast)
    if early := [t for t in found if t < first]:
        raise ValueError(f"forecast= leads on from the first time, {first:g}; found {early}")
    return found


def _table(fit: JumpFit, confidence: float) -> pd.DataFrame:
    """Return a row for each rate."""
    rows, columns = fit.data.may_jump.nonzero(as_tuple=True)
    states = np.array(fit.data.states, dtype=object)
    low, high = fit.intervals(confidence)
    return pd.DataFrame(
        {
            "source": states[rows],
            "target": states[columns],
            "rate": fit.process.rates[rows, columns].numpy(),
            "lower": low,
            "upper": high,
            "identified": fit.is_identified,
        }
    ).rename(index=str)


def _warn_of_untold(table: pd.DataFrame) -> None:
    untold = table[~table["identified"]]
    if len(untold):
        names = [f"{one.source} to {one.target}" for one in untold.itertuples()]
        warn(
            f"the counts do not tell {len(names)} of {len(table)} rates to a factor of two: "
            f"{listed(names, _SHOWN)}. Samples that start from other shares would "
            "(sample_key=), or fewer jumps (edges=); forecasts hold nevertheless",
            DataWarning,
        )


def _forecast(
    fit: JumpFit, samples: list[str], times: Sequence[float], confidence: float, seed: int
) -> pd.DataFrame:
    """Return a row for each sample, time and state."""
    parts = []
    for time in times:
        generator = torch.Generator().manual_seed(seed)
        ends = fit.forecast(time, confidence, generator)
        index = pd.MultiIndex.from_product([samples, fit.data.states], names=["sample", "state"])
        named = zip(("share", "lower", "upper"), ends, strict=True)
        values = {name: one.flatten().numpy() for name, one in named}
        parts.append(pd.DataFrame(values, index=index).reset_index().assign(time=time))
    columns = ["sample", "time", "state", "share", "lower", "upper"]
    return pd.concat(parts, ignore_index=True)[columns].rename(index=str)
