"""Panels of one figure, row by row."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from celltraj.pl._style import PLAIN, Style


def panels_of(
    n: int,
    most_columns: int,
    *,
    look: Style = PLAIN,
    ax: Axes | None = None,
    size: tuple[float, float],
    beside: tuple[float, float],
    sharex: bool = True,
    sharey: bool = True,
) -> np.ndarray:
    """Return ``n`` axes of a new figure that share their limits, unless they are not to.

    Or the user's ``ax`` alone. ``size`` is that of a panel, ``beside`` what the figure has besides,
    both in inches, where the style does not say how large the figure is.

    Raises
    ------
    ValueError
        The style is for a new figure, and ``ax`` is given.
    """
    look.check_new(ax)
    if ax is not None:
        return np.array([ax])
    n_columns = min(n, look.ncols or most_columns)
    n_rows = -(-n // n_columns)
    usual = (size[0] * n_columns + beside[0], size[1] * n_rows + beside[1])
    _, panels = plt.subplots(
        n_rows,
        n_columns,
        figsize=look.figsize or usual,
        sharex=sharex,
        sharey=sharey,
        squeeze=False,
        layout="constrained",
    )
    for panel in panels.flat[n:]:
        panel.remove()
    drawn = panels.flatten()[:n]
    for panel in drawn[-n_columns:]:
        panel.xaxis.set_tick_params(labelbottom=True)  # also above a place left empty
    return drawn
