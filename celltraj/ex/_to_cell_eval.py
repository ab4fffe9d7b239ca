"""Write predicted and observed cells as cell-eval reads them."""

from __future__ import annotations

from collections.abc import Sequence

from anndata import AnnData

from celltraj._anndata import ResponseKeys, gene_pair
from celltraj._checks import checked


@checked
def to_cell_eval(
    predicted: AnnData,
    observed: AnnData,
    *,
    population_key: str,
    condition_key: str | Sequence[str],
    control: str | Sequence[str],
    dose_key: str | Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[AnnData, AnnData]:
    """Predicted and observed cells: the pair of AnnData that cell-eval compares.

    ``cell_eval.MetricsEvaluator(*pair).compute()`` needs no further arguments: both have
    ``obs["target"]``, where untreated cells are ``"non-targeting"``. Untreated cells of the
    predicted populations are the same in both, so that changes are counted from the same place.

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
    seed
        Seed of the draw of predicted cells by the mass that they keep, where ``predicted`` has
        ``obs["survival"]``: cell-eval counts every cell once.

    Returns
    -------
    Predicted and observed cells, in this order, which is that of cell-eval: ``X`` dense float32,
    predicted values below zero set to zero, since cell-eval refuses them; the genes of
    ``predicted``; ``obs["target"]``, the name of the condition, and ``obs["population"]``, by which
    ``cell-eval run --celltype-col population`` takes populations apart.

    Raises
    ------
    TypeError
        One of them is not an AnnData.
    KeyError
        ``predicted`` is no prediction, or a column or the control does not exist.
    ValueError
        Genes that ``observed`` lacks, something predicted that was not observed, or observed values
        that are no ``log1p`` of normalised counts.

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
    >>> pair = ct.ex.to_cell_eval(predicted, adata, **keys)
    >>> [one.obs["target"].cat.categories.tolist() for one in pair]
    [['after', 'non-targeting'], ['after', 'non-targeting']]
    """
    keys = ResponseKeys.of(population_key, condition_key, control, dose_key=dose_key)
    pair = gene_pair(predicted, observed, keys, seed=seed)
    return pair.predicted, pair.observed
