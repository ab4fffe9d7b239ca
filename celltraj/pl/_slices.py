"""Draw slices of a tissue, registered onto each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.slices import ReadSlices, read_slices
from celltraj._anndata.slices_in_place import (
    SliceBetween,
    registered_between,
    registered_moves,
    registered_places,
)
from celltraj._checks import checked
from celltraj.pl._cells import check_components, color_label, label_plane, size_of, time_label
from celltraj.pl._colors import Colors, colors_of, explain
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._panels import panels_of
from celltraj.pl._stream import mean_on_grid
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelCellStyle, styled

_OTHERS = "0.88"  # cells of the slice that a panel leads to
_MOST_COLUMNS = 5
_GRID = 12  # arrows along an axis
_LONGER = (1, 2, 5, 10, 20, 50, 100)  # times that arrows may be drawn longer than moves are
_ARROWS: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "width": 0.008, "zorder": 3}


@tidy
@checked
@styled
def slices(
    adata: AnnData,
    *,
    color: str | None = None,
    between: AnnData | Sequence[AnnData] = (),
    arrows: bool = False,
    components: tuple[int, int] = (0, 1),
    key: str = "couplings",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelCellStyle],
) -> object:
    r"""Draw registered slices of a tissue, a panel of each time, in the frame of the last one.

    Each slice as it was turned, sized and moved onto the next, whose cells are grey behind it:
    outlines and domains that lie upon each other say that the registration holds. Places as they
    were measured are drawn by ``ct.pl.snapshots(adata, basis="spatial")``.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.couple_space`, also one that was read from a file; not changed.
    color
        Column of ``obs`` or a gene in ``var_names``, by default time; categories take
        ``uns[f"{color}_colors"]``, or the palette that scanpy would choose.
    between
        Slices of :func:`celltraj.tl.interpolate_slice`, drawn among the others by their times. A
        cell there has the colour of the one, of the two that it lies between, that is nearer in
        time.
    arrows
        Whether to draw where the descendants of cells are in the mean, beyond what the tissue turns
        and grows as a whole; a pass over the couplings of each gap. Arrows are as long as the
        moves, or a whole number of times as long, which the axis tells.
    components
        Two coordinates of the places.
    key
        The ``key_added`` of :func:`celltraj.tl.couple_space`.
    ax
        Draw all slices upon each other into these axes instead of one panel each.
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
        There are no couplings of that name, or they come without places; ``color`` is neither a
        column nor a gene; ``between`` holds no interpolated slice.
    ValueError
        Cells or places have changed since they were coupled, ``between`` was made of other cells,
        or ``components`` are no two coordinates of the places.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.growing_tissue(n_cells=100, seed=0)
    >>> ct.tl.couple_space(adata, progress=False)
    >>> half = ct.tl.interpolate_slice(adata, at=0.5, n_cells=80)
    >>> panels = ct.pl.slices(adata, color="domain", between=half, arrows=True, show=False)
    >>> [panel.get_title().split("\n")[0] for panel in panels]
    ['time 0', 'time 0.5, interpolated', 'time 1', 'time 2']
    >>> plt.close()
    """
    look = Style(**style)
    found = read_slices(adata, key)
    places = registered_places(adata, found)
    check_components(components, places.shape[1], found.spatial_key, n=2)
    times = np.empty(adata.n_obs)
    for t, rows in zip(found.tied.lineage.times, found.tied.rows, strict=True):
        times[rows] = t
    shades = colors_of(adata, times, color, look, genes=True)
    given = (between,) if isinstance(between, AnnData) else between
    drawn = [registered_between(adata, found, one) for one in given]
    parts = _parts(found, places, shades, drawn, is_time=color is None)
    parts = [part.seen(components) for part in parts]
    n_columns = look.ncols or _MOST_COLUMNS
    size = {"size": (2.5, 2.6), "beside": (1.5, 0.4)}
    panels = panels_of(len(parts), n_columns, look=look, ax=ax, **size)
    when = time_label(adata, found.tied.time_key)
    for k in range(len(parts)):
        _draw(panels[k if ax is None else 0], parts, k, look, when if ax is None else None)
    label_plane(panels, adata, found.spatial_key, components, look)
    if arrows:
        _add_arrows(panels, parts, registered_moves(adata, found)[:, list(components)])
    label, ticks = color_label(adata, times, found.tied.time_key, color)
    if not shades.is_named(look):
        middle = panels[min(len(panels), n_columns) - 1]
        explain(middle, shades, label, look, ticks=ticks, axes=panels)
    shown = panels if ax is None else ax
    return finish("slices", shown, show=show, save=save, return_fig=return_fig, look=look)


@dataclass(frozen=True, eq=False)
class _Part:
    """What one panel shows: places ``(n, k)``, their colours, and the rows of observed cells."""

    time: float
    places: np.ndarray
    colors: Colors
    rows: np.ndarray | None = None

    def seen(self, components: tuple[int, int]) -> _Part:
        """Return it in two coordinates."""
        places = self.places[:, list(components)]
        return _Part(self.time, places, self.colors, self.rows)

    def title(self, when: str) -> str:
        """Return when it is and how many cells it has."""
        what = ", interpolated" if self.rows is None else ""
        return f"{when} {self.time:g}{what}\n({len(self.places):,} cells)"


def _parts(
    found: ReadSlices,
    places: np.ndarray,
    shades: Colors,
    between: Sequence[SliceBetween],
    *,
    is_time: bool,
) -> list[_Part]:
    """Return observed and interpolated slices in the order of their times."""
    pairs = zip(found.tied.lineage.times, found.tied.rows, strict=True)
    parts = [_Part(t, places[rows], shades.of(rows), rows) for t, rows in pairs]
    for one in between:
        own = shades.at(one.time, len(one.places)) if is_time else shades.of(one.nearer)
        parts.append(_Part(one.time, one.places, own))
    return sorted(parts, key=lambda part: part.time)


def _draw(panel: Axes, parts: Sequence[_Part], k: int, look: Style, when: str | None) -> None:
    """Draw a slice, in a panel of its own over the next one in grey."""
    part, dots = parts[k], look.dots(size_of(sum(len(one.places) for one in parts)) * 1.5)
    if when is not None:
        later = [one for one in parts[k + 1 :] if one.rows is not None]
        for behind in later[:1]:
            panel.scatter(*behind.places.T, color=_OTHERS, **dots)
        panel.set_title(part.title(when), fontsize="medium")
    order = part.colors.order(np.arange(len(part.places)))
    panel.scatter(*part.places[order].T, color=part.colors.shades[order], **dots)
    panel.set_aspect("equal")
    if part.colors.is_named(look):
        explain(panel, part.colors, "", look, cells=part.places)


def _add_arrows(panels: np.ndarray, parts: Sequence[_Part], moves: np.ndarray) -> None:
    """Draw the mean moves of observed cells on a grid, in one scale for all slices."""
    grids = []
    for k, part in enumerate(parts):
        if part.rows is None or np.isnan(moves[part.rows]).all():
            continue
        known = np.isfinite(moves[part.rows]).all(1)
        grid = mean_on_grid(part.places[known], moves[part.rows][known], _GRID)
        grids.append((panels[k if len(panels) > 1 else 0], grid))
    lengths = np.concatenate([(mean**2).sum(-1).compressed() ** 0.5 for _, (*_, mean) in grids])
    spacing = min(float(x[1] - x[0]) for _, (x, _, _) in grids)
    longest = float(np.quantile(lengths, 0.95))
    times = max((one for one in _LONGER if one * longest <= spacing), default=1)
    for panel, (x, y, mean) in grids:
        panel.quiver(x, y, *np.moveaxis(mean, -1, 0), scale=1 / times, **_ARROWS)
    if times > 1:
        for panel in panels:
            if label := panel.get_xlabel():
                panel.set_xlabel(f"{label}, arrows × {times}")
