"""Load PBMC immune time course, 30 gene programs."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def pbmc_programs() -> ad.AnnData:
    """Load PBMC immune time course, 30 gene programs.

    Long course; hold out the odd hours.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        10,500 cells by 30 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
        (hour); the origin in ``uns["source"]``.

    Raises
    ------
    FileNotFoundError
        If the file is in neither place.
    ValueError
        If the checksum of the file is not the recorded one.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.pbmc_programs().shape  # doctest: +SKIP
    (10500, 30)
    """
    return load("pbmc_programs")
