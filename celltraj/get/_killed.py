"""Read the predicted share of cells that a treatment kills."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import PREDICTION
from celltraj._checks import checked


@checked
def killed(adata: AnnData, *, key: str = "response") -> pd.DataFrame:
    """Return the share killed: one minus the survival of a population, relative to its control.

    ``killed = 1 - mean_i m(x_i)`` over the untreated cells of a population, with ``m`` the mass
    that a cell keeps under the condition. Below zero there are more cells than without treatment.

    Parameters
    ----------
    adata
        Result of :func:`celltraj.tl.predict_response`, also from a file, by a model that was told
        how many cells lived.
    key
        Name of the prediction.

    Returns
    -------
    A new table with one row for each population under each condition: population, condition,
    survival, killed.

    Raises
    ------
    KeyError
        There is no prediction, or its model was not told how many cells lived, and knows the mass
        of cells relative to their population alone.

    References
    ----------
    Chizat et al., *Unbalanced optimal transport: dynamic and Kantorovich formulations* (2018), for
    mass that is not kept.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=3, n_cells=40, seed=0)
    >>> adata.obs["viability"] = (adata.obs["condition"] == "before").map({True: 1.0, False: 0.5})
    >>> model = ct.tl.fit_response(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     options=ct.models.ResponseOptions(survival_key="viability"),
    ...     training=ct.models.Training(max_steps=20), progress=False,
    ... )
    >>> predicted = ct.tl.predict_response(adata, model, condition="after", progress=False)
    >>> ct.get.killed(predicted).columns.tolist()
    ['population', 'condition', 'survival', 'killed']
    """
    if "killed" not in PREDICTION.read(adata, key):
        raise KeyError(
            "the model of this prediction was not told how many cells lived, and knows which of "
            "them die more than others, not what share does; fit it with options="
            "ct.models.ResponseOptions(survival_key=...), a column of counts or viabilities"
        )
    return PREDICTION.table(adata, key, "killed")
