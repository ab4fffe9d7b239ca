"""Draw held-out scores of responses."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from celltraj.models.evaluation import (
    AIMS,
    BASELINES,
    FLOOR,
    NO_CHANGE,
    RISING,
    TRUTH,
    mean_interval,
    model_of,
)
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._style import Style

_LINES = {FLOOR: "--", NO_CHANGE: "-.", TRUTH: ":"}
_LABELS = {
    "shift_cosine": "cosine to the true shift of the mean (1 is best)",
    "shift_r2": "R² of the shift of the mean (1 is best)",
    "size": "length of the shift of the mean",
    "type_error": "share of cells of a wrong type",
    "gate_error": "error in the share of cells above the control's 90 % gates",
    "variance_ratio": "variance over the true one (1 is best)",
}
_FEWEST = 3  # populations, for an interval


def draw_by_population(chosen: pd.DataFrame, metric: str, ax: Axes, look: Style) -> None:
    """Draw what each method scores on what was held out, the best one on top.

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

    Raises
    ------
    ValueError
        All methods are such as are drawn as lines.
    """
    keys = ["method", "population", "condition"]
    dots = chosen.groupby(keys)["value"].mean()
    means = dots.groupby(["method", "population"]).mean()
    order = _best_first(means.groupby("method").mean(), metric)
    rows = [method for method in order.index if method not in _LINES]
    if not rows:
        raise ValueError(f"only {list(order.index)} have the metric {metric!r}; nothing to compare")
    for method in order.index.intersection(list(_LINES)):
        ax.axvline(order[method], color="0.35", ls=_LINES[method], lw=1.2, zorder=1)
    shades = _shades(rows, look)
    for row, method in enumerate(rows):
        values = means[method].to_numpy()
        _draw_dots(ax, row, np.sort(dots[method].to_numpy()), shades[method], look)
        _draw_mean(ax, row, values, shades[method], is_hollow=method != model_of(method))
    ax.set_yticks(range(len(rows)), _names(rows, dots))
    ax.set_ylim(len(rows) - 0.5, -0.5)  # downwards, so that the best one is on top
    ax.set_xlabel(_LABELS.get(metric, f"{metric} to the held-out cells"))
    if dots.min() >= 0:
        ax.set_xlim(left=0)
    _explain(ax, [line for line in _LINES if line in order.index], look)


def _best_first(means: pd.Series, metric: str) -> pd.Series:
    """Return the means of the methods in the order of the rows."""
    if metric == "size" and TRUTH in means:
        return means.loc[(means - means[TRUTH]).abs().sort_values().index]
    if metric in AIMS:
        return means.loc[(means - AIMS[metric]).abs().sort_values().index]
    return means.sort_values(ascending=metric not in RISING)


def _names(rows: list[str], dots: pd.Series) -> list[str]:
    """Return the names of the rows, with the number of dots where others have more of them."""
    counts = [len(dots[row]) for row in rows]
    pairs = zip(rows, counts, strict=True)
    return [f"{row} ({n} of {max(counts)})" if n < max(counts) else row for row, n in pairs]


def _shades(methods: list[str], look: Style) -> dict[str, str]:
    """Return the colour of each method: that of its model, grey for a prediction without one."""
    models = sorted({model_of(name) for name in methods} - set(BASELINES))
    colors = named_colors(look, {name: f"C{k}" for k, name in enumerate(models)})
    return {name: colors.get(model_of(name), "0.45") for name in methods}


def _draw_dots(ax: Axes, row: int, values: np.ndarray, shade: str, look: Style) -> None:
    # neighbours in value at different heights: multiples of the golden ratio, modulo 1
    heights = row + 0.5 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)
    dots = look.dots(10, 0.45) | {"rasterized": False, "zorder": 2}
    ax.scatter(values, heights, color=shade, **dots)


def _draw_mean(ax: Axes, row: int, values: np.ndarray, shade: str, *, is_hollow: bool) -> None:
    mean = values.mean()
    if len(values) >= _FEWEST:
        ax.plot(
            mean_interval(values), [row, row], color=shade, lw=2.0, solid_capstyle="butt", zorder=3
        )
    face = "white" if is_hollow else shade
    ax.plot(mean, row, marker="o", ms=6, mfc=face, mec=shade, mew=1.5, zorder=4)


def _explain(ax: Axes, lines: list[str], look: Style) -> None:
    """Say above the axes what lines and dots are."""
    dot = {"marker": "o", "color": "0.45"}
    handles = [Line2D([], [], color="0.35", ls=_LINES[name], lw=1.2, label=name) for name in lines]
    handles += [
        Line2D([], [], ls="", ms=3, alpha=0.5, label="population and condition", **dot),
        Line2D([], [], lw=2.0, ms=6, label="mean, 95 % interval over populations", **dot),
    ]
    usual = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 2}
    add_legend(ax, handles, look, usual=usual)
