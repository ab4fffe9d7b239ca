"""Read how likely conditioned paths are, and which cells they start from."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import CONDITION
from celltraj._checks import checked


@checked
def condition(adata: AnnData, *, ancestors: bool = False) -> pd.DataFrame:
    """Return how likely a condition is and how well it is told, or which cells meet it.

    Parameters
    ----------
    adata
        Result of :func:`celltraj.tl.condition`, also one that was read from a file.
    ancestors
        Whether to return the cells that the paths start from in place of the summary.

    Returns
    -------
    A new table of one row: log_probability (of the group; of a reward the log of the mean of
    ``e^r``), error (its standard error), is_bound (no path met the condition, and the probability
    is at most so much, at 95 %), effective (number of equal paths that they are worth), n_ancestors
    (particles of the start that they come from), n_pilot (unsteered paths simulated before),
    n_reached (how many of these met the condition), log_mass (log of the mean mass at the end
    without condition, 0 without growth), look_ahead (what paths were steered by),
    outside (share of states outside the data of the model, NaN where it does not know them).
    With ``ancestors=True`` one row for each cell that paths start from, the heaviest first: source,
    share (of the weight), n_paths.

    Raises
    ------
    KeyError
        There is no such record.
    ValueError
        Ancestors are asked for and no path met the condition.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> path = ct.tl.condition(
    ...     adata, ct.models.Brownian(0.5), start=0.0, stop=4.0, n_particles=100, n_times=5,
    ...     toward=ct.models.QuadraticReward([4.0, 1.0], width=0.2), progress=False,
    ... )
    >>> ct.get.condition(path)["look_ahead"].tolist()
    ['GaussianLookAhead']
    """
    return CONDITION.table(adata, "condition", "ancestors" if ancestors else "summary")
