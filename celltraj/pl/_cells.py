"""Cells in two components of a representation, and their colours."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import matplotlib as mpl
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from celltraj._anndata import column_of, find_representation, find_space, read_representation
from celltraj._anndata.results import SIMULATE
from celltraj.models import Process
from celltraj.pl._palette import category_colors

TIME_MAP = "viridis"
_PICTURES, _GRAPH = ("X_umap", "X_tsne", "X_phate"), "X_draw_graph"
_NO_UNIT = (None, "", "1", "dimensionless")
MISSING = "lightgrey"
_MOST_TICKS = 10
_WIDEST = 26  # letters of a name in one line
_LETTER, _LINE = 0.085, 0.17  # inches, of letters and lines of usual size


def plane(adata: AnnData, basis: str, components: tuple[int, int]) -> tuple[str, np.ndarray]:
    """Return the name of ``basis`` and the ``(n, 2)`` cells; ``"umap"`` means ``obsm["X_umap"]``.

    Raises
    ------
    ValueError
        ``components`` are not two variables of the representation.
    """
    key = basis if basis == "X" or basis in adata.obsm else f"X_{basis}"
    if key not in adata.obsm and key != "X":
        key = basis  # so that the error names what the user typed
    name, x = read_representation(adata, key)
    check_components(components, x.shape[1], name, n=2)
    return name, x[:, list(components)]


def default_basis(adata: AnnData, basis: str | None, *, lives_in: object = None) -> str:
    """Return what to draw: what is named, else a picture of the cells, else a representation.

    Parameters
    ----------
    adata
        Observed cells.
    basis
        What the user named.
    lives_in
        Simulated cells or a model, which are drawn in their own representation alone.
    """
    if basis is not None:
        return basis
    if isinstance(lives_in, AnnData):
        params = (SIMULATE.find(lives_in) or {}).get("params", {})
        return str(params.get("use_rep", None) or find_representation(adata, None))
    if isinstance(lives_in, Process):
        return find_space(adata, lives_in, None)
    drawn = [key for key in adata.obsm if key in _PICTURES or key.startswith(_GRAPH)]
    if lives_in is not None or not drawn:
        return find_representation(adata, None)
    first: str = min(
        drawn, key=lambda key: _PICTURES.index(key) if key in _PICTURES else len(_PICTURES)
    )
    return first


def check_components(
    components: Sequence[int], n_vars: int, name: str, *, n: int | None = None
) -> None:
    """Raise unless ``components`` number variables of ``name``, and ``n`` of them where told."""
    is_list = isinstance(components, list | tuple | np.ndarray) and len(components) > 0
    if (
        not is_list
        or (n is not None and len(components) != n)
        or not all(isinstance(c, int | np.integer) for c in components)
    ):
        raise ValueError(
            f"components must be {'whole' if n is None else 'two whole'} numbers such as (0, 1), "
            f"the variables of {name}; found {components!r}"
        )
    if not all(0 <= c < n_vars for c in components):
        raise ValueError(
            f"components {tuple(components)} must lie between 0 and {n_vars - 1}, "
            f"the variables of {name}"
        )


def size_of(n: int) -> float:
    """Return the area of a dot, smaller the more cells there are, as in scanpy."""
    return float(np.clip(120_000 / max(n, 1), 1.0, 12.0))


def check_path(path: AnnData, needed: str, n_vars: int, name: str, argument: str) -> None:
    """Raise unless ``path`` is simulated cells in the ``n_vars`` variables of ``name``."""
    if needed not in path.obs:
        raise KeyError(
            f"path.obs has no {needed!r}, only {list(path.obs.columns)}; "
            "make it with ct.tl.simulate(adata, bridge, start=..., stop=...)"
        )
    if path.n_vars != n_vars:
        raise ValueError(
            f"path has {path.n_vars} variables but {name} has {n_vars}; pass {argument}= with "
            "the representation that it was simulated in"
        )


def colors_of(
    adata: AnnData, times: np.ndarray, color: str | None
) -> tuple[np.ndarray, dict[str, str], Normalize | None]:
    """Return the colours ``(n, 4)`` of the cells, a legend, and the scale where it is continuous.

    By time without ``color``. Cells without a value are grey.

    Raises
    ------
    KeyError
        ``color`` is not a column of ``obs``.
    ValueError
        The column holds no value, or too many categories.
    """
    if color is None:
        return _by_value(times)
    column = column_of(adata, color, way="Name one of them to colour by")
    if column.isna().all():
        raise ValueError(f"adata.obs[{color!r}] holds no value to colour by")
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return _by_value(column.to_numpy(dtype=float, na_value=np.nan))
    palette = palette_of(adata, color)
    shades = np.array([mpl.colors.to_rgba(c) for c in [*palette.values(), MISSING]])
    # code -1, a missing label, is the last shade
    return shades[column.astype("category").cat.codes], palette, None


def palette_of(adata: AnnData, groupby: str) -> dict[str, str]:
    """Return the colour of every category of ``obs[groupby]``, in their order.

    Those in ``uns[f"{groupby}_colors"]``, or those that scanpy would choose.

    Raises
    ------
    ValueError
        There are more categories than colours, or ``uns`` holds something else than colours.
    """
    column = column_of(adata, groupby, what="groups")
    names = [str(label) for label in column.astype("category").cat.categories]
    return category_colors(adata, groupby, names)


def shades_of(adata: AnnData, groupby: str | None, names: Sequence[str]) -> dict[str, str]:
    """Return the colours of the groups of a result, of which ``obs`` may no longer know.

    Those that ``obs[groupby]`` does not have are grey; without such a column the colours are those
    that it would get if these were its categories.
    """
    if groupby is None or groupby not in adata.obs:
        return category_colors(adata, str(groupby), names)
    palette = palette_of(adata, groupby)
    return {name: palette.get(name, MISSING) for name in names}


def wrapped(name: str, width: int = _WIDEST) -> str:
    """Return a name in lines short enough to stand beside axes; a dollar is no formula."""
    return fill(name, width).replace("$", r"\$")


def inches_of(names: Sequence[str]) -> float:
    """Return about how wide the longest line of names is."""
    return _LETTER * max(len(line) for name in names for line in wrapped(name).split("\n"))


def legend_size(names: Sequence[str]) -> tuple[float, float]:
    """Return about how wide and how high the legend of :func:`explain` is, in inches."""
    columns = legend_columns(len(names))
    n_rows = -(-len(names) // columns)
    n_lines = [1 + wrapped(name).count("\n") for name in names]
    most = max(sum(n_lines[k : k + n_rows]) for k in range(0, len(names), n_rows))
    return columns * (inches_of(names) + 0.5), _LINE * most + 0.07 * n_rows + 0.5


def legend_columns(n: int) -> int:
    """Return in how many columns a legend of ``n`` names stands."""
    return 1 + (n > 14) + (n > 30)  # as in scanpy


def _by_value(values: np.ndarray) -> tuple[np.ndarray, dict[str, str], Normalize]:
    scale = Normalize(np.nanmin(values), np.nanmax(values))
    shades = mpl.colormaps[TIME_MAP].with_extremes(bad=MISSING)
    return shades(scale(values)), {}, scale


def explain(
    ax: Axes,
    legend: dict[str, str],
    scale: Normalize | None,
    label: str,
    *,
    ticks: np.ndarray | None = None,
    axes: object = None,
) -> None:
    """Add the legend, or the colour bar with few enough ``ticks``, that explains the colours."""
    if scale is not None:
        shades = mpl.cm.ScalarMappable(scale, TIME_MAP)
        few = ticks if ticks is not None and len(ticks) <= _MOST_TICKS else None
        ax.figure.colorbar(shades, ax=ax if axes is None else axes, label=label, ticks=few)
        return
    handles = [
        Line2D([], [], ls="", marker="o", color=shade, label=wrapped(name))
        for name, shade in legend.items()
    ]
    ax.legend(
        handles=handles,
        title=label,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        ncols=legend_columns(len(handles)),
    )


def time_label(adata: AnnData, time_key: str) -> str:
    """Return the name of time with the user's unit, where one is recorded."""
    unit = adata.uns.get("time_unit", "1")
    return time_key if unit in _NO_UNIT else f"{time_key} ({unit})"


def rate_label(adata: AnnData) -> str:
    """Return what a colour bar of growth rates says."""
    unit = adata.uns.get("time_unit", "1")
    return "growth per unit of time" if unit in _NO_UNIT else f"growth (1/{unit})"


def color_label(
    adata: AnnData, times: np.ndarray, time_key: str, color: str | None
) -> tuple[str, np.ndarray | None]:
    """Return what the colours mean, and where a colour bar is marked: at the sampling times."""
    return (time_label(adata, time_key), np.unique(times)) if color is None else (color, None)
