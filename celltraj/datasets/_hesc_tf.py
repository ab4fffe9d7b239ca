"""Load hESC to definitive endoderm, 100 transcription factors."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def hesc_tf() -> ad.AnnData:
    """Load hESC to definitive endoderm, 100 transcription factors.

    Gene-space tutorial and regulation.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        758 cells by 100 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
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
    >>> ct.datasets.hesc_tf().shape  # doctest: +SKIP
    (758, 100)
    """
    return load("hesc_tf")
