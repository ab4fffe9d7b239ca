"""Draw held-out cells beside what was predicted, between the snapshots before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import read_times
from celltraj._checks import checked
from celltraj.pl._cells import (
    color_label,
    default_basis,
    label_plane,
    plane,
    size_of,
    time_label,
)
from celltraj.pl._colors import Colors, colors_of, explain
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelCellStyle, styled

_OTHERS = "0.88"
_MOST_COLUMNS = 4


@tidy
@checked
@styled
def held_out(
    adata: AnnData,
    predicted: AnnData,
    *,
    time_key: str = "time",
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    color: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelCellStyle],
) -> object:
    """Draw held-out cells and predicted ones side by side, with the cells before and after.

    Four panels in the same axes: the snapshot before, the held-out cells, the predicted ones and
    the snapshot after; without the first or the last where there is none. All other observed cells
    are grey. The fit should not have seen the held-out time, which a picture cannot know.

    Parameters
    ----------
    adata
        Cells of all times, the held-out ones too; not changed.
    predicted
        Cells of the held-out time, as :func:`celltraj.tl.interpolate` or
        :func:`celltraj.tl.simulate` returns them, in the representation ``basis``.
    time_key
        Column of ``obs`` with the sampling times, of ``adata``.
    basis
        Representation that ``predicted`` was drawn in, by default the one that it names.
    components
        Two variables of it.
    color
        Column of ``obs`` of ``adata``, by default time; predicted cells are black where they have
        no such column.
    ax
        Axes in which held-out and predicted cells are drawn over each other, instead of panels.
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
        A column or representation does not exist.
    ValueError
        ``predicted`` holds several times, or one at which no cell was observed, or has other
        variables than ``basis``.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> known = adata[adata.obs["time"] != 2].copy()
    >>> ct.tl.couplings(known, progress=False)
    >>> predicted = ct.tl.interpolate(known, time=2.0, n_cells=40)
    >>> panels = ct.pl.held_out(adata, predicted, show=False)
    >>> [" ".join(panel.get_title().split()) for panel in panels[1:3]]
    ['time 2, held out (67 cells)', 'time 2, predicted (40 cells)']
    >>> plt.close()
    """
    look = Style(**style)
    times = read_times(adata, time_key)
    moment = _moment(predicted, times)
    name, cells = plane(adata, default_basis(adata, basis, lives_in=predicted), components)
    drawn = _predicted_states(predicted, name, adata, components)
    found = colors_of(adata, times, color, look)
    view = _View(times, cells, found, drawn, _shades(predicted, found, moment, color, look), look)
    parts = _parts(times, moment) if ax is None else {"held out and predicted": moment}
    size = {"size": (2.4, 2.4), "beside": (1.4, 0.6)}
    panels = panels_of(len(parts), _MOST_COLUMNS, look=look, ax=ax, **size)
    when, is_named = time_label(adata, time_key), found.is_named(look)
    for panel, (what, t) in zip(panels, parts.items(), strict=True):
        n = view.draw(panel, what, t)
        if is_named and what != "predicted":
            here = (times == t)[:, None]
            explain(panel, found, "", look, cells=np.where(here, cells, np.nan))
        panel.set_title(f"{when} {t:g}, {what}\n({n:,} cells)", fontsize="medium")
    label_plane(panels, adata, name, components, look)
    label, ticks = color_label(adata, times, time_key, color)
    if not is_named:
        explain(panels[-1], found, label, look, ticks=ticks, axes=panels)
    shown = panels if ax is None else ax
    return finish("held_out", shown, show=show, save=save, return_fig=return_fig, look=look)


@dataclass(frozen=True, eq=False)
class _View:
    """Observed cells ``(n, 2)`` with their times, predicted ones ``(m, 2)``, and all colours."""

    times: np.ndarray
    cells: np.ndarray
    found: Colors
    drawn: np.ndarray
    shades: np.ndarray | str
    look: Style

    def draw(self, ax: Axes, what: str, t: float) -> int:
        """Draw the cells of one panel over all others in grey; return how many these are."""
        n = len(self.drawn) if "predicted" in what else 0
        dots = self.look.dots(size_of(len(self.cells)))
        here = (self.times == t) & (what != "predicted")
        ax.scatter(*self.cells[~here].T, color=_OTHERS, **dots)
        own = dots | {"s": self.look.size or 2 * size_of(max(int(here.sum()), n))}
        rows = self.found.order(np.flatnonzero(here))
        ax.scatter(*self.cells[rows].T, color=self.found.shades[rows], **own)
        if n:
            shades = "black" if here.any() else self.shades  # over those of the same time
            ax.scatter(*self.drawn.T, color=shades, **own | {"s": own["s"] / (1 + 2 * here.any())})
        return n + int(here.sum())


def _moment(predicted: AnnData, times: np.ndarray) -> float:
    """Return the held-out time."""
    if "time" not in predicted.obs:
        raise KeyError(
            f"predicted.obs has no 'time', only {list(predicted.obs.columns)}; make it with "
            "ct.tl.interpolate(adata, model, time=...)"
        )
    found = np.unique(predicted.obs["time"].to_numpy(float))
    near = times[np.abs(times[:, None] - found).argmin(0)]
    if len(found) != 1 or not np.isclose(near[0], found[0], rtol=1e-9, atol=0):
        raise ValueError(
            f"predicted holds cells of the times {found.tolist()[:5]}; keep those of one at which "
            f"cells were observed, {np.unique(times).tolist()}"
        )
    return float(near[0])


def _predicted_states(
    predicted: AnnData, name: str, adata: AnnData, components: tuple[int, int]
) -> np.ndarray:
    """Return the ``(m, 2)`` predicted cells, which stand in ``X`` in their representation."""
    width = adata.n_vars if name == "X" else adata.obsm[name].shape[1]
    if predicted.n_vars != width:
        raise ValueError(
            f"predicted has {predicted.n_vars} variables but {name} has {width}; pass basis= with "
            "the representation that it was drawn in"
        )
    states: np.ndarray = np.asarray(predicted.X)[:, list(components)]
    return states


def _parts(times: np.ndarray, moment: float) -> dict[str, float]:
    """Return the times of the panels by what they are."""
    observed = np.unique(times)
    before, after = observed[observed < moment], observed[observed > moment]
    parts = {"before": float(before[-1])} if len(before) else {}
    parts |= {"held out": moment, "predicted": moment}
    return parts | ({"after": float(after[0])} if len(after) else {})


def _shades(
    predicted: AnnData, found: Colors, moment: float, color: str | None, look: Style
) -> np.ndarray | str:
    """Return the colours of predicted cells: that of their time, of their group, or black."""
    if color is None and found.scale is not None and found.colors is not None:
        return np.tile(found.colors(found.scale(moment)), (predicted.n_obs, 1))
    if color is not None and color in predicted.obs and found.legend:
        labels = predicted.obs[color].astype(str)
        shades: np.ndarray = labels.map(found.legend).fillna("lightgrey").to_numpy()
        return shades
    return "black"
