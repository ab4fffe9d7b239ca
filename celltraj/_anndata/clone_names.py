"""Read the clone of every cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import check_written, column_of, texts_of

# labels that a condition may have and a clone has not
_NO_CLONE = ("none", "na", "null", "-1", "-1.0")
_BETWEEN = "\x1f"  # parts of a name, which no label holds


def clone_names(adata: AnnData, clone_key: str | Sequence[str]) -> np.ndarray:
    """Return the clone ``(n_obs,)`` of each cell as text, None where it is not known.

    Of several columns, such as sample and barcode, a clone is what they say together, known where
    each of them is.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        No cell has a clone, or what is missing is written as a clone.

    Examples
    --------
    >>> import anndata as ad, pandas as pd
    >>> from celltraj._anndata.clone_names import clone_names
    >>> names = {"mouse": ["a", "b", "b"], "barcode": ["x", "x", None]}
    >>> obs = pd.DataFrame(names, index=["c0", "c1", "c2"])
    >>> clones = clone_names(ad.AnnData(obs=obs), ["mouse", "barcode"])
    >>> bool(clones[0] == clones[1]), clones[2]
    (False, None)
    """
    keys = [clone_key] if isinstance(clone_key, str) else list(clone_key)
    if not keys:
        raise ValueError("clone_key is empty; name the column with the clone of each cell")
    found = pd.DataFrame({key: texts_of(column_of(adata, key, what="clones")) for key in keys})
    for key in keys:
        check_written(found[key], f"adata.obs[{key!r}]", "no clone", _NO_CLONE)
    known = found.notna().all(axis=1)
    if not known.any():
        raise ValueError(f"no cell has a clone in adata.obs[{clone_key!r}]: all are missing")
    joined: pd.Series = (
        found[keys[0]] if len(keys) == 1 else found[known].agg(_BETWEEN.join, axis=1)
    )
    names: np.ndarray = joined.reindex(found.index).astype(object).where(known, None).to_numpy()
    return names


def clone_columns(clone_key: str | Sequence[str]) -> str | np.ndarray:
    """Return the columns of clones as a record holds them."""
    return clone_key if isinstance(clone_key, str) else np.array(list(clone_key), dtype=object)
