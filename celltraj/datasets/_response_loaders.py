"""Loaders of treated and untreated populations, one function per data set.

Found and verified as those of the time courses are. Origins and licences: ``datasets/``.
"""

from __future__ import annotations

import anndata as ad

from celltraj._checks import checked
from celltraj.datasets._load import load


@checked
def glioblastoma() -> ad.AnnData:
    """Load glioblastoma slices of 5 patients, control and panobinostat.

    Leave one patient out.

    Returns
    -------
    5,000 cells by 300 genes, raw counts in ``X`` (sparse float32), their logarithms in
    ``layers["logcounts"]``; ``obs["patient_id"]``; ``obs["condition"]`` (``"ctrl"``,
    ``"panobinostat"``), 500 cells of each patient in each.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    References
    ----------
    Zhao et al. (2021), Deconvolution of cell type-specific drug responses in human tumor tissue
    with single-cell RNA-seq, Genome Medicine.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.glioblastoma().shape  # doctest: +SKIP
    (5000, 300)
    """
    return load("glioblastoma")


@checked
def kang_counts() -> ad.AnnData:
    """Load blood cells of 8 donors with and without interferon beta, raw counts.

    A small sample for work in gene space; the cell type of 891 cells is ``"unknown"``.

    Returns
    -------
    2,000 cells by 9,015 genes, raw counts (sparse float32); ``obs["donor"]``;
    ``obs["condition"]`` (``"CTRL"``, ``"STIM"``); ``obs["singlet"]`` (bool);
    ``obs["cell_type"]``, which the package cannot make of the original files (a warning says so).

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    References
    ----------
    Kang et al. (2018), Multiplexed droplet single-cell RNA-sequencing using natural genetic
    variation, Nature Biotechnology.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.kang_counts().shape  # doctest: +SKIP
    (2000, 9015)
    """
    return load("kang_counts")


@checked
def kang_pca5() -> ad.AnnData:
    """Load blood cells of 8 donors with and without interferon beta, 5 principal components.

    Leave one donor out, or one cell type.

    Returns
    -------
    13,963 cells by 5 features, float32; ``obs["donor"]``; ``obs["condition"]`` (``"CTRL"``,
    ``"STIM"``: 6 hours of interferon beta); ``obs["cell_type"]`` (13); ``obsm["X_umap"]``.

    Raises
    ------
    FileNotFoundError
        The file is nowhere to be found.
    ValueError
        Its checksum is not the recorded one.

    References
    ----------
    Kang et al. (2018), Multiplexed droplet single-cell RNA-sequencing using natural genetic
    variation, Nature Biotechnology.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.kang_pca5().shape  # doctest: +SKIP
    (13963, 5)
    """
    return load("kang_pca5")
