"""Draw held-out scores of responses."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from celltraj._checks import checked
from celltraj.models._response_baselines import BASELINES, FLOOR, NO_CHANGE, SHUFFLED, TRUTH
from celltraj.pl._finish import Save, axes_of, finish, tidy

_COLUMNS = {"left_out", "population", "condition", "method", "metric", "value", "seed"}
_LINES = {FLOOR: "--", NO_CHANGE: "-.", TRUTH: ":"}
_LABELS = {
    "shift_cosine": "cosine to the true shift of the mean (1 is best)",
    "shift_r2": "R² of the shift of the mean (1 is best)",
    "size": "length of the shift of the mean",
    "type_error": "share of cells of a wrong type",
}
_RISING = ("shift_cosine", "shift_r2")  # of which more is better
_FEWEST = 3  # populations, for an interval
_N_BOOTSTRAP = 2_000


@tidy
@checked
def response_scores(
    scores: pd.DataFrame,
    *,
    metric: str = "W1",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
) -> object:
    """Draw what each method scores on what was left out, the best one on top.

    Small dots are populations under a condition, averaged over seeds and what was left out; a large
    one is the mean over populations with its 95 % bootstrap interval, where there are three
    populations or more. Models are in colour, hollow where they are told of other populations;
    predictions without a model are grey. Lines mark the noise floor, no change at all, and for
    ``"size"`` the truth. A method that could not be judged everywhere says on how many dots it was.

    Parameters
    ----------
    scores
        Result of :func:`celltraj.tl.cross_validate_response`, also from a file.
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
    ...     "left_out": ["a", "b"] * 2, "population": ["a", "b"] * 2, "condition": "drug",
    ...     "method": ["floor"] * 2 + ["response"] * 2, "metric": "W1",
    ...     "value": [0.1, 0.2, 0.3, 0.5], "seed": 0,
    ... })
    >>> ct.pl.response_scores(scores, show=False).get_xlabel()
    'W1 to the held-out cells'
    """
    if missing := _COLUMNS - set(scores.columns):
        raise ValueError(
            f"scores lack the columns {sorted(missing)}; make them with "
            "ct.tl.cross_validate_response"
        )
    chosen = scores[(scores["metric"] == metric) & scores["value"].notna()]
    if chosen.empty:
        found = sorted(scores.loc[scores["value"].notna(), "metric"].astype(str).unique())
        raise ValueError(f"no metric {metric!r}; found {found}")
    keys = ["method", "population", "condition"]
    dots = chosen.astype(dict.fromkeys(keys, str)).groupby(keys)["value"].mean()
    means = dots.groupby(["method", "population"]).mean()
    order = _best_first(means.groupby("method").mean(), metric)
    rows = [method for method in order.index if method not in _LINES]
    if not rows:
        raise ValueError(f"only {list(order.index)} have the metric {metric!r}; nothing to compare")
    ax = axes_of(ax)
    for method in order.index.intersection(list(_LINES)):
        ax.axvline(order[method], color="0.35", ls=_LINES[method], lw=1.2, zorder=1)
    shades = _shades(rows)
    for row, method in enumerate(rows):
        values = means[method].to_numpy()
        _draw_dots(ax, row, np.sort(dots[method].to_numpy()), shades[method])
        _draw_mean(ax, row, values, shades[method], is_hollow=method.endswith(SHUFFLED))
    ax.set_yticks(range(len(rows)), _names(rows, dots))
    ax.set_ylim(len(rows) - 0.5, -0.5)  # downwards, so that the best one is on top
    ax.set_xlabel(_LABELS.get(metric, f"{metric} to the held-out cells"))
    if dots.min() >= 0:
        ax.set_xlim(left=0)
    _explain(ax, [line for line in _LINES if line in order.index])
    return finish("response_scores", ax.figure, ax, show=show, save=save, return_fig=return_fig)


def _best_first(means: pd.Series, metric: str) -> pd.Series:
    """Return the means of the methods in the order of the rows."""
    if metric == "size" and TRUTH in means:
        return means.loc[(means - means[TRUTH]).abs().sort_values().index]
    return means.sort_values(ascending=metric not in _RISING)


def _names(rows: list[str], dots: pd.Series) -> list[str]:
    """Return the names of the rows, with the number of dots where others have more of them."""
    counts = [len(dots[row]) for row in rows]
    pairs = zip(rows, counts, strict=True)
    return [f"{row} ({n} of {max(counts)})" if n < max(counts) else row for row, n in pairs]


def _shades(methods: list[str]) -> dict[str, str]:
    """Return the colour of each method: that of its model, grey for a prediction without one."""
    models = sorted({name.removesuffix(SHUFFLED) for name in methods} - set(BASELINES))
    colors = {name: f"C{k}" for k, name in enumerate(models)}
    return {name: colors.get(name.removesuffix(SHUFFLED), "0.45") for name in methods}


def _draw_dots(ax: Axes, row: int, values: np.ndarray, shade: str) -> None:
    # neighbours in value at different heights: multiples of the golden ratio, modulo 1
    heights = row + 0.5 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)
    ax.scatter(values, heights, s=10, color=shade, alpha=0.45, lw=0, zorder=2)


def _draw_mean(ax: Axes, row: int, values: np.ndarray, shade: str, *, is_hollow: bool) -> None:
    mean = values.mean()
    interval = _interval(values)
    if interval is not None:
        ax.plot(interval, [row, row], color=shade, lw=2.0, solid_capstyle="butt", zorder=3)
    face = "white" if is_hollow else shade
    ax.plot(mean, row, marker="o", ms=6, mfc=face, mec=shade, mew=1.5, zorder=4)


def _interval(values: np.ndarray) -> np.ndarray | None:
    """Return the 95 % bootstrap interval of the mean over populations; None for very few."""
    n = len(values)
    if n < _FEWEST:
        return None
    rows = np.random.default_rng(0).integers(n, size=(_N_BOOTSTRAP, n))
    band: np.ndarray = np.quantile(values[rows].mean(1), [0.025, 0.975])
    return band


def _explain(ax: Axes, lines: list[str]) -> None:
    """Say above the axes what lines and dots are."""
    dot = {"marker": "o", "color": "0.45"}
    handles = [Line2D([], [], color="0.35", ls=_LINES[name], lw=1.2, label=name) for name in lines]
    handles += [
        Line2D([], [], ls="", ms=3, alpha=0.5, label="population and condition", **dot),
        Line2D([], [], lw=2.0, ms=6, label="mean, 95 % interval over populations", **dot),
    ]
    ax.legend(handles=handles, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
