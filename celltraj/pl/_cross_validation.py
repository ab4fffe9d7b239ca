"""Draw held-out scores."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from celltraj._checks import checked
from celltraj.models._holdout import TRIVIAL
from celltraj.pl._finish import Save, axes_of, finish, tidy

_COLUMNS = {"method", "time", "metric", "value", "seed"}


@tidy
@checked
def cross_validation(
    scores: pd.DataFrame,
    *,
    metric: str = "W1",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
) -> object:
    """Draw the score of each method at each held-out time; lower is better.

    Models are in colour, predictions without a model thin and grey, the noise floor dashed grey.
    Several seeds are drawn as their mean with the standard error.

    Parameters
    ----------
    scores
        Result of :func:`celltraj.tl.cross_validate`.
    metric
        The metric to draw.
    ax, show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir``, as in scanpy.

    Returns
    -------
    The axes, the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    ValueError
        ``scores`` lacks a column, or holds no such metric.

    Examples
    --------
    >>> import celltraj as ct, pandas as pd
    >>> scores = pd.DataFrame({
    ...     "method": ["floor", "bridge"], "time": [1.0, 1.0], "metric": "W1",
    ...     "value": [0.1, 0.3], "seed": 0,
    ... })
    >>> ct.pl.cross_validation(scores, show=False).get_ylabel()
    'W1 to the held-out cells'
    """
    missing = _COLUMNS - set(scores.columns)
    if missing:
        raise ValueError(
            f"scores lack the columns {sorted(missing)}; make them with ct.tl.cross_validate"
        )
    chosen = scores[scores["metric"] == metric]
    if chosen.empty:
        raise ValueError(f"no metric {metric!r}; found {sorted(scores['metric'].unique())}")
    ax = axes_of(ax)
    summary = chosen.groupby(["method", "time"])["value"].agg(["mean", "sem"])
    order = chosen.groupby("method")["value"].mean().sort_values().index
    greys = iter(("o", "s", "^", "v", "D", "x") * 2)
    for method in order:
        rows = summary.loc[method]
        if method == "floor":
            style = {"color": "0.35", "ls": "--", "lw": 1.2}
        elif method in TRIVIAL:
            style = {"color": "0.65", "lw": 0.8, "marker": next(greys), "ms": 4}
        else:
            style = {"lw": 1.8, "marker": "o", "zorder": 3}
        error = rows["sem"].fillna(0) if rows["sem"].notna().any() else None  # None for one seed
        ax.errorbar(rows.index, rows["mean"], yerr=error, label=method, **style)
    ax.set(xlabel="held-out time", ylabel=f"{metric} to the held-out cells")
    ax.set_xticks(sorted(chosen["time"].unique()))
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return finish("cross_validation", ax.figure, ax, show=show, save=save, return_fig=return_fig)
