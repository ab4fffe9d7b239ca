"""Loaders of time courses whose cells divide, and whose descendants are known in part.

Found and verified as those of the other time courses are. Origins and licences: ``datasets/``.
"""

from __future__ import annotations

import anndata as ad

from celltraj._checks import checked
from celltraj.datasets._load import load


@checked
def gene_circuit_growth() -> ad.AnnData:
    """Load a simulated gene circuit with growing and quiescent cells.

    Cells that move to high ``dim2`` divide faster the higher it is; the others hardly divide. Pass
    ``counts="population"`` where a fit asks what numbers of cells mean.

    Returns
    -------
    3,031 cells by 2 features, float32; ``obs["time"]``, unit: dimensionless.

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
    Zhang et al., *Learning stochastic dynamics from snapshots through regularized unbalanced
    optimal transport* (2025).

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.gene_circuit_growth().shape  # doctest: +SKIP
    (3031, 2)
    """
    return load("gene_circuit_growth")


@checked
def larry_spring() -> ad.AnnData:
    """Load mouse haematopoiesis with clonal barcodes in a 2-D layout, all cells.

    Fates: the truth is what the clones of early cells became. Predictions of three methods are
    there to compare with.

    Returns
    -------
    130,887 cells by 2 features, float32; ``obs["time"]``, unit: day (2, 4, 6); ``obs["arm"]``
    (``"Monocyte"``, ``"Neutrophil"``, ``"undifferentiated"``); ``obs["growth_score"]``, which the
    package cannot make of the original files (a warning says so); ``obs["neu_mono_trajectory"]``
    (bool); of 20,157 cells of day 2 ``obs["truth_neutrophil"]``, the predictions ``obs["pba"]``,
    ``obs["wot"]`` and ``obs["fateid"]``, and ``obs["heldout"]`` (1 for those to judge by), else
    NaN; ``obsm["clonal_fate"]``, relatives of each cell of day 2 by the 10 fates named in
    ``uns["clonal_fate_names"]``, all 0 where none is known, NaN on later days.

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
    Weinreb et al., *Lineage tracing on transcriptional landscapes links state to fate during
    differentiation* (2020).

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.larry_spring().shape  # doctest: +SKIP
    (130887, 2)
    """
    return load("larry_spring")


@checked
def reprogramming() -> ad.AnnData:
    """Load mouse fibroblasts on their way to pluripotent cells, with the couplings of another tool.

    Couplings, transitions and growth in gene space; hold out day 10.5. Only 4 of the 97 genes that
    ``ct.pp.score_growth`` knows of proliferation are among the genes, and 41 of the 161 of
    apoptosis: pass it genes of your own, or a lower ``min_share``.

    Returns
    -------
    1,000 cells by 1,479 genes, logarithmic expression (sparse float32); ``obs["time"]``, unit: day
    (10, 10.5, 11); ``obs["cell_type"]`` (``"unknown"`` for 325 cells); ``obs["batch"]`` (0, 1, 2);
    ``uns["wot_tmap_10_105"]``, ``uns["wot_tmap_105_11"]`` and ``uns["wot_tmap_10_11"]``, couplings
    of Waddington-OT, cells of the earlier day by those of the later one in the order of the file.

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
    Schiebinger et al., *Optimal-transport analysis of single-cell gene expression identifies
    developmental trajectories in reprogramming* (2019).

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.reprogramming().shape  # doctest: +SKIP
    (1000, 1479)
    """
    return load("reprogramming")
