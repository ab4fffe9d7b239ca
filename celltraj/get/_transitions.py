"""Read transitions between groups as a matrix."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.tables import read_transitions, transition_matrix_of
from celltraj._checks import checked
from celltraj._typing import Time

_DIRECTIONS = ("forward", "backward", "mass")


@checked
def transitions(
    adata: AnnData,
    *,
    direction: str = "forward",
    source: Time | None = None,
    target: Time | None = None,
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
        Times of the transitions, as numbers or labels; needed where they were computed over several
        gaps.
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
    return transition_matrix_of(read_transitions(adata, key, source, target), direction)
