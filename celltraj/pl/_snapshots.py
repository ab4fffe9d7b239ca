"""Draw the observed snapshots."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import read_times
from celltraj.pl._cells import colors_of, explain, plane, size_of, time_label
from celltraj.pl._finish import Save, finish


def snapshots(
    adata: AnnData,
    *,
    time_key: str = "time",
    basis: str = "X",
    components: tuple[int, int] = (0, 1),
    color: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
) -> object:
    """Draw the cells of each time in a panel of its own, over all others in grey.

    Parameters
    ----------
    adata
        Observed cells; not changed.
    time_key
        Column of ``obs`` with the sampling times.
    basis
        ``"X"``, a key of ``obsm``, or a name such as ``"umap"`` for ``obsm["X_umap"]``.
    components
        Two variables of it.
    color
        Column of ``obs``, by default time; categories take ``uns[f"{color}_colors"]``.
    ax
        Draw all times into these axes instead of one panel each.
    show, return_fig
        As in scanpy.
    save
        A path, or ``True`` for scanpy's figure folder.

    Returns
    -------
    The axes (one, or an array of panels), the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    KeyError
        A column or representation does not exist.
    ValueError
        ``components`` are not variables of ``basis``.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> len(ct.pl.snapshots(adata, show=False))
    5
    """
    times = read_times(adata, time_key)
    name, cells = plane(adata, basis, components)
    shades, legend, scale = colors_of(adata, times, color)
    observed = np.unique(times)
    if ax is None:
        width = min(3.0 * len(observed), 16.0) + 1.0
        figure, panels = plt.subplots(
            1, len(observed), figsize=(width, 3.2), sharex=True, sharey=True, squeeze=False,
            layout="constrained",
        )  # fmt: skip
        drawn = panels[0]
    else:
        figure, drawn = ax.figure, np.array([ax])
    dots = {"s": size_of(len(cells)), "lw": 0, "rasterized": True}
    for k, panel in enumerate(drawn):
        here = times == observed[k] if ax is None else np.ones(len(times), dtype=bool)
        panel.scatter(*cells[~here].T, color="0.88", **dots)
        panel.scatter(*cells[here].T, color=shades[here], **dots)
        panel.set(xlabel=f"{name} {components[0]}")
        if ax is None:
            panel.set_title(f"{observed[k]:g}  ({here.sum():,} cells)", fontsize="medium")
    drawn[0].set(ylabel=f"{name} {components[1]}")
    label = time_label(adata, time_key) if color is None else color
    explain(drawn[-1], legend, scale, label, drawn)
    shown = drawn if ax is None else ax
    return finish("snapshots", figure, shown, show=show, save=save, return_fig=return_fig)
