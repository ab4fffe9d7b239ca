"""Draw predicted responses over the cells that they start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from celltraj._anndata import ResponseKeys
from celltraj._checks import checked
from celltraj.pl._cells import label_plane, size_of
from celltraj.pl._colors import palette_of
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._panels import panels_of
from celltraj.pl._response_cells import ResponseCells, params_of, response_cells
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelDotStyle, styled

_MOST_PANELS = 6
_MOST_COLUMNS = 3
_UNTREATED, _OBSERVED, _PREDICTED = "0.84", "C0", "black"
_LARGEST = 4.0  # times the usual area, so that one cell that stands for much covers no others


@tidy
@checked
@styled
def response(
    adata: AnnData,
    predicted: AnnData,
    *,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    population: str | Sequence[str] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelDotStyle],
) -> object:
    """Draw untreated, observed and predicted cells, each population in a panel of its own.

    Untreated cells, which predictions start from, are light grey; observed treated cells, where
    ``adata`` has some in the columns of the training, in colour (that of their condition in
    ``uns[f"{condition_key}_colors"]``); predicted ones black, crosses where the cell that they
    start from lies outside the training, and as large as the mass that they keep.

    Parameters
    ----------
    adata
        The cells that were given to :func:`celltraj.tl.predict_response`, and treated ones of the
        same populations where they are known; not changed.
    predicted
        Result of :func:`celltraj.tl.predict_response`.
    basis
        ``"X"``, a key of ``obsm`` of both, or a name such as ``"umap"``; by default the
        representation of the model, computed from genes where the prediction was.
    components
        Two variables of it.
    population
        The population or populations to draw; by default all, at most the six with most cells.
    ax
        Axes for a single population.
    show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The array of panels, ``ax`` where it was given, the figure with ``return_fig``, nothing once
    shown.

    Raises
    ------
    KeyError
        ``predicted`` is something else, or a column or representation does not exist.
    ValueError
        ``predicted`` holds several conditions, ``adata`` lacks cells that it starts from, no such
        population, or ``ax`` is given for more than one population.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=5, n_cells=40, seed=0)
    >>> model = ct.tl.fit_response(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     training=ct.models.Training(max_steps=20), progress=False,
    ... )
    >>> predicted = ct.tl.predict_response(adata, model, condition="after", progress=False)
    >>> len(ct.pl.response(adata, predicted, show=False))
    5
    """
    look = Style(**style)
    params = params_of(predicted)
    names, of_all = _chosen(predicted, population)
    if ax is not None and len(names) > 1:
        raise ValueError(f"ax= holds one population; pass population= with one of {names}")
    keys = ResponseKeys.of(
        str(params["population_key"]),
        [str(key) for key in params["condition_key"]],
        (),
        dose_key=[str(key) for key in params.get("dose_key", [])] or None,
    )
    basis = basis or str(params["use_rep"])
    rep, cells = response_cells(adata, predicted, names, keys, basis, components)
    shade = _shade(adata, keys.conditions, [str(drug) for drug in params["condition"]])
    usual = {"untreated": _UNTREATED, "observed": shade, "predicted": _PREDICTED}
    shades = named_colors(look, usual)
    size = {"size": (2.8, 2.8), "beside": (2.0, 0.5)}
    panels = panels_of(len(names), _MOST_COLUMNS, look=look, ax=ax, **size)
    for panel, one, its in zip(panels, names, cells, strict=True):
        _draw(panel, its, shades, look)
        panel.set_title(f"{one}  ({len(its.untreated):,} cells)", fontsize="medium")
    label_plane(panels, predicted, rep, components, look)
    if len(names) < of_all:
        suptitle = f"the {len(names)} populations with most cells, of {of_all}"
        panels[0].figure.suptitle(suptitle)
    handles = _handles(cells, shades)
    title = str(predicted.obs["condition"].iloc[0])
    add_legend(panels[-1], handles, look, title=title, whole=ax is None)
    shown = panels if ax is None else ax
    return finish("response", shown, show=show, save=save, return_fig=return_fig, look=look)


def _chosen(predicted: AnnData, population: str | Sequence[str] | None) -> tuple[list[str], int]:
    """Return the populations to draw, and of how many they are the largest."""
    counts = predicted.obs["population"].astype(str).value_counts(sort=False)
    if population is None:
        largest = counts.sort_values(ascending=False, kind="stable").index[:_MOST_PANELS]
        return [name for name in counts.index if name in largest], len(counts)
    names = [population] if isinstance(population, str) else list(population)
    if not names:
        raise ValueError(f"population= names none; leave it out for all of {list(counts.index)}")
    if unknown := [name for name in names if name not in counts]:
        raise ValueError(f"no predicted cells of {unknown}; found {list(counts.index)[:20]}")
    return names, len(names)


def _shade(adata: AnnData, columns: tuple[str, ...], drugs: list[str]) -> str:
    """Return the colour of the treatment in ``uns``, where there is one."""
    column = columns[0]
    if len(columns) > 1 or len(drugs) > 1 or f"{column}_colors" not in adata.uns:
        return _OBSERVED
    if column not in adata.obs:
        return _OBSERVED
    return palette_of(adata, column).get(drugs[0], _OBSERVED)


def _draw(ax: Axes, cells: ResponseCells, shades: dict[str, str], look: Style) -> None:
    dots = look.dots(2 * size_of(max(len(cells.untreated), len(cells.observed))))
    ax.scatter(*cells.untreated.T, color=shades["untreated"], **dots)
    ax.scatter(*cells.observed.T, color=shades["observed"], **dots | {"alpha": look.opacity(0.5)})
    # small dots on large ones: where both are dense, both are seen
    area = dots["s"] / 5 * np.clip(cells.mass, 0.0, _LARGEST)
    known, outside = ~cells.outside, cells.outside
    drawn = {"color": shades["predicted"], "rasterized": True}
    ax.scatter(*cells.predicted[known].T, s=area[known], lw=0, **drawn)
    ax.scatter(*cells.predicted[outside].T, s=4 * area[outside], marker="x", lw=0.8, **drawn)


def _handles(cells: list[ResponseCells], shades: dict[str, str]) -> list[Line2D]:
    """Return what the legend explains: the kinds of cells that there are."""
    handles = [_dot(shades["untreated"], "untreated", 6)]
    if any(len(one.observed) for one in cells):
        handles.append(_dot(shades["observed"], "observed", 6))
    handles.append(_dot(shades["predicted"], "predicted", 3))
    if any(one.outside.any() for one in cells):
        label = "predicted, source\noutside the training"
        cross = {"ls": "", "marker": "x", "ms": 5, "color": shades["predicted"]}
        handles.append(Line2D([], [], label=label, **cross))
    return handles


def _dot(color: str, label: str, size: float) -> Line2D:
    return Line2D([], [], ls="", marker="o", ms=size, color=color, label=label)
