"""Draw the samples of each condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from celltraj._anndata.results import CONDITIONS
from celltraj._checks import checked
from celltraj.pl._cells import label_outer, rate_label
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelDotStyle, styled

_MOST_PANELS = 12
_MOST_COLUMNS = 3
_REFERENCE, _SHADE = "0.35", "C0"


@tidy
@checked
@styled
def conditions(
    adata: AnnData,
    *,
    quantity: str | Sequence[str] | None = None,
    key: str = "conditions",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelDotStyle],
) -> object:
    """Draw the samples of each condition and their mean, each quantity in a panel of its own.

    A dot is a sample, the stroke the mean over samples. A line goes down from the mean of the
    baseline, which is grey; the bar of another condition is the interval of its difference from
    that line, and its p value stands beside. Samples seen under all conditions are joined.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.compare_conditions`, also one that was read from a file; not
        changed.
    quantity
        The quantity or quantities to draw; by default all, at most the twelve with the least p.
    key
        The ``key_added`` of :func:`celltraj.tl.compare_conditions`.
    ax
        Axes for a single quantity.
    show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The array of panels, ``ax`` where it was given, the figure with ``return_fig``, nothing once
    shown.

    Raises
    ------
    KeyError
        There is no such record.
    ValueError
        No such quantity, or ``ax`` is given for more than one.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["mouse"] = [f"m{k % 8}" for k in range(adata.n_obs)]
    >>> adata.obs["diet"] = ["fat" if k % 8 < 4 else "lean" for k in range(adata.n_obs)]
    >>> ct.tl.compare_conditions(adata, sample_key="mouse", condition_key="diet", of="time")
    >>> len(ct.pl.conditions(adata, show=False))
    1
    """
    look = Style(**style)
    table = CONDITIONS.table(adata, key)
    samples = CONDITIONS.table(adata, key, "samples")
    params = CONDITIONS.peek(adata, key)["params"]
    names, of_all = _chosen(table, quantity)
    if ax is not None and len(names) > 1:
        raise ValueError(f"ax= holds one quantity; pass quantity= with one of {names}")
    baseline = str(params["baseline"])
    order = [baseline, *dict.fromkeys(table["condition"])]
    usual = {one: _SHADE if row else _REFERENCE for row, one in enumerate(order)}
    shades, n_columns = named_colors(look, usual), 2 if len(names) == 4 else _MOST_COLUMNS
    size = {"size": (2.7, 0.42 * len(order) + 0.75), "beside": (0.6, 0.4)}
    panels = panels_of(len(names), n_columns, look=look, ax=ax, sharex=False, **size)
    for panel, name in zip(panels, names, strict=True):
        its = samples[samples["quantity"] == name]
        _draw_dots(panel, its, shades, look, is_paired=bool(params["paired"]))
        _draw_effects(panel, its, table[table["quantity"] == name], shades)
        panel.set_title(name, fontsize="medium")
    label_outer(panels, _label(adata, str(params["of"]), names), "")
    if len(names) < of_all:
        suptitle = f"the {len(names)} quantities with the least p, of {of_all}"
        panels[0].figure.suptitle(suptitle)
    _explain(panels, ax, params, look)
    shown = panels if ax is None else ax
    return finish("conditions", shown, show=show, save=save, return_fig=return_fig, look=look)


def _chosen(table: pd.DataFrame, quantity: str | Sequence[str] | None) -> tuple[list[str], int]:
    """Return the quantities to draw, and of how many they have the least p."""
    least = table.groupby("quantity", sort=False)["p"].min()
    if quantity is None:
        first = least.sort_values(kind="stable").index[:_MOST_PANELS]
        return [name for name in least.index if name in first], len(least)
    names = [quantity] if isinstance(quantity, str) else list(quantity)
    if not names:
        raise ValueError(f"quantity= names none; leave it out for all of {list(least.index)}")
    if unknown := [name for name in names if name not in least]:
        raise ValueError(f"no quantity {unknown}; found {list(least.index)}")
    return names, len(names)


def _heights(row: int, n: int) -> np.ndarray:
    """Return where dots are drawn: those of neighbours at different heights."""
    return row + 0.4 * ((np.arange(n) * 0.618) % 1 - 0.5)  # multiples of the golden ratio, modulo 1


def _draw_dots(
    ax: Axes, samples: pd.DataFrame, shades: dict[str, str], look: Style, *, is_paired: bool
) -> None:
    order = list(shades)
    if is_paired:
        wide = samples.pivot(index="sample", columns="condition", values="value")[order]
        ax.plot(wide.to_numpy().T, np.arange(len(order)), color="0.75", lw=0.7, zorder=1)
    for row, condition in enumerate(order):
        values = np.sort(samples.loc[samples["condition"] == condition, "value"].to_numpy())
        n = len(values)
        heights = np.full(n, float(row)) if is_paired else _heights(row, n)
        dots = look.dots(16, 0.5) | {"rasterized": False, "zorder": 2}
        ax.scatter(values, heights, color=shades[condition], **dots)
    ax.set_yticks(range(len(order)), order)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=3)
    ax.set_ylim(len(order) - 0.5, -0.5)  # downwards, so that the baseline is on top


def _draw_effects(
    ax: Axes, samples: pd.DataFrame, effects: pd.DataFrame, shades: dict[str, str]
) -> None:
    """Draw means, and the intervals of differences from that of the baseline."""
    order = list(shades)
    base = float(samples.loc[samples["condition"] == order[0], "value"].mean())
    ax.vlines(base, -0.3, 0.3, color=shades[order[0]], lw=2.0, zorder=3)
    ax.vlines(base, 0.3, len(order) - 0.5, color=shades[order[0]], lw=0.8, ls=":", zorder=1)
    for effect in effects.itertuples():
        row = order.index(effect.condition)
        mean = base + effect.effect
        shade = shades[effect.condition]
        ax.vlines(mean, row - 0.3, row + 0.3, color=shade, lw=2.0, zorder=3)
        ends = base + effect.lower, base + effect.upper
        ax.hlines(row, *ends, color=shade, lw=2.0, zorder=3)
        place = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": "small"}
        ax.annotate(f"p = {effect.p:.2g}", (1.02, row), **place)
    low, high = samples["value"].min(), samples["value"].max()
    if high > low:  # intervals of two samples may be far wider than all else, and go on outside
        left, right = ax.get_xlim()
        ax.set_xlim(max(left, 2 * low - high), min(right, 2 * high - low))


def _label(adata: AnnData, of: str, names: list[str]) -> str:
    if of == "fates":
        return "share of descendants"
    if of == "growth":
        return rate_label(adata)
    return "mean over cells" if names == [of] else "share of cells"


def _explain(panels: np.ndarray, ax: Axes | None, params: dict[str, Any], look: Style) -> None:
    """Say what dots and bars are."""
    is_paired, level = bool(params["paired"]), 100 * float(params["confidence"])
    dot = "sample, joined to itself" if is_paired else "sample"
    bar = f"mean, {level:g} % interval of the difference from {params['baseline']}"
    line = {"ls": "-" if is_paired else "", "lw": 0.7, "marker": "o", "ms": 4, "color": "0.6"}
    handles = [
        Line2D([], [], label=dot, **line),
        Line2D([], [], lw=2.0, marker="|", ms=9, mew=2.0, label=bar, color="0.3"),
    ]
    n_columns = 2 if len(panels) > 1 else 1  # no wider than what it explains
    usual = {"loc": "outside lower center", "ncols": n_columns}
    if ax is not None:
        usual = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.15), "ncols": 1}
    add_legend(panels[-1], handles, look, whole=ax is None, usual=usual)
