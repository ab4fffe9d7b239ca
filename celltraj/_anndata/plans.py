"""Write plans that were computed elsewhere, as couplings of the cells of an AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from scipy.sparse import csr_array, csr_matrix

from celltraj._anndata.lineage import couplings_record
from celltraj._anndata.results import COUPLINGS
from celltraj._anndata.source import Source
from celltraj._anndata.times import read_times
from celltraj._anndata.write import sample_record
from celltraj.models import Lineage
from celltraj.ot import SparseCoupling

Pair = tuple[float, float]


def gaps_of(
    adata: AnnData, time_key: str, pairs: Sequence[Pair]
) -> dict[Pair, tuple[np.ndarray, np.ndarray]]:
    """Return the rows of the earlier and of the later cells of each gap between neighbouring times.

    Raises
    ------
    ValueError
        A gap between neighbouring times of ``adata`` has no plan.
    """
    times = read_times(adata, time_key)
    unique = np.unique(times)
    wanted = list(zip(unique[:-1].tolist(), unique[1:].tolist(), strict=True))
    missing = [pair for pair in wanted if pair not in pairs]
    if missing or not wanted:
        raise ValueError(
            f"no plan between the times {missing} of adata.obs[{time_key!r}]; found those between "
            f"{sorted(pairs)}. Select the cells of times that are coupled"
        )
    rows = {float(t): np.flatnonzero(times == t) for t in unique}
    return {pair: (rows[pair[0]], rows[pair[1]]) for pair in wanted}


def write_plans(
    adata: AnnData,
    plans: Mapping[Pair, csr_array],
    rows: Mapping[Pair, tuple[np.ndarray, np.ndarray]],
    params: dict[str, Any],
    key: str,
) -> None:
    """Write plans to ``obsp[key]`` and what is known of them to ``uns["celltraj"][key]``.

    Raises
    ------
    ValueError
        A plan has another shape than its cells, or entries that no plan has.
    """
    couplings, parts = [], []
    for pair, plan in plans.items():
        before, after = rows[pair]
        if plan.shape != (len(before), len(after)):
            raise ValueError(
                f"the plan from {pair[0]:g} to {pair[1]:g} has shape {plan.shape}; adata has "
                f"{len(before)} cells at the one time and {len(after)} at the other"
            )
        couplings.append(SparseCoupling(csr_array(plan, dtype=float)))
        entries = plan.tocoo(copy=False)
        i, j = (
            cells.astype(np.int32)[places]
            for cells, places in zip((before, after), entries.coords, strict=True)
        )
        parts.append((entries.data, i, j))
    times = (next(iter(plans))[0], *(pair[1] for pair in plans))
    cells = [next(iter(rows.values()))[0], *(after for _, after in rows.values())]
    weights = tuple(torch.full((len(r),), 1 / len(r), dtype=torch.float64) for r in cells)
    lineage = Lineage(times, tuple(couplings), weights)
    values, i, j = (np.concatenate(part) for part in zip(*parts, strict=True))
    shape = (adata.n_obs, adata.n_obs)
    whole = csr_matrix((values, (i, j)), shape=shape)
    reached = [{"mass": float(one.row_mass.sum())} for one in couplings]
    record = sample_record(params, 0) | couplings_record(lineage, cells, reached)
    source = Source.of(adata, params["time_key"], None)
    COUPLINGS.write(adata, key, record, {key: whole}, source=source)
