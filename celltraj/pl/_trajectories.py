"""Draw simulated trajectories over the observed cells."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from celltraj._anndata import read_times
from celltraj.pl._cells import check_components, colors_of, explain, plane, size_of, time_label
from celltraj.pl._finish import Save, axes_of, finish


def trajectories(
    adata: AnnData,
    path: AnnData,
    *,
    time_key: str = "time",
    basis: str = "X",
    components: tuple[int, int] = (0, 1),
    color: str | None = None,
    n_trajectories: int = 100,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
) -> object:
    """Draw trajectories over the cells of two components.

    Parameters
    ----------
    adata
        Observed cells; not changed.
    path
        Result of :func:`celltraj.tl.simulate` in the representation ``basis``.
    time_key
        Column of ``adata.obs`` with the sampling times.
    basis
        Representation that ``path`` was simulated in.
    components
        Two variables of it.
    color
        Column of ``obs`` for the cells, by default time.
    n_trajectories
        The most lines drawn; a dot marks where each one ends.
    ax, show, return_fig
        As in scanpy.
    save
        A path, or ``True`` for scanpy's figure folder.

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
    >>> bridge = ct.tl.fit_bridge(adata, drift=ct.models.PlugInDrift(), seed=0, progress=False)
    >>> path = ct.tl.simulate(adata, bridge, start=0.0, stop=4.0, n_cells=9, progress=False)
    >>> len(ct.pl.trajectories(adata, path, show=False).collections[1].get_segments())
    9
    """
    name, cells = plane(adata, basis, components)
    states = lines_of(path, n_trajectories)
    n_vars = adata.n_vars if name == "X" else adata.obsm[name].shape[1]
    if states[0].shape[1] != n_vars:
        raise ValueError(
            f"path has {states[0].shape[1]} variables but {name} has {n_vars}; pass basis= with "
            "the representation that it was simulated in"
        )
    check_components(components, n_vars, name)
    times = read_times(adata, time_key)
    shades, legend, scale = colors_of(adata, times, color)
    ax = axes_of(ax)
    ax.scatter(*cells.T, color=shades, s=size_of(len(cells)), lw=0, alpha=0.6, rasterized=True)
    lines = [line[:, list(components)] for line in states]
    ax.add_collection(LineCollection(lines, colors="black", linewidths=0.6, alpha=0.45))
    ax.scatter(*np.array([line[-1] for line in lines]).T, color="black", s=5, lw=0, zorder=3)
    ax.set(xlabel=f"{name} {components[0]}", ylabel=f"{name} {components[1]}")
    explain(ax, legend, scale, time_label(adata, time_key) if color is None else color)
    return finish("trajectories", ax.figure, ax, show=show, save=save, return_fig=return_fig)


def lines_of(path: AnnData, n: int) -> list[np.ndarray]:
    """Return the ``(T, d)`` states of the first ``n`` trajectories, in the order they were taken.

    Raises
    ------
    KeyError
        ``path`` is not the result of a simulation.
    """
    if "trajectory" not in path.obs:
        raise KeyError(
            f"path.obs has no 'trajectory', only {list(path.obs.columns)}; "
            "make it with ct.tl.simulate(adata, bridge, start=..., stop=...)"
        )
    labels, states = path.obs["trajectory"].to_numpy(), np.asarray(path.X)
    return [states[labels == label] for label in np.unique(labels)[:n]]
