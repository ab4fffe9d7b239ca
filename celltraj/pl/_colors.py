"""The colours of cells, and what explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, to_rgba

from celltraj._anndata import column_of
from celltraj._anndata.columns import has_column
from celltraj._anndata.expression import expression_of
from celltraj.pl._legend import add_bar, add_legend, dots_of, name_on_data
from celltraj.pl._palette import category_colors
from celltraj.pl._style import PLAIN, Style

TIME_MAP = "viridis"
MISSING = "lightgrey"


@dataclass(frozen=True, eq=False)
class Colors:
    """The colours of cells.

    Parameters
    ----------
    shades
        ``(n, 4)`` colours.
    legend
        The colour of each group that is drawn; empty where colours are numbers.
    labels
        ``(n,)`` the group of each cell, None where it has none or is not drawn.
    scale, colors
        The numbers, and the map, that colours stand for; no scale where they are groups.
    """

    shades: np.ndarray
    legend: dict[str, str]
    labels: np.ndarray
    scale: Normalize | None
    colors: Colormap | None

    @property
    def is_faint(self) -> np.ndarray:
        """Whether a cell stands back, since its group is not among those to draw, ``(n,)``."""
        if self.scale is not None:
            return np.zeros(len(self.shades), dtype=bool)
        faint: np.ndarray = np.array([label is None for label in self.labels])
        return faint

    def is_named(self, look: Style) -> bool:
        """Whether groups are named where their cells lie."""
        return self.scale is None and look.legend_loc == "on data"

    def order(self, rows: np.ndarray) -> np.ndarray:
        """Return rows in the order of drawing: those that stand back first."""
        ordered: np.ndarray = rows[np.argsort(~self.is_faint[rows], kind="stable")]
        return ordered

    def of(self, rows: np.ndarray) -> Colors:
        """Return the colours of some cells, with the same meaning."""
        return replace(self, shades=self.shades[rows], labels=self.labels[rows])

    def at(self, value: float, n: int) -> Colors:
        """Return the colour of a number for ``n`` cells; where colours are groups there is none."""
        if self.scale is None or self.colors is None:
            raise ValueError(f"colours are groups, and {value:g} is a number")
        shades = np.tile(self.colors(self.scale(value)), (n, 1))
        return replace(self, shades=shades, labels=np.full(n, None, dtype=object))


def colors_of(
    adata: AnnData,
    times: np.ndarray,
    color: str | None,
    look: Style = PLAIN,
    *,
    genes: bool = False,
) -> Colors:
    """Return the colours of the cells, by time without ``color``; cells without a value are grey.

    With ``genes`` a name that is no column may be that of a gene.

    Raises
    ------
    KeyError
        ``color`` is not a column of ``obs``, nor a gene where these may be named.
    ValueError
        The column holds no value, too many categories, or none of the groups to draw.
    """
    if color is None:
        return _by_value(times, "time", look)
    if genes and not has_column(adata, color) and color in adata.var_names:
        return _by_value(expression_of(adata, color), f"the gene {color!r}", look)
    column = column_of(adata, color, way="Name one of them to colour by")
    if column.isna().all():
        raise ValueError(f"adata.obs[{color!r}] holds no value to colour by")
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        what = f"adata.obs[{color!r}], which holds numbers"
        return _by_value(column.to_numpy(dtype=float, na_value=np.nan), what, look)
    palette = palette_of(adata, color, look)
    shown = look.group_names(list(palette), f"adata.obs[{color!r}]")
    names = np.array([*palette, None], dtype=object)
    labels = names[column.astype("category").cat.codes]  # -1, a missing label, is the last name
    legend = {name: palette[name] for name in shown}
    known = {name: to_rgba(shade) for name, shade in legend.items()}
    shades = np.array([known.get(label, to_rgba(MISSING)) for label in labels])
    drawn = np.array([label if label in known else None for label in labels], dtype=object)
    return Colors(shades.reshape(-1, 4), legend, drawn, None, None)


def one_color(shade: str, n: int) -> Colors:
    """Return the same colour for ``n`` cells, which explains itself."""
    return Colors(np.tile(to_rgba(shade), (n, 1)), {}, np.full(n, "", dtype=object), None, None)


def palette_of(adata: AnnData, groupby: str, look: Style = PLAIN) -> dict[str, str]:
    """Return the colour of every category of ``obs[groupby]``, in their order.

    Those of the style, those in ``uns[f"{groupby}_colors"]``, or those that scanpy would choose.

    Raises
    ------
    ValueError
        There are more categories than colours, or something else than colours.
    """
    column = column_of(adata, groupby, what="groups")
    names = [str(label) for label in column.astype("category").cat.categories]
    return category_colors(adata, groupby, names, look)


def shades_of(
    adata: AnnData, groupby: str | None, names: Sequence[str], look: Style = PLAIN
) -> dict[str, str]:
    """Return the colours of the groups of a result, of which ``obs`` may no longer know.

    Those that ``obs[groupby]`` does not have are grey; without such a column the colours are those
    that it would get if these were its categories. A palette of the style is for these groups.
    """
    if groupby is None or groupby not in adata.obs or look.palette is not None:
        return category_colors(adata, str(groupby), names, look)
    palette = palette_of(adata, groupby)
    return {name: palette.get(name, MISSING) for name in names}


def _by_value(values: np.ndarray, what: str, look: Style) -> Colors:
    if look.groups is not None:
        raise ValueError(f"groups= are those of color=, and cells are coloured by {what}")
    scale, colors = look.scale(values), look.map(TIME_MAP).with_extremes(bad=MISSING)
    nobody = np.full(len(values), None, dtype=object)
    return Colors(colors(scale(values)), {}, nobody, scale, colors)


def explain(
    ax: Axes,
    found: Colors,
    label: str,
    look: Style = PLAIN,
    *,
    ticks: np.ndarray | None = None,
    axes: object = None,
    cells: np.ndarray | None = None,
) -> None:
    """Add what explains colours: a legend, names on the ``(n, 2)`` cells, or a colour bar."""
    if found.scale is not None and found.colors is not None:
        add_bar(ax, found.scale, found.colors, label, ticks=ticks, axes=axes)
    elif found.is_named(look) and cells is not None:
        name_on_data(ax, {name: cells[found.labels == name] for name in found.legend})
    elif found.legend:
        add_legend(ax, dots_of(found.legend), look, title=label)
