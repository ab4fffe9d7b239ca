"""Assemble simulated samples of many populations and conditions into AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd


def build_labelled(
    blocks: Sequence[np.ndarray],
    labels: pd.DataFrame,
    var_names: Sequence[str],
    source: str,
    parameters: Mapping[str, Any],
) -> ad.AnnData:
    """Stack ``(n_i, d)`` blocks; row i of the data frame `labels` describes the cells of block i.

    Texts become categories in order of appearance.
    """
    x = np.concatenate(blocks).astype(np.float32)
    block = np.repeat(np.arange(len(blocks)), [len(b) for b in blocks])
    obs = labels.iloc[block].set_axis([f"cell{i}" for i in range(len(x))])
    for name in obs.columns:
        if not pd.api.types.is_numeric_dtype(obs[name]):
            categories = [value for value in obs[name].unique() if pd.notna(value)]
            obs[name] = pd.Categorical(obs[name], categories=categories)
    adata = ad.AnnData(x, obs=obs, var=pd.DataFrame(index=list(var_names)))
    adata.uns["source"] = source
    adata.uns["parameters"] = dict(parameters)
    return adata
