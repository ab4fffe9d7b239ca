"""Couple snapshots by the features of their cells and by lineage trees within each."""

from __future__ import annotations

from dataclasses import replace

from anndata import AnnData

from celltraj._anndata import annotated, read_observed, write_couplings
from celltraj._anndata.coupled import Coupled
from celltraj._anndata.kin import read_kin
from celltraj._anndata.results import COUPLINGS
from celltraj._anndata.write import recorded
from celltraj._checks import checked
from celltraj.models import Lineage
from celltraj.models.fused import couple_fused
from celltraj.ot import FusedGromov


@checked
def couple_lineages(
    adata: AnnData,
    *,
    lineage_key: str,
    alpha: float = 0.5,
    time_key: str = "time",
    use_rep: str | None = None,
    epsilon: float | None = None,
    growth_key: str | None = None,
    options: FusedGromov | None = None,
    key_added: str = "couplings",
    copy: bool = False,
    progress: bool = True,
) -> AnnData | None:
    r"""Lineage couplings: tell which cells become which, where trees say who is kin at each time.

    Fused Gromov-Wasserstein transport, ``min (1 - alpha) <C, P> + alpha c sum_ijkl |Dx_ik -
    Dy_jl|^2 P_ij P_kl``, with ``C_ij = |x_i - y_j|^2 / 2`` of features, the distances ``Dx`` and
    ``Dy`` of cells along the trees of their times, each over its mean, and the mean cost ``c``:
    cells that are near kin become cells that are near kin. Trees of different times need no leaf in
    common, as in experiments in which cells are destroyed; barcodes that are the same at several
    times tell more, see :func:`celltraj.tl.couple_clones`. Neither convex nor linear: of at most
    3,000 cells a time, from several starts.

    Parameters
    ----------
    adata
        Cells of all times.
    lineage_key
        Key of ``obsp`` with distances between the cells of each time, ``(n_obs, n_obs)``, of which
        those between times are not read; or of ``uns`` with trees as Newick strings whose leaves
        are the names of cells: one of all times, or a dict by time.
    alpha
        Weight of lineages beside features, in [0, 1].
    time_key
        Column of ``obs`` with the sampling times; their unit is kept.
    use_rep
        ``"X"`` or a key of ``obsm`` with the features; ``X_pca`` by default, or ``X`` with at most
        50 variables.
    epsilon
        Regularisation in units of ``|x - y|^2 / 2``; none by default.
    growth_key
        Column of ``obs`` with the net growth that couplings are to expect, per unit of time.
    options
        How gaps are coupled, whose ``alpha`` is the one given here; by default
        :class:`celltraj.ot.FusedGromov`'s own.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written are couplings as plans, which
    :func:`celltraj.tl.fates`, :func:`celltraj.tl.transitions` and the others read: ``obsp[key]``
    (``(n_obs, n_obs)``, sparse), where cells weigh differently ``obs["{key}_weight"]``, and
    ``uns["celltraj"][key]`` as that of :func:`celltraj.tl.couplings`.

    Raises
    ------
    KeyError
        A named column, representation or key does not exist, or a time has no tree.
    ValueError
        ``alpha`` outside [0, 1]; too many cells; cells that are no leaves of the tree, a text that
        is no Newick string, distances that are missing, negative, not symmetric or all zero.
    MemoryError
        It would take more than :func:`celltraj.memory_limit` allows.
    ConvergenceError
        The iterations ran out.

    References
    ----------
    Lange et al., *Mapping lineage-traced cells across time points with moslin* (2024), for the
    problem; Vayer et al., *Optimal transport for structured data with application on graphs*
    (2019).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=12, seed=0)
    >>> adata.obsp["apart"] = abs(adata.X[:, 1:] - adata.X[:, 1])  # in place of a tree
    >>> ct.tl.couple_lineages(adata, lineage_key="apart", progress=False)
    >>> ct.tl.growth(adata)
    """
    COUPLINGS.claim(adata, key_added)
    if not 0 <= alpha <= 1:
        raise ValueError(
            f"alpha must lie in [0, 1], 0 for features and 1 for lineages alone; found {alpha}"
        )
    options = replace(options or FusedGromov(), alpha=float(alpha))
    observed = read_observed(adata, time_key=time_key, use_rep=use_rep, growth_key=growth_key)
    features = observed.snapshots()
    couplings = couple_fused(
        features,
        read_kin(adata, lineage_key, time_key),
        options,
        epsilon=epsilon or 0.0,
        what=("lineages", "gap"),
        progress=progress,
    )
    params = {
        "lineage_key": lineage_key,
        "options": recorded(options),
        "epsilon": epsilon,
        "growth_key": growth_key,
    }
    lineage = Lineage(features.times, couplings, features.weights, features.sizes)
    made = Coupled(lineage, time_key, observed.states.name, params, has_potentials=False)
    adata = annotated(adata, copy)
    write_couplings(adata, key_added, made, seed=0)
    return adata if copy else None
