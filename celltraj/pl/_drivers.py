"""Draw the genes that go with fates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from celltraj._anndata.results import DRIVERS
from celltraj._checks import checked
from celltraj.pl._cells import label_outer
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelDotStyle, styled

_MOST_PANELS = 6
_MOST_COLUMNS = 3
_SHADES = {"positive": "C3", "negative": "C0"}  # correlations
_ROW = 0.17  # inches


@tidy
@checked
@styled
def drivers(
    adata: AnnData,
    *,
    fate: str | Sequence[str] | None = None,
    n: int = 10,
    key: str = "drivers",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelDotStyle],
) -> object:
    """Draw the genes most correlated with each fate, both ways, with their intervals.

    Above the highest correlations, below the lowest ones, each fate in a panel of its own. A dot is
    hollow where the gene's q value is above ``1 - confidence``.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.drivers`, also one that was read from a file; not changed.
    fate
        The fate or fates to draw; by default all, at most the first six.
    n
        Genes with positive and genes with negative correlation, up to so many of each.
    key
        The ``key_added`` of :func:`celltraj.tl.drivers`.
    ax
        Axes for a single fate.
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
        No such fate, no gene that varies, ``n`` below 1, or ``ax`` is given for more than one fate.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.drivers(adata, key="time", time="pooled")
    >>> len(ct.pl.drivers(adata, show=False))
    1
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; found {n}")
    look = Style(**style)
    table = DRIVERS.table(adata, key)
    params = DRIVERS.peek(adata, key)["params"]
    names, of_all = _chosen(table, fate)
    if ax is not None and len(names) > 1:
        raise ValueError(f"ax= holds one fate; pass fate= with one of {names}")
    parts = [_extremes(table[table["fate"] == name], n) for name in names]
    n_columns = 2 if len(names) == 4 else _MOST_COLUMNS
    most = max(len(up) + len(down) for up, down in parts)
    size = {"size": (2.9, _ROW * (most + 1) + 0.6), "beside": (0.2, 0.5)}
    panels = panels_of(len(names), n_columns, look=look, ax=ax, sharey=False, **size)
    level, shades = 1 - float(params["confidence"]), named_colors(look, _SHADES)
    for panel, name, (up, down) in zip(panels, names, parts, strict=True):
        _draw(panel, {"positive": up, "negative": down}, level, shades, look)
        panel.set_title(name, fontsize="medium")
    label_outer(panels, _units(table), "")
    if len(names) < of_all:
        panels[0].figure.suptitle(f"the first {len(names)} of {of_all} fates")
    _explain(panels, ax, [part for both in parts for part in both], level, look)
    shown = panels if ax is None else ax
    return finish("drivers", shown, show=show, save=save, return_fig=return_fig, look=look)


def _chosen(table: pd.DataFrame, fate: str | Sequence[str] | None) -> tuple[list[str], int]:
    """Return the fates to draw, and of how many they are the first."""
    found = list(dict.fromkeys(table["fate"]))
    if fate is None:
        return found[:_MOST_PANELS], len(found)
    names = [fate] if isinstance(fate, str) else list(fate)
    if unknown := [name for name in names if name not in found]:
        raise ValueError(f"no fate {unknown}; found {found}")
    return names, len(names)


def _units(table: pd.DataFrame) -> str:
    """Return what was correlated over."""
    over = f"{int(table['n_cells'].iloc[0]):,} cells"
    if "n_samples" not in table:
        return f"correlation over {over}"
    return f"mean correlation in {int(table['n_samples'].max())} samples, {over}"


def _extremes(table: pd.DataFrame, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the genes that go with a fate and those that go against it, highest first."""
    known = table[table["correlation"].notna()]
    if known.empty:
        raise ValueError(
            f"nothing correlates with {table['fate'].iloc[0]!r}: its shares or all genes are the "
            "same in all cells; choose others with fate="
        )
    is_up = known["correlation"] >= 0
    return known[is_up].head(n), known[~is_up].tail(n)


def _draw(
    ax: Axes,
    parts: dict[str, pd.DataFrame],
    level: float,
    shades: dict[str, str],
    look: Style,
) -> None:
    up, down = parts.values()
    ax.axvline(0, color="0.6", lw=0.8, zorder=1)
    gap = 1 if len(up) and len(down) else 0
    heights = [np.arange(len(up)), len(up) + gap + np.arange(len(down))]
    for (sign, part), rows in zip(parts.items(), heights, strict=True):
        shade = shades[sign]
        ax.hlines(rows, part["lower"], part["upper"], color=shade, lw=1.5, zorder=2)
        face = np.where(part["q"] <= level, shade, "white")
        edge = {"edgecolors": shade, "lw": 1.0, "rasterized": False, "zorder": 3}
        ax.scatter(part["correlation"], rows, c=face, **look.dots(18) | edge)
    labels = [*up["gene"], *down["gene"]]
    ax.set_yticks(np.concatenate(heights), labels, fontsize="small")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(labels) + gap - 0.4, -0.6)  # downwards, so that the highest is on top


def _explain(
    panels: np.ndarray, ax: Axes | None, parts: list[pd.DataFrame], level: float, look: Style
) -> None:
    """Say what a hollow dot is, where there is one."""
    if not any((part["q"] > level).any() for part in parts):
        return
    dot = {"ls": "", "marker": "o", "ms": 4.5, "mec": "0.3"}
    handles = [
        Line2D([], [], mfc="0.3", label=f"q ≤ {level:.2g}", **dot),
        Line2D([], [], mfc="white", label=f"q > {level:.2g}", **dot),
    ]
    usual = {"loc": "outside lower center", "ncols": 2} if ax is None else None
    add_legend(panels[-1], handles, look, whole=ax is None, usual=usual)
