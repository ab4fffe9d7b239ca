"""The shared ending of every plot."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def finish(
    ax: Axes, *, show: bool | None, save: str | Path | None, return_fig: bool
) -> Figure | Axes | None:
    """Save, show and return as scanpy's plots do."""
    figure = ax.figure
    if save is not None:
        figure.savefig(save, bbox_inches="tight", dpi=150)
    if return_fig:
        return figure
    if sc.settings.autoshow if show is None else show:
        plt.show()
        return None
    return ax
