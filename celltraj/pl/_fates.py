"""Draw what becomes of cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import read_times
from celltraj._anndata.results import FATES
from celltraj._anndata.tables import fates_table
from celltraj._checks import checked
from celltraj.pl._fate_kinds import Chosen, draw_bars, draw_embedding, draw_simplex
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelCellStyle, styled

_KINDS = {"embedding": draw_embedding, "simplex": draw_simplex, "bars": draw_bars}
_UNUSED = {  # styles that a kind of picture has no use for
    "embedding": ("palette", "groups", "legend_loc"),
    "simplex": ("ncols",),
    "bars": ("cmap", "vmin", "vmax", "size", "ncols"),
}


@tidy
@checked
@styled
def fates(
    adata: AnnData,
    *,
    kind: str = "embedding",
    fate: str | Sequence[str] | None = None,
    groupby: str | None = None,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    key: str = "ct_fates",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelCellStyle],
) -> object:
    """Draw the share of each cell's descendants in each fate.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.fates`, also one that was read from a file; not changed.
    kind
        ``"embedding"``: cells by their share in a fate, each fate in a panel of its own, cells
        without fates grey. ``"simplex"``: fates stand on a circle, and a cell lies at their mean,
        weighted by its shares, ``y = sum_k F_k c_k``; of two fates, how many cells have which
        share. ``"bars"``: the mean shares of groups of cells. Of the cells of the time of the fates
        the fate is their own label: they are in an embedding, and left out of simplex and bars.
    fate
        The fate or fates of an embedding; by default all, at most the first twelve. The other kinds
        need all of them.
    groupby
        Column of ``obs`` that groups the cells of bars and colours those of a simplex; by default
        time. An embedding does not use it.
    basis
        ``"X"``, a key of ``obsm``, or a name such as ``"umap"`` for ``obsm["X_umap"]``; by default
        the UMAP or another picture of the cells, else ``X_pca``, or ``X`` with at most 50
        variables.
    components
        Two variables of it.
    key
        The ``key_added`` of :func:`celltraj.tl.fates`.
    ax
        Axes for a simplex, for bars, or for a single fate in an embedding.
    show, return_fig
        As in scanpy.
    palette
        Colours of the fates in bars, of the groups in a simplex.
    groups
        The group or groups of ``groupby`` in bars and simplex.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The axes, of an embedding the array of panels unless ``ax`` was given; the figure with
    ``return_fig``, nothing once shown.

    Raises
    ------
    KeyError
        There are no fates of that name, no such embedding or no such column.
    ValueError
        Another ``kind``, no such fate, no cell with fates, a simplex of one fate, or ``ax`` is
        given for several.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.fates(adata, groupby="arm")
    >>> [panel.get_title() for panel in ct.pl.fates(adata, show=False)]
    ['down', 'up']
    >>> plt.close()
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {tuple(_KINDS)}; found {kind!r}")
    if fate is not None and kind != "embedding":
        raise ValueError(f"kind={kind!r} draws all fates together; leave out fate=")
    look = Style(**style)
    _check_style(kind, look)
    names, shares = _read(adata, key)
    params = FATES.peek(adata, key)["params"]
    chosen = Chosen(
        names=names,
        shares=shares,
        params=params,
        is_own=_own(adata, key, shares, params),
        fate=_wanted(names, fate),
        groupby=groupby,
        basis=basis,
        components=components,
        look=look,
    )
    drawn = _KINDS[kind](adata, chosen, ax)
    return finish("fates", drawn, show=show, save=save, return_fig=return_fig, look=look)


def _check_style(kind: str, look: Style) -> None:
    """Raise where a style is asked for that a kind of picture does not have."""
    if unused := [name for name in _UNUSED[kind] if getattr(look, name) is not None]:
        has = [name for name in vars(look) if name not in _UNUSED[kind]]
        raise ValueError(f"kind={kind!r} has no {', '.join(unused)}; it takes {', '.join(has)}")


def _read(adata: AnnData, key: str) -> tuple[list[str], np.ndarray]:
    """Return the names of the fates ``(K,)`` and the shares of the cells ``(n_obs, K)``."""
    table = fates_table(adata, key)
    shares = table.to_numpy(dtype=float)
    if not np.isfinite(shares).all(1).any():
        raise ValueError(f"no cell has fates in obsm[{key!r}]; those before its time at= do")
    return list(table.columns), shares


def _own(adata: AnnData, key: str, shares: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """Return which cells are of the time of the fates itself, ``(n_obs,)``."""
    if "at" not in params:
        return np.zeros(adata.n_obs, dtype=bool)
    is_own: np.ndarray = read_times(adata, str(params.get("time_key", "time"))) == float(
        params["at"]
    )
    if not (np.isfinite(shares).all(1) & ~is_own).any():
        raise ValueError(
            f"no cell before the time of the fates, {params['at']:g}, has fates in obsm[{key!r}]; "
            "run ct.tl.fates(adata, groupby=...) on cells of all times"
        )
    return is_own


def _wanted(names: Sequence[str], fate: str | Sequence[str] | None) -> list[str] | None:
    if fate is None:
        return None
    wanted = [fate] if isinstance(fate, str) else list(fate)
    if not wanted or (unknown := [name for name in wanted if name not in names]):
        raise ValueError(f"no fate {unknown if wanted else wanted}; found {list(names)}")
    return wanted
