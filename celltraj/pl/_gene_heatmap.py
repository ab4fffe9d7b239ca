"""Draw the course of many genes as a map of colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import GENE_TRENDS
from celltraj._checks import checked
from celltraj.pl._cells import label_outer, never_below_zero, time_label
from celltraj.pl._colors import MISSING
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._legend import add_bar, inches_of, wrapped
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelValueStyle, styled

_MOST_COLUMNS = 4
_ROW, _HIGHEST = 0.17, 8.0  # inches, of a gene and of all of them
_LARGEST, _SMALLEST = 9.0, 4.5  # points, of the names of genes
_MAP = "magma"


@tidy
@checked
@styled
def gene_heatmap(
    adata: AnnData,
    *,
    genes: str | Sequence[str] | None = None,
    standard_scale: bool = True,
    key: str = "gene_trends",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelValueStyle],
) -> object:
    """Draw the mean of genes over time as a heat map, each group in a panel of its own.

    A row is a gene, those that are high early on top: sorted by ``sum_k t_k z_k / sum_k z_k`` over
    the times, ``z`` the mean over groups between its least, 0, and its most, 1. The same rows stand
    in all panels, those of genes that never change last and grey. Names are left out where rows are
    too low for them.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.gene_trends`, also one that was read from a file; not changed.
    genes
        The genes to draw, by default all.
    standard_scale
        Whether the colours of each gene go from its least to its most over all groups and times;
        else they are its mean, and of a gene that no observed cell has below zero not below zero.
    key
        The ``key_added`` of :func:`celltraj.tl.gene_trends`.
    ax
        Axes for a single group.
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
        ``genes`` is empty, no such group, or ``ax`` is given for more than one group.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> path = ct.tl.simulate(adata, bridge, start=0.0, stop=4.0, n_cells=9, progress=False)
    >>> ct.tl.gene_trends(adata, path, genes=["x", "y"], groupby="arm")
    >>> [panel.get_title() for panel in ct.pl.gene_heatmap(adata, show=False)]
    ['upper', 'lower']
    >>> plt.close()
    """
    look = Style(**style)
    table = GENE_TRENDS.table(adata, key)
    params = GENE_TRENDS.peek(adata, key)["params"]
    groups = look.group_names(list(dict.fromkeys(table["group"])), "the trends")
    if ax is not None and len(groups) > 1:
        raise ValueError(f"ax= holds one group; pass groups= with one of {groups}")
    names = _chosen(table, genes)
    cubes = _cubes(adata, table, names, standard_scale=standard_scale)
    cubes = {group: cubes[group] for group in groups}
    scale = look.scale(
        np.stack([cube.to_numpy() for cube in cubes.values()]),
        (0.0, 1.0) if standard_scale else None,
    )
    panels = _panels(names, groups, look, ax)
    colors = look.map(_MAP).with_extremes(bad=MISSING)
    order = list(next(iter(cubes.values())).index)
    for panel, (group, cube) in zip(panels, cubes.items(), strict=True):
        times = cube.columns.to_numpy(float)
        edges = _edges(times), np.arange(len(order) + 1) - 0.5
        panel.pcolormesh(*edges, cube.to_numpy(), cmap=colors, norm=scale, rasterized=True)
        panel.set_title(wrapped(group), fontsize="medium")
        panel.locator_params(axis="x", nbins=3)
        panel.tick_params(axis="y", length=0)
    label_outer(panels, time_label(adata, str(params.get("time_key", "time"))), "")
    _name_rows(panels[0], order)
    label = "mean, from its least to its most" if standard_scale else "mean"
    add_bar(panels[0], scale, colors, label, axes=panels)
    shown = panels if ax is None else ax
    return finish("gene_heatmap", shown, show=show, save=save, return_fig=return_fig, look=look)


def _chosen(table: pd.DataFrame, genes: str | Sequence[str] | None) -> list[str]:
    """Return the genes to draw."""
    found = list(dict.fromkeys(table["gene"]))
    if genes is None:
        return found
    names = [genes] if isinstance(genes, str) else list(dict.fromkeys(genes))
    if not names:
        raise ValueError(f"genes is empty; name some of {found[:20]}, or leave it out for all")
    if unknown := [name for name in names if name not in found]:
        raise KeyError(
            f"no trend of {unknown}, only of {found[:20]}; name them in genes= of "
            f"{GENE_TRENDS.call}"
        )
    return names


def _cubes(
    adata: AnnData, table: pd.DataFrame, names: list[str], *, standard_scale: bool
) -> dict[str, pd.DataFrame]:
    """Return genes by times of each group, the rows of all in one order."""
    table = table[table["gene"].isin(names)].copy()
    counted = [name for name in names if never_below_zero(adata, name)]
    table.loc[table["gene"].isin(counted), "mean"] = table["mean"].clip(lower=0)
    ends = table.groupby("gene")["mean"].agg(["min", "max"]).reindex(table["gene"])
    spread = (ends["max"] - ends["min"]).to_numpy()
    height = table["mean"].to_numpy() - ends["min"].to_numpy()
    table["height"] = np.divide(height, spread, out=np.full(len(table), np.nan), where=spread > 0)
    course = table.groupby(["gene", "time"])["height"].mean().unstack()
    times = course.columns.to_numpy(float)
    total = course.sum(axis=1).replace(0.0, np.nan)  # of a gene that never changes, which is last
    order = ((course * times).sum(axis=1) / total).reindex(names).sort_values(kind="stable").index
    value = "height" if standard_scale else "mean"
    return {
        str(group): its.pivot(index="gene", columns="time", values=value).reindex(order)
        for group, its in table.groupby("group", sort=False)
    }


def _edges(times: np.ndarray) -> np.ndarray:
    """Return where columns begin and end: half-way between times."""
    if len(times) == 1:
        return np.array([times[0] - 0.5, times[0] + 0.5])
    middle = (times[1:] + times[:-1]) / 2
    first, last = 2 * times[0] - middle[0], 2 * times[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


def _panels(names: list[str], groups: list[str], look: Style, ax: Axes | None) -> np.ndarray:
    """Return a panel for each group, with room for the names of genes on the left."""
    height = min(_ROW * len(names) + 0.1, _HIGHEST)
    size = {"size": (1.7, max(height, 0.8) + 0.4), "beside": (inches_of(names) + 1.2, 0.3)}
    return panels_of(len(groups), _MOST_COLUMNS, look=look, ax=ax, **size)


def _name_rows(ax: Axes, names: list[str]) -> None:
    """Name the rows as large as they are high, or say how many there are."""
    ax.set_ylim(len(names) - 0.5, -0.5)  # downwards, so that the earliest is on top
    ax.figure.canvas.draw()  # until then it is open how high a row becomes
    points = ax.bbox.height * 72 / ax.figure.dpi / len(names)
    size = min(_LARGEST, points / 1.1)
    if size < _SMALLEST:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(names):,} genes")
        return
    ax.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names], fontsize=size)
