"""Follow cells to their descendants, or back to their ancestors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from celltraj._anndata import (
    Tied,
    annotated,
    chosen_cells,
    read_lineage,
    sample_record,
)
from celltraj._anndata.results import PULL, PUSH, Result
from celltraj._checks import checked
from celltraj._typing import Time

Cells = Mapping[str, str | Sequence[str]]


@checked
def push(
    adata: AnnData,
    *,
    source: Time,
    target: Time,
    cells: Cells,
    key: str = "couplings",
    key_added: str = "push",
    copy: bool = False,
    progress: bool = True,
) -> AnnData | None:
    """Descendants: follow some of the cells at ``source`` forwards to ``target``.

    ``p <- T' p`` through the gaps, ``T_ij`` the descendants of cell ``i`` that are like cell ``j``.

    Parameters
    ----------
    adata
        Cells of all times.
    source, target
        Two sampling times, in the user's unit or as their labels, the first before the second.
    cells
        Columns of ``obs`` with the values of the cells to follow, such as
        ``{"cell_type": "MEF"}`` or ``{"cell_type": ["MEF", "Stromal"]}``.
    key
        Couplings to read, the ``key_added`` of :func:`celltraj.tl.couplings`.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obs[key_added]`` (share of each cell
    among the descendants, which sum to 1 at every time from ``source`` to ``target``; NaN at other
    times) and ``uns["celltraj"][key_added]`` (params, version, seed, masses).

    Raises
    ------
    KeyError
        There are no couplings, or a column does not exist.
    ValueError
        No such cells or times, or ``source`` is not before ``target``.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.push(adata, source=2.0, target=4.0, cells={"arm": "up"})
    >>> last = adata.obs["time"] == 4.0
    >>> bool(adata.obs.loc[last & (adata.obs["arm"] == "up"), "push"].sum() > 0.8)
    True
    """
    PUSH.claim(adata, key_added)
    tied = read_lineage(adata, key)
    source, target = tied.times_of(adata, source, target)
    tied.lineage.span(source, target)
    start = _start(adata, tied, cells, source)
    masses = tied.lineage.descendants(start, source, target, progress=progress)
    record = _record(tied, masses, source, cells)
    adata = annotated(adata, copy)
    _write(PUSH, adata, tied, record, masses, key_added)
    return adata if copy else None


@checked
def pull(
    adata: AnnData,
    *,
    source: Time,
    target: Time,
    cells: Cells,
    key: str = "couplings",
    key_added: str = "pull",
    copy: bool = False,
    progress: bool = True,
) -> AnnData | None:
    """Ancestors: follow some of the cells at ``target`` back to ``source``.

    ``p_i <- sum_j P_ij p_j / (sum_i P_ij)`` through the gaps, backwards: every cell has ancestors.

    Parameters
    ----------
    adata
        Cells of all times.
    source, target
        Two sampling times, in the user's unit or as their labels, the first before the second.
    cells
        Columns of ``obs`` with the values of the cells to follow, such as ``{"cell_type": "IPS"}``.
    key
        Couplings to read, the ``key_added`` of :func:`celltraj.tl.couplings`.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obs[key_added]`` (share of each cell
    among the ancestors, which sum to 1 at every time from ``source`` to ``target``; NaN at other
    times) and ``uns["celltraj"][key_added]`` (params, version, seed, masses).

    Raises
    ------
    KeyError
        There are no couplings, or a column does not exist.
    ValueError
        No such cells or times, or ``source`` is not before ``target``.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.pull(adata, source=2.0, target=4.0, cells={"arm": "up"})
    >>> first = adata.obs["time"] == 2.0
    >>> bool(adata.obs.loc[first & (adata.obs["arm"] == "up"), "pull"].sum() > 0.8)
    True
    """
    PULL.claim(adata, key_added)
    tied = read_lineage(adata, key)
    source, target = tied.times_of(adata, source, target)
    tied.lineage.span(source, target)
    start = _start(adata, tied, cells, target)
    masses = tied.lineage.ancestors(start, source, target, progress=progress)
    record = _record(tied, masses, source, cells)
    adata = annotated(adata, copy)
    _write(PULL, adata, tied, record, masses, key_added)
    return adata if copy else None


def _start(adata: AnnData, tied: Tied, cells: Cells, time: float) -> Tensor:
    """Return the mass ``(n,)``, of sum 1, of the chosen cells of one time."""
    k = tied.lineage.index(time)
    chosen = torch.from_numpy(chosen_cells(adata, cells, tied.rows[k], time))
    mass = torch.where(chosen, tied.lineage.weights[k], 0.0)
    if not float(mass.sum()) > 0:
        raise ValueError(f"the cells {dict(cells)} at time {time:g} have no weight to follow")
    return mass / mass.sum()


def _record(tied: Tied, masses: Sequence[Tensor], source: float, cells: Cells) -> dict[str, Any]:
    first = tied.lineage.index(source)
    times = tied.lineage.times[first : first + len(masses)]
    chosen = [
        (column, str(value))
        for column, values in cells.items()
        for value in ([values] if isinstance(values, str | int | float) else values)
    ]
    params = {
        "source": source,
        "target": times[-1],
        "couplings": tied.name,
        "time_key": tied.time_key,
        "columns": np.array([column for column, _ in chosen], dtype=object),
        "values": np.array([value for _, value in chosen], dtype=object),
    }
    table = pd.DataFrame({"time": times, "mass": [float(mass.sum()) for mass in masses]})
    return sample_record(params, tied.seed) | {"masses": table.rename(index=str)}


def _write(
    result: Result,
    adata: AnnData,
    tied: Tied,
    record: dict[str, Any],
    masses: Sequence[Tensor],
    key: str,
) -> None:
    first = tied.lineage.index(record["params"]["source"])
    shares = {first + k: mass / mass.sum() for k, mass in enumerate(masses)}
    columns = {key: tied.column(adata.n_obs, shares, None)}
    result.write(adata, key, record, columns, source=tied.source)
