"""Load embryoid bodies in 5 principal components."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def eb_pca5() -> ad.AnnData:
    """Load embryoid bodies in 5 principal components.

    Leave one interior time out; for the SBIRR comparison train on 0, 2, 4.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        1,500 cells by 5 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
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
    >>> ct.datasets.eb_pca5().shape  # doctest: +SKIP
    (1500, 5)
    """
    return load("eb_pca5")
