"""Read the solution of moscot's TemporalProblem."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import Any

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_array, issparse, vstack

from celltraj._anndata import annotated, column_of, read_times
from celltraj._anndata.plans import Pair, gaps_of, write_plans
from celltraj._anndata.results import COUPLINGS
from celltraj._checks import checked
from celltraj.ot import SparseCoupling
from celltraj.ot.checks import check_mass

_ROWS = 500  # earlier cells whose rows are held dense at once


@checked
def from_moscot(
    adata: AnnData,
    problem: Any,
    *,
    time_key: str | None = None,
    mass: float = 1e-3,
    key_added: str = "couplings",
    copy: bool = False,
) -> AnnData | None:
    """Read a solved ``moscot.problems.time.TemporalProblem`` as couplings of ``adata``.

    All that works on :func:`celltraj.tl.couplings` then works on them. Plans are read some hundred
    rows at a time and kept sparse; moscot before 0.5.1 makes those of full rank whole, once each.

    Parameters
    ----------
    adata
        The cells that were coupled, with the names that they had.
    problem
        Has ``solutions``, one for each pair of neighbouring times, and is made of an AnnData with
        the same names. moscot itself need not be installed.
    time_key
        Column of ``obs`` with the sampling times, as numbers, categories or text; by default the
        one that the problem was prepared with.
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
        ``time_key`` is not in ``obs`` or has other times, or the problem is of other cells.
    ValueError
        No solution between two neighbouring times, one of another shape or that sends no mass, or
        ``mass`` lies outside [0, 1).

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
    COUPLINGS.claim(adata, key_added)
    check_mass(mass)
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
    time_key = time_key or getattr(problem, "temporal_key", None) or "time"
    named = dict(zip(_pairs(adata, time_key, solutions), solutions.values(), strict=True))
    rows = gaps_of(adata, time_key, list(named))
    plans = {pair: _plan(named[pair], pair, mass) for pair in rows}
    adata = annotated(adata, copy)
    params = {"time_key": time_key, "origin": "moscot", "mass": mass}
    write_plans(adata, plans, rows, params, key_added)
    return adata if copy else None


def _pairs(
    adata: AnnData, time_key: str, pairs: Collection[tuple[Hashable, Hashable]]
) -> list[Pair]:
    """Return the numbers that the labels of the times stand for."""
    numbers, labels = read_times(adata, time_key).tolist(), column_of(adata, time_key).tolist()
    # 0 and 0.0 are the same label, and so are the float32 and the float64 that both read "0.1"
    times: dict[Hashable, float] = dict(zip(map(str, labels), numbers, strict=True))
    times |= dict(zip(labels, numbers, strict=True))
    found = {one: times.get(one, times.get(str(one))) for pair in pairs for one in pair}
    if None in found.values():
        raise KeyError(
            f"the problem couples the times {sorted(map(str, found))}, adata.obs[{time_key!r}] has "
            f"{sorted(set(map(str, labels)))}; pass the time_key= that the problem was prepared "
            "with"
        )
    known = {one: float(number) for one, number in found.items() if number is not None}
    return [(known[a], known[b]) for a, b in pairs]


def _plan(solution: Any, pair: Pair, mass: float) -> csr_array:
    """Return the plan of a solution without its smallest entries.

    Raises
    ------
    ValueError
        It sends no mass, or its entries are not finite.
    """
    plan = _thinned(solution, mass)
    if plan is None:
        plan = csr_array(vstack([_thin(rows, mass) for rows in _blocks(solution)]))
    if not 0 < plan.sum() < np.inf:
        raise ValueError(
            f"the solution from {pair[0]:g} to {pair[1]:g} is not valid: its mass is "
            f"{plan.sum():g}; solve the problem again, with a larger epsilon"
        )
    return plan


def _thinned(solution: Any, mass: float) -> csr_array | None:
    """Return what moscot itself makes sparse row by row; None where it cannot."""
    if not hasattr(solution, "sparsify"):
        return None
    try:
        found = solution.sparsify(mode="mass", value=1 - mass, batch_size=_ROWS)
    except NotImplementedError:  # before 0.5.1
        return None
    return csr_array(found.transport_matrix, dtype=float)


def _blocks(solution: Any) -> Iterator[np.ndarray]:
    """Yield the plan of a solution, some rows at a time."""
    n = solution.shape[0]
    # to push one cell through a plan of full rank, moscot makes an array as large as the plan
    factored = getattr(solution, "rank", -1) > -1
    whole = None if factored else getattr(solution, "transport_matrix", None)
    if whole is not None and not issparse(whole):
        whole = np.asarray(whole)
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        if whole is None:
            few = np.zeros((n, stop - start))
            few[np.arange(start, stop), np.arange(stop - start)] = 1
            yield np.asarray(solution.push(few), dtype=float).T
        else:
            rows = whole[start:stop]
            yield np.asarray(rows.toarray() if issparse(rows) else rows, dtype=float)


def _thin(rows: np.ndarray, mass: float) -> csr_array:
    sparse = csr_array(rows)
    # some cells may send nothing; whether none does is asked of the whole plan
    is_plan = 0 < sparse.sum() < np.inf
    return SparseCoupling(sparse).to_sparse(mass=mass) if mass and is_plan else sparse
