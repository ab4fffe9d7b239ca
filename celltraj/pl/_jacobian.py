"""Draw which genes change the velocity of which as a map of colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.jacobian import jacobian_rows, mean_jacobian
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.pl._cells import per_time
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._legend import add_bar, inches_of, wrapped
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelValueStyle, styled

_MAP = "RdBu_r"
_MOST_COLUMNS = 3
_CELL = 0.24  # inches, of a pair


@tidy
@checked
@styled
def jacobian(
    adata: AnnData,
    *,
    genes: Sequence[str] | None = None,
    n_genes: int = 12,
    time: Time | None = None,
    key: str = "jacobian",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelValueStyle],
) -> object:
    """Draw the mean derivatives of the velocity by the state as a heat map, a panel for each group.

    Red where more of the gene of the column speeds up that of the row, blue where it slows it down.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.jacobian`, also one that was read from a file; not changed.
    genes
        Genes to draw, in their order; by default those of the strongest pairs.
    n_genes
        How many genes of these pairs at most; without ``genes`` alone.
    time
        Time of the cells, as a number or its label; by default all times.
    key
        The ``key_added`` of :func:`celltraj.tl.jacobian`.
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
        There is no such record, time, group or gene.
    ValueError
        ``genes`` is empty, ``n_genes`` is below 2, or ``ax`` is given for more than one group.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> ct.tl.jacobian(adata, bridge, progress=False)
    >>> len(ct.pl.jacobian(adata, show=False))
    1
    >>> plt.close()
    """
    look = Style(**style)
    if n_genes < 2:
        raise ValueError(f"n_genes must be at least 2; found {n_genes}")
    table, chosen = jacobian_rows(adata, key, None, time, "table")
    table = table[chosen]
    groups = look.group_names(list(dict.fromkeys(table["group"])), "the derivatives")
    if ax is not None and len(groups) > 1:
        raise ValueError(f"ax= holds one group; pass groups= with one of {groups}")
    names = _strongest(table, n_genes) if genes is None else list(dict.fromkeys(genes))
    means = {one: mean_jacobian(adata, key, names, group=one, time=time) for one in groups}
    cube = np.stack([one.to_numpy() for one in means.values()])
    largest = float(np.abs(cube).max()) or 1.0
    scale, colors = look.scale(cube, (-largest, largest)), look.map(_MAP)
    side = _CELL * len(names) + 0.3
    names_size = inches_of(names)
    size = {"size": (side, side + 0.3), "beside": (names_size + 1.3, names_size)}
    panels = panels_of(len(groups), _MOST_COLUMNS, look=look, ax=ax, **size)
    for panel, (group, one) in zip(panels, means.items(), strict=True):
        panel.imshow(one.to_numpy(), cmap=colors, norm=scale, aspect="auto")
        panel.set_title(wrapped(group), fontsize="medium")
        ticks = [name.replace("$", r"\$") for name in names]
        panel.set_xticks(range(len(names)), ticks, rotation=90)
        panel.set_yticks(range(len(names)), ticks)
        panel.set_xlabel("regulator")
    panels[0].set_ylabel("target")
    unit = per_time(adata)
    add_bar(panels[0], scale, colors, f"change of velocity {unit}", axes=panels)
    shown = panels if ax is None else ax
    return finish("jacobian", shown, show=show, save=save, return_fig=return_fig, look=look)


def _strongest(table: pd.DataFrame, n: int) -> list[str]:
    """Return the genes of the strongest pairs, in the order in which they are met."""
    ordered = table.reindex(table["mean"].abs().sort_values(ascending=False, kind="stable").index)
    met = [name for row in ordered.itertuples() for name in (row.regulator, row.target)]
    return list(dict.fromkeys(met))[:n]
