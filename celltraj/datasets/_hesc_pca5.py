"""Load hESC to definitive endoderm in 5 principal components."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def hesc_pca5() -> ad.AnnData:
    """Load hESC to definitive endoderm in 5 principal components.

    Train on 0, 24, 72 h; hold out 12 h and 36 h.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        570 cells by 5 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
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
    >>> ct.datasets.hesc_pca5().shape  # doctest: +SKIP
    (570, 5)
    """
    return load("hesc_pca5")
