"""Draw simulated trajectories over the observed cells."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from celltraj._anndata import dimension_of, read_times
from celltraj._checks import checked
from celltraj.pl._cells import (
    check_path,
    color_label,
    default_basis,
    label_plane,
    plane,
    size_of,
)
from celltraj.pl._colors import colors_of, explain
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._style import Style
from celltraj.pl._styled import CellStyle, styled


@tidy
@checked
@styled
def trajectories(
    adata: AnnData,
    path: AnnData,
    *,
    time_key: str = "time",
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    color: str | None = None,
    n_trajectories: int = 100,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[CellStyle],
) -> object:
    """Draw trajectories over the cells of two components.

    Where trajectories carry mass, lines and their ends are as heavy as what they end with.

    Parameters
    ----------
    adata
        Observed cells; not changed.
    path
        Result of :func:`celltraj.tl.simulate` or :func:`celltraj.tl.condition` in the
        representation ``basis``.
    time_key
        Column of ``obs`` with the sampling times.
    basis
        Representation that ``path`` was simulated in, by default the one that it names.
    components
        Two variables of it.
    color
        Column of ``obs`` for the cells, by default time; categories take
        ``uns[f"{color}_colors"]``, or the palette that scanpy would choose.
    n_trajectories
        The most lines drawn; a dot marks where each one ends.
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
        ``path`` was simulated in another representation.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, seed=0, progress=False)
    >>> path = ct.tl.simulate(adata, bridge, start=0.0, stop=4.0, n_cells=9, progress=False)
    >>> len(ct.pl.trajectories(adata, path, show=False).collections[1].get_segments())
    9
    """
    look = Style(**style)
    name, cells = plane(adata, default_basis(adata, basis, lives_in=path), components)
    check_path(path, "trajectory", dimension_of(adata, name), name, "basis")
    times = read_times(adata, time_key)
    found = colors_of(adata, times, color, look)
    ax = axes_of(ax, look)
    order = found.order(np.arange(len(cells)))
    ax.scatter(*cells[order].T, color=found.shades[order], **look.dots(size_of(len(cells)), 0.6))
    lines = [line[:, list(components)] for line in lines_of(path, n_trajectories)]
    share = _final_mass(path, n_trajectories)
    widths = 0.6 * np.sqrt(share)
    ax.add_collection(LineCollection(lines, colors="black", linewidths=widths, alpha=0.45))
    ends = np.array([line[-1] for line in lines])
    ax.scatter(*ends.T, color="black", s=5 * share, lw=0, zorder=3)
    label_plane([ax], adata, name, components, look)
    label, ticks = color_label(adata, times, time_key, color)
    explain(ax, found, label, look, ticks=ticks, cells=cells)
    return finish("trajectories", ax, show=show, save=save, return_fig=return_fig, look=look)


def lines_of(path: AnnData, n: int) -> list[np.ndarray]:
    """Return the ``(T, d)`` states of the first ``n`` trajectories, in the order of the rows."""
    labels, states = path.obs["trajectory"].to_numpy(), np.asarray(path.X)
    return [states[labels == label] for label in np.unique(labels)[:n]]


def _final_mass(path: AnnData, n: int) -> np.ndarray:
    """Return the mass of the first ``n`` trajectories at their end, of mean 1; 1 without growth.

    Bounded, so that one that stands for much does not cover the rest.
    """
    labels = path.obs["trajectory"].to_numpy()
    shown = np.unique(labels)[:n]
    if "mass" not in path.obs:
        return np.ones(len(shown))
    mass = path.obs["mass"].to_numpy(float)
    last = np.array([mass[labels == label][-1] for label in shown])
    mean = last.mean()  # zero where none of conditioned paths meets the condition
    shares: np.ndarray = np.clip(last / (mean if mean > 0 else 1.0), 0.05, 10.0)
    return shares
