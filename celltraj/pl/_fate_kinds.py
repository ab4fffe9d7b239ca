"""The kinds of pictures that fates have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter

from celltraj._anndata import read_groups, read_times
from celltraj.pl._cells import (
    color_label,
    default_basis,
    label_plane,
    plane,
    size_of,
    time_label,
)
from celltraj.pl._colors import MISSING, TIME_MAP, colors_of, explain, shades_of
from celltraj.pl._legend import add_bar, add_legend, dots_of, inches_of, legend_size, wrapped
from celltraj.pl._palette import colors_by_name
from celltraj.pl._panels import panels_of
from celltraj.pl._style import PLAIN, Style

_FAINTEST = 0.15  # of the map, where it begins: what is lighter cannot be seen on white
_MOST_PANELS = 12
_MOST_COLUMNS = 4
_BAR = 0.28  # inches
_BINS = 30
_MOST_FILLED = 3  # histograms that may lie over each other
_MOST_LEVEL = 8  # corners whose names are level; those of more are turned
_ROUNDS = 4
_DIAMETER = 3.4  # inches, of a circle


@dataclass(frozen=True, eq=False)
class Chosen:
    """Fates ``(n_obs, K)`` of cells and how they are to be drawn.

    ``is_own (n_obs,)`` are the cells of the time of the fates, whose fate is their own label.
    """

    names: list[str]
    shares: np.ndarray
    params: dict[str, Any]
    is_own: np.ndarray
    fate: list[str] | None
    groupby: str | None
    basis: str | None
    components: tuple[int, int]
    look: Style

    @property
    def is_known(self) -> np.ndarray:
        """Whether a cell has fates, ``(n_obs,)``."""
        known: np.ndarray = np.isfinite(self.shares).all(1)
        return known

    @property
    def is_earlier(self) -> np.ndarray:
        """Whether a cell has fates that are not its own label, ``(n_obs,)``."""
        drawn: np.ndarray = self.is_known & ~self.is_own
        return drawn

    @property
    def whose(self) -> str:
        """Return whose descendants bars and a simplex tell of."""
        before = f"\nof cells before {self.time_key} {self.params['at']:g}"
        return "share of descendants" + (before if self.is_own.any() else "")

    @property
    def time_key(self) -> str:
        """Return the column with the sampling times."""
        return str(self.params.get("time_key", "time"))

    @property
    def title(self) -> str:
        """Return what the fates are."""
        groupby = str(self.params.get("groupby", "fate"))
        return f"{groupby} at {self.params['at']:g}" if "at" in self.params else groupby

    def shades(self, adata: AnnData, look: Style = PLAIN) -> list[str]:
        """Return the colours of the fates."""
        return list(shades_of(adata, self.params.get("groupby"), self.names, look).values())


def draw_embedding(adata: AnnData, chosen: Chosen, ax: Axes | None) -> np.ndarray | Axes:
    """Draw cells by their share in each fate, the highest ones last."""
    names = chosen.names[:_MOST_PANELS] if chosen.fate is None else chosen.fate
    if ax is not None and len(names) > 1:
        raise ValueError(f"ax= holds one fate; pass fate= with one of {names}")
    basis, cells = plane(adata, default_basis(adata, chosen.basis), chosen.components)
    n_columns = 2 if len(names) == 4 else min(_MOST_COLUMNS, 3 if len(names) <= 6 else 4)
    look, size = chosen.look, {"size": (2.7, 2.5), "beside": (1.2, 0.5)}
    panels = panels_of(len(names), n_columns, look=look, ax=ax, **size)
    known = np.flatnonzero(chosen.is_known)
    drawn = chosen.shares[np.ix_(known, [chosen.names.index(name) for name in names])]
    scale = look.scale(drawn, (0.0, 1.0))
    colors = look.map(ListedColormap(colormaps["YlGnBu"](np.linspace(_FAINTEST, 1, 256))))
    dots = look.dots(size_of(len(cells)))
    for panel, name, share in zip(panels, names, drawn.T, strict=True):
        order = np.argsort(share, kind="stable")
        panel.scatter(*cells[~chosen.is_known].T, color=MISSING, **dots)
        panel.scatter(*cells[known[order]].T, color=colors(scale(share[order])), **dots)
        panel.set_title(wrapped(name), fontsize="medium")
    label_plane(panels, adata, basis, chosen.components, look)
    add_bar(panels[0], scale, colors, "share of descendants", axes=panels)
    if chosen.fate is None and len(names) < len(chosen.names):
        panels[0].figure.suptitle(f"the first {len(names)} of {len(chosen.names)} fates")
    return panels if ax is None else ax


def draw_bars(adata: AnnData, chosen: Chosen, ax: Axes | None) -> Axes:
    """Draw the mean shares of groups as bars that are stacked along a row."""
    labels, groups, title = _grouped(adata, chosen)
    means = np.array([chosen.shares[here].mean(0) for here in groups])
    shades, look = chosen.shades(adata, chosen.look), chosen.look
    ax = _axes_of_bars(labels, chosen, ax)
    left = np.zeros(len(means))
    rows = np.arange(len(means))
    for share, shade in zip(means.T, shades, strict=True):
        bar = {"height": 0.82, "edgecolor": "white", "lw": 0.4, "alpha": look.alpha}
        ax.barh(rows, share, left=left, color=shade, **bar)
        left += share
    names = [f"{wrapped(one)} ({here.sum():,})" for one, here in zip(labels, groups, strict=True)]
    ax.set_yticks(rows, names)
    ax.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), ylabel=title)
    ax.set_xlabel(f"mean {chosen.whose}")
    ax.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)
    legend = dict(zip(chosen.names, shades, strict=True))
    add_legend(ax, dots_of(legend), look, title=chosen.title)
    return ax


def _axes_of_bars(labels: Sequence[str], chosen: Chosen, ax: Axes | None) -> Axes:
    """Return axes with room for the names of groups on the left and of fates on the right."""
    width, height = legend_size([*chosen.names, chosen.title], chosen.look)
    size = 3.5, max(_BAR * len(labels) + 0.2, height)
    beside = (inches_of(labels) + 1.3 + width, 0.8)
    panel: Axes = panels_of(1, 1, look=chosen.look, ax=ax, size=size, beside=beside)[0]
    return panel


def _grouped(adata: AnnData, chosen: Chosen) -> tuple[list[str], list[np.ndarray], str]:
    """Return the names of groups, which earlier cells with fates each has, and what they are."""
    if chosen.groupby is None:
        times = read_times(adata, chosen.time_key)
        groups = [(f"{t:g}", times == t) for t in np.unique(times)]
        title = time_label(adata, chosen.time_key)
    else:
        column = read_groups(adata, chosen.groupby)
        groups = [(name, (column == name).to_numpy()) for name in column.cat.categories]
        title = chosen.groupby
    found = [(name, here & chosen.is_earlier) for name, here in groups]
    found = [(name, here) for name, here in found if here.any()]
    if not found:
        raise ValueError(f"no cell with fates has a group in adata.obs[{chosen.groupby!r}]")
    what = f"adata.obs[{chosen.groupby or chosen.time_key!r}] of cells with fates"
    shown = chosen.look.group_names([name for name, _ in found], what)
    return shown, [here for name, here in found if name in shown], title


def draw_simplex(adata: AnnData, chosen: Chosen, ax: Axes | None) -> Axes:
    """Draw cells between the fates on a circle, or along a line between two of them."""
    n = len(chosen.names)
    if n < 2:
        raise ValueError(
            f"a simplex needs two fates or more, and {chosen.names[0]!r} is the only one; use "
            "kind='bars' or 'embedding'"
        )
    return (_line if n == 2 else _circle)(adata, chosen, ax)


def _line(adata: AnnData, chosen: Chosen, ax: Axes | None) -> Axes:
    """Draw how many cells have which share in the second of two fates, by group."""
    labels, groups, title = _grouped(adata, chosen)
    shades, look = _shades_of_groups(adata, chosen, labels), chosen.look
    width, height = legend_size([*labels, title], look)
    size = {"size": (4.6, max(3.2, height)), "beside": (width + 0.6, 0.6)}
    ax = panels_of(1, 1, look=look, ax=ax, **size)[0]
    edges = np.linspace(0, 1, _BINS + 1)
    for here, shade in zip(groups, shades, strict=True):
        height = np.histogram(chosen.shares[here, 1], edges)[0] / here.sum()
        ax.stairs(height, edges, color=shade, lw=1.6)
        if len(labels) <= _MOST_FILLED:
            ax.stairs(height, edges, color=shade, alpha=look.opacity(0.15), fill=True)
    left, right = chosen.names
    ax.set(xlim=(0, 1), ylabel="share of cells")
    ax.set_xticks([0, 0.5, 1], [f"{wrapped(left)}\n100 %", "50 %", f"{wrapped(right)}\n100 %"])
    ax.set_xlabel(chosen.whose)
    ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    ax.spines[["top", "right"]].set_visible(False)
    add_legend(ax, dots_of(dict(zip(labels, shades, strict=True))), look, title=title)
    return ax


def _shades_of_groups(adata: AnnData, chosen: Chosen, labels: Sequence[str]) -> list[Any]:
    if chosen.groupby is not None:
        return list(shades_of(adata, chosen.groupby, labels, chosen.look).values())
    if chosen.look.palette is not None:
        return list(colors_by_name(chosen.look.palette, labels, "times").values())
    return list(chosen.look.map(TIME_MAP)(np.linspace(0, 0.9, len(labels))))


def _circle(adata: AnnData, chosen: Chosen, ax: Axes | None) -> Axes:
    """Draw each cell at the mean of the corners, weighted by its shares."""
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(chosen.names)) / len(chosen.names)
    corners = np.column_stack([np.cos(angle), np.sin(angle)])
    known = np.flatnonzero(chosen.is_earlier)
    by_time = chosen.groupby is None
    times = read_times(adata, chosen.time_key) if by_time else np.zeros(adata.n_obs)
    look = chosen.look
    found, fates = colors_of(adata, times, chosen.groupby, look), chosen.shades(adata)
    ax = _axes_of_circle(chosen, list(found.legend), ax)
    ax.fill(*corners.T, facecolor="none", edgecolor="0.8", lw=1.0, zorder=1)
    label, ticks = color_label(adata, times, chosen.time_key, chosen.groupby)
    places = chosen.shares @ corners
    placed = np.where(chosen.is_earlier[:, None], places, np.nan)
    explain(ax, found, label, look, ticks=ticks, cells=placed)
    _name_corners(ax, chosen.names, corners)
    # in an order of no meaning, so that no group hides the others
    order = found.order(known[np.argsort(known * 0.618 % 1)])
    dots = look.dots(size_of(len(known))) | {"zorder": 2}
    ax.scatter(*places[order].T, color=found.shades[order], **dots)
    ax.scatter(*corners.T, s=45, color=fates, lw=0.8, edgecolors="black", zorder=3)
    return ax


def _axes_of_circle(chosen: Chosen, legend: Sequence[str], ax: Axes | None) -> Axes:
    """Return axes with room for the names around the circle, and for what explains colours."""
    width, height = legend_size(legend, chosen.look) if legend else (1.0, 0.0)
    around = 2 * inches_of(chosen.names)
    up = around if len(chosen.names) > _MOST_LEVEL else 0.6
    size = _DIAMETER + around, max(_DIAMETER + up, height)
    panel: Axes = panels_of(1, 1, look=chosen.look, ax=ax, size=size, beside=(width, 0.2))[0]
    return panel


def _name_corners(ax: Axes, names: Sequence[str], corners: np.ndarray) -> None:
    """Name the corners, and make room for the names within the axes."""
    ax.set_axis_off()
    ax.set_aspect("equal")
    is_turned = len(names) > _MOST_LEVEL
    texts = [_name_at(ax, *one, is_turned) for one in zip(names, corners, strict=True)]
    low, high = corners.min(0) - 0.05, corners.max(0) + 0.05
    for _ in range(_ROUNDS):  # names keep their size while the circle shrinks
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        ax.figure.canvas.draw()
        boxes = [text.get_window_extent().transformed(ax.transData.inverted()) for text in texts]
        low = np.minimum(low, np.min([box.min for box in boxes], axis=0))
        high = np.maximum(high, np.max([box.max for box in boxes], axis=0))
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))


def _name_at(ax: Axes, name: str, place: np.ndarray, is_turned: bool) -> Text:  # noqa: FBT001
    """Write a name outside its corner, along the radius where it is to be turned."""
    x, y = place
    is_left = x < -1e-6
    if is_turned:
        turn = np.degrees(np.arctan2(y, x)) + 180 * is_left
        side, up = "right" if is_left else "left", "center"
    else:
        turn = 0.0
        side = "center" if abs(x) < 0.1 else ("right" if is_left else "left")
        up = "center" if abs(y) < 0.3 else ("bottom" if y > 0 else "top")
    style = {"ha": side, "va": up, "rotation": turn, "rotation_mode": "anchor"}
    style["xytext"] = 6 * place / np.linalg.norm(place)
    return ax.annotate(wrapped(name), place, textcoords="offset points", fontsize="small", **style)
