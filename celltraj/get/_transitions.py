"""Read transitions between groups as a matrix."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata import read_result

_DIRECTIONS = ("forward", "backward", "mass")


def transitions(
    adata: AnnData,
    *,
    direction: str = "forward",
    source: float | None = None,
    target: float | None = None,
    key: str = "transitions",
) -> pd.DataFrame:
    """Return the transitions between groups of cells as a matrix.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.transitions`, also one that was read from a file.
    direction
        ``"forward"``: where the descendants of a row are, rows sum to 1; ``"backward"``: where the
        ancestors of a column were, columns sum to 1; ``"mass"``: what moves, of sum 1.
    source, target
        Times of the transitions; needed where they were computed over several gaps.
    key
        The ``key_added`` of :func:`celltraj.tl.transitions`.

    Returns
    -------
    A matrix with the groups at ``source`` as rows, those at ``target`` as columns.

    Raises
    ------
    KeyError
        There are no transitions of that name.
    ValueError
        Another direction, or no transitions, or several, between such times.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.transitions(adata, groupby="arm")
    >>> ct.get.transitions(adata, source=3.0, target=4.0).sum(axis=1).round(6).tolist()
    [1.0, 1.0]
    """
    if direction not in _DIRECTIONS:
        raise ValueError(f"direction must be one of {_DIRECTIONS}; found {direction!r}")
    table = read_result(adata, key, "table", "ct.tl.transitions(adata, groupby=...)")
    spans = table[["t0", "t1"]].drop_duplicates()
    chosen = spans
    if source is not None:
        chosen = chosen[chosen["t0"] == source]
    if target is not None:
        chosen = chosen[chosen["t1"] == target]
    if len(chosen) != 1:
        raise ValueError(
            f"{len(chosen)} transitions from source={source} to target={target}; computed are "
            f"{spans.to_numpy().tolist()}. Choose one by source= and target="
        )
    rows = table.merge(chosen)
    order = {name: rows[name].unique() for name in ("source", "target")}
    matrix = rows.pivot(index="source", columns="target", values=direction)
    return matrix.loc[order["source"], order["target"]]
