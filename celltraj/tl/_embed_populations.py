"""Embed whole populations."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import (
    embedded_populations,
    read_untreated,
    sample_record,
    source_of,
    warn_of_few,
)
from celltraj._checks import checked
from celltraj.models import MetaFlowMatching
from celltraj.tl._predict_response import support_table


@checked
def embed_populations(adata: AnnData, model: MetaFlowMatching, *, seed: int = 0) -> AnnData:
    """Set embedding: place each population by its untreated cells, as the response does.

    ``phi(p0)``, a mean over cells.

    Parameters
    ----------
    adata
        Untreated cells of one population or several, as in
        :func:`celltraj.tl.predict_response`.
    model
        Result of :func:`celltraj.tl.fit_response`, with an encoder.
    seed
        Seed of nothing, and recorded: there is nothing random here.

    Returns
    -------
    AnnData with a row for each population, named after it: ``X`` the embeddings, float32;
    ``obs["population"]``, ``obs["n_cells"]``, ``obs["in_training"]``, ``obs["outside_share"]`` (of
    its cells, see :func:`celltraj.tl.predict_response`), ``obs["embedding_ratio"]`` (distance to
    the nearest embedding of the training, over the greatest that a training population has to its
    nearest neighbour), ``obs["spread_ratio"]`` and ``obs["centre_distance"]`` (how widely its cells
    are spread next to those of the training, in the median over variables, and how far their mean
    lies from that of the training, in standard deviations), and every column of ``adata.obs`` that
    is constant within populations; ``uns["celltraj"]["embedding"]``.

    Raises
    ------
    TypeError
        ``model`` is not a response, ``adata`` not an AnnData.
    ValueError
        The response was fitted without an encoder, or the cells do not suit it.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=5, n_cells=40, seed=0)
    >>> model = ct.tl.fit_response(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     options=ct.models.ResponseOptions(encoder=ct.models.Moments(n_features=3)),
    ...     training=ct.models.Training(max_steps=20), progress=False,
    ... )
    >>> ct.tl.embed_populations(adata, model).shape
    (5, 3)
    """
    source = source_of(model)
    if model.encoder is None:
        raise ValueError(
            "the response was fitted without an encoder; pass "
            "options=ct.models.ResponseOptions(encoder=ct.models.Moments()) to ct.tl.fit_response"
        )
    populations = read_untreated(adata, model)
    warn_of_few(populations, model, "; pass all of theirs")
    phi = np.stack([model.embed(one.x).numpy() for one in populations])
    obs = support_table(model, populations)
    obs["in_training"] = obs["population"].isin(model.support.names)
    obs = pd.concat([obs, _constant(adata, [one.rows for one in populations], obs)], axis=1)
    record = sample_record({"use_rep": source.use_rep}, seed)
    return embedded_populations(phi, obs, record)


def _constant(adata: AnnData, rows: list[np.ndarray], taken: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of ``obs`` that every population has one value of."""
    table = pd.DataFrame(index=range(len(rows)))
    for name in adata.obs.columns[~adata.obs.columns.duplicated(keep=False)]:
        values = [adata.obs[name].iloc[at].astype(object).unique() for at in rows]
        if name not in taken and all(len(one) == 1 for one in values):
            table[name] = [one[0] for one in values]
    return table.infer_objects()
