"""Make AnnData of predicted cells and embedded populations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import column_of
from celltraj._anndata.new_cells import Untreated, source_of
from celltraj._anndata.projection import write_projection
from celltraj._anndata.results import EMBEDDING, PREDICTION, ROOT
from celltraj._anndata.write import cells_at
from celltraj.models import MetaFlowMatching, Response


def predicted_cells(
    adata: AnnData,
    model: MetaFlowMatching,
    populations: Sequence[Untreated],
    responses: Sequence[Response],
    conditions: Sequence[str],
    outside: Sequence[np.ndarray],
    record: dict[str, Any],
) -> AnnData:
    """Return predicted cells in the order of their sources, and under their names."""
    source = source_of(model)
    counts = [len(one.rows) for one in populations]
    rows = np.concatenate([one.rows for one in populations])
    obs = pd.DataFrame(
        {
            "population": np.repeat([one.name for one in populations], counts),
            "condition": np.repeat(list(conditions), counts),
            "outside": np.concatenate(outside),
        }
    )
    masses = [one.survival for one in responses if one.survival is not None]
    if masses:
        obs["survival"] = np.concatenate([mass.numpy() for mass in masses]).astype(np.float32)
    key = source.cell_type_key
    if key is not None and key in adata.obs:
        obs[key] = column_of(adata, key).to_numpy()[rows]
    states = np.concatenate([one.x.numpy() for one in responses])
    order = np.argsort(rows)
    names = pd.Index(source.variables)
    made = "response", PREDICTION.made(record, [])
    result = cells_at(names, source.use_rep, states[order], obs.iloc[order], made)
    result.obs_names = adata.obs_names[rows[order]]
    for column in ("population", "condition"):
        result.obs[column] = result.obs[column].astype("category")
    if model.projection is not None:
        write_projection(result, model.projection)
    return result


def embedded_populations(phi: np.ndarray, obs: pd.DataFrame, record: dict[str, Any]) -> AnnData:
    """Return an AnnData with a row for each population."""
    names = pd.DataFrame(index=pd.Index([f"phi_{k}" for k in range(phi.shape[1])]))
    obs = obs.set_index(pd.Index(obs["population"].astype(str), name=None))
    result = AnnData(phi.astype(np.float32), obs=obs, var=names)
    result.uns[ROOT] = {"embedding": EMBEDDING.made(record, [])}
    return result
