"""Draw the observed snapshots."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import read_times
from celltraj._checks import checked
from celltraj.pl._cells import color_label, default_basis, label_plane, plane, size_of
from celltraj.pl._colors import colors_of, explain
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelCellStyle, styled

_MOST_COLUMNS = 6
_OTHERS = "0.88"  # cells of other times


@tidy
@checked
@styled
def snapshots(
    adata: AnnData,
    *,
    time_key: str = "time",
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    color: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelCellStyle],
) -> object:
    """Draw the cells of each time in a panel of its own, over all others in grey.

    Parameters
    ----------
    adata
        Observed cells; not changed.
    time_key
        Column of ``obs`` with the sampling times.
    basis
        ``"X"``, a key of ``obsm``, or a name such as ``"umap"`` for ``obsm["X_umap"]``; by default
        the UMAP or another picture of the cells, else ``X_pca``, or ``X`` with at most 50
        variables.
    components
        Two variables of it.
    color
        Column of ``obs``, by default time; categories take ``uns[f"{color}_colors"]``, or the
        palette that scanpy would choose.
    ax
        Draw all times into these axes instead of one panel each.
    show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The axes (one, or an array of panels), the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    KeyError
        A column or representation does not exist.
    ValueError
        ``components`` are not variables of ``basis``, or ``color`` holds too many categories.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> len(ct.pl.snapshots(adata, show=False))
    5
    """
    look = Style(**style)
    times = read_times(adata, time_key)
    name, cells = plane(adata, default_basis(adata, basis), components)
    found = colors_of(adata, times, color, look)
    observed, n_columns = np.unique(times), look.ncols or _MOST_COLUMNS
    size = {"size": (2.5, 2.4), "beside": (1.5, 0.6)}
    drawn = panels_of(len(observed), n_columns, look=look, ax=ax, **size)
    dots, is_named = look.dots(size_of(len(cells))), found.is_named(look)
    for k, panel in enumerate(drawn):
        here = times == observed[k] if ax is None else np.ones(len(times), dtype=bool)
        panel.scatter(*cells[~here].T, color=_OTHERS, **dots)
        rows = found.order(np.flatnonzero(here))
        panel.scatter(*cells[rows].T, color=found.shades[rows], **dots)
        if is_named:  # where groups are at that time
            explain(panel, found, "", look, cells=np.where(here[:, None], cells, np.nan))
        if ax is None:
            panel.set_title(f"{observed[k]:g}  ({here.sum():,} cells)", fontsize="medium")
    label_plane(drawn, adata, name, components, look)
    label, ticks = color_label(adata, times, time_key, color)
    middle = drawn[min(len(drawn), n_columns) - 1]
    if not is_named:
        explain(middle, found, label, look, ticks=ticks, axes=drawn)
    shown = drawn if ax is None else ax
    return finish("snapshots", shown, show=show, save=save, return_fig=return_fig, look=look)
