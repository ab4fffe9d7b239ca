"""Cells in two components of a representation, and what the axes read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from scipy.sparse import issparse

from celltraj._anndata import find_representation, find_space, read_representation
from celltraj._anndata.results import CONDITION, INTERPOLATE, LEAST_ACTION, SIMULATE
from celltraj.models import Process
from celltraj.pl._style import Style

_PICTURES, _GRAPH = ("X_umap", "X_tsne", "X_phate"), "X_draw_graph"
_NO_UNIT = (None, "", "1", "dimensionless")
# what axes read: as scanpy writes them
_AXES = {"umap": "UMAP", "tsne": "tSNE", "pca": "PC", "diffmap": "DC", "phate": "PHATE"}


def plane(adata: AnnData, basis: str, components: tuple[int, int]) -> tuple[str, np.ndarray]:
    """Return the name of ``basis`` and the ``(n, 2)`` cells; ``"umap"`` means ``obsm["X_umap"]``.

    Raises
    ------
    ValueError
        ``components`` are not two variables of the representation.
    """
    name, x = named_representation(adata, basis)
    check_components(components, x.shape[1], name, n=2)
    return name, x[:, list(components)]


def named_representation(adata: AnnData, basis: str) -> tuple[str, np.ndarray]:
    """Return the name of ``basis`` and its ``(n, d)`` cells; ``"umap"`` means ``obsm["X_umap"]``.

    Raises
    ------
    KeyError
        There is none of that name.
    """
    key = basis if basis == "X" or basis in adata.obsm else f"X_{basis}"
    if key not in adata.obsm and key != "X":
        key = basis  # so that the error names what the user typed
    name, x = read_representation(adata, key)
    return name, np.asarray(x)


def axis_name(adata: AnnData, name: str, component: int) -> str:
    """Return what an axis reads: ``UMAP1``, ``PC2``, or the name of a gene.

    Parameters
    ----------
    adata
        Cells whose variables are meant.
    name
        ``"X"`` or a key of ``obsm``.
    component
        Number of the variable, counted from 0.
    """
    if name == "X":
        return str(adata.var_names[component]).replace("$", r"\$")
    short = name.removeprefix("X_")
    if short.startswith("draw_graph_"):
        return f"{short.removeprefix('draw_graph_').upper()}{component + 1}"
    short = _AXES.get(short, short)
    return f"{short}{' ' * short[-1:].isdigit()}{component + 1}".replace("$", r"\$")


def label_plane(
    panels: Sequence[Axes] | np.ndarray,
    adata: AnnData,
    name: str,
    components: Sequence[int],
    look: Style,
) -> None:
    """Say below and left of panels of cells what their axes are.

    Axes of an embedding have no ticks, as in scanpy; without a frame there are no axes at all.
    """
    across, up = (axis_name(adata, name, one) for one in components)
    label_outer(panels, across, up)
    for panel in panels:
        if name != "X":
            panel.tick_params(length=0, labelbottom=False, labelleft=False)
        else:
            panel.locator_params(nbins=4)
        if look.frameon is False:
            panel.set_axis_off()


def label_outer(panels: Sequence[Axes] | np.ndarray, across: str, up: str) -> None:
    """Label the lowest panel of each column and the first one of each row."""
    spec = panels[0].get_subplotspec()
    n_columns = len(panels) if spec is None else spec.get_gridspec().ncols
    n_columns = min(n_columns, len(panels))
    for k, panel in enumerate(panels):
        if k + n_columns >= len(panels):
            panel.set_xlabel(across)
        if k % n_columns == 0:
            panel.set_ylabel(up)


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
        record = _made_of(lives_in)
        params = record.get("params", {})
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


def _made_of(path: AnnData) -> dict[str, Any]:
    """Return the record of the cells that a tool returned; nothing where there is none."""
    found = (one.find(path) for one in (SIMULATE, CONDITION, INTERPOLATE, LEAST_ACTION))
    return next((record for record in found if record), {})


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
            "make it with ct.tl.simulate(adata, model, start=..., stop=...)"
        )
    if path.n_vars != n_vars:
        raise ValueError(
            f"path has {path.n_vars} variables but {name} has {n_vars}; pass {argument}= with "
            "the representation that it was simulated in"
        )


def time_label(adata: AnnData, time_key: str) -> str:
    """Return the name of time with the user's unit, where one is recorded."""
    unit = adata.uns.get("time_unit", "1")
    return time_key if unit in _NO_UNIT else f"{time_key} ({unit})"


def rate_label(adata: AnnData) -> str:
    """Return what a colour bar of growth rates says."""
    return f"growth {per_time(adata)}"


def per_time(adata: AnnData, what: str = "1") -> str:
    """Return the unit of what is so many ``what`` a unit of time, such as ``(1/day)``."""
    unit = adata.uns.get("time_unit", "1")
    if unit in _NO_UNIT:
        return "per unit of time" if what == "1" else f"({what} per unit of time)"
    return f"({what}/{unit})"


def color_label(
    adata: AnnData, times: np.ndarray, time_key: str, color: str | None
) -> tuple[str, np.ndarray | None]:
    """Return what the colours mean, and where a colour bar is marked: at the sampling times."""
    return (time_label(adata, time_key), np.unique(times)) if color is None else (color, None)


def never_below_zero(adata: AnnData, gene: str) -> bool:
    """Return whether no observed cell has a gene below zero, as counts and log expression do."""
    if gene not in adata.var_names:
        return False
    values = adata[:, gene].X
    return bool(np.min(values.toarray() if issparse(values) else np.asarray(values)) >= 0)
