"""Read slow modes as tables."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import SLOW_MODES
from celltraj._checks import checked

_TABLES = {"scales": "table", "sets": "sets", "rates": "rates"}


@checked
def slow_modes(adata: AnnData, *, key: str = "ct_modes", kind: str = "scales") -> pd.DataFrame:
    """Return how fast slow modes are forgotten, the sets of cells, or the rates between them.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.slow_modes`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.slow_modes`.
    kind
        ``"scales"``, ``"sets"``, or of a law of motion ``"rates"`` between sets.

    Returns
    -------
    A new table. ``"scales"``: a row for each mode and by what its rate is known, ``by``
    (``"couplings"``, ``"features"``, for a barrier an upper bound, or simulated ``"crossings"``):
    mode, by, rate, lower, upper, frequency (1/[t]), time, time_lower, time_upper ([t]), and of
    couplings singular_value. ``"sets"``: a row for each set and time: set, time, share, and decided
    (which share of descendants is in the set in the end; of couplings) or stays (the chance that
    cells do not leave it in the time of the whole course; of a law). ``"rates"``: a row for each
    pair of sets: source, target, rate, lower, upper (1/[t]), crossings, at_risk ([t]).

    Raises
    ------
    KeyError
        There is no such record, or it holds no rates.
    ValueError
        Another ``kind``, or the cells are others than it was computed from.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=100, seed=0)
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.slow_modes(adata, n_modes=3, progress=False)
    >>> ct.get.slow_modes(adata)["by"].tolist()
    ['couplings', 'couplings', 'couplings']
    """
    if kind not in _TABLES:
        raise ValueError(f"kind must be one of {tuple(_TABLES)}; found {kind!r}")
    if kind == "rates" and "rates" not in SLOW_MODES.read(adata, key):
        raise KeyError(
            f"the result {key!r} holds no rates between sets, which a law of motion has that tells "
            "several apart: ct.tl.slow_modes(adata, model)"
        )
    return SLOW_MODES.table(adata, key, _TABLES[kind])
