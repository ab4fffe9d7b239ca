"""Draw responses over doses."""

from __future__ import annotations

import math
from typing import Unpack

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from celltraj._checks import checked
from celltraj.models.evaluation import EVERYONE, DoseCurve, check_doses, curves_of, dose_curves
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._style import Style
from celltraj.pl._styled import DotStyle, styled

_COLORS = {"predicted": "C0", "observed": "0.35"}
_MARKERS = {"predicted": "o", "observed": "s"}
_LABELS = {
    "size": "length of the shift of the mean",
    "shift": "shift of the mean",
    "above_gate": "share above the control's 90 % gate",
    "killed": "share killed",
}
_N_BOOTSTRAP = 2000
_ROOM = 3.0  # a factor of doses: how far left of the least one the control stands


@tidy
@checked
@styled
def dose_response(
    responses: pd.DataFrame,
    *,
    readout: str = "size",
    variable: str = "",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[DotStyle],
) -> object:
    """Draw a readout over doses: dots are populations, lines their fitted curves.

    The thick line is the mean curve over populations, and the bar along the bottom the 95 %
    interval over populations of the half-maximal dose with its geometric mean as a tick, where
    there are two populations or more. The control, a dose of zero, stands left of the doses, which
    are logarithmic. Below three doses no curve is drawn.

    Parameters
    ----------
    responses
        Result of :func:`celltraj.tl.dose_response`, also from a file.
    readout
        What is drawn: ``"size"``, ``"shift"``, ``"above_gate"`` or ``"killed"``.
    variable
        The variable of a shift or a gate; empty where the readout has none.
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
    TypeError
        ``responses`` is not a DataFrame.
    ValueError
        It lacks a column, a control, or the readout of this variable.

    Examples
    --------
    >>> import celltraj as ct, pandas as pd
    >>> responses = pd.DataFrame({
    ...     "population": "a", "condition": "drug", "dose": [0.0, 1.0, 2.0, 4.0],
    ...     "readout": "killed", "variable": "", "kind": "observed", "value": [0.0, 0.2, 0.4, 0.6],
    ... })
    >>> ct.pl.dose_response(responses, readout="killed", show=False).get_ylabel()
    'share killed'
    """
    look = Style(**style)
    table = check_doses(responses)
    rows = table[(table["readout"] == readout) & (table["variable"] == variable)]
    if rows.empty:
        known = table[["readout", "variable"]].drop_duplicates().to_numpy().tolist()
        raise ValueError(f"no readout {readout!r} of {variable!r}; found {known[:10]}")
    ax = axes_of(ax, look)
    kinds = [str(one) for one in pd.unique(rows["kind"])]
    shades = named_colors(look, {one: _COLORS.get(one, "C1") for one in kinds})
    positive = rows.loc[rows["dose"] > 0, "dose"]
    has_curves = positive.groupby([rows["kind"], rows["population"]]).nunique().min() >= 3
    for kind in kinds:
        own = rows[rows["kind"] == kind]
        _draw_dots(ax, own, positive.min() / _ROOM, _MARKERS.get(kind, "^"), shades[kind], look)
        if has_curves:
            _draw_curves(ax, own, shades[kind])
    _label(ax, positive, str(rows["condition"].iloc[0]), readout, variable)
    handles = [
        Line2D([], [], marker=_MARKERS.get(one, "^"), ls="-", color=shades[one], label=one)
        for one in kinds
    ]
    add_legend(ax, handles, look)
    return finish("dose_response", ax, show=show, save=save, return_fig=return_fig, look=look)


def _draw_dots(
    ax: Axes, rows: pd.DataFrame, control: float, marker: str, shade: str, look: Style
) -> None:
    at = rows["dose"].where(rows["dose"] > 0, control)
    ax.scatter(at, rows["value"], color=shade, marker=marker, **look.dots(18, 0.6))


def _draw_curves(ax: Axes, rows: pd.DataFrame, shade: str) -> None:
    doses = rows.loc[rows["dose"] > 0, "dose"]
    line = np.geomspace(doses.min(), doses.max(), 100)
    [(_, curves)] = curves_of(rows)
    drawn = [_at(one, line, rows) for one in curves]
    for values in drawn:
        ax.plot(line, values, color=shade, lw=0.7, alpha=0.5)
    ax.plot(line, np.mean(drawn, axis=0), color=shade, lw=2.2)
    table = dose_curves(rows, n_bootstrap=_N_BOOTSTRAP, seed=0)
    shared = table[table["population"] == EVERYONE].iloc[0]
    low, high = shared["half_dose_low"], shared["half_dose_high"]
    if math.isfinite(low):
        along = ax.get_xaxis_transform()
        ax.plot([low, high], [0.02, 0.02], color=shade, lw=3, transform=along)
        ax.plot(shared["half_dose"], 0.02, marker="|", ms=10, color=shade, transform=along)


def _at(one: DoseCurve, doses: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Return the curve, flat where there is no effect."""
    if one.curve is not None:
        return one.curve.at(doses)
    return np.full(len(doses), rows.loc[rows["population"] == one.population, "value"].iloc[0])


def _label(ax: Axes, doses: pd.Series, drug: str, readout: str, variable: str) -> None:
    ax.set_xscale("log")
    control = doses.min() / _ROOM
    ax.axvline(control * _ROOM**0.5, color="0.8", lw=0.8)
    name = _LABELS.get(readout, readout)
    ax.set(xlabel=f"dose of {drug}", ylabel=f"{name}, {variable}" if variable else name)
    ax.text(control, -0.02, "0", ha="center", va="top", transform=ax.get_xaxis_transform())
