"""Read how slices were turned, sized and moved onto each other."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.slices import registration_of
from celltraj._checks import checked


@checked
def registration(adata: AnnData, *, key: str = "couplings") -> pd.DataFrame:
    """Return by how much each slice was sized, turned and moved onto the next.

    ``v = scale R u + offset`` takes places ``u`` of the earlier slice to places ``v`` in the frame
    of the later one.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.couple_space`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.couple_space`.

    Returns
    -------
    A new table, one row for each gap: t0, t1 ([t]), scale, angle (degrees, anticlockwise in the
    plane, of the axis in space), offset_0 and on (unit of the later slice), and by their entries
    the rotation matrix, rotation_00 and on, and the centres, origin_0 and target_0 and on.

    Raises
    ------
    KeyError
        There are no couplings of that name, or they come without places.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.growing_tissue(n_cells=150, seed=0)
    >>> ct.tl.couple_space(adata, progress=False)
    >>> ct.get.registration(adata)[["t0", "t1"]].to_numpy().tolist()
    [[0.0, 1.0], [1.0, 2.0]]
    """
    return registration_of(adata, key)
