"""Load iPSC to cardiomyocyte, 4-D latent."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def ipsc_latent4() -> ad.AnnData:
    """Load iPSC to cardiomyocyte, 4-D latent.

    Unequal time gaps and a bifurcation.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        1,896 cells by 4 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
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
    >>> ct.datasets.ipsc_latent4().shape  # doctest: +SKIP
    (1896, 4)
    """
    return load("ipsc_latent4")
