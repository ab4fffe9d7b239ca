"""Give new cells the variables of a training."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata import Projected
from celltraj._anndata.expression import read_expression
from celltraj._anndata.matched import MAX_MISSING, Matched
from celltraj._anndata.new_cells import variables_like
from celltraj._checks import checked
from celltraj.models import MetaFlowMatching


@checked
def match_variables(
    adata: AnnData,
    *,
    like: AnnData | Projected | MetaFlowMatching,
    max_missing: float = MAX_MISSING,
) -> AnnData:
    """Query preparation: give new cells the variables of a training, in their order.

    Variables that the training did not have are left out. Its mean stands for those that the cells
    do not have, so that these add nothing to principal components, up to a share of all.
    ``ct.tl.predict_response`` and ``ct.pp.project`` do so by themselves; call it to see what is
    missing, to allow more or, with ``max_missing=0``, nothing.

    Parameters
    ----------
    adata
        New cells, normalised as those of the training.
    like
        A model with a ``projection``, a response fitted to ``X``, or data that
        ``ct.pp.pca_model`` annotated.
    max_missing
        Share of the variables that may be missing, in [0, 1).

    Returns
    -------
    New AnnData with ``g`` variables: expression in ``X``, or in the layer that the training was
    read from; ``var["is_filled"]``, whether the mean of the training stands for a variable;
    ``obs``, ``obsm``, ``obsp`` and ``uns`` of ``adata``, which stays as it is.

    Warns
    -----
    DataWarning
        Variables are missing, or the matrix looks like raw counts.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData, or ``like`` none of these.
    KeyError
        ``like`` has no projection, or ``adata`` lacks the layer.
    ValueError
        More variables are missing than ``max_missing`` allows, names are not unique, or values are
        not finite.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata, new = (ct.datasets.branching(n_cells=50, seed=seed) for seed in (0, 1))
    >>> ct.pp.pca_model(adata, n_comps=1)
    >>> ct.pp.match_variables(new[:, ::-1].copy(), like=adata).var_names.equals(adata.var_names)
    True
    """
    if not 0 <= max_missing < 1:
        raise ValueError(f"max_missing must be a share in [0, 1); found {max_missing}")
    names, mean, layer = variables_like(like)
    matched = Matched.of(adata.var_names, names)
    matched.check(max_missing)
    x = matched.taken(read_expression(adata, layer), mean)
    var = pd.DataFrame({"is_filled": matched.rows < 0}, index=list(matched.names))
    slots = {"obsm": dict(adata.obsm), "obsp": dict(adata.obsp), "uns": dict(adata.uns)}
    places = {"X": x} if layer is None else {"layers": {layer: x}}
    return AnnData(**places, obs=adata.obs.copy(), var=var, **slots)
