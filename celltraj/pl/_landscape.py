"""Draw the potential that a landscape reference has learned."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import torch
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from celltraj._anndata import read_space
from celltraj._checks import checked
from celltraj.models import Bridge, PotentialLandscape
from celltraj.models.process import reference_of
from celltraj.pl._cells import default_basis, label_plane, plane, size_of
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._grid import grid_of_states
from celltraj.pl._style import Style
from celltraj.pl._styled import CellValueStyle, styled

_N_GRID = 80
_N_LEVELS = 21


@tidy
@checked
@styled
def landscape(
    adata: AnnData,
    model: Bridge,
    *,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[CellValueStyle],
) -> object:
    """Draw the potential of a refined landscape over the cells of two components.

    Parameters
    ----------
    adata
        Observed cells; not changed.
    model
        A bridge on a :class:`~celltraj.models.PotentialLandscape`.
    basis
        Representation that ``model`` was fitted in; by default that of
        :func:`celltraj.tl.fit_bridge`.
    components
        Two variables of it; the others are those of the nearest cell in the plane.
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
    TypeError
        The reference of the bridge has no potential.
    KeyError
        The representation does not exist.
    ValueError
        The bridge has another dimension than ``basis``.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=40, seed=0)
    >>> bridge = ct.tl.fit_bridge(
    ...     adata, reference=ct.models.PotentialLandscape(width=8),
    ...     options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
    ...     training=None, progress=False,
    ... )
    >>> ct.pl.landscape(adata, bridge, show=False).get_xlabel()
    'x'
    """
    reference = reference_of(model)
    if not isinstance(reference, PotentialLandscape):
        raise TypeError(
            f"{type(reference).__name__} has no potential; fit the bridge with "
            "reference=ct.models.PotentialLandscape()"
        )
    look = Style(**style)
    name, cells = plane(adata, default_basis(adata, basis, lives_in=model), components)
    whole = read_space(adata, model, name)[1]
    across, up, states, is_near = grid_of_states(whole, components, _N_GRID)
    heights = reference.potential(torch.from_numpy(states)).numpy()
    heights = np.where(is_near, heights - heights[is_near].min(), np.nan)
    ax, scale = axes_of(ax, look), look.scale(heights)
    levels, grid = np.linspace(scale.vmin, scale.vmax, _N_LEVELS), (_N_GRID, _N_GRID)
    shown = {"levels": levels, "cmap": look.map("terrain"), "extend": _beyond(heights, scale)}
    shades = ax.contourf(across, up, heights.reshape(grid), **shown)
    ax.scatter(*cells.T, color="black", **look.dots(size_of(len(cells)) / 2, 0.5))
    unit = adata.uns.get("time_unit", "t")
    label = f"potential ([x]$^2$/{unit})"
    ax.figure.colorbar(shades, ax=ax, label=label, ticks=MaxNLocator(6))  # not at the levels
    label_plane([ax], adata, name, components, look)
    return finish("landscape", ax, show=show, save=save, return_fig=return_fig, look=look)


def _beyond(heights: np.ndarray, scale: Normalize) -> str:
    """Return at which ends of the map there are heights beyond it."""
    below, above = np.nanmin(heights) < scale.vmin, np.nanmax(heights) > scale.vmax
    return ("neither", "min", "max", "both")[below + 2 * above]
