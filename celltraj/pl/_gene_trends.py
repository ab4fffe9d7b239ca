"""Draw the course of genes along trajectories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from celltraj._anndata.results import GENE_TRENDS
from celltraj._checks import checked
from celltraj.pl._cells import explain, legend_columns, legend_size, shades_of, time_label, wrapped
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._panels import panels_of

_MOST_PANELS = 12
_MOST_COLUMNS = 3
_ALL = "all"


@tidy
@checked
def gene_trends(
    adata: AnnData,
    *,
    genes: str | Sequence[str] | None = None,
    key: str = "gene_trends",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
) -> object:
    """Draw the mean of genes over time, a line with its interval for each group.

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
        as ``"_days.png"``, writes to ``sc.settings.figdir``, as in scanpy.

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
    table = GENE_TRENDS.table(adata, key)
    params = GENE_TRENDS.peek(adata, key)["params"]
    names, of_all = _chosen(table, genes)
    if ax is not None and len(names) > 1:
        raise ValueError(f"ax= holds one gene; pass genes= with one of {names}")
    groupby = params.get("groupby")
    groups = list(dict.fromkeys(table["group"]))
    is_alone = groupby is None and groups == [_ALL]
    shades = {_ALL: "C0"} if is_alone else shades_of(adata, groupby, groups)
    n_columns = 2 if len(names) == 4 else _MOST_COLUMNS
    panels = _panels(len(names), n_columns, groups, is_alone=is_alone) if ax is None else [ax]
    when = time_label(adata, str(params.get("time_key", "time")))
    for panel, name in zip(panels, names, strict=True):
        _draw(panel, table[table["gene"] == name], shades)
        panel.set_title(name, fontsize="medium")
    for panel in panels[-n_columns:]:
        panel.set_xlabel(when)
    for panel in panels[::n_columns]:
        panel.set_ylabel("mean")
    figure = panels[0].figure
    if len(names) < of_all:
        figure.suptitle(f"the first {len(names)} of {of_all} genes")
    if not is_alone and ax is None:
        _explain(figure, shades, str(groupby))
    elif not is_alone:
        explain(ax, shades, None, str(groupby))
    shown = panels if ax is None else ax
    return finish("gene_trends", figure, shown, show=show, save=save, return_fig=return_fig)


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


def _draw(ax: Axes, table: pd.DataFrame, shades: dict[str, str]) -> None:
    for group, shade in shades.items():
        its = table[table["group"] == group].sort_values("time")
        ax.fill_between(its["time"], its["lower"], its["upper"], color=shade, alpha=0.2, lw=0)
        marker = "o" if len(its) == 1 else None
        ax.plot(its["time"], its["mean"], color=shade, lw=1.8, marker=marker)
    ax.margins(x=0.02)
    ax.locator_params(nbins=5)
    ax.spines[["top", "right"]].set_visible(False)


def _panels(n: int, n_columns: int, groups: Sequence[str], *, is_alone: bool) -> np.ndarray:
    """Return a panel for each gene, with room for the legend on the right."""
    width, height = (0.2, 0.0) if is_alone else legend_size(groups)
    n_rows = -(-n // n_columns)
    size = (2.7, max(2.2, (height - 0.3) / n_rows))
    return panels_of(n, n_columns, size=size, beside=(width + 0.2, 0.3), sharey=False)


def _explain(figure: Figure, shades: dict[str, str], label: str) -> None:
    """Say which group a line is, right of all panels."""
    lines = [Line2D([], [], color=shade, lw=1.8, label=wrapped(g)) for g, shade in shades.items()]
    figure.legend(
        handles=lines,
        title=wrapped(label),
        frameon=False,
        loc="outside right center",
        ncols=legend_columns(len(lines)),
    )
