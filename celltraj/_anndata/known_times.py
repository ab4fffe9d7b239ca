"""Find the column of times that results and models were made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from anndata import AnnData

from celltraj._anndata.columns import has_column
from celltraj._anndata.results import BRIDGE, FLOW, records_of
from celltraj.models import Process
from celltraj.models.process import breakpoints_of

_USUAL = "time"


def time_key_of(adata: AnnData, key: str) -> str:
    """Return the column of times that the result ``key`` was computed with.

    Of what is no result the one that all results in ``adata`` share, else ``"time"``.
    """
    records = records_of(adata)
    known = _time_keys([records.get(key)])
    return known.pop() if known else _shared(adata)


def time_key_of_model(adata: AnnData, model: Process) -> str:
    """Return the column of times that ``model`` was fitted with, as the record of its fit says.

    Without such a record the one that all results in ``adata`` share, else ``"time"``.
    """
    times = np.asarray(breakpoints_of(model), dtype=float)
    fits = [
        one
        for one in records_of(adata).values()
        if isinstance(one, Mapping)
        and one.get("kind") in (BRIDGE.kind, FLOW.kind)
        and np.array_equal(one.get("time_points", ()), times)
    ]
    known = {name for name in _time_keys(fits) if has_column(adata, name)}
    return known.pop() if len(known) == 1 else _shared(adata)


def _shared(adata: AnnData) -> str:
    known = {one for one in _time_keys(records_of(adata).values()) if has_column(adata, one)}
    return known.pop() if len(known) == 1 else _USUAL


def _time_keys(records: Iterable[Any]) -> set[str]:
    params = [one.get("params") for one in records if isinstance(one, Mapping)]
    return {
        str(one["time_key"]) for one in params if isinstance(one, Mapping) and "time_key" in one
    }
