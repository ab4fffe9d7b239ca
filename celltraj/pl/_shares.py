"""The shared drawing of descendants and ancestors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.ticker import MaxNLocator

from celltraj._anndata import column_of, read_times, times_of
from celltraj._anndata.results import PULL, PUSH
from celltraj._typing import Time
from celltraj.pl._cells import default_basis, label_plane, plane, size_of, time_label
from celltraj.pl._finish import axes_of
from celltraj.pl._legend import add_bar, wrapped
from celltraj.pl._palette import colors_by_name
from celltraj.pl._style import Style

_GREY = "0.87"
_MOST_VALUES = 3
_TITLE = 50  # letters in one line
_SMALLEST = 3.0  # square points, of a coloured dot


def draw_shares(
    adata: AnnData,
    name: str,
    *,
    key: str,
    basis: str | None,
    components: tuple[int, int],
    times: Time | Sequence[Time] | None,
    ax: Axes | None,
    look: Style,
) -> Axes:
    """Draw all cells in grey, and those of some times by their share in what was followed.

    ``name`` is that of the function of :mod:`celltraj.tl` that wrote the shares.

    Raises
    ------
    KeyError
        There is no such result or representation.
    ValueError
        A time has no shares.
    """
    share, params = _read(adata, name, key)
    time = read_times(adata, str(params.get("time_key", "time")))
    if times is not None:
        times = times_of(adata, str(params.get("time_key", "time")), times)
    chosen = _times(time, share, params, times)
    basis, cells = plane(adata, default_basis(adata, basis), components)
    label = time_label(adata, str(params.get("time_key", "time")))
    maps = _maps([f"{label} {one:g}" for one in chosen], look)
    ax = axes_of(ax, look)
    size = size_of(len(cells))
    ax.scatter(*cells.T, color=_GREY, **look.dots(size))
    rows, heights, number = _dots(time, share, chosen)
    scale = look.scale(heights, (0.0, 1.0))
    shades = np.empty((len(rows), 4))
    for k, colors in enumerate(maps.values()):
        shades[number == k] = colors(scale(heights[number == k]))
    order = np.argsort(heights, kind="stable")  # so that nothing hides what is high
    rows, shades = rows[order], shades[order]
    ax.scatter(*cells[rows].T, color=shades, **look.dots(max(1.5 * size, _SMALLEST)))
    label_plane([ax], adata, basis, components, look)
    noun = "descendants" if name == "push" else "ancestors"
    ax.set_title(_title(noun, params), fontsize="medium")
    _explain(ax, maps, scale)
    return ax


def _read(adata: AnnData, name: str, key: str) -> tuple[np.ndarray, dict[str, Any]]:
    result = PUSH if name == "push" else PULL
    params = result.read(adata, key)["params"]
    return column_of(adata, key, way=f"Run {result.call} again").to_numpy(dtype=float), params


def _times(
    time: np.ndarray, share: np.ndarray, params: dict[str, Any], times: Sequence[float] | None
) -> list[float]:
    """Return the times to colour, by default the first and the last."""
    known = np.unique(time[np.isfinite(share)]).tolist()
    if times is None:
        ends = [float(params["source"]), float(params["target"])]
        times = [one for one in ends if one in known]
    unknown = [one for one in times if one not in known]
    if unknown or not len(times):
        raise ValueError(f"no cells with a share at times {unknown}; found some at {known}")
    return sorted(set(map(float, times)))


def _maps(labels: Sequence[str], look: Style) -> dict[str, Colormap]:
    """Return for each time a map from the grey of all cells to a colour of its own."""
    n = len(labels)
    if look.palette is not None:
        ends = list(colors_by_name(look.palette, labels, "times").values())
    else:
        ends = list(colormaps["plasma"](np.linspace(0.0, 0.65, n) if n > 1 else [0.0]))
    maps = (LinearSegmentedColormap.from_list("share", [_GREY, end]) for end in ends)
    return dict(zip(labels, maps, strict=True))


def _dots(
    time: np.ndarray, share: np.ndarray, chosen: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, shares of the maximum of their time, and which of the times it is."""
    found = []
    for k, one in enumerate(chosen):
        rows = np.flatnonzero((time == one) & np.isfinite(share))
        most = share[rows].max()
        height = share[rows] / most if most > 0 else np.zeros(len(rows))
        found.append((rows, height, np.full(len(rows), k)))
    rows, heights, number = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, heights, number


def _title(noun: str, params: dict[str, Any]) -> str:
    """Say whose descendants or ancestors these are."""
    values = list(dict.fromkeys(map(str, np.atleast_1d(params.get("values", [])))))
    said = ", ".join(values[:_MOST_VALUES]) + (", …" if len(values) > _MOST_VALUES else "")
    return wrapped(f"{noun} of {said}", _TITLE) if said else noun


def _explain(ax: Axes, maps: dict[str, Colormap], scale: Normalize) -> None:
    """Add a colour bar for each time, the earliest next to the axes."""
    for label, colors in reversed(maps.items()):
        bar = add_bar(ax, scale, colors, f"share over its maximum, {label}", aspect=40, pad=0.015)
        bar.locator = MaxNLocator(2)
        bar.update_ticks()
