"""Draw what was learned of populations whose cells influence each other."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import read_representation, read_times
from celltraj._anndata.groups import read_groups
from celltraj._anndata.results import MEAN_FIELD
from celltraj._checks import checked
from celltraj._errors import some
from celltraj.models import MeanFieldBridges
from celltraj.pl._cells import check_components, label_plane, size_of, time_label
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_legend, dots_of, inches_of, wrapped
from celltraj.pl._palette import named_colors
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelGroupDotStyle, styled
from celltraj.pl._tried import draw_beside, draw_tried

_UNUSED = ("palette", "legend_loc", "ncols", "groups")  # styles that strengths have no use for
_SHADES = {"first cells": "0.85", "last cells": "0.4", "by the law": "C3"}
_MOST_COLUMNS = 4


@tidy
@checked
@styled
def mean_field(
    adata: AnnData,
    model: MeanFieldBridges | None = None,
    *,
    components: tuple[int, int] = (0, 1),
    key: str = "mean_field",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelGroupDotStyle],
) -> object:
    """Draw how much what is around a cell counts, or where a mean-field law takes populations.

    Without ``model``: the share of the squared velocities of populations that laws of all others
    leave, by how much what is around a cell counts, 0 for nothing at all; the chosen one black,
    with each population as a small dot beside it. At 1 a law foretells nothing.

    With ``model``: a panel of each population, its first cells, its last ones, and where the law
    takes the first ones until then, all of them together; they neither divide nor die on the way.
    The law has seen these populations: what it is worth for others says the number above, found
    without each.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.fit_mean_field`, also one that was read from a file; not changed.
    model
        What :func:`celltraj.tl.fit_mean_field` returned.
    components
        Two variables of the representation that it was fitted in.
    key
        The ``key_added`` of :func:`celltraj.tl.fit_mean_field`.
    ax
        Axes for strengths, or for a single population.
    groups
        The population or populations to draw; by default all.
    show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The axes, of populations the array of panels unless ``ax`` was given; the figure with
    ``return_fig``, nothing once shown.

    Raises
    ------
    KeyError
        There is no such record, or no column or representation that it was made of.
    ValueError
        A style that strengths have no use for, ``ax`` is given for several populations, or
        ``model`` knows other populations than ``adata``.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["dish"] = [f"dish {k % 3}" for k in range(adata.n_obs)]
    >>> fitted = ct.tl.fit_mean_field(
    ...     adata, population_key="dish", growth=None, training=None, progress=False
    ... )
    >>> ct.pl.mean_field(adata, show=False).get_ylabel()
    'unexplained share, populations left out'
    >>> len(ct.pl.mean_field(adata, fitted, show=False))
    3
    >>> plt.close("all")
    """
    look = Style(**style)
    if model is None:
        if unused := [name for name in _UNUSED if getattr(look, name) is not None]:
            raise ValueError(
                f"how much what is around a cell counts has no {', '.join(unused)}; populations "
                "have, which are drawn with what ct.tl.fit_mean_field returned: "
                "ct.pl.mean_field(adata, model)"
            )
        drawn: object = _draw_strengths(adata, key, ax, look)
    else:
        drawn = _draw_populations(adata, model, components, key, ax, look)
    return finish("mean_field", drawn, show=show, save=save, return_fig=return_fig, look=look)


def _draw_strengths(adata: AnnData, key: str, ax: Axes | None, look: Style) -> Axes:
    """Draw what every candidate leaves unexplained, and what the chosen one does of each."""
    tried = MEAN_FIELD.table(adata, key, "candidates")
    own, left = (tried[name].to_numpy(float) for name in ("own", "unexplained"))
    chosen = own == float(MEAN_FIELD.peek(adata, key)["params"]["own"])
    ax = axes_of(ax, look, (4.4, 3.2))
    draw_tried(ax, own, left, chosen, look)
    each = _unexplained(adata, key).to_numpy(float)
    draw_beside(ax, np.flatnonzero(chosen), np.sort(each), look)
    ax.set_xlabel("own: how much what is around a cell counts")
    ax.set_ylabel("unexplained share, populations left out")
    return ax


def _draw_populations(
    adata: AnnData,
    model: MeanFieldBridges,
    components: tuple[int, int],
    key: str,
    ax: Axes | None,
    look: Style,
) -> np.ndarray | Axes:
    """Draw the first and the last cells of each population, and where the law takes the first."""
    params, left = MEAN_FIELD.peek(adata, key)["params"], _unexplained(adata, key)
    labels = read_groups(adata, params["population_key"]).astype(str).to_numpy()
    _check_names(list(model), labels, key, list(left.index))
    times = read_times(adata, params["time_key"])
    basis, x = read_representation(adata, params["use_rep"])
    if x.shape[1] != model.dim:
        raise ValueError(f"the model has {model.dim} variables, {basis} has {x.shape[1]}")
    check_components(components, x.shape[1], basis, n=2)
    names = look.group_names(list(model), "the model")
    if ax is not None and len(names) > 1:
        raise ValueError("ax= holds one population; pass groups= with its name")
    shades = named_colors(look, _SHADES)
    beside = (0.4 + inches_of(list(shades)), 0.5)
    panels = panels_of(len(names), _MOST_COLUMNS, look=look, ax=ax, size=(2.5, 2.5), beside=beside)
    when = time_label(adata, params["time_key"])
    for name, panel in zip(names, panels, strict=True):
        own = np.flatnonzero(labels == name)
        clouds = _clouds(model, x[own], times[own])
        for cloud, shade in zip(clouds, shades.values(), strict=True):
            dots = look.dots(size_of(4 * len(own)), 0.8)
            panel.scatter(*cloud[:, list(components)].T, color=shade, **dots)
        span = f"{when} {times[own].min():g} to {times[own].max():g}"
        title = f"{wrapped(name)}\n{span}, {left[name]:.2f} unexplained"
        panel.set_title(title, fontsize="medium")
    label_plane(panels, adata, basis, components, look)
    add_legend(panels[-1], dots_of(shades), look, whole=ax is None)
    return panels if ax is None else ax


def _clouds(model: MeanFieldBridges, x: np.ndarray, times: np.ndarray) -> list[np.ndarray]:
    """Return the first cells of a population, the last ones, and where its law takes the first."""
    start, stop = float(times.min()), float(times.max())
    first = x[times == start]
    moved = model.of(first, start=start, stop=stop).crowd.x[-1]
    return [first, x[times == stop], moved.numpy()]


def _unexplained(adata: AnnData, key: str) -> pd.Series:
    """Return what the law of all others leaves of each population, by name."""
    table = MEAN_FIELD.table(adata, key)
    return table.groupby("population", sort=False)["unexplained"].first()


def _check_names(names: list[str], labels: np.ndarray, key: str, known: list[str]) -> None:
    """Raise where a model knows other populations than the cells or their record."""
    lacking = [name for name in names if name not in set(labels) or name not in known]
    if lacking:
        raise ValueError(
            f"the model knows populations that adata or its record {key!r} does not have, "
            f"{some(lacking)}; pass the model and the adata of one fit"
        )
