"""Read groups of cells from ``obs``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from celltraj._anndata.columns import column_of

_SHOWN = 20


def read_groups(adata: AnnData, groupby: str) -> pd.Series:
    """Return the group of every cell as a category of text; missing where it has none.

    Categories keep their order; those that no cell has are left out.

    Raises
    ------
    KeyError
        ``groupby`` is not in ``obs``.
    ValueError
        No cell has a group, nearly every cell one of its own, or ``obs`` has two such columns.
    """
    column = column_of(adata, groupby, what="groups").astype("category")
    column = column.cat.remove_unused_categories()
    column = column.cat.rename_categories([str(name) for name in column.cat.categories])
    if len(column) == 0:
        raise ValueError("adata has no cells")
    if column.isna().all():
        raise ValueError(f"adata.obs[{groupby!r}] is missing for all cells")
    n = len(column.cat.categories)
    if n > max(2, len(column) / 2):
        raise ValueError(
            f"adata.obs[{groupby!r}] has {n} values for {len(column)} cells; groups of cells are "
            "needed"
        )
    return column


def memberships(groups: pd.Series, rows: np.ndarray) -> Tensor:
    """Return the ``(n, K)`` one-hot groups of some cells, float64; zeros for a cell without one."""
    codes = groups.cat.codes.to_numpy()[rows]
    one_hot = codes[:, None] == np.arange(len(groups.cat.categories))
    return torch.from_numpy(one_hot.astype(float))


def chosen_cells(
    adata: AnnData, cells: Mapping[str, str | Sequence[str]], rows: np.ndarray, time: float
) -> np.ndarray:
    """Return which of ``rows`` have the asked values, a boolean ``(n,)``.

    Raises
    ------
    TypeError
        ``cells`` is not a mapping of a column to its values.
    KeyError
        A column is not in ``obs``.
    ValueError
        No cell of this time has such a value.
    """
    if not isinstance(cells, Mapping) or not cells:
        raise TypeError(
            f'cells must name a column and its values, such as {{"cell_type": "MEF"}}; found '
            f"{cells!r}"
        )
    chosen = np.ones(len(rows), dtype=bool)
    for column, values in cells.items():
        groups = read_groups(adata, column).iloc[rows]
        wanted = [values] if isinstance(values, str | int | float) else list(values)
        for one in map(str, wanted):
            if not (groups == one).any():
                present = groups.dropna().unique().tolist()
                raise ValueError(
                    f"no cell of {one!r} in adata.obs[{column!r}] at time {time:g}; found "
                    f"{present[:_SHOWN]}"
                )
        chosen &= groups.isin(list(map(str, wanted))).to_numpy()
    if not chosen.any():
        raise ValueError(f"no cell at time {time:g} has all of {dict(cells)}")
    return chosen
