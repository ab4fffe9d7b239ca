"""Draw how predicted and observed fates agree, before and after calibration."""

from __future__ import annotations

from typing import Unpack

import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import CALIBRATION
from celltraj._checks import checked
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._style import Style
from celltraj.pl._styled import DotOnlyStyle, styled

_AFTER, _BEFORE = "black", "0.65"
_SIZE = 24.0  # square points of a dot


@tidy
@checked
@styled
def calibration(
    adata: AnnData,
    *,
    fate: str | None = None,
    key: str = "ct_fates_calibrated",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[DotOnlyStyle],
) -> object:
    """Draw the reliability curve of a fate: the share that was seen against that predicted.

    On units kept aside: grey and hollow before, black after calibration, with the interval of the
    mean over units; on the diagonal, what is predicted is what is seen. The title says how often
    the intervals held.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.calibrate`, also one that was read from a file; not changed.
    fate
        Name of the fate; by default the first.
    key
        The ``key_added`` of :func:`celltraj.tl.calibrate`.
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
    ValueError
        No such fate.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["side"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> adata.obs["clone"] = [f"{i % 60} {s}" for i, s in enumerate(adata.obs["side"])]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.fates(adata, groupby="side")
    >>> ct.tl.calibrate(adata, unit_key="clone", confidence=0.9)
    >>> ct.pl.calibration(adata, fate="up", show=False).get_xlabel()
    'predicted share of up'
    >>> plt.close()
    """
    look = Style(**style)
    scores, curve = (CALIBRATION.table(adata, key, name) for name in ("scores", "curve"))
    names = scores["fate"].tolist()
    fate = names[0] if fate is None else fate
    if fate not in names:
        raise ValueError(f"no fate {fate!r} was calibrated; found {names}")
    level = float(CALIBRATION.peek(adata, key)["params"]["confidence"])
    ax = axes_of(ax, look, (3.4, 3.4))
    ax.plot([0, 1], [0, 1], color="0.85", lw=1, zorder=0)
    rows = curve[curve["fate"] == fate].sort_values("before")
    _draw(ax, rows, look)
    held = float(scores.loc[scores["fate"] == fate, "coverage"].iloc[0])
    ax.set_title(f"{level:.0%} intervals hold {held:.0%} of units", fontsize="medium")
    ax.set_xlabel(f"predicted share of {fate}")
    ax.set_ylabel(f"observed share, {level:.0%} interval")
    ax.legend(frameon=False)
    return finish("calibration", ax, show=show, save=save, return_fig=return_fig, look=look)


def _draw(ax: Axes, rows: pd.DataFrame, look: Style) -> None:
    """Draw both curves, and the intervals of what was seen."""
    dots = look.dots(_SIZE) | {"lw": 1.2}
    before = {"facecolor": "white", "edgecolor": _BEFORE, "label": "before"}
    after = {"facecolor": _AFTER, "edgecolor": _AFTER, "label": "after"}
    for name, shade, faces in (("before", _BEFORE, before), ("after", _AFTER, after)):
        ax.plot(rows[name], rows["observed"], color=shade, lw=1, zorder=1)
        ax.scatter(rows[name], rows["observed"], zorder=3, **faces, **dots)
    ax.vlines(rows["after"], rows["lower"], rows["upper"], color=_AFTER, lw=1.2)
