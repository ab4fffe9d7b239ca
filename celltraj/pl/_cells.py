"""Cells in two components of a representation, and their colours."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from celltraj._anndata import read_representation

TIME_MAP = "viridis"


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
    check_components(components, x.shape[1], name)
    return name, x[:, list(components)]


def check_components(components: tuple[int, ...], n_vars: int, name: str) -> None:
    """Raise unless ``components`` number variables of ``name``."""
    if not all(0 <= c < n_vars for c in components):
        raise ValueError(
            f"components {tuple(components)} must lie between 0 and {n_vars - 1}, "
            f"the variables of {name}"
        )


def size_of(n: int) -> float:
    """Return the area of a dot, smaller the more cells there are, as in scanpy."""
    return float(np.clip(120_000 / max(n, 1), 1.0, 12.0))


def colors_of(
    adata: AnnData, times: np.ndarray, color: str | None
) -> tuple[np.ndarray, dict[str, str], Normalize | None]:
    """Return the colours ``(n, 4)`` of the cells, a legend, and the scale where it is continuous.

    By time without ``color``; categories take ``uns[f"{color}_colors"]`` or scanpy's palette.

    Raises
    ------
    KeyError
        ``color`` is not a column of ``obs``.
    """
    if color is None:
        scale = Normalize(times.min(), times.max())
        return mpl.colormaps[TIME_MAP](scale(times)), {}, scale
    if color not in adata.obs:
        raise KeyError(f"no adata.obs[{color!r}] to colour by; found {list(adata.obs.columns)}")
    column = adata.obs[color]
    if pd.api.types.is_numeric_dtype(column):
        scale = Normalize(np.nanmin(column), np.nanmax(column))
        return mpl.colormaps[TIME_MAP](scale(column.to_numpy(float))), {}, scale
    labels = column.astype("category").cat
    palette = list(adata.uns.get(f"{color}_colors", sc.pl.palettes.default_102))
    names = [str(label) for label in labels.categories]
    legend = {name: palette[k % len(palette)] for k, name in enumerate(names)}
    shades = np.array([mpl.colors.to_rgba(c) for c in [*legend.values(), "lightgrey"]])
    return shades[labels.codes], legend, None  # code -1, a missing label, is the grey at the end


def explain(
    ax: Axes, legend: dict[str, str], scale: Normalize | None, label: str, axes: object = None
) -> None:
    """Add the legend or the colour bar that explains the colours."""
    if scale is not None:
        shades = mpl.cm.ScalarMappable(scale, TIME_MAP)
        ax.figure.colorbar(shades, ax=ax if axes is None else axes, label=label)
        return
    handles = [
        Line2D([], [], ls="", marker="o", color=shade, label=name) for name, shade in legend.items()
    ]
    ax.legend(
        handles=handles, title=label, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5)
    )


def time_label(adata: AnnData, time_key: str) -> str:
    """Return the name of time with the user's unit, where one is recorded."""
    unit = adata.uns.get("time_unit")
    return f"{time_key} ({unit})" if unit else time_key
