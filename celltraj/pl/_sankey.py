"""Draw how mass moves between groups of cells from time to time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path as Outline

from celltraj._anndata.results import TRANSITIONS
from celltraj._checks import checked
from celltraj.pl._cells import time_label
from celltraj.pl._colors import shades_of
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._flows import Flows, groups_in_order, read_flows
from celltraj.pl._legend import add_legend, wrapped
from celltraj.pl._style import Style
from celltraj.pl._styled import LineStyle, styled

_HALF = 0.035  # of a bar's width, in distances between columns
_LEAST = 1e-4  # of all mass, below which a ribbon cannot be seen
_FONT = 9.0  # points
_LINE = 1.35 * _FONT  # height of a line of text
_LEGEND_COLUMNS = 3


@tidy
@checked
@styled
def sankey(
    adata: AnnData,
    *,
    key: str = "transitions",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[LineStyle],
) -> object:
    """Draw the groups of each time as bars, and ribbons for the mass that moves between them.

    All mass of a time has height 1, and a ribbon is as wide as its part of it, in the colour of the
    group that it leaves. The left side of a bar is what arrives, its right side what leaves: they
    differ where cells of the group grow in number more or less than others.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.transitions` over all gaps, also one that was read from a file; not
        changed.
    key
        The ``key_added`` of :func:`celltraj.tl.transitions`.
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
        There are no transitions of that name.
    ValueError
        They do not lead from each time to the next, or nothing moves between two times.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.transitions(adata, groupby="arm")
    >>> [tick.get_text() for tick in ct.pl.sankey(adata, show=False).get_xticklabels()]
    ['0', '1', '2', '3', '4']
    >>> plt.close()
    """
    look = Style(**style)
    table, params = TRANSITIONS.table(adata, key), TRANSITIONS.peek(adata, key)["params"]
    groupby = params.get("groupby")
    names = groups_in_order(adata, groupby, table)
    flows = read_flows(table, names)
    shades = list(shades_of(adata, groupby, names, look).values())
    is_new, size = ax is None, (min(1.7 * len(flows.times) + 2.6, 14.0), 3.6 + 0.12 * len(names))
    ax = axes_of(ax, look, size)
    for k in range(len(flows.times)):
        _draw_bars(ax, flows, k, shades)
    for k in range(len(flows.masses)):
        _draw_ribbons(ax, flows, k, shades, look.opacity(0.45))
    ax.set_xlabel(time_label(adata, str(params.get("time_key", "time"))))
    ax.set_xticks(range(len(flows.times)), [f"{t:g}" for t in flows.times])
    ax.set(xlim=(-_HALF, len(flows.times) - 1 + _HALF), ylim=flows.limits(), yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if not _name_bars(ax, flows, names) or look.legend_loc is not None:
        _add_legend(ax, dict(zip(names, shades, strict=True)), look, is_new=is_new)
    return finish("sankey", ax, show=show, save=save, return_fig=return_fig, look=look)


def _draw_bars(ax: Axes, flows: Flows, k: int, shades: Sequence[str]) -> None:
    ends = zip(*flows.heights(k), *flows.tops(k), shades, strict=True)
    for arrives, leaves, left, right, shade in ends:
        if arrives > 0 or leaves > 0:
            x0, x1 = k - _HALF, k + _HALF
            corners = [(x0, left), (x1, right), (x1, right - leaves), (x0, left - arrives)]
            ax.add_patch(Polygon(corners, facecolor=shade, edgecolor="none", zorder=3))


def _draw_ribbons(ax: Axes, flows: Flows, k: int, shades: Sequence[str], alpha: float) -> None:
    """Draw what moves from time ``k`` to the next one, in the order of the groups at both ends."""
    mass = flows.masses[k]
    starts = flows.tops(k)[1][:, None] - np.cumsum(mass, 1) + mass
    stops = flows.tops(k + 1)[0] - np.cumsum(mass, 0) + mass
    for (row, column), width in np.ndenumerate(mass):
        if width >= _LEAST:
            ends = k + _HALF, starts[row, column], k + 1 - _HALF, stops[row, column]
            outline = _ribbon(*ends, float(width))
            style = {"facecolor": shades[row], "alpha": alpha, "lw": 0, "zorder": 2}
            ax.add_patch(PathPatch(outline, **style))


def _ribbon(x0: float, y0: float, x1: float, y1: float, width: float) -> Outline:
    """Return a ribbon whose upper edge is a cubic from ``(x0, y0)`` to ``(x1, y1)``."""
    middle = (x0 + x1) / 2
    above = [(x0, y0), (middle, y0), (middle, y1), (x1, y1)]
    below = [(x, y - width) for x, y in reversed(above)]
    cubic = [Outline.CURVE4] * 3
    codes = [Outline.MOVETO, *cubic, Outline.LINETO, *cubic, Outline.CLOSEPOLY]
    return Outline([*above, *below, above[0]], codes)


def _name_bars(ax: Axes, flows: Flows, names: Sequence[str]) -> bool:
    """Name the bars at both ends that are high enough; return whether every group got its name."""
    ax.figure.canvas.draw()  # until then it is open how high a bar becomes
    low, high = flows.limits()
    points = ax.bbox.height * 72 / ax.figure.dpi / (high - low)
    named = set()
    for k, side, x, offset in ((0, 0, 0, -1), (len(flows.times) - 1, 1, len(flows.times) - 1, 1)):
        ends = zip(names, flows.heights(k)[side], flows.tops(k)[side], strict=True)
        for name, height, top in ends:
            text = wrapped(name)
            if points * height >= _LINE * (1 + text.count("\n")):
                ax.annotate(
                    text,
                    (x + offset * _HALF, top - height / 2),
                    xytext=(4 * offset, 0),
                    textcoords="offset points",
                    ha="left" if offset > 0 else "right",
                    va="center",
                    fontsize=_FONT,
                )
                named.add(name)
    return named == set(names)


def _add_legend(ax: Axes, legend: dict[str, str], look: Style, *, is_new: bool) -> None:
    usual = {"loc": "outside lower center", "ncols": _LEGEND_COLUMNS, "fontsize": _FONT}
    if not is_new:
        usual |= {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15)}
    squares = [
        Line2D([], [], ls="", marker="s", color=shade, label=wrapped(name))
        for name, shade in legend.items()
    ]
    add_legend(ax, squares, look, whole=is_new, usual=usual)
