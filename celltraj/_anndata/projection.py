"""Read and write the projection from genes to principal components."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from anndata import AnnData
from scipy.sparse import sparray, spmatrix

from celltraj._anndata.expression import read_expression
from celltraj._anndata.matched import MAX_MISSING, Matched
from celltraj._anndata.results import PCA, ROOT
from celltraj._anndata.write import sample_record, warn_of_view
from celltraj.models.genes.projection import Projection


class Projected(Protocol):
    """Anything that was fitted in principal components and kept the way back to genes."""

    @property
    def projection(self) -> Projection | None:
        """The projection, None where the fit had none."""


def read_projection(adata: AnnData) -> Projection | None:
    """Return the projection that ``adata`` carries, None where it carries none."""
    record = PCA.find(adata)
    if record is None:
        return None
    return Projection(
        mean=np.asarray(record["mean"]),
        loadings=np.asarray(record["loadings"]),
        names=tuple(str(name) for name in record["genes"]),
        layer=record["params"].get("layer"),
        use_rep=str(record["params"]["use_rep"]),
    )


def projection_of(loadings: AnnData | Projected) -> Projection:
    """Return the projection of an AnnData that carries one, or of a model fitted on such data.

    Raises
    ------
    KeyError
        The AnnData carries none.
    ValueError
        The model has none.
    TypeError
        Neither an AnnData nor something with a ``projection``.
    """
    if isinstance(loadings, AnnData):
        found = read_projection(loadings)
        if found is None:
            raise KeyError(
                f"no projection in adata.uns[{ROOT!r}]; found {sorted(loadings.uns.get(ROOT, {}))}"
                ". Run ct.pp.pca_model(adata), or pass loadings= with data or a model that has one"
            )
        return found
    if not hasattr(loadings, "projection"):
        raise TypeError(
            "loadings must be an AnnData after ct.pp.pca_model(adata), or a model fitted on one; "
            f"found {type(loadings).__name__}"
        )
    if loadings.projection is None:
        raise ValueError(
            f"the {type(loadings).__name__} was fitted without a projection; run "
            "ct.pp.pca_model(adata) before the fit, or pass the data as loadings="
        )
    return loadings.projection


def projection_record(
    projection: Projection, params: dict[str, Any] | None = None, seed: int | None = None
) -> dict[str, Any]:
    """Return what ``uns`` keeps of a projection; ``params`` and ``seed`` where they are known."""
    places = {"layer": projection.layer, "use_rep": projection.use_rep}
    record = sample_record(places | (params or {}), seed or 0)
    if seed is None:
        del record["seed"]
    return record | {
        "mean": projection.mean,
        "loadings": projection.loadings,
        "genes": np.array(projection.names, dtype=object),
    }


def write_projection(
    adata: AnnData,
    projection: Projection,
    *,
    components: np.ndarray | None = None,
    record: dict[str, Any] | None = None,
) -> None:
    """Write components to ``obsm[projection.use_rep]`` and the projection to ``uns``.

    Parameters
    ----------
    adata
        Is changed.
    projection
        What it shall carry.
    components
        ``(n_obs, k)`` of every cell, stored as float32; None where they stand there already.
    record
        From :func:`projection_record`; None where nothing is known of the fit.
    """
    record = projection_record(projection) if record is None else record
    key = projection.use_rep
    warn_of_view(adata)
    columns = None if components is None else {key: components.astype(np.float32)}
    PCA.write(adata, key, record, columns)


def genes_of(
    adata: AnnData, projection: Projection, *, max_missing: float = MAX_MISSING
) -> np.ndarray | spmatrix | sparray:
    """Return the expression ``(n_obs, g)`` of the genes of a projection, in their order.

    Other genes are left out. The mean of the training stands for those that are missing.

    Warns
    -----
    DataWarning
        Genes are missing, or the matrix looks like raw counts.

    Raises
    ------
    KeyError
        There is no such layer.
    ValueError
        More genes are missing than ``max_missing``, a share, allows, names are not unique, or
        values are not finite numbers.
    """
    matched = Matched.of(adata.var_names, projection.names)
    matched.check(max_missing)
    return matched.taken(read_expression(adata, projection.layer), projection.mean)
