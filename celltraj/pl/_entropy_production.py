"""Draw at what rate cells produce entropy."""

from __future__ import annotations

from typing import Unpack

from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import ENTROPY_PRODUCTION
from celltraj._checks import checked
from celltraj.pl._cells import per_time, time_label
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._style import Style
from celltraj.pl._styled import DotOnlyStyle, styled

_SIZE = 26.0  # square points of a dot


@tidy
@checked
@styled
def entropy_production(
    adata: AnnData,
    *,
    key: str = "ct_entropy_production",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[DotOnlyStyle],
) -> object:
    """Draw the rate of entropy production at each time, with its bracket.

    Lines reach from ``lower`` to ``plug_in`` with the interval over cells; filled dots are the
    middle, where the density is stationary, hollow ones the lower bound, where it is not. Grey
    ticks: what any law needs to the next snapshot.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.entropy_production`, also one that was read from a file; not
        changed.
    key
        The ``key_added`` of :func:`celltraj.tl.entropy_production`.
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
    >>> import torch
    >>> turning = ct.models.OrnsteinUhlenbeck(
    ...     matrix=torch.tensor([[-1.0, -1.0], [1.0, -1.0]]), shift=torch.zeros(2), sigma=1.0
    ... )
    >>> cells = ct.datasets.branching(n_cells=200, seed=0)
    >>> ct.tl.entropy_production(cells, turning, progress=False)
    >>> ct.pl.entropy_production(cells, show=False).get_xlabel()
    'time'
    >>> plt.close()
    """
    look, table = Style(**style), ENTROPY_PRODUCTION.table(adata, key)
    params = ENTROPY_PRODUCTION.peek(adata, key)["params"]
    ax = axes_of(ax, look, (3.8, 2.8))
    ax.vlines(table["time"], table["low"], table["high"], color="black", lw=1.2)
    dots = look.dots(_SIZE) | {"lw": 1.2, "edgecolor": "black", "zorder": 3}
    is_still = table["middle"].notna()
    kinds = (("middle", "middle", is_still, "black"), ("lower", "lower bound", ~is_still, "white"))
    for name, label, rows, shade in kinds:
        if rows.any():
            shown = table[rows]
            ax.scatter(shown["time"], shown[name], facecolor=shade, label=label, **dots)
    shape = {"marker": "_", "s": 90, "color": "0.6"}
    ax.scatter(table["time"], table["least"], label="any law needs", **shape)
    ax.axhline(0, color="0.85", lw=1, zorder=0)
    ax.set_xlabel(time_label(adata, str(params["time_key"])))
    ax.set_ylabel(f"entropy production {per_time(adata, 'nats')}")
    ax.legend(frameon=False)
    return finish("entropy_production", ax, show=show, save=save, return_fig=return_fig, look=look)
