"""Load embryoid bodies in a 2-D PHATE layout."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def eb_phate2d() -> ad.AnnData:
    """Load embryoid bodies in a 2-D PHATE layout.

    Leave one time out.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        18,203 cells by 2 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
        (window of 6 days); the origin in ``uns["source"]``.

    Raises
    ------
    FileNotFoundError
        If the file is in neither place.
    ValueError
        If the checksum of the file is not the recorded one.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.eb_phate2d().shape  # doctest: +SKIP
    (18203, 2)
    """
    return load("eb_phate2d")
