"""Judge predicted responses gene by gene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import TARGET, UNTREATED, GenePair, ResponseKeys, gene_pair
from celltraj._checks import checked
from celltraj.models.evaluation import GeneScore
from celltraj.models.evaluation import gene_scores as judged

_COLUMNS = ["population", *GeneScore._fields]


@checked
def gene_scores(
    predicted: AnnData,
    observed: AnnData,
    *,
    population_key: str,
    condition_key: str | Sequence[str],
    control: str | Sequence[str],
    dose_key: str | Sequence[str] | None = None,
    n_splits: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores of predicted expression: those of cell-eval, each beside its noise ceiling.

    Populations are judged apart, each against its own untreated cells; that is what cell-eval finds
    in the pair of :func:`celltraj.ex.to_cell_eval` of that population alone.

    Parameters
    ----------
    predicted
        Predictions with genes in ``X``: of :func:`celltraj.tl.predict_response` where the model was
        fitted to genes, else of :func:`celltraj.tl.decode`; under one condition or
        several.
    observed
        Untreated and treated cells of the same populations, with ``log1p`` of normalised counts in
        ``X``; not changed.
    population_key, condition_key, control, dose_key
        Columns and labels of ``observed``, as in :func:`celltraj.tl.fit_response`.
    n_splits
        Random halvings of the observed treated cells that a ceiling is the mean of.
    seed
        Seed of the halvings, and of the draw of predicted cells by the mass that they keep.

    Returns
    -------
    Columns population, condition, metric, value, ceiling; what is not defined has no row.

    Metrics: ``mae``, mean absolute error of the mean of genes (0 is best); ``pearson_delta``,
    correlation over genes of the change of the mean; ``overlap_at_N``, share of the ``N`` genes
    called in the observed cells that are among the ``N`` most changed ones called in the predicted;
    ``de_direction_match``, share of the called genes that change in the predicted direction;
    ``discrimination_score_l1``, where a population has two conditions or more, how few of the
    observed changes are nearer to the prediction than the right one. A ceiling is what one half of
    the observed treated cells scores as a prediction of the other, with the same untreated cells;
    it is noisier than what is compared, since halves are smaller.

    Raises
    ------
    TypeError
        One of them is not an AnnData.
    KeyError
        ``predicted`` is no prediction, or a column or the control does not exist.
    ValueError
        Genes that ``observed`` lacks, something predicted that was not observed, a condition with a
        single cell, or observed values that are no ``log1p`` of normalised counts.

    Notes
    -----
    Cells decoded from components lack the noise of counts and are above zero nearly everywhere, so
    that nearly all genes are called and the largest fold changes are those of genes that untreated
    cells do not express: ``overlap_at_N`` of such cells is low whatever their means are.

    References
    ----------
    cell-eval, Arc Institute (2025), https://github.com/ArcInstitute/cell-eval.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=3, n_cells=40, seed=0)
    >>> adata.X -= adata.X.min()
    >>> keys = {"population_key": "population", "condition_key": "condition", "control": "before"}
    >>> model = ct.tl.fit_response(
    ...     adata, **keys, training=ct.models.Training(max_steps=20), progress=False
    ... )
    >>> predicted = ct.tl.predict_response(adata, model, condition="after", progress=False)
    >>> ct.tl.gene_scores(predicted, adata, **keys)["metric"].unique().tolist()
    ['mae', 'pearson_delta', 'overlap_at_N', 'de_direction_match']
    """
    if n_splits < 1:
        raise ValueError(f"n_splits must be at least 1; found {n_splits}")
    keys = ResponseKeys.of(population_key, condition_key, control, dose_key=dose_key)
    pair = gene_pair(predicted, observed, keys, seed=seed)
    rows = [
        (name, *score)
        for name in pair.predicted.obs["population"].cat.categories
        for score in _of_population(pair, name, n_splits=n_splits, seed=seed)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _of_population(pair: GenePair, name: str, *, n_splits: int, seed: int) -> list[GeneScore]:
    told, seen = (_by_target(one, name) for one in pair)
    untreated = seen.pop(UNTREATED)
    return judged(told, seen, untreated, n_splits=n_splits, seed=seed)


def _by_target(adata: AnnData, name: str) -> dict[str, np.ndarray]:
    """Return the cells ``(n, g)`` of a population by what was done to them."""
    own = (adata.obs["population"] == name).to_numpy()
    groups = adata.obs[TARGET].to_numpy()
    return {str(one): adata.X[own & (groups == one)] for one in pd.unique(groups[own])}
