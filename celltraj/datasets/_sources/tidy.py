"""Put numbers and times together as every data set of the package has them."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd


def tidy(
    x: np.ndarray,
    time: np.ndarray,
    *,
    unit: str,
    prefix: str = "cell",
    var_names: list[str] | None = None,
    note: str | None = "",
) -> ad.AnnData:
    """Return ``(n, d)`` numbers in float32 with ``obs["time"]``.

    Parameters
    ----------
    x
        Shape ``(n, d)``, in the unit of the data set.
    time
        Shape ``(n,)``, in ``unit``.
    unit
        Of time, for ``uns["time_unit"]``.
    prefix
        Of the cells' names, numbered from 0.
    var_names
        Names of the ``d`` features; None: ``dim1``, ``dim2``, ...
    note
        For ``uns["note"]``; None: no note.
    """
    obs = pd.DataFrame(
        {"time": np.asarray(time, dtype=float)}, index=[f"{prefix}{i}" for i in range(len(x))]
    )
    names = var_names or [f"dim{j + 1}" for j in range(x.shape[1])]
    adata = ad.AnnData(x.astype(np.float32), obs=obs, var=pd.DataFrame(index=names))
    adata.uns["time_unit"] = unit
    if note is not None:
        adata.uns["note"] = note
    return adata
