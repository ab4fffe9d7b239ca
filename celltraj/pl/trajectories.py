"""Draw simulated trajectories over the observed cells."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from celltraj._anndata import read_representation, read_times
from celltraj.pl._finish import finish


def trajectories(
    adata: AnnData,
    path: AnnData,
    *,
    time_key: str = "time",
    basis: str = "X",
    components: tuple[int, int] = (0, 1),
    n_trajectories: int = 100,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """Draw trajectories over the cells of two components.

    Parameters
    ----------
    adata
        Observed cells, coloured by time.
    path
        Result of :func:`celltraj.tl.simulate`.
    time_key
        Column of ``adata.obs`` with the times.
    basis
        Representation that ``path`` was simulated in.
    components
        Two variables of it.
    n_trajectories
        The most lines drawn.
    ax, show, save, return_fig
        As in scanpy; ``save`` is a path.
    """
    ax = plt.subplots()[1] if ax is None else ax
    columns = list(components)
    cells = read_representation(adata, basis)[1][:, columns]
    dots = ax.scatter(*cells.T, c=read_times(adata, time_key), s=6, alpha=0.5, lw=0)
    states = np.asarray(path.X)[:, columns]
    labels = path.obs["trajectory"].to_numpy()
    lines = [states[labels == label] for label in np.unique(labels)[:n_trajectories]]
    ax.add_collection(LineCollection(lines, colors="black", linewidths=0.5, alpha=0.4))
    ax.set(xlabel=f"{basis} {columns[0]}", ylabel=f"{basis} {columns[1]}")
    ax.figure.colorbar(dots, ax=ax, label=time_key)
    return finish(ax, show=show, save=save, return_fig=return_fig)
