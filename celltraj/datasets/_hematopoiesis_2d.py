"""Load mouse haematopoiesis in a 2-D layout."""

from __future__ import annotations

import anndata as ad

from celltraj.datasets._load import load


def hematopoiesis_2d() -> ad.AnnData:
    """Load mouse haematopoiesis in a 2-D layout.

    Growth: cell numbers rise over the three times.
    The file is sought in the folder named by the environment variable
    ``CELLTRAJ_DATA_DIR``, then in the user cache.

    Returns
    -------
    AnnData
        10,998 cells by 2 features, float32; ``obs["time"]`` float, in ``uns["time_unit"]``
        (index (days 2, 4, 6)); the origin in ``uns["source"]``.

    Raises
    ------
    FileNotFoundError
        If the file is in neither place.
    ValueError
        If the checksum of the file is not the recorded one.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.hematopoiesis_2d().shape  # doctest: +SKIP
    (10998, 2)
    """
    return load("hematopoiesis_2d")
