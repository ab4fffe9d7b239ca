"""Write the transition matrix that CellRank's kernels read."""

from __future__ import annotations

from anndata import AnnData
from scipy.sparse import csr_matrix

from celltraj._anndata import annotated, read_lineage, sample_record, transition_matrix
from celltraj._anndata.results import MATRIX
from celltraj.models import Process
from celltraj.ot._coupling import check_mass


def to_cellrank(
    adata: AnnData,
    model: Process | None = None,
    *,
    key: str = "couplings",
    time_key: str | None = None,
    use_rep: str | None = None,
    mass: float = 1e-3,
    key_added: str = "T_fwd",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Write the probabilities with which each cell becomes each cell of the next time.

    ``T_ij = P_ij / sum_j P_ij`` between neighbouring times, a matrix whose rows sum to 1; cells of
    the last time, and cells without descendants, stay where they are. ``T`` to the power of the
    number of gaps holds the couplings over the whole course. In CellRank
    ``cellrank.kernels.PrecomputedKernel(adata, obsp_key="T_fwd")``.

    A chain counts cells, :func:`celltraj.tl.fates` counts descendants: the fates of both are the
    same where couplings keep the mass of every cell (``tau=(1, 1)``), and differ where some
    descendants multiply more than others.

    Parameters
    ----------
    adata
        Cells of all times.
    model
        A fitted bridge, whose couplings are used; or a flow or any process, which is simulated from
        snapshot to snapshot. By default the couplings in ``adata``.
    key
        Couplings to use without a model, the ``key_added`` of :func:`celltraj.tl.couplings`.
    time_key, use_rep
        Times and representation that a model was fitted with; couplings know theirs.
    mass
        Share of each row's mass that may be left out, in its smallest entries.
    key_added
        Name of the matrix; CellRank finds ``"T_fwd"`` by itself.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of a simulation.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsp[key_added]`` (``(n_obs, n_obs)``
    sparse, float32), ``uns[f"{key_added}_params"]``, from which CellRank's kernels know it, and
    ``uns["celltraj"][key_added]`` (params, version, seed).

    Raises
    ------
    KeyError
        There are no couplings of that name.
    ValueError
        ``mass`` lies outside [0, 1), or the cells are not those that were coupled.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.ex.to_cellrank(adata)
    >>> bool(abs(adata.obsp["T_fwd"].sum(1) - 1).max() < 1e-5)
    True
    """
    MATRIX.claim(adata, key_added)
    check_mass(mass)
    tied = read_lineage(
        adata, model, key=key, time_key=time_key, use_rep=use_rep, seed=seed, progress=progress
    )
    matrix = transition_matrix(tied, adata.n_obs, mass=mass, progress=progress)
    adata = annotated(adata, copy)
    # CellRank knows scipy's matrices, not yet its arrays
    params = {"couplings": tied.name, "time_key": tied.time_key, "mass": mass}
    record, columns = sample_record(params, seed), {key_added: csr_matrix(matrix)}
    MATRIX.write(adata, key_added, record, columns, source=tied.source)
    adata.uns[f"{key_added}_params"] = {
        "params": {"origin": f"celltraj: {tied.name}", "mass": mass},
        "init": {"obsp_key": key_added, "backward": False},
    }
    return adata if copy else None
