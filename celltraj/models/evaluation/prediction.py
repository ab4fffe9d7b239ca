"""What is said of cells that were held out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Prediction(NamedTuple):
    """Predicted cells.

    Parameters
    ----------
    x
        ``(n, d)`` states.
    weights
        ``(n,)`` mass of each; None where all have the same.
    """

    x: np.ndarray
    weights: np.ndarray | None = None
