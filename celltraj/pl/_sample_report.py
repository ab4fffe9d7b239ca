"""Draw how far samples and batches of each time are apart."""

from __future__ import annotations

from typing import Literal, Unpack

import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import SAMPLE_REPORT
from celltraj._checks import checked
from celltraj.pl._cells import time_label
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._style import Style
from celltraj.pl._styled import DotStyle, styled

_SAMPLES, _HALVES, _MOVEMENT, _BATCHES = (
    "between samples",
    "within samples",
    "from time to time",
    "between batches",
)
_SHADES = {_SAMPLES: "black", _HALVES: "0.6", _MOVEMENT: "C0", _BATCHES: "C1"}
_SIZE = 36.0  # square points of a dot
_MOST_TICKS = 12


@tidy
@checked
@styled
def sample_report(
    adata: AnnData,
    *,
    key: str = "sample_report",
    metric: Literal["W1", "energy"] = "W1",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[DotStyle],
) -> object:
    """Draw how far samples of each time are apart, beside cells of one drawn twice.

    Besides, how far cells move over each gap, and where batches were told how far those of one time
    are apart. A line is of as many cells as its time has; distances of fewer cells are larger, so
    that samples compare with their own grey dots and not with those of other times.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.sample_report`, also one that was read from a file; not changed.
    key
        The ``key_added`` of :func:`celltraj.tl.sample_report`.
    metric
        ``"W1"``, or ``"energy"`` for the energy distance.
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
        There is no such record.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["mouse"] = [f"m{k % 3}" for k in range(adata.n_obs)]
    >>> ct.tl.sample_report(adata, sample_key="mouse", progress=False)
    >>> ct.pl.sample_report(adata, show=False).get_ylabel()
    'W1'
    >>> plt.close()
    """
    look, record = Style(**style), SAMPLE_REPORT.read(adata, key)
    table, gaps = record["table"], record["gaps"]
    shifts = record.get("shifts", pd.DataFrame({"time": [], metric: []}))
    names = [_SAMPLES, _HALVES, _MOVEMENT, *([_BATCHES] if len(shifts) else [])]
    shades = named_colors(look, {name: _SHADES[name] for name in names})
    ax = axes_of(ax, look)
    ax.hlines(
        gaps[metric], gaps["t0"], gaps["t1"], color=shades[_MOVEMENT], lw=1.8, alpha=look.alpha
    )
    drawn = {
        _SAMPLES: (table["time"], table[f"{metric}_between"], "o"),
        _HALVES: (table["time"], table[f"{metric}_within"], "o"),
        _MOVEMENT: ((gaps["t0"] + gaps["t1"]) / 2, gaps[metric], "s"),
        _BATCHES: (shifts["time"], shifts[metric], "D"),
    }
    for name in names:
        times, values, marker = drawn[name]
        dots = look.dots(_SIZE) | {"color": shades[name], "label": name, "marker": marker}
        ax.scatter(times, values, zorder=3, **dots)
    if len(table) <= _MOST_TICKS:
        ax.set_xticks(table["time"], [f"{t:g}" for t in table["time"]])
    ax.set_ylim(bottom=0)
    time_key = str(record["params"]["time_key"])
    ax.set(xlabel=time_label(adata, time_key), ylabel=_label(metric))
    ax.spines[["top", "right"]].set_visible(False)
    add_legend(ax, ax.get_legend_handles_labels()[0], look)
    return finish("sample_report", ax, show=show, save=save, return_fig=return_fig, look=look)


def _label(metric: str) -> str:
    return "energy distance" if metric == "energy" else metric
