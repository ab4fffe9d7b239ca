"""Draw where cells grow."""

from __future__ import annotations

from typing import Unpack, cast

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import column_of
from celltraj._anndata.results import check_place_fresh
from celltraj._checks import checked
from celltraj.pl._cells import default_basis, label_plane, plane, rate_label, size_of
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_bar
from celltraj.pl._style import Style
from celltraj.pl._styled import CellValueStyle, styled

_MAP = "coolwarm"
_GREY = "0.93"  # lighter than what the map has for zero
_RANGE = 0.995  # of the cells, that the colours tell apart; a few rates would make all others pale


@tidy
@checked
@styled
def growth(
    adata: AnnData,
    *,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    key: str = "ct_growth",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[CellValueStyle],
) -> object:
    """Draw the growth rate of every cell: red where cells grow in number, blue where they vanish.

    The colours are symmetric about zero and reach to the rate that 99.5 % of the cells stay below,
    either way; cells without descendants, whose rate is minus infinity, are as blue as can be.
    Cells that grow or vanish fastest are drawn last, cells without a rate light grey.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.growth`, or with rates of your own in ``obs``; not changed.
    basis
        ``"X"``, a key of ``obsm``, or a name such as ``"umap"`` for ``obsm["X_umap"]``; by default
        the UMAP or another picture of the cells, else ``X_pca``, or ``X`` with at most 50
        variables.
    components
        Two variables of it.
    key
        Column of ``obs`` with the rates, the ``key_added`` of :func:`celltraj.tl.growth`.
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
        There are no rates, or no such embedding.
    ValueError
        The rates are no numbers, or missing for all cells.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["ct_growth"] = adata.X[:, 1]
    >>> adata.uns["time_unit"] = "day"
    >>> ct.pl.growth(adata, show=False).figure.axes[1].get_ylabel()
    'growth (1/day)'
    >>> plt.close()
    """
    look = Style(**style)
    rates = _rates(adata, key)
    name, cells = plane(adata, default_basis(adata, basis), components)
    is_known = ~np.isnan(rates)
    size = np.abs(rates[is_known])
    reach = _reach(size[np.isfinite(size)])
    scale, colors = look.scale(rates, (-reach, reach)), look.map(_MAP)
    ax = axes_of(ax, look)
    dots = look.dots(size_of(len(cells)))
    ax.scatter(*cells[~is_known].T, color=_GREY, **dots)
    order = np.flatnonzero(is_known)[np.argsort(size, kind="stable")]
    low, high = cast("tuple[float, float]", (scale.vmin, scale.vmax))
    shown = np.clip(rates[order], low, high)
    ax.scatter(*cells[order].T, color=colors(scale(shown)), **dots)
    label_plane([ax], adata, name, components, look)
    beyond = "both" if size.max() > max(-low, high) else "neither"
    add_bar(ax, scale, colors, rate_label(adata), extend=beyond)
    return finish("growth", ax, show=show, save=save, return_fig=return_fig, look=look)


def _reach(size: np.ndarray) -> float:
    """Return up to which rate colours differ, of the finite ones."""
    if len(size) == 0:
        return 1.0
    return float(np.quantile(size, _RANGE)) or float(size.max()) or 1.0


def _rates(adata: AnnData, key: str) -> np.ndarray:
    way = "Run ct.tl.growth(adata) first, or pass key= with its key_added"
    column = column_of(adata, key, what="rates", way=way)
    check_place_fresh(adata, "obs", key)
    if column.dtype.kind not in "fiu":
        raise ValueError(f"adata.obs[{key!r}] has dtype {column.dtype}; rates must be numbers")
    if column.isna().all():
        raise ValueError(f"adata.obs[{key!r}] holds no rate; run ct.tl.growth(adata) again")
    values: np.ndarray = column.to_numpy(dtype=float, na_value=np.nan)
    return values
