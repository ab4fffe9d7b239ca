"""Loaders of benchmark data, one function per data set.

Each file is sought in the folder ``CELLTRAJ_DATA_DIR``, then in the user's cache, then below the
address ``CELLTRAJ_DATA_URL``. Where it is in none of them, the original files are downloaded and
converted, and kept in the user's cache. Checksums are verified.
Origins and licences: ``datasets/``.
"""

from __future__ import annotations

import anndata as ad

from celltraj._checks import checked
from celltraj.datasets._load import load


@checked
def eb_pca5() -> ad.AnnData:
    """Load embryoid bodies in 5 principal components.

    Leave one interior time out; for the SBIRR comparison train on 0, 2, 4.

    Returns
    -------
    1,500 cells by 5 features, float32; ``obs["time"]``, unit: window of 6 days.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.eb_pca5().shape  # doctest: +SKIP
    (1500, 5)
    """
    return load("eb_pca5")


@checked
def eb_phate2d() -> ad.AnnData:
    """Load embryoid bodies in a 2-D PHATE layout.

    Leave one time out.

    Returns
    -------
    18,203 cells by 2 features, float32; ``obs["time"]``, unit: window of 6 days.

    Raises
    ------
    FileNotFoundError
        The file is nowhere to be found.
    ValueError
        Its checksum is not the recorded one.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.eb_phate2d().shape  # doctest: +SKIP
    (18203, 2)
    """
    return load("eb_phate2d")


@checked
def emt_a549() -> ad.AnnData:
    """Load A549 epithelial-mesenchymal transition, 10-D latent.

    Leave one time out.

    Returns
    -------
    3,133 cells by 10 features, float32; ``obs["time"]``, unit: stage (0d, 8h, 1d, 3d+7d).

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.emt_a549().shape  # doctest: +SKIP
    (3133, 10)
    """
    return load("emt_a549")


@checked
def growing_gaussians_10d() -> ad.AnnData:
    """Load simulated growing Gaussians in 10-D.

    Growth with known truth.

    Returns
    -------
    1,900 cells by 10 features, float32; ``obs["time"]``, unit: dimensionless.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.growing_gaussians_10d().shape  # doctest: +SKIP
    (1900, 10)
    """
    return load("growing_gaussians_10d")


@checked
def gulf_vortex() -> ad.AnnData:
    """Load ocean drifters in a Gulf of Mexico vortex.

    Train on even time indices; hold out the odd ones.

    Returns
    -------
    999 cells by 2 features, float32; ``obs["time"]``, unit: dimensionless.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.gulf_vortex().shape  # doctest: +SKIP
    (999, 2)
    """
    return load("gulf_vortex")


@checked
def guo_embryo() -> ad.AnnData:
    """Load single cells of mouse embryos by qPCR in 5 principal components.

    Small snapshots, growing with the embryo; leave one interior time out.

    Returns
    -------
    410 cells by 5 features, float32; ``obs["time"]``, unit: division (4-cell to 64-cell stage).

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.guo_embryo().shape  # doctest: +SKIP
    (410, 5)
    """
    return load("guo_embryo")


@checked
def hematopoiesis_2d() -> ad.AnnData:
    """Load mouse haematopoiesis in a 2-D layout.

    Growth: cell numbers rise over the three times.

    Returns
    -------
    10,998 cells by 2 features, float32; ``obs["time"]``, unit: index (days 2, 4, 6).

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.hematopoiesis_2d().shape  # doctest: +SKIP
    (10998, 2)
    """
    return load("hematopoiesis_2d")


@checked
def hesc_pca5() -> ad.AnnData:
    """Load hESC to definitive endoderm in 5 principal components.

    Train on 0, 24, 72 h; hold out 12 h and 36 h.

    Returns
    -------
    570 cells by 5 features, float32; ``obs["time"]``, unit: hour.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.hesc_pca5().shape  # doctest: +SKIP
    (570, 5)
    """
    return load("hesc_pca5")


@checked
def hesc_tf() -> ad.AnnData:
    """Load hESC to definitive endoderm, 100 transcription factors.

    Gene-space tutorial and regulation.

    Returns
    -------
    758 cells by 100 features, float32; ``obs["time"]``, unit: hour.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.hesc_tf().shape  # doctest: +SKIP
    (758, 100)
    """
    return load("hesc_tf")


@checked
def ipsc_latent4() -> ad.AnnData:
    """Load iPSC to cardiomyocyte, 4-D latent.

    Unequal time gaps and a bifurcation.

    Returns
    -------
    1,896 cells by 4 features, float32; ``obs["time"]``, unit: hour.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.ipsc_latent4().shape  # doctest: +SKIP
    (1896, 4)
    """
    return load("ipsc_latent4")


@checked
def lotka_volterra() -> ad.AnnData:
    """Load simulated Lotka-Volterra benchmark.

    Train on even time indices; hold out the odd ones.

    Returns
    -------
    450 cells by 2 features, float32; ``obs["time"]``, unit: dimensionless.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.lotka_volterra().shape  # doctest: +SKIP
    (450, 2)
    """
    return load("lotka_volterra")


@checked
def lotka_volterra_200() -> ad.AnnData:
    """Load simulated Lotka-Volterra populations of 200 cells.

    Train on even time indices; hold out the odd ones.

    Returns
    -------
    2,200 cells by 2 features, float32; ``obs["time"]``, unit: dimensionless.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.lotka_volterra_200().shape  # doctest: +SKIP
    (2200, 2)
    """
    return load("lotka_volterra_200")


@checked
def pbmc_programs() -> ad.AnnData:
    """Load PBMC immune time course, 30 gene programs.

    Long course; hold out the odd hours.

    Returns
    -------
    10,500 cells by 30 features, float32; ``obs["time"]``, unit: hour.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.pbmc_programs().shape  # doctest: +SKIP
    (10500, 30)
    """
    return load("pbmc_programs")


@checked
def repressilator() -> ad.AnnData:
    """Load simulated repressilator benchmark.

    Train on even time indices; hold out the odd ones.

    Returns
    -------
    550 cells by 3 features, float32; ``obs["time"]``, unit: dimensionless.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.repressilator().shape  # doctest: +SKIP
    (550, 3)
    """
    return load("repressilator")


@checked
def shalek_lps() -> ad.AnnData:
    """Load LPS-stimulated dendritic cells in 5 principal components.

    Small snapshots at unequal gaps; leave one interior time out.

    Returns
    -------
    307 cells by 5 features, float32; ``obs["time"]``, unit: hour.

    Raises
    ------
    FileNotFoundError
        The file is not here, and its original cannot be downloaded.
    ValueError
        The checksum of a file is not the recorded one, or a page of HTML came in its place.
    OSError
        The cache folder is full or may not be written.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.shalek_lps().shape  # doctest: +SKIP
    (307, 5)
    """
    return load("shalek_lps")
