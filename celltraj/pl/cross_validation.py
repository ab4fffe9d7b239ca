"""Draw held-out scores."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from celltraj.pl._finish import finish


def cross_validation(
    scores: pd.DataFrame,
    *,
    metric: str = "W1",
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """Draw the score of each method at each held-out time; the floor is dashed.

    Parameters
    ----------
    scores
        Result of :func:`celltraj.tl.cross_validate`.
    metric
        The metric to draw.
    ax, show, save, return_fig
        As in scanpy; ``save`` is a path.

    Raises
    ------
    ValueError
        The metric is not in ``scores``.
    """
    chosen = scores[scores["metric"] == metric]
    if chosen.empty:
        raise ValueError(f"no metric {metric!r}; found {sorted(scores['metric'].unique())}")
    ax = plt.subplots()[1] if ax is None else ax
    table = chosen.pivot_table(index="time", columns="method", values="value")
    for method in table.mean().sort_values().index:
        style = "--" if method == "floor" else "-"
        ax.plot(table.index, table[method], style, marker="o", label=method)
    ax.set(xlabel="held-out time", ylabel=metric)
    ax.legend(frameon=False)
    return finish(ax, show=show, save=save, return_fig=return_fig)
