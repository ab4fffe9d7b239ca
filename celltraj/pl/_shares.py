"""The shared drawing of descendants and ancestors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize

from celltraj._anndata import column_of, read_times, times_of
from celltraj._anndata.results import PULL, PUSH
from celltraj._typing import Time
from celltraj.pl._cells import default_basis, plane, size_of, time_label, wrapped
from celltraj.pl._finish import axes_of

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
    ax = axes_of(ax)
    size = size_of(len(cells))
    ax.scatter(*cells.T, color=_GREY, s=size, lw=0, rasterized=True)
    maps = _maps(len(chosen))
    rows, heights, shades = _dots(time, share, chosen, maps)
    order = np.argsort(heights, kind="stable")  # so that nothing hides what is high
    rows, shades = rows[order], shades[order]
    ax.scatter(*cells[rows].T, color=shades, s=max(1.5 * size, _SMALLEST), lw=0, rasterized=True)
    ax.set(xlabel=f"{basis} {components[0]}", ylabel=f"{basis} {components[1]}")
    label = time_label(adata, str(params.get("time_key", "time")))
    noun = "descendants" if name == "push" else "ancestors"
    ax.set_title(_title(noun, params), fontsize="medium")
    _explain(ax, [f"{label} {one:g}" for one in chosen], maps)
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


def _maps(n: int) -> list[Colormap]:
    """Return for each time a map from the grey of all cells to a colour of its own."""
    ends = colormaps["plasma"](np.linspace(0.0, 0.65, n) if n > 1 else [0.0])
    return [LinearSegmentedColormap.from_list("share", [_GREY, end]) for end in ends]


def _dots(
    time: np.ndarray, share: np.ndarray, chosen: Sequence[float], maps: Sequence[Colormap]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, shares of the maximum of their time, and colours of the cells of all times."""
    found = []
    for one, colors in zip(chosen, maps, strict=True):
        rows = np.flatnonzero((time == one) & np.isfinite(share))
        most = share[rows].max()
        height = share[rows] / most if most > 0 else np.zeros(len(rows))
        found.append((rows, height, colors(height)))
    rows, heights, shades = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, heights, shades


def _title(noun: str, params: dict[str, Any]) -> str:
    """Say whose descendants or ancestors these are."""
    values = list(dict.fromkeys(map(str, np.atleast_1d(params.get("values", [])))))
    said = ", ".join(values[:_MOST_VALUES]) + (", …" if len(values) > _MOST_VALUES else "")
    return wrapped(f"{noun} of {said}", _TITLE) if said else noun


def _explain(ax: Axes, labels: Sequence[str], maps: Sequence[Colormap]) -> None:
    """Add a colour bar for each time, the earliest next to the axes."""
    scale = Normalize(0, 1)
    for label, colors in reversed(list(zip(labels, maps, strict=True))):
        bar = ax.figure.colorbar(ScalarMappable(scale, colors), ax=ax, aspect=40, pad=0.015)
        bar.set_ticks([0, 0.5, 1])
        bar.set_label(f"share over its maximum, {label}")
