"""Make AnnData of predicted cells and embedded populations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import column_of
from celltraj._anndata.new_cells import Untreated, source_of
from celltraj._anndata.projection import write_projection
from celltraj._anndata.results import EMBEDDING, PREDICTION, ROOT
from celltraj._anndata.write import cells_at
from celltraj.models import MetaFlowMatching, Response


class Predicted(NamedTuple):
    """Hold what becomes of the untreated cells of one population under one condition.

    Parameters
    ----------
    cells
        The untreated cells.
    condition
        Name of what is done to them.
    outside
        ``(n,)`` whether each lies outside the training.
    response
        States that they come to.
    """

    cells: Untreated
    condition: str
    outside: np.ndarray
    response: Response


def predicted_cells(
    adata: AnnData, model: MetaFlowMatching, parts: Sequence[Predicted], record: dict[str, Any]
) -> AnnData:
    """Return predicted cells by condition, each in the order of their sources and so named."""
    source = source_of(model)
    rows = np.concatenate([one.cells.rows for one in parts])
    counts = [len(one.cells.rows) for one in parts]
    conditions = list(dict.fromkeys(one.condition for one in parts))
    obs = pd.DataFrame(
        {
            "population": np.repeat([one.cells.name for one in parts], counts),
            "condition": pd.Categorical(
                np.repeat([one.condition for one in parts], counts), conditions
            ),
            "source": adata.obs_names[rows].astype(str),
            "outside": np.concatenate([one.outside for one in parts]),
        }
    )
    masses = [one.response.survival for one in parts if one.response.survival is not None]
    if masses:
        obs["survival"] = np.concatenate([mass.numpy() for mass in masses]).astype(np.float32)
    spreads = [one.response.spread for one in parts if one.response.spread is not None]
    if spreads:
        obs["spread"] = np.concatenate([one.numpy() for one in spreads]).astype(np.float32)
    key = source.cell_type_key
    if key is not None and key in adata.obs:
        obs[key] = column_of(adata, key).to_numpy()[rows]
    states = np.concatenate([one.response.x.numpy() for one in parts])
    order = np.lexsort((rows, obs["condition"].cat.codes))
    made = "response", PREDICTION.made(record, [])
    names = pd.Index(source.variables)
    result = cells_at(names, source.use_rep, states[order], obs.iloc[order], made)
    result.obs_names = adata.obs_names[rows[order]]
    if len(conditions) > 1:
        result.obs_names = result.obs_names + "-" + result.obs["condition"].astype(str)
    result.obs["population"] = result.obs["population"].astype("category")
    if model.projection is not None:
        write_projection(result, model.projection)
    return result


def killed_table(parts: Sequence[Predicted]) -> pd.DataFrame | None:
    """Return survival and share killed by population and condition, None where nobody counted."""
    rows = [
        (one.cells.name, one.condition, one.response.lived, 1 - one.response.lived)
        for one in parts
        if one.response.lived is not None
    ]
    if not rows:
        return None
    names = ["population", "condition", "survival", "killed"]
    return pd.DataFrame(rows, columns=names).rename(index=str)


def embedded_populations(phi: np.ndarray, obs: pd.DataFrame, record: dict[str, Any]) -> AnnData:
    """Return an AnnData with a row for each population."""
    names = pd.DataFrame(index=pd.Index([f"phi_{k}" for k in range(phi.shape[1])]))
    obs = obs.set_index(pd.Index(obs["population"].astype(str), name=None))
    result = AnnData(phi.astype(np.float32), obs=obs, var=names)
    result.uns[ROOT] = {"embedding": EMBEDDING.made(record, [])}
    return result
