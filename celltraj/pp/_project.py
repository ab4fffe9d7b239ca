"""Place new cells in components that were fitted before."""

from __future__ import annotations

from copy import deepcopy

from anndata import AnnData

from celltraj._anndata import (
    Projected,
    annotated,
    genes_of,
    projection_of,
    projection_record,
    write_projection,
)
from celltraj._anndata.results import PCA
from celltraj._checks import checked


@checked
def project(adata: AnnData, *, loadings: AnnData | Projected, copy: bool = False) -> AnnData | None:
    """Projection: place new cells in the principal components of others.

    ``z = (x - mean) W`` with the mean and the loadings of others: nothing is fitted.

    Parameters
    ----------
    adata
        New cells, normalised as those of the fit, their genes in any order. Others than those of
        the fit are left out; the mean of the fit stands for those that are missing, up to a tenth
        of all (``ct.pp.match_variables`` allows another share).
    loadings
        Data that ``ct.pp.pca_model`` annotated, or a model with a ``projection``, fitted on such
        data. It also says which layer is read and which key is written.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.

    Returns
    -------
    Nothing, with ``copy=True`` the annotated copy. Written: ``obsm`` at the key of the fit
    (``(n_obs, k)``, float32) and ``uns["celltraj"]["projection"]``, that of ``loadings``.

    Warns
    -----
    DataWarning
        The matrix looks like raw counts, or genes are missing.
    ImplicitModificationWarning
        ``adata`` is a view: it becomes an AnnData of its own, its parent gets nothing.

    Raises
    ------
    TypeError
        ``loadings`` is neither data nor such a model.
    KeyError
        ``loadings`` has no projection, or ``adata`` lacks the layer.
    ValueError
        Too many genes are missing, names are not unique, or values are not finite.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata, new = (ct.datasets.branching(n_cells=50, seed=seed) for seed in (0, 1))
    >>> ct.pp.pca_model(adata, n_comps=1)
    >>> ct.pp.project(new, loadings=adata)
    >>> new.obsm["X_pca"].shape == (new.n_obs, 1)
    True
    """
    projection = projection_of(loadings)
    PCA.claim(adata, projection.use_rep)
    components = projection.encode(genes_of(adata, projection))
    if isinstance(loadings, AnnData):
        record = deepcopy(PCA.peek(loadings))
    else:
        record = projection_record(projection)
    adata = annotated(adata, copy)
    write_projection(adata, projection, components=components, record=record)
    return adata if copy else None
