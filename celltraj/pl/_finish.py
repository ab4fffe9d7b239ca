"""The shared beginning and ending of every plot."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Save = bool | str | Path | None


def axes_of(ax: Axes | None) -> Axes:
    """Return ``ax``, or the axes of a new figure."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def finish(
    name: str, figure: Figure, drawn: object, *, show: bool | None, save: Save, return_fig: bool
) -> object:
    """Save, show and return as scanpy's plots do.

    ``save=True`` writes to scanpy's figure folder under the name of the plot; a path is taken as it
    is. Returns the figure, nothing once it was shown, or what was ``drawn``.
    """
    if save:
        path = Path(sc.settings.figdir) / f"{name}.{sc.settings.file_format_figs}"
        path = path if save is True else Path(save)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, bbox_inches="tight", dpi=150)
    if return_fig:
        return figure
    if sc.settings.autoshow if show is None else show:
        plt.show()
        return None
    return drawn
