"""Read and write the projection from genes to principal components."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import sparray, spmatrix

from celltraj._anndata.expression import read_expression
from celltraj._anndata.results import PCA, PROJECTION, ROOT
from celltraj._anndata.write import sample_record, warn_of_view
from celltraj.models.genes.projection import Projection

logger = logging.getLogger("celltraj")
_SHOWN = 5


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


def projection_of(reference: AnnData | Projected) -> Projection:
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
    if isinstance(reference, AnnData):
        found = read_projection(reference)
        if found is None:
            raise KeyError(
                f"no projection in adata.uns[{ROOT!r}]; found {sorted(reference.uns.get(ROOT, {}))}"
                ". Run ct.pp.pca_model(adata), or pass reference= with data or a model that has one"
            )
        return found
    if not hasattr(reference, "projection"):
        raise TypeError(
            "reference must be an AnnData after ct.pp.pca_model(adata), or a model fitted on one; "
            f"found {type(reference).__name__}"
        )
    if reference.projection is None:
        raise ValueError(
            f"the {type(reference).__name__} was fitted without a projection; run "
            "ct.pp.pca_model(adata) before the fit, or pass the data as reference="
        )
    return reference.projection


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


def genes_in_order(
    adata: AnnData, names: Sequence[str], layer: str | None
) -> np.ndarray | spmatrix | sparray:
    """Return the ``(n_obs, g)`` expression in ``X`` or a layer, its columns in order of ``names``.

    Raises
    ------
    KeyError
        There is no such layer.
    ValueError
        Genes are missing, too many or not unique, or values are not finite numbers.
    """
    order = _positions(adata.var_names, names)
    x = read_expression(adata, layer)
    return x if (order == np.arange(len(order))).all() else x[:, order]


def _positions(found: pd.Index, names: Sequence[str]) -> np.ndarray:
    """Return where each of ``names`` stands, once both are known to be the same set."""
    if not found.is_unique:
        raise ValueError("names of genes are not unique; call adata.var_names_make_unique() first")
    missing = [name for name in names if name not in found]
    extra = found.difference(pd.Index(names, dtype=found.dtype), sort=False).tolist()
    if missing:
        raise ValueError(
            f"{len(missing)} of the {len(names)} genes of the projection are missing in adata: "
            f"{_some(missing)}. Nothing stands for a gene that was not measured; fit "
            "ct.pp.pca_model on the genes that both have"
        )
    if extra:
        raise ValueError(
            f"adata has {len(extra)} genes that the projection does not know: {_some(extra)}; keep "
            "the others with adata[:, genes].copy(), genes being those of "
            f"uns[{ROOT!r}][{PROJECTION!r}]['genes'] or of model.projection.names"
        )
    rows: np.ndarray = found.get_indexer(pd.Index(names, dtype=found.dtype))
    return rows


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{names[:_SHOWN]}{more}"
