"""Load A549 epithelial-mesenchymal transition, 10-D latent."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def emt_a549() -> ad.AnnData:
    """Load A549 epithelial-mesenchymal transition, 10-D latent.

    Leave one time out.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        3,133 cells by 10 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
        (stage (0d, 8h, 1d, 3d+7d)); the origin in ``uns["source"]``.

    Raises
    ------
    FileNotFoundError
        If the file is in neither place.
    ValueError
        If the checksum of the file is not the recorded one.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.emt_a549().shape  # doctest: +SKIP
    (3133, 10)
    """
    return load("emt_a549")
