"""Draw the observed snapshots."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import read_times
from celltraj._checks import checked
from celltraj.pl._cells import color_label, colors_of, default_basis, explain, plane, size_of
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._panels import panels_of

_MOST_COLUMNS = 6


@tidy
@checked
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
        as ``"_days.png"``, writes to ``sc.settings.figdir``, as in scanpy.

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
    times = read_times(adata, time_key)
    name, cells = plane(adata, default_basis(adata, basis), components)
    shades, legend, scale = colors_of(adata, times, color)
    observed = np.unique(times)
    drawn = (
        panels_of(len(observed), _MOST_COLUMNS, size=(2.5, 2.4), beside=(1.5, 0.6))
        if ax is None
        else np.array([ax])
    )
    dots = {"s": size_of(len(cells)), "lw": 0, "rasterized": True}
    for k, panel in enumerate(drawn):
        here = times == observed[k] if ax is None else np.ones(len(times), dtype=bool)
        panel.scatter(*cells[~here].T, color="0.88", **dots)
        panel.scatter(*cells[here].T, color=shades[here], **dots)
        if k + _MOST_COLUMNS >= len(drawn):
            panel.set_xlabel(f"{name} {components[0]}")
        if k % _MOST_COLUMNS == 0:
            panel.set_ylabel(f"{name} {components[1]}")
        if ax is None:
            panel.set_title(f"{observed[k]:g}  ({here.sum():,} cells)", fontsize="medium")
    label, ticks = color_label(adata, times, time_key, color)
    middle = drawn[min(len(drawn), _MOST_COLUMNS) - 1]
    explain(middle, legend, scale, label, ticks=ticks, axes=drawn)
    shown = drawn if ax is None else ax
    return finish("snapshots", drawn[0].figure, shown, show=show, save=save, return_fig=return_fig)
