"""Load simulated growing Gaussians in 10-D."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def growing_gaussians_10d() -> ad.AnnData:
    """Load simulated growing Gaussians in 10-D.

    Growth with known truth.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        1,900 cells by 10 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
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
    >>> ct.datasets.growing_gaussians_10d().shape  # doctest: +SKIP
    (1900, 10)
    """
    return load("growing_gaussians_10d")
