"""Panels of one figure, row by row."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np


def panels_of(
    n: int,
    most_columns: int,
    *,
    size: tuple[float, float],
    beside: tuple[float, float],
    sharex: bool = True,
    sharey: bool = True,
) -> np.ndarray:
    """Return ``n`` axes of a new figure that share their limits, unless they are not to.

    ``size`` is that of a panel, ``beside`` what the figure has besides, both in inches.
    """
    n_columns = min(n, most_columns)
    n_rows = -(-n // n_columns)
    _, panels = plt.subplots(
        n_rows,
        n_columns,
        figsize=(size[0] * n_columns + beside[0], size[1] * n_rows + beside[1]),
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
