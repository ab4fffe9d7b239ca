"""Write the transition matrix that CellRank's kernels read."""

from __future__ import annotations

from anndata import AnnData
from scipy.sparse import csr_matrix

from celltraj._anndata import (
    annotated,
    read_lineage,
    read_representation,
    sample_record,
    transition_matrix,
)
from celltraj._anndata.neighbours import with_neighbours
from celltraj._anndata.results import MATRIX
from celltraj._checks import checked

_STEPS = ("diagonal", "connectivities", "all")


@checked
def to_cellrank(
    adata: AnnData,
    *,
    key: str = "couplings",
    drop: float = 1e-3,
    self_transitions: str = "diagonal",
    conn_weight: float = 0.2,
    key_added: str = "T_fwd",
    copy: bool = False,
    progress: bool = True,
) -> AnnData | None:
    """Transition matrix: write the probabilities with which cells become those of the next time.

    ``T_ij = P_ij / sum_j P_ij`` between neighbouring times, a matrix whose rows sum to 1. In
    CellRank ``cellrank.kernels.PrecomputedKernel(adata, obsp_key="T_fwd")``.

    By default cells of the last time, and cells without descendants, stay where they are: ``T`` to
    the power of the number of gaps holds the couplings over the whole course, and fates to terminal
    states that you set are those of the couplings. Every cell of the last time is then a terminal
    state of its own, and whatever looks for terminal states fails or finds single cells:
    ``GPCCA.fit``, ``compute_macrostates`` and ``predict_terminal_states``, and those of ``CFLARE``.
    They need ``self_transitions="connectivities"``, or ``"all"``, which are the words of CellRank's
    ``RealTimeKernel``. Fates to states that were found so are of the chain with these steps.

    A chain counts cells, :func:`celltraj.tl.fates` counts descendants: the fates of both are the
    same where couplings keep the mass of every cell (``tau=(1, 1)``), and differ where some
    descendants multiply more than others.

    Parameters
    ----------
    adata
        Cells of all times.
    key
        Couplings to read, the ``key_added`` of :func:`celltraj.tl.couplings`; neighbours are those
        in their representation.
    drop
        Share of each row's mass that may be left out, in its smallest entries.
    self_transitions
        What cells of the last time, and cells without descendants, do: ``"diagonal"``, stay;
        ``"connectivities"``, move among the nearest cells of their time; ``"all"``, the same, and
        all other cells do so too with a share of each step.
    conn_weight
        That share, for ``"all"`` alone.
    key_added
        Name of the result; CellRank finds ``"T_fwd"`` by itself.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
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
        ``drop`` lies outside [0, 1), other ``self_transitions``, ``conn_weight`` outside (0, 1), or
        the cells are not those that were coupled.

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
    _check_steps(self_transitions, conn_weight)
    tied = read_lineage(adata, key)
    matrix = transition_matrix(tied, adata.n_obs, drop=drop, progress=progress)
    params = {
        "couplings": tied.name,
        "time_key": tied.time_key,
        "drop": drop,
        "self_transitions": self_transitions,
    }
    if self_transitions != "diagonal":
        name, x = read_representation(adata, tied.source.use_rep)
        share = conn_weight if self_transitions == "all" else 0.0
        matrix = with_neighbours(matrix, tied.rows, x, share)
        params |= {"conn_weight": share, "use_rep": name}
    adata = annotated(adata, copy)
    # CellRank knows scipy's matrices, not yet its arrays
    record, columns = sample_record(params, tied.seed), {key_added: csr_matrix(matrix)}
    MATRIX.write(adata, key_added, record, columns, source=tied.source)
    adata.uns[f"{key_added}_params"] = {
        "params": {"origin": f"celltraj: {tied.name}"} | params,
        "init": {"obsp_key": key_added, "backward": False},
    }
    return adata if copy else None


def _check_steps(self_transitions: str, conn_weight: float) -> None:
    if self_transitions not in _STEPS:
        raise ValueError(
            f"self_transitions must be one of {list(_STEPS)}; found {self_transitions!r}"
        )
    if not 0 < conn_weight < 1:
        raise ValueError(
            f"conn_weight must lie in (0, 1); found {conn_weight}. For no steps among neighbours "
            'pass self_transitions="diagonal"'
        )
