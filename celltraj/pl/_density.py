"""Draw the density of a number along time."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from scipy.ndimage import gaussian_filter1d

from celltraj._anndata import column_of, read_groups, read_times
from celltraj._anndata.expression import expression_of
from celltraj._checks import checked
from celltraj.pl._cells import (
    axis_name,
    check_components,
    default_basis,
    named_representation,
    time_label,
)
from celltraj.pl._colors import MISSING, palette_of
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_legend, dots_of, legend_size
from celltraj.pl._palette import named_colors
from celltraj.pl._style import Style
from celltraj.pl._styled import GroupStyle, styled

_N_BINS = 256
_HEIGHT = 1.35  # rows, of the highest density
_ROW, _WIDTH = 0.5, 4.2  # inches
_NARROWEST = 0.01  # of the range, of the kernel
_MARGIN = 2.5  # widths of the kernel beyond the numbers


@tidy
@checked
@styled
def density(
    adata: AnnData,
    *,
    of: str | None = None,
    component: int = 0,
    groupby: str | None = None,
    time_key: str = "time",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[GroupStyle],
) -> object:
    """Draw the density of a number over the cells of each time, one time below the other.

    Each ridge has the same area, so that a time of few cells is seen as well as one of many; the
    stroke below it is the median. With ``groupby`` a ridge is the stack of the densities of groups,
    each as large as its share of the cells. Times at which no cell has a number are left out.

    All are smoothed by the same Gaussian, reflected at the ends: the median over times of half of
    Silverman's ``0.9 min(std, IQR / 1.34) n^(-1/5)``, which is meant for one peak, and at least a
    hundredth of the range, so that a peak of zeros leaves room for the rest. Ends are where the
    numbers end if these are nowhere below 0, or lie in [0, 1], else a little farther.

    Parameters
    ----------
    adata
        Observed cells, or simulated ones; not changed.
    of
        Column of ``obs`` such as ``"ct_entropy"``, a gene, or a representation such as ``"umap"``
        of which ``component`` is drawn; by default the one that the other plots draw.
    component
        Variable of the representation, counted from 0.
    groupby
        Column of ``obs`` with the groups that a ridge is made of.
    time_key
        Column of ``obs`` with the sampling times.
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
        There is no such column, gene or representation.
    ValueError
        ``of`` holds no numbers, or no cell has one; ``component`` is not one of the representation,
        or ``groups`` are asked for without ``groupby``.

    References
    ----------
    Silverman, *Density estimation* (1986), equation 3.31: the width.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ax = ct.pl.density(adata, of="y", groupby="arm", show=False)
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['0', '1', '2', '3', '4']
    >>> plt.close()
    """
    look = Style(**style)
    times = read_times(adata, time_key)
    label, values = _values(adata, of, component)
    legend, labels = _groups(adata, groupby, look)
    is_known = np.isfinite(values)
    if not is_known.any():
        raise ValueError(f"no cell has a number in {label!r}")
    observed = np.unique(times[is_known])
    width, height = legend_size([name for name in legend if name], look)
    size = (_WIDTH + width, max(_ROW * len(observed) + 1.0, height))
    ax = axes_of(ax, look, size)
    kernel = _width([values[is_known & (times == t)] for t in observed])
    edges = _edges(values[is_known], kernel)
    ridges = [
        _ridge(values, labels, list(legend), is_known & (times == t), edges, kernel)
        for t in observed
    ]
    highest = max(ridge.sum(0).max() for ridge in ridges)
    middle = (edges[1:] + edges[:-1]) / 2
    for row, ridge in enumerate(ridges):
        here = values[is_known & (times == observed[row])]
        _draw(ax, row, middle, _HEIGHT * ridge / highest, legend, look)
        stroke = {"color": "black", "lw": 1.4, "zorder": len(observed)}
        ax.plot(np.full(2, np.median(here)), [row + 0.02, row + 0.17], **stroke)
    ax.set(xlabel=label, ylabel=time_label(adata, time_key), xlim=(edges[0], edges[-1]))
    ax.set_yticks(range(len(observed)), [f"{t:g}" for t in observed])
    ax.set_ylim(len(observed) - 0.7, -_HEIGHT - 0.05)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    if groupby is not None:
        named = {name: shade for name, shade in legend.items() if name}
        add_legend(ax, dots_of(named), look, title=groupby)
    return finish("density", ax, show=show, save=save, return_fig=return_fig, look=look)


def _values(adata: AnnData, of: str | None, component: int) -> tuple[str, np.ndarray]:
    """Return what is drawn, by its name, and the number of each cell ``(n,)``."""
    if of is not None and of in adata.obs:
        column = column_of(adata, of)
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            raise ValueError(f"adata.obs[{of!r}] holds no numbers; name a column that does")
        return of, column.to_numpy(dtype=float, na_value=np.nan)
    if of is not None and of in adata.var_names:
        return of, expression_of(adata, of)
    if of is not None and not {of, f"X_{of}"} & {"X", *adata.obsm}:
        raise KeyError(
            f"{of!r} is no column of obs, no gene and no representation; columns are "
            f"{list(adata.obs.columns)[:20]}, representations {['X', *adata.obsm]}"
        )
    name, x = named_representation(adata, default_basis(adata, of))
    check_components((component,), x.shape[1], name)
    return axis_name(adata, name, component), x[:, component].astype(float)


def _groups(adata: AnnData, groupby: str | None, look: Style) -> tuple[dict[str, str], np.ndarray]:
    """Return the colour of each layer, the unnamed one first, and the layer of each cell."""
    if groupby is None:
        if look.groups is not None:
            raise ValueError("groups= are those of groupby=; name its column")
        shade = named_colors(look, {"density": "C0"})["density"]
        return {"": shade}, np.full(adata.n_obs, "", dtype=object)
    palette = palette_of(adata, groupby, look)
    shown = look.group_names(list(palette), f"adata.obs[{groupby!r}]")
    labels = read_groups(adata, groupby).astype(object).to_numpy()
    kept = np.array([label if label in shown else "" for label in labels], dtype=object)
    return {"": MISSING} | {name: palette[name] for name in shown}, kept


def _width(parts: list[np.ndarray]) -> float:
    """Return the width of the kernel for the numbers of all times."""
    found = []
    for values in parts:
        low, high = np.percentile(values, [25, 75])
        spread = [one for one in (values.std(), (high - low) / 1.34) if one > 0]
        found += [0.45 * min(spread) * len(values) ** -0.2] if spread else []
    least = _NARROWEST * float(np.ptp(np.concatenate(parts)))
    return max(float(np.median(found or [0.0])), least) or 1.0


def _edges(values: np.ndarray, kernel: float) -> np.ndarray:
    """Return where bins begin and end: with room for the kernel, but where numbers are bounded."""
    low, high = float(values.min()), float(values.max())
    is_share = low >= 0 and high <= 1
    below = low if low >= 0 and high > low else low - _MARGIN * kernel
    return np.linspace(
        below, high if is_share and high > low else high + _MARGIN * kernel, _N_BINS + 1
    )


def _ridge(
    values: np.ndarray,
    labels: np.ndarray,
    names: list[str],
    here: np.ndarray,
    edges: np.ndarray,
    width: float,
) -> np.ndarray:
    """Return the density of each layer ``(g, bins)``; together they have an area of 1."""
    step = edges[1] - edges[0]
    layers = [np.histogram(values[here & (labels == name)], edges)[0] for name in names]
    smooth = gaussian_filter1d(np.array(layers, dtype=float), width / step, mode="reflect")
    density: np.ndarray = smooth / (here.sum() * step)
    return density


def _draw(
    ax: Axes, row: int, x: np.ndarray, ridge: np.ndarray, legend: dict[str, str], look: Style
) -> None:
    """Draw one ridge up from its row, layer upon layer, over those of earlier times."""
    tops = row - np.cumsum(np.vstack([np.zeros_like(x), ridge]), axis=0)
    ax.axhline(row, color="0.85", lw=0.6, zorder=row)
    for below, above, shade in zip(tops[:-1], tops[1:], legend.values(), strict=True):
        if (below != above).any():
            filled = {"color": shade, "alpha": look.opacity(0.85), "lw": 0, "zorder": row + 0.2}
            ax.fill_between(x, below, above, **filled)
    ax.plot(x, tops[-1], color="white", lw=2.0, zorder=row + 0.3)
    ax.plot(x, tops[-1], color="0.25", lw=0.7, zorder=row + 0.4)
