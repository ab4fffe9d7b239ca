"""Load simulated repressilator benchmark."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def repressilator() -> ad.AnnData:
    """Load simulated repressilator benchmark.

    Train on even time indices; hold out the odd ones.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        550 cells by 3 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
        (dimensionless); the origin in ``uns["source"]``.

    Raises
    ------
    FileNotFoundError
        If the file is in neither place.
    ValueError
        If the checksum of the file is not the recorded one.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.repressilator().shape  # doctest: +SKIP
    (550, 3)
    """
    return load("repressilator")
