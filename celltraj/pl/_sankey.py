"""Draw how mass moves between groups of cells from time to time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path as Outline

from celltraj._anndata import column_of
from celltraj._anndata.results import TRANSITIONS
from celltraj._checks import checked
from celltraj.pl._cells import shades_of, time_label, wrapped
from celltraj.pl._finish import Save, finish, tidy

_HALF = 0.035  # of a bar's width, in distances between columns
_GAPS = 0.25  # of all mass, between the bars of a column together
_GAP = 0.04  # the most between two bars
_LEAST = 1e-4  # of all mass, below which a ribbon cannot be seen
_FONT = 9.0  # points
_LINE = 1.35 * _FONT  # height of a line of text
_LEGEND_COLUMNS = 3


@tidy
@checked
def sankey(
    adata: AnnData,
    *,
    key: str = "transitions",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
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
        as ``"_days.png"``, writes to ``sc.settings.figdir``, as in scanpy.

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
    table, params = TRANSITIONS.table(adata, key), TRANSITIONS.peek(adata, key)["params"]
    groupby = params.get("groupby")
    names = _in_order(adata, groupby, table)
    flows = _flows(table, names)
    shades = list(shades_of(adata, groupby, names).values())
    is_new = ax is None
    ax = _axes(len(flows.times), len(names)) if ax is None else ax
    for k in range(len(flows.times)):
        _draw_bars(ax, flows, k, shades)
    for k in range(len(flows.masses)):
        _draw_ribbons(ax, flows, k, shades)
    ax.set_xlabel(time_label(adata, str(params.get("time_key", "time"))))
    ax.set_xticks(range(len(flows.times)), [f"{t:g}" for t in flows.times])
    ax.set(xlim=(-_HALF, len(flows.times) - 1 + _HALF), ylim=flows.limits(), yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if not _name_bars(ax, flows, names):
        _add_legend(ax, names, shades, is_new=is_new)
    return finish("sankey", ax.figure, ax, show=show, save=save, return_fig=return_fig)


@dataclass(frozen=True, eq=False)
class _Flows:
    """Times ``(T,)`` and the ``(K, K)`` masses of the gaps between them, of sum 1 each."""

    times: list[float]
    masses: list[np.ndarray]

    def heights(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what of each group ``(K,)`` arrives at a time, and what leaves."""
        arrives = self.masses[k - 1].sum(0) if k > 0 else self.masses[0].sum(1)
        leaves = self.masses[k].sum(1) if k < len(self.masses) else self.masses[-1].sum(0)
        return arrives, leaves

    def tops(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the upper ends ``(K,)`` of the bars of a time, left and right, about zero."""
        arrives, leaves = self.heights(k)
        is_there = (arrives > 0) | (leaves > 0)
        gap = self._gap()
        gaps = gap * (np.cumsum(is_there) - 1)
        start = (1 + gap * (is_there.sum() - 1)) / 2
        left, right = (start - gaps - np.cumsum(part) + part for part in (arrives, leaves))
        return left, right

    def limits(self) -> tuple[float, float]:
        """Return how far the highest column reaches, down and up."""
        most = max(
            int(((arrives > 0) | (leaves > 0)).sum())
            for arrives, leaves in map(self.heights, range(len(self.times)))
        )
        half = (1 + self._gap() * (most - 1)) / 2 + 0.005
        return -half, half

    def _gap(self) -> float:
        return min(_GAP, _GAPS / max(1, len(self.masses[0]) - 1))


def _in_order(adata: AnnData, groupby: str | None, table: pd.DataFrame) -> list[str]:
    """Return the groups in the order of the categories, or of the table."""
    found = list(dict.fromkeys([*table["source"], *table["target"]]))
    if groupby is None or groupby not in adata.obs:
        return found
    column = column_of(adata, groupby, what="groups")
    labels = [str(one) for one in column.astype("category").cat.categories]
    return [one for one in labels if one in found] + [one for one in found if one not in labels]


def _flows(table: pd.DataFrame, names: Sequence[str]) -> _Flows:
    """Return the masses of all gaps, once they are known to lead from each time to the next."""
    spans = table[["t0", "t1"]].drop_duplicates().sort_values("t0").to_numpy(dtype=float)
    if any(before[1] != after[0] for before, after in pairwise(spans)):
        raise ValueError(
            f"transitions {spans.tolist()} do not lead from each time to the next; run "
            "ct.tl.transitions(adata, groupby=...) without source= and target="
        )
    masses = []
    for first, last in spans:
        rows = table[(table["t0"] == first) & (table["t1"] == last)]
        wide = rows.pivot(index="source", columns="target", values="mass")
        mass = wide.reindex(index=names, columns=names).fillna(0.0).to_numpy(dtype=float)
        if not mass.sum() > 0:
            raise ValueError(
                f"no mass moves from time {first:g} to {last:g}; run "
                "ct.tl.transitions(adata, groupby=...) again"
            )
        masses.append(mass / mass.sum())
    return _Flows([*spans[:, 0].tolist(), float(spans[-1, 1])], masses)


def _axes(n_times: int, n_groups: int) -> Axes:
    size = (min(1.7 * n_times + 2.6, 14.0), 3.6 + 0.12 * n_groups)
    return plt.subplots(figsize=size, layout="constrained")[1]


def _draw_bars(ax: Axes, flows: _Flows, k: int, shades: Sequence[str]) -> None:
    ends = zip(*flows.heights(k), *flows.tops(k), shades, strict=True)
    for arrives, leaves, left, right, shade in ends:
        if arrives > 0 or leaves > 0:
            x0, x1 = k - _HALF, k + _HALF
            corners = [(x0, left), (x1, right), (x1, right - leaves), (x0, left - arrives)]
            ax.add_patch(Polygon(corners, facecolor=shade, edgecolor="none", zorder=3))


def _draw_ribbons(ax: Axes, flows: _Flows, k: int, shades: Sequence[str]) -> None:
    """Draw what moves from time ``k`` to the next one, in the order of the groups at both ends."""
    mass = flows.masses[k]
    starts = flows.tops(k)[1][:, None] - np.cumsum(mass, 1) + mass
    stops = flows.tops(k + 1)[0] - np.cumsum(mass, 0) + mass
    for (row, column), width in np.ndenumerate(mass):
        if width >= _LEAST:
            ends = k + _HALF, starts[row, column], k + 1 - _HALF, stops[row, column]
            outline = _ribbon(*ends, float(width))
            style = {"facecolor": shades[row], "alpha": 0.45, "lw": 0, "zorder": 2}
            ax.add_patch(PathPatch(outline, **style))


def _ribbon(x0: float, y0: float, x1: float, y1: float, width: float) -> Outline:
    """Return a ribbon whose upper edge is a cubic from ``(x0, y0)`` to ``(x1, y1)``."""
    middle = (x0 + x1) / 2
    above = [(x0, y0), (middle, y0), (middle, y1), (x1, y1)]
    below = [(x, y - width) for x, y in reversed(above)]
    cubic = [Outline.CURVE4] * 3
    codes = [Outline.MOVETO, *cubic, Outline.LINETO, *cubic, Outline.CLOSEPOLY]
    return Outline([*above, *below, above[0]], codes)


def _name_bars(ax: Axes, flows: _Flows, names: Sequence[str]) -> bool:
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


def _add_legend(ax: Axes, names: Sequence[str], shades: Sequence[str], *, is_new: bool) -> None:
    handles = [
        Line2D([], [], ls="", marker="s", color=shade, label=wrapped(name))
        for name, shade in zip(names, shades, strict=True)
    ]
    style = {"handles": handles, "frameon": False, "ncols": _LEGEND_COLUMNS, "fontsize": _FONT}
    if is_new:
        ax.figure.legend(loc="outside lower center", **style)
    else:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), **style)
