"""Assemble simulated populations into AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd


def check_count(name: str, value: int, minimum: int = 1) -> int:
    """Return `value` as an int, or raise if it is not an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, found {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, found {value}")
    return int(value)


def build_adata(
    blocks: Sequence[np.ndarray],
    times: Sequence[float] | np.ndarray,
    var_names: Sequence[str],
    source: str,
    parameters: Mapping[str, Any],
    time_unit: str = "1",
) -> ad.AnnData:
    """Stack one ``(n_t, d)`` block per time into an AnnData with ``obs["time"]``."""
    x = np.concatenate(blocks).astype(np.float32)
    time = np.repeat(np.asarray(times, dtype=float), [len(block) for block in blocks])
    obs = pd.DataFrame({"time": time}, index=[f"cell{i}" for i in range(len(x))])
    adata = ad.AnnData(x, obs=obs, var=pd.DataFrame(index=list(var_names)))
    adata.uns["time_unit"] = time_unit
    adata.uns["source"] = source
    adata.uns["parameters"] = dict(parameters)
    return adata
