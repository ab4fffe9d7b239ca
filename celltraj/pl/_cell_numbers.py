"""Draw how many cells there are."""

from __future__ import annotations

from typing import Unpack

from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import GROWTH
from celltraj._checks import checked
from celltraj.pl._cells import time_label
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._style import Style
from celltraj.pl._styled import DotStyle, styled

_MOST_TICKS = 12
_SHADES = {"predicted": "C0", "observed": "black"}


@tidy
@checked
@styled
def cell_numbers(
    adata: AnnData,
    *,
    key: str = "ct_growth",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[DotStyle],
) -> object:
    """Draw the size of the population at each time, as observed and as growth predicts it.

    Sizes are in cells of the first snapshot. Observed are those that ``counts=`` of
    :func:`celltraj.tl.couplings` or :func:`celltraj.tl.fit_bridge` told; where only proportions are
    known they stay the same.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.growth`, also one that was read from a file; not changed.
    key
        The ``key_added`` of :func:`celltraj.tl.growth`.
    ax, show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The axes, the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    KeyError
        There is no such record.
    ValueError
        It has no rows.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> import pandas as pd
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> numbers = pd.DataFrame({"time": [0.0, 1.0], "observed": [5, 9], "predicted": [5.0, 10.0]})
    >>> record = {"kind": "growth", "params": {}, "numbers": numbers.rename(index=str)}
    >>> adata.uns["celltraj"] = {"ct_growth": record}
    >>> ct.pl.cell_numbers(adata, show=False).get_ylabel()
    'size of the population (cells)'
    >>> plt.close()
    """
    look = Style(**style)
    table = GROWTH.table(adata, key, "numbers")
    params = GROWTH.peek(adata, key)["params"]
    table = table.sort_values("time")
    ax, shades = axes_of(ax, look), named_colors(look, _SHADES)
    line = table.dropna(subset=["predicted"])
    drawn = {"color": shades["predicted"], "alpha": look.alpha, "label": "predicted"}
    ax.plot(line["time"], line["predicted"], lw=1.8, zorder=2, **drawn)
    dots = look.dots(28) | {"color": shades["observed"], "label": "observed", "zorder": 3}
    ax.scatter(table["time"], table["observed"], **dots)
    if len(table) <= _MOST_TICKS:
        ax.set_xticks(table["time"], [f"{t:g}" for t in table["time"]])
    ax.set_ylim(0, 1.08 * float(table[["observed", "predicted"]].max(axis=None)) or 1.0)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    ax.set(
        xlabel=time_label(adata, str(params.get("time_key", "time"))),
        ylabel="size of the population (cells)",
    )
    ax.spines[["top", "right"]].set_visible(False)
    handles = ax.get_legend_handles_labels()[0]
    add_legend(ax, handles, look, usual={"loc": "best", "ncols": 1})
    return finish("cell_numbers", ax, show=show, save=save, return_fig=return_fig, look=look)
