"""Draw slow modes."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from celltraj._anndata.results import SLOW_MODES
from celltraj._checks import check_at_least, checked
from celltraj.pl._cells import default_basis, label_plane, plane, size_of, time_label
from celltraj.pl._colors import MISSING
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_bar, add_legend, dots_of
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelCellValueStyle, styled

_KINDS = ("scales", "embedding")
_SHADES = {"couplings": "black", "features": "black", "crossings": "C3"}
_NAMES = {
    "couplings": "couplings",
    "features": "features: a lower bound across barriers",
    "crossings": "simulated crossings",
}
_SIZE = 28.0  # square points of a dot
_MOST_COLUMNS = 3
_APART = 0.2  # of a row, between what is known of a mode in two ways
_FAR = 100.0  # times the longest time, where an interval without an end is cut
_SUBS = (2.0, 5.0)  # ticks between powers of ten
_SPAN = (1, 99)  # percentiles that the colours tell apart
_UNUSED = ("cmap", "vmin", "vmax", "ncols")  # styles that scales have no use for


@tidy
@checked
@styled
def slow_modes(
    adata: AnnData,
    *,
    kind: str = "scales",
    n_modes: int = 3,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    key: str = "ct_modes",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelCellValueStyle],
) -> object:
    """Draw the time scales of slow modes with their intervals, or the modes of the cells.

    Modes are of mean square 1 over the cells, and their sign has no meaning.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.slow_modes`, also one that was read from a file; not changed.
    kind
        ``"scales"``: the time after which each mode is forgotten, on a logarithmic axis, by all
        that tells it. ``"embedding"``: cells by the slowest modes, each in a panel of its own,
        cells at other times than were asked for grey.
    n_modes
        Modes of an embedding, at most; scales are those of all.
    basis
        ``"X"``, a key of ``obsm``, or a name such as ``"umap"`` for ``obsm["X_umap"]``; by default
        the UMAP or another picture of the cells, else ``X_pca``, or ``X`` with at most 50
        variables.
    components
        Two variables of it.
    key
        The ``key_added`` of :func:`celltraj.tl.slow_modes`.
    ax
        Axes for scales, or for a single mode in an embedding.
    show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The axes, of an embedding the array of panels unless ``ax`` was given; the figure with
    ``return_fig``, nothing once shown.

    Raises
    ------
    KeyError
        There is no such record, or no such embedding.
    ValueError
        Another ``kind``, a style that it has no use for, or ``ax`` is given for several modes.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=100, seed=0)
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.slow_modes(adata, progress=False)
    >>> ct.pl.slow_modes(adata, show=False).get_xscale()
    'log'
    >>> plt.close()
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}; found {kind!r}")
    check_at_least(1, n_modes=n_modes)
    look = Style(**style)
    if kind == "scales":
        if unused := [name for name in _UNUSED if getattr(look, name) is not None]:
            raise ValueError(f"kind='scales' has no {', '.join(unused)}; kind='embedding' has")
        drawn: object = _draw_scales(adata, key, ax, look)
    else:
        drawn = _draw_modes(adata, key, n_modes, (basis, components), ax, look)
    return finish("slow_modes", drawn, show=show, save=save, return_fig=return_fig, look=look)


def _draw_scales(adata: AnnData, key: str, ax: Axes | None, look: Style) -> Axes:
    """Draw a line from end to end of each interval, and a dot where its time is."""
    table = SLOW_MODES.table(adata, key)
    table = table[np.isfinite(table["time"])]
    params = SLOW_MODES.peek(adata, key)["params"]
    kinds = [one for one in _SHADES if (table["by"] == one).any()]
    ax = axes_of(ax, look, (4.4 + 1.8 * (len(kinds) > 1), 0.3 * table["mode"].nunique() + 0.9))
    for place, one in enumerate(kinds):
        its = table[table["by"] == one]
        rows = its["mode"] + _APART * place
        # an end that is infinite is drawn as far as the axis goes
        ends = its["time_upper"].clip(upper=_FAR * table["time"].max())
        low = its["time_lower"].clip(lower=table["time"].min() / _FAR)
        ax.hlines(rows, low, ends, color=_SHADES[one], lw=1.2)
        dots = look.dots(_SIZE) | {"lw": 1.2}
        ax.scatter(its["time"], rows, color=_SHADES[one], zorder=3, **dots)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(LogLocator(subs=_SUBS))
    ax.xaxis.set_minor_formatter("{x:g}")
    ax.set_yticks(sorted(table["mode"].unique()))
    ax.set_ylim(table["mode"].max() + 0.6, 0.5)
    ax.set_ylabel("mode")
    ax.set_xlabel(f"{time_label(adata, str(params.get('time_key', 'time')))}, 95% interval")
    if len(kinds) > 1:
        add_legend(ax, dots_of({_NAMES[one]: _SHADES[one] for one in kinds}), look)
    return ax


def _draw_modes(
    adata: AnnData,
    key: str,
    n_modes: int,
    picture: tuple[str | None, tuple[int, int]],
    ax: Axes | None,
    look: Style,
) -> np.ndarray | Axes:
    """Draw cells by their modes."""
    values = np.asarray(SLOW_MODES.values(adata, key))[:, :n_modes]
    n = values.shape[1]
    if ax is not None and n > 1:
        raise ValueError("ax= holds one mode; pass n_modes=1")
    basis, cells = plane(adata, default_basis(adata, picture[0]), picture[1])
    size = {"size": (2.7, 2.5), "beside": (1.2, 0.5)}
    panels = panels_of(n, _MOST_COLUMNS, look=look, ax=ax, **size)
    known = np.isfinite(values).all(1)
    low, high = np.percentile(values[known], _SPAN)
    scale, colors = look.scale(values[known], (low, high)), look.map("RdBu_r")
    dots = look.dots(size_of(len(cells)))
    for k, panel in enumerate(panels):
        panel.scatter(*cells[~known].T, color=MISSING, **dots)
        panel.scatter(*cells[known].T, color=colors(scale(values[known, k])), **dots)
        panel.set_title(f"mode {k + 1}", fontsize="medium")
    label_plane(panels, adata, basis, picture[1], look)
    add_bar(panels[0], scale, colors, "mode", axes=panels)
    return panels if ax is None else ax
