"""Draw where cells would go from here."""

from __future__ import annotations

from typing import Unpack

import torch
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import read_space, read_times, time_of
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.models import Process
from celltraj.pl._cells import (
    color_label,
    default_basis,
    label_plane,
    plane,
    size_of,
    time_label,
)
from celltraj.pl._colors import colors_of, explain
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._grid import grid_of_states
from celltraj.pl._style import Style
from celltraj.pl._styled import CellValueStyle, styled


@tidy
@checked
@styled
def vector_field(
    adata: AnnData,
    model: Process,
    *,
    time: Time,
    time_key: str = "time",
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    n_grid: int = 20,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[CellValueStyle],
) -> object:
    """Draw the drift at a time as arrows over the cells of two components.

    Parameters
    ----------
    adata
        Observed cells; not changed.
    model
        A fitted bridge, its reference, or any process in the representation ``basis``.
    time
        When, in the user's unit or as a label of ``time_key``; a bridge shows its reference beyond
        the snapshots.
    time_key
        Column of ``obs`` with the sampling times.
    basis
        Representation that ``model`` was fitted in; by default that of
        :func:`celltraj.tl.fit_bridge`.
    components
        Two variables of it; the others are those of the nearest cell in the plane.
    n_grid
        Arrows in each direction; none is drawn far from all cells.
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
        A column or representation does not exist.
    ValueError
        The bridge has another dimension than ``basis``, or ``n_grid`` is less than 2.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, seed=0, progress=False)
    >>> ct.pl.vector_field(adata, bridge, time=1.5, show=False).get_title()
    'time 1.5'
    """
    if n_grid < 2:
        raise ValueError(f"n_grid must be at least 2; found {n_grid}")
    look = Style(**style)
    name, cells = plane(adata, default_basis(adata, basis, lives_in=model), components)
    whole = read_space(adata, model, name)[1]
    times, moment = read_times(adata, time_key), time_of(adata, time_key, time)
    _, _, states, is_near = grid_of_states(whole, components, n_grid)
    states = states[is_near]
    drift = model.drift(moment, torch.from_numpy(states)).numpy()
    found = colors_of(adata, times, None, look)
    ax = axes_of(ax, look)
    ax.scatter(*cells.T, color=found.shades, **look.dots(size_of(len(cells)), 0.4))
    chosen = list(components)
    ax.quiver(*states[:, chosen].T, *drift[:, chosen].T, angles="xy", width=0.003, zorder=3)
    label, ticks = color_label(adata, times, time_key, None)
    explain(ax, found, label, look, ticks=ticks)
    label_plane([ax], adata, name, components, look)
    ax.set_title(f"{time_label(adata, time_key)} {moment:g}")
    return finish("vector_field", ax, show=show, save=save, return_fig=return_fig, look=look)
