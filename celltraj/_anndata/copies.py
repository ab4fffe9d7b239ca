"""Cells that are exact copies of others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.util import hash_pandas_object

from celltraj._errors import DataWarning, warn

_SHOWN = 5


def row_hashes(x: np.ndarray) -> np.ndarray:
    """Return a number ``(n,)`` for each cell that is the same for equal cells alone, but by chance.

    Two of a million unlike cells share one with a probability of 1e-7.
    """
    # adding zero makes one of the two zeros
    found: np.ndarray = hash_pandas_object(pd.DataFrame(x + 0.0), index=False).to_numpy()
    return found


def warn_of_copies(groups: Mapping[str, np.ndarray]) -> None:
    """Warn of groups with cells that are copies of others of the group.

    Parameters
    ----------
    groups
        ``(n, d)`` states of each, by name.

    Warns
    -----
    DataWarning
        There are copies, or a group is copies of one cell and nothing else.
    """
    kinds = {name: len(np.unique(row_hashes(x))) for name, x in groups.items()}
    single = [name for name, n in kinds.items() if n == 1 < len(groups[name])]
    if single:
        warn(
            f"all cells of {single[:_SHOWN]} are copies of one: they have no spread, and nothing "
            "tells how their population responds; drop them, or look for a mistake upstream",
            DataWarning,
        )
    copies = {name: len(groups[name]) - n for name, n in kinds.items() if name not in single}
    copies = {name: n for name, n in copies.items() if n}
    if copies:
        shown = dict(list(copies.items())[:_SHOWN])
        more = f" and {len(copies) - _SHOWN} more" if len(copies) > _SHOWN else ""
        warn(
            f"cells that are exact copies of others: {shown}{more}; if that is not meant, drop "
            "duplicates, which count twice",
            DataWarning,
        )
