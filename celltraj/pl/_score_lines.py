"""Draw held-out scores over the held-out times."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from celltraj.models.evaluation import FLOOR, REPLICATES, TRIVIAL
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._style import Style

_MARKERS = ("o", "s", "^", "v", "D", "x", "P")  # of the predictions without a model


def draw_by_time(chosen: pd.DataFrame, metric: str, ax: Axes, look: Style) -> None:
    """Draw the score of each method at each held-out time; lower is better.

    Parameters
    ----------
    chosen
        Scores of one metric.
    metric
        Its name.
    ax
        Where.
    look
        The style.
    """
    summary = chosen.groupby(["method", "held_out"])["value"].agg(["mean", "sem"])
    order = chosen.groupby("method")["value"].mean().sort_values().index
    # by name, so that a method looks the same beside another metric
    models = sorted(set(order) - {FLOOR, REPLICATES, *TRIVIAL})
    shades = named_colors(look, {name: f"C{k}" for k, name in enumerate(models)})
    for method in order:
        rows = summary.loc[method]
        style: dict[str, Any]
        if method in (FLOOR, REPLICATES):
            style = {"color": "0.35", "ls": "--" if method == FLOOR else ":", "lw": 1.2}
        elif method in TRIVIAL:
            mark = _MARKERS[TRIVIAL.index(method)]
            style = {"color": "0.65", "lw": 0.8, "marker": mark, "ms": 4}
        else:
            style = {"color": shades[method], "lw": 1.8, "marker": "o", "zorder": 3}
            style |= {"ms": None if look.size is None else look.size**0.5, "alpha": look.alpha}
        error = rows["sem"].fillna(0) if rows["sem"].notna().any() else None  # None for one seed
        ax.errorbar(rows.index, rows["mean"], yerr=error, label=method, **style)
    ax.set(xlabel="held-out time", ylabel=f"{metric} to the held-out cells")
    ax.set_xticks(sorted(chosen["held_out"].unique()))
    ax.set_ylim(bottom=0)
    add_legend(ax, ax.get_legend_handles_labels()[0], look)
