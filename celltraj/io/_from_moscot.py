"""Read the solution of moscot's TemporalProblem."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_array, vstack

from celltraj._anndata import annotated, check_writable, read_times
from celltraj._anndata.plans import gaps_of, write_plans
from celltraj.ot import SparseCoupling

_ROWS = 500  # earlier cells whose rows are asked for at once


def from_moscot(
    adata: AnnData,
    problem: Any,
    *,
    time_key: str = "time",
    mass: float = 1e-3,
    key_added: str = "couplings",
    copy: bool = False,
) -> AnnData | None:
    """Read a solved ``moscot.problems.time.TemporalProblem`` as couplings of ``adata``.

    All that works on :func:`celltraj.tl.couplings` then works on them. Plans are asked for some
    hundred rows at a time, and kept sparse.

    Parameters
    ----------
    adata
        The cells that were coupled, with the names that they had.
    problem
        Has ``solutions``, one for each pair of neighbouring times, and is made of an AnnData with
        the same names. moscot itself need not be installed.
    time_key
        Column of ``obs`` with the sampling times, as numbers, categories or text.
    mass
        Share of each row's mass that may be left out, in its smallest entries.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsp[key_added]`` (plans, rows =
    earlier cells) and ``uns["celltraj"][key_added]`` (params, version, seed, time_points, numbers,
    cells, gaps).

    Raises
    ------
    TypeError
        ``problem`` is not a solved problem.
    KeyError
        ``time_key`` is not in ``obs``, or the problem is of other cells.
    ValueError
        No solution between two neighbouring times, or one of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> import celltraj as ct
    >>> class Solution:
    ...     shape = (50, 50)
    ...     def push(self, x):
    ...         return x / 50
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata = adata[adata.obs["time"] < 2].copy()
    >>> class Problem:
    ...     solutions = {(0.0, 1.0): Solution()}
    >>> problem = Problem()
    >>> problem.adata = adata
    >>> ct.io.from_moscot(adata, problem)
    >>> adata.obsp["couplings"].nnz
    50
    """
    check_writable(adata, key_added)
    solutions = getattr(problem, "solutions", None)
    if not solutions or not hasattr(problem, "adata"):
        raise TypeError(
            "expected a solved moscot.problems.time.TemporalProblem, with solutions and adata; "
            f"found {type(problem).__name__}. Run problem.prepare(...).solve(...) first"
        )
    if not problem.adata.obs_names.equals(adata.obs_names):
        raise KeyError(
            f"the problem is of {problem.adata.n_obs} cells, adata of {adata.n_obs}, and their "
            "names are not the same in the same order; pass adata[problem.adata.obs_names]"
        )
    times = _numbers(adata, time_key)
    named = {(times[str(a)], times[str(b)]): one for (a, b), one in solutions.items()}
    rows = gaps_of(adata, time_key, list(named))
    plans = {pair: _plan(named[pair], mass) for pair in rows}
    adata = annotated(adata, copy)
    write_plans(adata, plans, rows, {"time_key": time_key, "origin": "moscot"}, key_added)
    return adata if copy else None


def _numbers(adata: AnnData, time_key: str) -> dict[str, float]:
    """Return the time that each label of the column stands for."""
    times = read_times(adata, time_key)
    labels = adata.obs[time_key].astype(str).to_numpy()
    return dict(zip(labels.tolist(), times.tolist(), strict=True))


def _plan(solution: Any, mass: float) -> csr_array:
    """Return the plan of a solution, some rows at a time: what a few earlier cells push."""
    n = solution.shape[0]
    parts = []
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        few = np.zeros((n, stop - start))
        few[np.arange(start, stop), np.arange(stop - start)] = 1
        rows = np.asarray(solution.push(few), dtype=float).T
        if not rows.any():
            raise ValueError(f"cells {start} to {stop} of a solution send no mass: it is not valid")
        sparse = csr_array(rows)
        parts.append(SparseCoupling(sparse).to_sparse(mass=mass) if mass else sparse)
    return csr_array(vstack(parts))
