"""Sum up held-out scores."""

from __future__ import annotations

import pandas as pd

from celltraj._checks import checked
from celltraj.models.evaluation import ScoreTable, summarised


@checked
def score_summary(scores: pd.DataFrame, *, n_bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Sum up held-out scores: means with intervals, excess over trivial answers, skill, verdicts.

    ``skill = 1 - (d - floor) / (d_nothing - floor)`` of the distances: 1 at the noise floor, 0 for
    no change (``no_change``, and ``previous`` of time courses). Scores are averaged within each
    population first, over conditions, folds and seeds, or within each held-out time; these, not
    cells, are what is drawn anew in the bootstrap. The halves behind the floor are smaller than
    what is compared, so that skill may come out a little above 1.

    Parameters
    ----------
    scores
        Result of :func:`celltraj.tl.cross_validate` or
        :func:`celltraj.tl.cross_validate_response`, also from a file, or several of them below each
        other, such as those of several seeds.
    n_bootstrap
        Resamples of the populations or times.
    seed
        Seed of the resamples.

    Returns
    -------
    One row per method and metric, the energy distance beside W1, which alone rewards predictions
    that are too narrow, the more so the more dimensions there are: method, metric; mean, low, high
    (95 %); floor, in the mean over the same cases; trivial, the best row without a model; excess,
    excess_low, excess_high, how much more the method has than that row (below zero is better of a
    distance); won, in how many of the n_held_out populations or times it is better; skill,
    skill_low, skill_high, NaN where there is none: of other metrics, and where the cells
    differ from those before by no more than the floor; verdict, a text: for a model with an encoder
    or a neighbourhood whether it does better than when the one, and apart from it the other, is
    that of another population, ``"yes"`` or ``"no"`` where the interval of the difference excludes
    zero, from five populations on; else empty. ``shift_r2`` is pooled, with each
    population and condition as heavy as its squared true shift, since a share of next to nothing
    says nothing. Of ``variance_ratio``, right at 1, neither more nor less is better, and no row
    without a model is the best.
    ``size_rank_correlation`` is Spearman's, over populations and conditions, of predicted and true
    size of the mean shift; of a prediction that is the mean over all other populations, such as
    ``shift``, it tends to -1 where all are alike.

    Raises
    ------
    TypeError
        ``scores`` is not a DataFrame.
    ValueError
        It lacks a column or has no rows, or ``n_bootstrap`` is below 2.

    References
    ----------
    Hesterberg, *What teachers should know about the bootstrap* (2015): the quantiles are expanded
    for few populations.

    Examples
    --------
    >>> import celltraj as ct, pandas as pd
    >>> scores = pd.DataFrame({
    ...     "method": ["floor"] * 3 + ["no_change"] * 3 + ["response"] * 3,
    ...     "held_out": list("abc") * 3, "metric": "W1",
    ...     "value": [1.0] * 3 + [5.0] * 3 + [2.0, 3.0, 4.0], "seed": 0,
    ...     "population": list("abc") * 3, "condition": "drug",
    ... })
    >>> ct.get.score_summary(scores).set_index("method")[["skill", "excess"]].T.values.tolist()
    [[1.0, 0.0, 0.5], [-4.0, 0.0, -2.0]]
    """
    table = ScoreTable(scores)
    if n_bootstrap < 2:
        raise ValueError(f"n_bootstrap must be at least 2; found {n_bootstrap}")
    return summarised(table, n_bootstrap=n_bootstrap, seed=seed)
