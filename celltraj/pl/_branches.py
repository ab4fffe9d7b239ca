"""Draw where groups of cells branch, as a tree over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from celltraj._anndata.results import TRANSITIONS
from celltraj._checks import checked
from celltraj.pl._cells import time_label
from celltraj.pl._colors import shades_of
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._flows import Flows, groups_in_order, read_flows
from celltraj.pl._legend import add_legend, inches_of, wrapped
from celltraj.pl._style import Style
from celltraj.pl._styled import DotStyle, styled

_AREA = 420.0  # square points, of a dot that holds all mass of its time
_SMALLEST = 14.0
_WIDEST, _THINNEST = 7.0, 1.2  # points, of lines
_HALF = 0.5  # of the ancestors
_ROW, _COLUMN = 0.3, 1.15  # inches, between two leaves and between two times


@tidy
@checked
@styled
def branches(
    adata: AnnData,
    *,
    min_share: float = 0.01,
    key: str = "transitions",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[DotStyle],
) -> object:
    """Draw groups of cells as a tree over time: each joined to where most of its ancestors are.

    A dot is a group at a time, as large as its share of the mass; the line to it comes from the
    group of the time before that holds most of its ancestors, dashed where that is less than half
    of them. A ring marks a branch point, which more than one group of the next time comes from.
    :func:`celltraj.pl.sankey` draws all that moves, also between branches.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.transitions` over all gaps, also one that was read from a file; not
        changed.
    min_share
        Share of the mass of a time below which a group is left out.
    key
        The ``key_added`` of :func:`celltraj.tl.transitions`.
    size
        Area in square points of a dot that holds all mass of its time.
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
        They do not lead from each time to the next, nothing moves between two times, or
        ``min_share`` is not in [0, 1) or leaves no group of a time.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.transitions(adata, groupby="arm")
    >>> [tick.get_text() for tick in ct.pl.branches(adata, show=False).get_xticklabels()]
    ['0', '1', '2', '3', '4']
    >>> plt.close()
    """
    look = Style(**style)
    if not 0 <= min_share < 1:
        raise ValueError(f"min_share must lie in [0, 1); found {min_share:g}")
    table, params = TRANSITIONS.table(adata, key), TRANSITIONS.peek(adata, key)["params"]
    groupby = params.get("groupby")
    names = groups_in_order(adata, groupby, table)
    flows = read_flows(table, names)
    shades = shades_of(adata, groupby, names, look)
    roots = _tree(flows, names, min_share)
    n_leaves = _place(roots)
    room = inches_of(names)
    size = (min(_COLUMN * len(flows.times) + 2 * room, 14.0), max(_ROW * n_leaves, 1.5) + 1.0)
    is_new, ax = ax is None, axes_of(ax, look, size)
    nodes = [node for root in roots for node in root.all()]
    for node in nodes:
        _draw(ax, node, shades, look)
    for node in nodes:
        _name(ax, node, len(flows.times) - 1)
    ax.set_xlabel(time_label(adata, str(params.get("time_key", "time"))))
    ax.set_xticks(range(len(flows.times)), [f"{t:g}" for t in flows.times])
    ax.set(yticks=[], ylim=(n_leaves - 0.4, -0.6))
    _make_room(ax, len(flows.times), room)
    ax.spines[["left", "right", "top"]].set_visible(False)
    _explain(ax, nodes, look, is_new=is_new)
    return finish("branches", ax, show=show, save=save, return_fig=return_fig, look=look)


@dataclass(eq=False)
class _Node:
    """A group at a time: its share of the mass, that of its ancestors in its parent, its place."""

    name: str
    k: int
    share: float
    parent: _Node | None = None
    of_ancestors: float = 1.0
    children: list[_Node] = field(default_factory=list)
    y: float = 0.0

    def all(self) -> list[_Node]:
        """Return the node and all that come from it."""
        return [self, *(node for child in self.children for node in child.all())]

    @property
    def is_named(self) -> bool:
        """Whether the name stands beside it: where the tree ends, or another group begins."""
        return not self.children or self.parent is None or self.parent.name != self.name


def _tree(flows: Flows, names: Sequence[str], min_share: float) -> list[_Node]:
    """Return the groups of the first time, and those that come from no group that is drawn."""
    roots: list[_Node] = []
    before: dict[int, _Node] = {}
    for k in range(len(flows.times)):
        shares = flows.heights(k)[0]
        here: dict[int, _Node] = {}
        for row in map(int, np.flatnonzero((shares > 0) & (shares >= min_share))):
            here[row] = node = _Node(names[row], k, float(shares[row]))
            sent = flows.masses[k - 1][:, row] if k else np.zeros(len(names))
            source = max(before, key=sent.__getitem__, default=None)
            if source is None or not sent[source] > 0:
                roots.append(node)
                continue
            node.parent = before[source]
            node.of_ancestors = float(sent[source] / sent.sum())
            node.parent.children.append(node)
        if not here:
            raise ValueError(
                f"no group has a share of {min_share:g} at time {flows.times[k]:g}; "
                "pass a lower min_share="
            )
        before = here
    return roots


def _place(roots: Sequence[_Node]) -> int:
    """Place leaves one below the other, others amid their children; return how many leaves."""
    n = 0

    def place(node: _Node) -> None:
        nonlocal n
        for child in node.children:
            place(child)
        if node.children:
            node.y = float(np.mean([child.y for child in node.children]))
        else:
            node.y, n = float(n), n + 1

    for root in roots:
        place(root)
    return n


def _draw(ax: Axes, node: _Node, shades: dict[str, str], look: Style) -> None:
    """Draw a dot, the line to it, and a ring where it branches."""
    if node.parent is not None:
        s = np.linspace(0, 1, 40)
        bend = s**2 * (3 - 2 * s)
        across = node.k - 1 + s
        up = node.parent.y + bend * (node.y - node.parent.y)
        width = max(_THINNEST, _WIDEST * node.share)
        line: dict[str, Any] = {"color": shades[node.name], "lw": width, "zorder": 2}
        line["ls"] = "-" if node.of_ancestors >= _HALF else (0, (2.5, 1.2))
        ax.plot(across, up, alpha=look.opacity(0.85), solid_capstyle="butt", **line)
    area = max(_SMALLEST, (look.size or _AREA) * node.share)
    is_branching = len(node.children) > 1
    edge = {"edgecolors": "black" if is_branching else "white", "lw": 1.6 if is_branching else 0.6}
    ax.scatter(node.k, node.y, s=area, color=shades[node.name], zorder=3, **edge)


def _name(ax: Axes, node: _Node, last: int) -> None:
    """Name a dot: left of the first time, right of where the tree ends, above it between."""
    if not node.is_named:
        return
    away = np.sqrt(max(_SMALLEST, _AREA * node.share)) / 2 + 3
    place: dict[str, Any]
    if node.k == 0 and last > 0:
        place = {"xytext": (-away, 0), "ha": "right", "va": "center"}
    elif not node.children:
        place = {"xytext": (away, 0), "ha": "left", "va": "center"}
    else:
        place = {"xytext": (0, away), "ha": "center", "va": "bottom"}
    halo = [withStroke(linewidth=2.0, foreground="white")]
    at = (node.k, node.y)
    style = {"textcoords": "offset points", "fontsize": 8, "path_effects": halo, "zorder": 4}
    ax.annotate(wrapped(node.name), at, **place, **style)


def _make_room(ax: Axes, n_times: int, room: float) -> None:
    """Leave room for names on both sides within the axes."""
    figure: Any = ax.figure
    width = max(figure.get_size_inches()[0] - 2 * room, 1.0)
    beside = (room + 0.25) * max(n_times - 1, 1) / width
    ax.set_xlim(-beside, n_times - 1 + beside)


def _explain(ax: Axes, nodes: Sequence[_Node], look: Style, *, is_new: bool) -> None:
    """Say what rings and dashed lines are, where there are some."""
    handles = []
    if any(len(node.children) > 1 for node in nodes):
        ring = {"ls": "", "marker": "o", "ms": 7, "mfc": "0.85", "mec": "black", "mew": 1.6}
        handles.append(Line2D([], [], label="branch point", **ring))
    if any(node.of_ancestors < _HALF for node in nodes):
        dashes = {"color": "0.4", "lw": 2, "ls": (0, (2.5, 1.2))}
        handles.append(Line2D([], [], label="less than half of its ancestors", **dashes))
    if handles:
        usual = {"loc": "upper left", "bbox_to_anchor": (0, -0.12), "ncols": 2, "fontsize": 8}
        if is_new:
            usual = {"loc": "outside lower center", "ncols": 2, "fontsize": 8}
        add_legend(ax, handles, look, whole=is_new, usual=usual)
