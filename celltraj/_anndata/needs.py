"""What calls take of memory besides the AnnData; those that take too much end before the work.

Numbers are measured rises of resident memory, see ``tests/test_memory_needs.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from celltraj._anndata.observed import Observed
from celltraj._memory import check_memory, limit_in_bytes
from celltraj._parallel import n_at_once
from celltraj.ot import Solver
from celltraj.ot.memory import solving_bytes

if TYPE_CHECKING:  # they come with Lightning, for which couplings have no use
    from celltraj.models import BridgeOptions, FlowOptions, Training

_BLOCK = 5_000_000  # values of cells that are read at once
_OF_VALUE = 50.0  # bytes of a value that is read or drawn: copies in single and double precision
_MARKS = 120.0  # bytes of a cell: times, rows, weights, digests of names and states
_TRAINING, _FLOW = 120e6, 5e6  # bytes of a training, and for a flow besides of each variable
_PLAN = 4.0  # bytes of a pair of cells, for the entries of plans that chains are drawn along
_ENTRY = 80.0  # bytes of an entry of plans within samples, while these are joined
_KEPT = 0.4  # of all entries, where the smallest are dropped: a third in 2 to 30 dimensions
_COUPLINGS = "couplings of {:,} x {:,} cells"


def check_flow(observed: Observed, options: FlowOptions) -> None:
    """Raise where a flow takes more memory than it may.

    Raises
    ------
    MemoryError
        It does; the message says for what, and what takes less.
    """
    dim = observed.states.dim
    training = {"a training": _TRAINING + _FLOW * dim}
    _check_fit(observed, training, options.max_cells, options.coupling)


def check_bridge(observed: Observed, options: BridgeOptions, training: Training | None) -> None:
    """Raise where a bridge takes more memory than it may.

    Raises
    ------
    MemoryError
        It does; the message says for what, and what takes less.
    """
    trained = {"a training": _TRAINING} if training is not None else {}
    _check_fit(observed, trained, options.max_cells, options.coupling)


def _check_fit(
    observed: Observed, training: dict[str, float], most: int | None, coupling: Solver
) -> None:
    sizes, dim = [len(one) for one in observed.rows.x], observed.states.dim
    drawn = [n if most is None else min(n, most) for n in sizes]
    need = (
        {f"velocities of {sum(sizes):,} cells": 4.0 * dim * sum(sizes)}
        | _reading(sum(sizes), dim)
        | {
            f"states of {sum(drawn):,} cells that are drawn": _OF_VALUE * dim * sum(drawn),
            "plans of all gaps": _PLAN * sum(n * m for n, m in pairwise(drawn)),
        }
        | training
    )
    coupled = _couplings(drawn, dim, coupling)
    check_memory(need | coupled, _ways_to_fit(drawn, max(coupled.values()), sum(need.values())))


def _ways_to_fit(drawn: Sequence[int], coupled: float, rest: float) -> list[str]:
    """Return what of a fit can take less: its couplings, or all that is of every cell."""
    if rest > limit_in_bytes() and coupled < rest:
        return ["fewer cells, such as adata[rows].copy()", "fewer variables"]
    fewer = max(1, max(drawn) // 2)
    return [f"max_cells={fewer} or less in options=", "ct.ot.solve as coupling= there"]


def check_couplings(observed: Observed, coupling: Solver) -> None:
    """Raise where couplings of all cells take more memory than they may.

    Raises
    ------
    MemoryError
        They do; the message says for what, and what takes less.
    """
    sizes, dim = [len(one) for one in observed.rows.x], observed.states.dim
    need = _whole(sum(sizes), dim) | _couplings(sizes, dim, coupling)
    check_memory(need, ["fewer cells, such as adata[rows].copy()"])


def check_blocks(
    observed: Observed, blocks: Sequence[tuple[int, int]], coupling: Solver, *, is_whole: bool
) -> None:
    """Raise where couplings within samples take more memory than they may.

    Raises
    ------
    MemoryError
        They do; the message says for what, and what takes less.
    """
    dim = observed.states.dim
    n, m = max(blocks, key=lambda block: block[0] * block[1])
    kept = sum(n * m for n, m in blocks) * (1.0 if is_whole else _KEPT)
    need = _whole(sum(len(one) for one in observed.rows.x), dim) | {
        _COUPLINGS.format(n, m): solving_bytes(coupling, n, m, dim),
        f"plans of {len(blocks)} samples and gaps": _ENTRY * kept,
    }
    check_memory(need, ["fewer cells of each sample, such as adata[rows].copy()"])


def check_lineage(n_cells: int, dim: int) -> None:
    """Raise where asking couplings what becomes of cells takes more memory than it may.

    Raises
    ------
    MemoryError
        It does.
    """
    ways = ["cells of fewer times, such as adata[rows].copy() with those of two neighbouring ones"]
    check_memory(_whole(n_cells, dim), ways)


def _whole(n_cells: int, dim: int) -> dict[str, float]:
    """Return what all cells take in double precision."""
    return {f"states of {n_cells:,} cells": _OF_VALUE * dim * n_cells} | _reading(n_cells, dim)


def _reading(n_cells: int, dim: int) -> dict[str, float]:
    """Return what is held while cells are read, whatever is kept of them."""
    at_once = min(_BLOCK, n_cells * dim)
    return {"what is read at once": _OF_VALUE * at_once + _MARKS * n_cells}


def _couplings(sizes: Sequence[int], dim: int, coupling: Solver) -> dict[str, float]:
    """Return what the largest gaps take that are coupled at a time."""
    gaps = sorted(pairwise(sizes), key=lambda gap: -gap[0] * gap[1])
    at_once = gaps[: n_at_once(len(gaps))]
    n, m = at_once[0]
    where = f" in {len(at_once)} processes" if len(at_once) > 1 else ""
    need = sum(solving_bytes(coupling, n, m, dim) for n, m in at_once)
    return {_COUPLINGS.format(n, m) + where: need}
