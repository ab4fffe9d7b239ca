"""Fit principal components that lead back to genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import (
    annotated,
    column_of,
    projection_record,
    unique_names,
    write_projection,
)
from celltraj._anndata.expression import read_expression
from celltraj._anndata.results import PCA
from celltraj._checks import checked
from celltraj.models.genes.projection import fit_projection


@checked
def pca_model(
    adata: AnnData,
    *,
    n_comps: int = 50,
    layer: str | None = None,
    fit_on: str | np.ndarray | pd.Series | None = None,
    key_added: str = "X_pca",
    copy: bool = False,
    seed: int = 0,
) -> AnnData | None:
    """Principal components: fit them to some cells and write those of all.

    ``z = (x - mean) W``, with mean and loadings ``W`` of the cells that ``fit_on`` names alone: no
    other cell moves them. They are kept, so that ``ct.pp.project`` places new cells in the same
    components and ``ct.tl.decode`` leads predictions back to genes. Of ``sc.pp.pca`` only
    ``obsm[key_added]`` is replaced; running it afterwards puts other components there.

    Parameters
    ----------
    adata
        Cells with logarithmic normalised expression, best of the variable genes alone. A sparse
        matrix stays sparse; of a dense one a float64 copy is held during the fit.
    n_comps
        Components, at most the number of genes and less than that of the cells learnt from.
    layer
        Layer with the expression; ``X`` by default.
    fit_on
        Cells to learn from: a boolean column of ``obs``, or a boolean array or Series of all cells.
        All of them by default; pass the training cells where others are to judge a model.
    key_added
        Name of the result, a key of ``obsm``.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the vector that the iterations on a large matrix begin with.

    Returns
    -------
    Nothing, with ``copy=True`` the annotated copy. Written: ``obsm[key_added]`` (``(n_obs, k)``,
    float32, unit of the expression) and ``uns["celltraj"]["projection"]`` (params, version, seed,
    mean, loadings, genes).

    Warns
    -----
    DataWarning
        The matrix looks like raw counts.
    ImplicitModificationWarning
        ``adata`` is a view: it becomes an AnnData of its own, its parent gets nothing.

    Raises
    ------
    TypeError
        ``fit_on`` is not boolean.
    KeyError
        The layer or the column does not exist.
    ValueError
        Values that are not finite, names of genes that are not unique, ``fit_on`` of other cells,
        or more components than the cells span.

    References
    ----------
    Pearson, *On lines and planes of closest fit to systems of points in space* (1901).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["is_training"] = adata.obs["time"] < 4
    >>> ct.pp.pca_model(adata, n_comps=1, fit_on="is_training")
    >>> adata.obsm["X_pca"].shape == (adata.n_obs, 1)
    True
    """
    PCA.claim(adata, key_added)
    names = tuple(unique_names(adata.var_names, "genes"))
    x = read_expression(adata, layer)
    chosen = _cells_to_learn_from(adata, fit_on)
    projection = fit_projection(
        x if chosen.all() else x[chosen],
        names,
        n_comps,
        generator=torch.Generator().manual_seed(seed),
        layer=layer,
        use_rep=key_added,
    )
    params = {
        "n_comps": n_comps,
        "fit_on": fit_on if fit_on is None or isinstance(fit_on, str) else "mask",
        "n_fitted": int(chosen.sum()),
    }
    components = projection.encode(x)
    adata = annotated(adata, copy)
    record = projection_record(projection, params, seed)
    write_projection(adata, projection, components=components, record=record)
    return adata if copy else None


def _cells_to_learn_from(adata: AnnData, fit_on: str | np.ndarray | pd.Series | None) -> np.ndarray:
    """Return one boolean per cell, ``(n_obs,)``."""
    if fit_on is None:
        return np.ones(adata.n_obs, dtype=bool)
    if isinstance(fit_on, str):
        fit_on = column_of(adata, fit_on, what="cells to learn from")
    place = f"adata.obs[{fit_on.name!r}]" if isinstance(fit_on, pd.Series) else "fit_on"
    if isinstance(fit_on, pd.Series) and not fit_on.index.equals(adata.obs_names):
        raise ValueError(
            f"the index of {place} is not adata.obs_names; align it with "
            ".reindex(adata.obs_names), or pass .to_numpy() if its order is that of the cells"
        )
    chosen = pd.array(fit_on) if isinstance(fit_on, pd.Series) else np.asarray(fit_on)
    if not pd.api.types.is_bool_dtype(chosen.dtype) or pd.isna(chosen).any():
        raise TypeError(
            f"{place} must be true or false for every cell; found dtype {chosen.dtype}. "
            "Compare it with a value, as in adata.obs['split'] == 'train'"
        )
    if len(chosen) != adata.n_obs:
        raise ValueError(f"fit_on has {len(chosen)} entries for {adata.n_obs} cells")
    return np.asarray(chosen, dtype=bool)
