"""Draw the rates of jumps between states."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import JUMP_RATES
from celltraj._checks import checked
from celltraj.pl._cells import per_time
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._style import Style
from celltraj.pl._styled import DotOnlyStyle, styled

_TOLD, _UNTOLD = "black", "0.65"
_SIZE = 28.0  # square points of a dot


@tidy
@checked
@styled
def jump_rates(
    adata: AnnData,
    *,
    key: str = "jump_rates",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[DotOnlyStyle],
) -> object:
    """Draw the rate of each jump between states, and its interval, on a logarithmic axis.

    Rates that the counts do not tell to a factor of two are grey and hollow.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.jump_rates`, also one that was read from a file; not changed.
    key
        The ``key_added`` of :func:`celltraj.tl.jump_rates`.
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

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=200, seed=0)
    >>> adata.obs["side"] = ["left" if x < 2 else "right" for x in adata.X[:, 0]]
    >>> ct.tl.jump_rates(adata, groupby="side", edges=[("left", "right")])
    >>> ct.pl.jump_rates(adata, show=False).get_xscale()
    'log'
    >>> plt.close()
    """
    look, table = Style(**style), JUMP_RATES.table(adata, key)
    level = float(JUMP_RATES.peek(adata, key)["params"]["confidence"])
    ax = axes_of(ax, look, (4.2, 0.3 * len(table) + 0.9))
    for is_told, shade in ((True, _TOLD), (False, _UNTOLD)):
        _draw(ax, table, table["identified"].to_numpy(bool) == is_told, shade, look)
    names = [f"{one.source} → {one.target}" for one in table.itertuples()]
    ax.set_yticks(range(len(table)), names)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xscale("log")
    unit = per_time(adata)
    ax.set_xlabel(f"rate {unit}, {level:.0%} interval")
    return finish("jump_rates", ax, show=show, save=save, return_fig=return_fig, look=look)


def _draw(ax: Axes, table: pd.DataFrame, chosen: np.ndarray, shade: str, look: Style) -> None:
    """Draw some rows: a line from end to end and a dot, hollow where the rate is not told."""
    rows, its = np.flatnonzero(chosen), table[chosen]
    ax.hlines(rows, its["lower"], its["upper"], color=shade, lw=1.2)
    face = shade if shade == _TOLD else "white"
    dots = look.dots(_SIZE) | {"lw": 1.2}
    ax.scatter(its["rate"], rows, facecolor=face, edgecolor=shade, zorder=3, **dots)
