"""Draw the course of genes along trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from celltraj._anndata.results import GENE_TRENDS
from celltraj._checks import checked
from celltraj.pl._cells import label_outer, never_below_zero, time_label
from celltraj.pl._colors import shades_of
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._legend import add_legend, legend_size, wrapped
from celltraj.pl._palette import named_colors
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelGroupStyle, styled

_MOST_PANELS = 12
_MOST_COLUMNS = 3
_ALL = "all"


@tidy
@checked
@styled
def gene_trends(
    adata: AnnData,
    *,
    genes: str | Sequence[str] | None = None,
    key: str = "gene_trends",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelGroupStyle],
) -> object:
    """Draw the mean of genes over time, a line with its interval for each group.

    A gene that no observed cell has below zero, such as log expression, is drawn from zero up: what
    the projection leads to below zero stands at zero. Groups of fewer than five trajectories have a
    line and no interval.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.gene_trends`, also one that was read from a file; not changed.
    genes
        The gene or genes to draw, each in a panel; by default all, at most the first twelve.
    key
        The ``key_added`` of :func:`celltraj.tl.gene_trends`.
    ax
        Axes for a single gene.
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
        There is no such record, or no such gene in it.
    ValueError
        ``genes`` is empty, or ``ax`` is given for more than one gene.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> path = ct.tl.simulate(adata, bridge, start=0.0, stop=4.0, n_cells=9, progress=False)
    >>> ct.tl.gene_trends(adata, path, genes=["x", "y"], groupby="arm")
    >>> len(ct.pl.gene_trends(adata, show=False))
    2
    >>> plt.close()
    """
    look = Style(**style)
    table = GENE_TRENDS.table(adata, key)
    params = GENE_TRENDS.peek(adata, key)["params"]
    names, of_all = _chosen(table, genes)
    if ax is not None and len(names) > 1:
        raise ValueError(f"ax= holds one gene; pass genes= with one of {names}")
    groupby = params.get("groupby")
    groups = list(dict.fromkeys(table["group"]))
    is_alone = groupby is None and groups == [_ALL]
    shades = _shades(adata, groupby, groups, look, is_alone=is_alone)
    panels = _panels(len(names), [] if is_alone else list(shades), look, ax)
    for panel, name in zip(panels, names, strict=True):
        least = 0.0 if never_below_zero(adata, name) else -np.inf
        _draw(panel, table[table["gene"] == name], shades, look, least)
        panel.set_title(name, fontsize="medium")
    label_outer(panels, time_label(adata, str(params.get("time_key", "time"))), "mean")
    if len(names) < of_all:
        panels[0].figure.suptitle(f"the first {len(names)} of {of_all} genes")
    if not is_alone:
        _explain(panels[-1], shades, str(groupby), look, whole=ax is None)
    shown = panels if ax is None else ax
    return finish("gene_trends", shown, show=show, save=save, return_fig=return_fig, look=look)


def _chosen(table: pd.DataFrame, genes: str | Sequence[str] | None) -> tuple[list[str], int]:
    """Return the genes to draw, and of how many they are the first."""
    found = list(dict.fromkeys(table["gene"]))
    if genes is None:
        return found[:_MOST_PANELS], len(found)
    names = [genes] if isinstance(genes, str) else list(dict.fromkeys(genes))
    if not names:
        raise ValueError(f"genes is empty; name some of {found}, or leave it out for all")
    if unknown := [name for name in names if name not in found]:
        raise KeyError(
            f"no trend of {unknown}, only of {found}; name them in genes= of {GENE_TRENDS.call}"
        )
    return names, len(names)


def _shades(
    adata: AnnData, groupby: str | None, groups: list[str], look: Style, *, is_alone: bool
) -> dict[str, str]:
    """Return the colour of each group that is drawn."""
    shown = look.group_names(groups, "the trends")
    if is_alone:
        return named_colors(look, {_ALL: "C0"})
    return {
        one: shade for one, shade in shades_of(adata, groupby, groups, look).items() if one in shown
    }


def _draw(ax: Axes, table: pd.DataFrame, shades: dict[str, str], look: Style, least: float) -> None:
    for group, shade in shades.items():
        its = table[table["group"] == group].sort_values("time")
        middle, lower, upper = (its[name].clip(lower=least) for name in ("mean", "lower", "upper"))
        faint = {"color": shade, "alpha": 0.2 * look.opacity(1.0), "lw": 0}
        ax.fill_between(its["time"], lower, upper, **faint)
        marker = "o" if len(its) == 1 else None
        ax.plot(its["time"], middle, color=shade, lw=1.8, marker=marker, alpha=look.alpha)
    ax.margins(x=0.02)
    ax.locator_params(axis="y", nbins=5)
    if np.isfinite(least):
        ax.set_ylim(bottom=least)
    ax.spines[["top", "right"]].set_visible(False)


def _panels(n: int, groups: Sequence[str], look: Style, ax: Axes | None) -> np.ndarray:
    """Return a panel for each gene, with room for the legend on the right."""
    n_columns = 2 if n == 4 else _MOST_COLUMNS
    width, height = legend_size(groups, look)
    n_rows = -(-n // n_columns)
    size = (2.7, max(2.2, (height - 0.3) / n_rows))
    beside = {"beside": (width + 0.2, 0.3), "sharey": False}
    return panels_of(n, n_columns, look=look, ax=ax, size=size, **beside)


def _explain(ax: Axes, shades: dict[str, str], label: str, look: Style, *, whole: bool) -> None:
    """Say which group a line is."""
    lines = [Line2D([], [], color=shade, lw=1.8, label=wrapped(g)) for g, shade in shades.items()]
    add_legend(ax, lines, look, title=wrapped(label), whole=whole)
