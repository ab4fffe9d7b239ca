"""Draw what conditions share, and how each of them moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import read_times
from celltraj._anndata.groups import read_groups
from celltraj._anndata.results import ARMS
from celltraj._checks import checked
from celltraj.pl._cells import label_plane, plane, size_of, time_label
from celltraj.pl._colors import MISSING, colors_of
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_bar, wrapped
from celltraj.pl._panels import panels_of
from celltraj.pl._stream import mean_on_grid
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelGroupValueStyle, styled
from celltraj.pl._tried import draw_beside, draw_tried

_KINDS = ("misses", "embedding")
_UNUSED = ("cmap", "vmin", "vmax", "ncols", "groups")  # styles that misses have no use for
_OTHER: dict[str, Any] = {"color": "0.55", "lw": 1.2, "ls": ":", "zorder": 1}
_MOST_COLUMNS = 4
_GRID = 12
_LONGEST = 0.15  # of the width of the cells, of the arrow of a fast cell
_ARROWS: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "width": 0.008, "zorder": 3}


@tidy
@checked
@styled
def arms(
    adata: AnnData,
    *,
    kind: str = "misses",
    components: tuple[int, int] = (0, 1),
    key: str = "arms",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelGroupValueStyle],
) -> object:
    """Draw how much conditions share of their laws of motion, or how the cells of each move.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.fit_arms`, also one that was read from a file; not changed.
    kind
        ``"misses"``: how far laws miss gaps that they were not fitted to, by how much conditions
        may deviate from one law, the chosen one black, with the gaps of all conditions as small
        dots beside it; dotted by another similarity of conditions, where covariates allow several;
        at 1 a law is no better than no change. ``"embedding"``: a panel of each
        condition, its cells by time over all others in grey, and arrows of their mean
        drift, of one scale in all panels.
    components
        Two variables of the representation that arms were fitted in.
    key
        The ``key_added`` of :func:`celltraj.tl.fit_arms`.
    ax
        Axes for misses, or for a single condition in an embedding.
    groups
        The condition or conditions to draw in an embedding; by default all.
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
        There is no such record, or no column or representation that it was made of.
    ValueError
        Another ``kind``, a style that it has no use for, ``ax`` is given for several conditions, or
        there is one gap alone, which tells no miss.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["arm"] = ["even" if k % 2 else "odd" for k in range(adata.n_obs)]
    >>> arms = ct.tl.fit_arms(adata, condition_key="arm", training=None, progress=False)
    >>> ct.pl.arms(adata, show=False).get_ylabel()
    'miss of gaps left out'
    >>> panels = ct.pl.arms(adata, kind="embedding", show=False)
    >>> [panel.get_title() for panel in panels]
    ['even', 'odd']
    >>> plt.close("all")
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}; found {kind!r}")
    look = Style(**style)
    if kind == "misses":
        if unused := [name for name in _UNUSED if getattr(look, name) is not None]:
            raise ValueError(f"kind='misses' has no {', '.join(unused)}; kind='embedding' has")
        drawn: object = _draw_misses(adata, key, ax, look)
    else:
        drawn = _draw_conditions(adata, key, components, ax, look)
    return finish("arms", drawn, show=show, save=save, return_fig=return_fig, look=look)


def _draw_misses(adata: AnnData, key: str, ax: Axes | None, look: Style) -> Axes:
    """Draw the mean miss of every candidate, and the miss of every gap at the chosen one."""
    compared, params = ARMS.table(adata, key, "candidates"), ARMS.peek(adata, key)["params"]
    if compared["miss"].isna().all():
        raise ValueError("one gap of one condition tells no miss: there is nothing to draw")
    similarity = str(params.get("similarity", ""))  # older records hold that one alone
    if "similarity" not in compared:
        compared["similarity"] = similarity
    lines = {str(name): its for name, its in compared.groupby("similarity")}
    tried = lines.pop(similarity)
    chosen = tried["own"].to_numpy() == float(params["own"])
    misses = np.sort(ARMS.table(adata, key)["miss"].dropna().to_numpy(float))
    ax = axes_of(ax, look, (4.4, 3.2))
    draw_tried(ax, tried["own"].to_numpy(float), tried["miss"].to_numpy(float), chosen, look)
    for name, its in lines.items():
        ax.plot(np.searchsorted(tried["own"], its["own"]), its["miss"], label=name, **_OTHER)
    if lines:
        ax.lines[1].set_label(similarity)
        ax.legend(title="similarity of conditions", frameon=False, fontsize="small")
    draw_beside(ax, np.flatnonzero(chosen), misses, look)
    ax.set_xlabel("own: how much conditions deviate from one law")
    ax.set_ylabel("miss of gaps left out")
    return ax


def _draw_conditions(
    adata: AnnData, key: str, components: tuple[int, int], ax: Axes | None, look: Style
) -> np.ndarray | Axes:
    """Draw the cells of each condition by time, and streams of their drift."""
    velocity = np.asarray(ARMS.values(adata, key, "{key}_velocity"), dtype=float)
    record = ARMS.peek(adata, key)
    params, seen = record["params"], ARMS.plain(record["table"], "table")["condition"]
    names = look.group_names(list(dict.fromkeys(seen)), "the study")
    if ax is not None and len(names) > 1:
        raise ValueError("ax= holds one condition; pass groups= with its name")
    labels = read_groups(adata, params["condition_key"]).astype(str).to_numpy()
    times = read_times(adata, params["time_key"])
    basis, cells = plane(adata, params["use_rep"], components)
    velocity = velocity[:, list(components)]
    found = colors_of(adata, times, None, replace(look, groups=None))
    panels = panels_of(
        len(names), _MOST_COLUMNS, look=look, ax=ax, size=(2.7, 2.5), beside=(1.2, 0.5)
    )
    dots = look.dots(size_of(len(cells)))
    scale = _arrow_scale(cells, velocity)
    for name, panel in zip(names, panels, strict=True):
        own = labels == name
        panel.scatter(*cells[~own].T, color=MISSING, **dots)
        panel.scatter(*cells[own].T, color=found.shades[own], **dots)
        x, y, mean = mean_on_grid(cells[own], velocity[own], _GRID)
        panel.quiver(x, y, *np.moveaxis(mean, -1, 0), scale=scale, **_ARROWS)
        panel.set_title(wrapped(name), fontsize="medium")
    label_plane(panels, adata, basis, components, look)
    if found.scale is not None and found.colors is not None:
        label = time_label(adata, params["time_key"])
        add_bar(
            panels[0], found.scale, found.colors, label, ticks=np.unique(times), axes=list(panels)
        )
    return panels if ax is None else ax


def _arrow_scale(cells: np.ndarray, velocity: np.ndarray) -> float:
    """Return how much of a velocity is one unit of length, the same for all conditions."""
    fast = float(np.quantile(np.linalg.norm(velocity, axis=1), 0.95))
    width = float(np.ptp(cells, axis=0).max())
    return fast / (_LONGEST * width) if fast > 0 else 1.0
