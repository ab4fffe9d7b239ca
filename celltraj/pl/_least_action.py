"""Draw how much action a path has cost on its way."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from celltraj._anndata.results import LEAST_ACTION
from celltraj._checks import checked
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_legend, legend_size, wrapped
from celltraj.pl._palette import category_colors
from celltraj.pl._style import Style
from celltraj.pl._styled import LineStyle, styled


@tidy
@checked
@styled
def least_action(
    adata: AnnData,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[LineStyle],
) -> object:
    """Draw the action along paths of least action, against how far along each one is.

    It rises where the path goes against the drift, and stays level where the drift carries it: the
    end of the rise is the pass. :func:`celltraj.pl.trajectories` draws the paths themselves.

    Parameters
    ----------
    adata
        Result of :func:`celltraj.tl.least_action`, also one that was read from a file; not changed.
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
    >>> import torch
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> pull = ct.models.OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=0.5)
    >>> path = ct.tl.least_action(
    ...     adata, pull, source="progenitor", target="upper", groupby="arm", progress=False
    ... )
    >>> len(ct.pl.least_action(path, show=False).lines)
    1
    >>> plt.close()
    """
    look, table = Style(**style), LEAST_ACTION.table(adata, "least_action")
    names = table["target"].tolist()
    shades = category_colors(adata, "target", names, look)
    beside, least = legend_size(names, look)
    ax = axes_of(ax, look, (3.2 + beside, max(2.6, least)))
    states, number = np.asarray(adata.X), adata.obs["trajectory"].to_numpy()
    handles = []
    for k, name in enumerate(names):
        rows = np.flatnonzero(number == k)
        ax.plot(
            _shares(states[rows]),
            adata.obs["action"].to_numpy(float)[rows],
            color=shades[name],
            alpha=look.opacity(1.0),
        )
        handles.append(Line2D([], [], color=shades[name], label=wrapped(name)))
    ax.set_xlabel("share of the path")
    ax.set_ylabel("action from the start")
    add_legend(ax, handles, look, title="target")
    return finish("least_action", ax, show=show, save=save, return_fig=return_fig, look=look)


def _shares(states: np.ndarray) -> np.ndarray:
    """Return how far along a path its points are, from 0 to 1."""
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(states, axis=0), axis=1).cumsum()])
    shares: np.ndarray = length / length[-1]
    return shares
