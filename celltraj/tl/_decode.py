"""Lead cells from principal components back to genes."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import (
    Projected,
    projection_of,
    read_representation,
    sample_record,
)
from celltraj._anndata.results import DECODE, ROOT
from celltraj._checks import checked
from celltraj.models.genes.projection import Projection

_BLOCK = 4096  # cells decoded at once, in float64


@checked
def decode(
    adata: AnnData,
    *,
    loadings: AnnData | Projected | None = None,
    use_rep: str | None = None,
    seed: int = 0,
) -> AnnData:
    """Inverse projection: lead cells from principal components back to the genes.

    ``x = mean + z W'``, the point of the plane of the components. What the plane leaves out of a
    real cell does not come back. Low expression may come out slightly negative; nothing is clipped,
    because that would move the means of genes.

    Parameters
    ----------
    adata
        Cells with components, such as predictions; they need not have genes.
    loadings
        Data that ``ct.pp.pca_model`` annotated, or a model with a ``projection``; by default
        ``adata`` itself carries the projection.
    use_rep
        Key of ``obsm`` with the components; that of the fit by default.
    seed
        Seed of nothing, and recorded: there is nothing random here.

    Returns
    -------
    AnnData of the same cells with the genes of the fit: ``X`` the expression (float32, dense, so
    that it takes ``4 n_obs n_genes`` bytes), ``obs``, ``obsm`` and ``uns`` those of ``adata``, and
    ``uns["celltraj"]["decode"]`` (params, version, seed).

    Raises
    ------
    TypeError
        ``loadings`` is neither data nor such a model.
    KeyError
        There is no projection, or no such representation.
    ValueError
        Another number of components than the projection has, or values that are not finite.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.pp.pca_model(adata, n_comps=1)
    >>> genes = ct.tl.decode(adata)
    >>> genes.var_names.tolist(), genes.shape == adata.shape
    (['x', 'y'], True)
    """
    projection = projection_of(adata if loadings is None else loadings)
    use_rep, z = read_representation(adata, use_rep or projection.use_rep)
    expected = projection.loadings.shape[1]
    if z.shape[1] != expected:
        raise ValueError(
            f"{use_rep} has {z.shape[1]} variables, the projection {expected} components; pass the "
            "use_rep= that holds them, or the loadings= that they were made with"
        )
    var = pd.DataFrame(index=pd.Index(projection.names, dtype=str))
    result = AnnData(_expression(projection, z), obs=adata.obs.copy(), var=var)
    for key, value in adata.obsm.items():
        result.obsm[key] = value.copy()
    result.uns = deepcopy(dict(adata.uns))
    record = sample_record({"use_rep": use_rep}, seed)
    result.uns[ROOT] = {**result.uns.get(ROOT, {}), "decode": DECODE.made(record, [])}
    return result


def _expression(projection: Projection, z: np.ndarray) -> np.ndarray:
    """Return ``(n, g)`` float32 without a float64 array of that size."""
    x = np.empty((len(z), len(projection.names)), dtype=np.float32)
    for i in range(0, len(z), _BLOCK):
        x[i : i + _BLOCK] = projection.decode(z[i : i + _BLOCK])
    return x
