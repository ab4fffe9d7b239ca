"""Draw how knock-outs shift fates."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import KNOCKOUT
from celltraj._checks import checked
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._style import Style
from celltraj.pl._styled import DotOnlyStyle, styled

_MIDDLE = (2.5, 97.5)


@tidy
@checked
@styled
def knockout(
    adata: AnnData,
    *,
    fate: str | None = None,
    n: int = 20,
    key: str = "knockout",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[DotOnlyStyle],
) -> object:
    """Draw the largest shifts of fates, and how far random genes shift them.

    A dot is the shift of a share of descendants, filled where ``q`` is at most .05; the grey bar
    holds 95 % of the random genes.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.knockout` or :func:`celltraj.tl.knockout_screen`, also one that was
        read from a file; not changed.
    fate
        Fate whose shifts are drawn, one row per knock-out; by default one row per knock-out and
        fate.
    n
        The most rows, those with the largest shifts.
    key
        The ``key_added`` of the tool.
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
        There are no knock-outs of that name.
    ValueError
        No such fate, or ``n`` below 1.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> silent = {"n_null": 1, "progress": False}
    >>> ct.tl.knockout(adata, bridge, genes=["y"], start=1.0, groupby="arm", **silent)
    >>> ct.pl.knockout(adata, show=False).get_xlabel()
    'shift of the share of descendants'
    >>> plt.close()
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; found {n}")
    look = Style(**style)
    table = KNOCKOUT.table(adata, key)
    if fate is not None:
        if fate not in set(table["fate"]):
            raise ValueError(f"no fate {fate!r}; found {table['fate'].unique().tolist()}")
        table = table[table["fate"] == fate]
    table = table[table["shift"].notna()]  # of genes that are constant nothing is known
    order = table["shift"].abs().sort_values(kind="stable").index[-n:]
    table = table.loc[order]
    ax = axes_of(ax, look)
    _null_bars(ax, adata, key, table)
    places = np.arange(len(table))
    is_sure = (table["q"] <= 0.05).to_numpy()
    for chosen, face in ((is_sure, "black"), (~is_sure, "white")):
        edge = {"facecolor": face, "edgecolor": "black", "lw": 1.0, "zorder": 3}
        ax.scatter(table["shift"].to_numpy()[chosen], places[chosen], **look.dots(28) | edge)
    ax.axvline(0, color="0.4", lw=0.8, zorder=1)
    names = table["genes"] if fate is not None else table["genes"] + " → " + table["fate"]
    ax.set_yticks(places, [name.replace("$", r"\$") for name in names], fontsize="small")
    ax.set(
        xlabel="shift of the share of descendants",
        title="" if fate is None else fate.replace("$", r"\$"),
        ylim=(-0.7, len(table) - 0.3),
    )
    return finish("knockout", ax, show=show, save=save, return_fig=return_fig, look=look)


def _null_bars(ax: Axes, adata: AnnData, key: str, table: pd.DataFrame) -> None:
    """Draw the middle of the random genes behind each row."""
    null = KNOCKOUT.peek(adata, key).get("null")
    if null is None or not len(null):
        return
    shifts = {str(fate): rows["shift"].to_numpy() for fate, rows in null.groupby("fate")}
    low, high = np.array(
        [np.percentile(shifts.get(str(fate), [0.0]), _MIDDLE) for fate in table["fate"]]
    ).T
    ax.use_sticky_edges = False  # a bar that is longer than all shifts would touch the frame
    ax.barh(np.arange(len(table)), high - low, left=low, height=0.7, color="0.88", zorder=0)
