"""All results that there are, and those that an AnnData holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results._record import ROOT, kind_of, named, params_of, places_of, records_of
from celltraj._anndata.results._result import Result
from celltraj._anndata.results.analysis import (
    CLONE_GROWTH,
    CLONE_MEMORY,
    CONDITIONS,
    DRIVERS,
    ENTROPY_PRODUCTION,
    GENE_TRENDS,
    JACOBIAN,
    JUMP_RATES,
    KNOCKOUT,
    MARTINGALE,
    SAMPLE_REPORT,
    SLOW_MODES,
    VELOCITY,
)
from celltraj._anndata.results.fits import (
    ARMS,
    BRIDGE,
    DRAWN,
    FITS,
    FLOW,
    GAP,
    LOG_DENSITY,
    MEAN_FIELD,
    RESPONSE,
)
from celltraj._anndata.results.genes import DECODE, GROWTH_PRIOR, PCA
from celltraj._anndata.results.lineage import (
    CALIBRATION,
    COUPLINGS,
    ENTROPY,
    FATES,
    GROWTH,
    MATRIX,
    PULL,
    PUSH,
    TRANSITIONS,
)
from celltraj._anndata.results.new_cells import (
    CONDITION,
    EMBEDDING,
    INTERPOLATE,
    LEAST_ACTION,
    PREDICTION,
    SIMULATE,
    SLICE,
)

RESULTS = (
    *(BRIDGE, FLOW, ARMS, MEAN_FIELD, RESPONSE, LOG_DENSITY),
    *(COUPLINGS, PUSH, PULL, TRANSITIONS, FATES, ENTROPY, GROWTH, MATRIX, CALIBRATION),
    *(DRIVERS, CONDITIONS, VELOCITY, GENE_TRENDS, KNOCKOUT, JUMP_RATES, SLOW_MODES, JACOBIAN),
    *(MARTINGALE, CLONE_MEMORY, CLONE_GROWTH, ENTROPY_PRODUCTION, SAMPLE_REPORT),
    *(SIMULATE, CONDITION, LEAST_ACTION, INTERPOLATE, SLICE, PREDICTION, EMBEDDING),
    *(PCA, DECODE, GROWTH_PRIOR),
)
_BY_KIND = {one.kind: one for one in RESULTS}
_COLUMNS = (
    *("key", "kind", "call", "places", "reads", "version", "seed"),
    *("state", "change"),
)


def check_place_fresh(adata: AnnData, slot: str, name: str) -> None:
    """Raise where a place is filled by a result whose source has changed; the user's own passes.

    Raises
    ------
    ValueError
        It is stale.
    """
    for key, record in records_of(adata).items():
        result = _BY_KIND.get(kind_of(record) or "")
        if result is not None and f"{slot} {name}" in places_of(record):
            result.check_fresh(adata, key, record)


def losses_of(adata: AnnData, key: str) -> pd.DataFrame:
    """Return the loss at each step of the training of a fit.

    Raises
    ------
    KeyError
        There is no fit of that name.
    ValueError
        Nothing was trained.
    """
    result, record = _one_of(adata, key, FITS, "fit")
    table = record["history"]
    if len(table) == 0:
        raise ValueError(
            f"the fit {key!r} has no training history: its drift is computed, not trained; "
            "fit with training=ct.models.Training() for a trained one"
        )
    return result.plain(table, "history")


def convergence_of(adata: AnnData, key: str) -> pd.DataFrame:
    """Return how far the solver of each gap came, of couplings, within samples too, or of a fit.

    Raises
    ------
    KeyError
        There is neither of that name.
    """
    result, record = _one_of(adata, key, (COUPLINGS, BRIDGE, FLOW), "couplings, bridge or flow")
    if "samples" in record:
        return result.plain(record["samples"], "samples")
    field = "gaps" if result is COUPLINGS else "convergence"
    table = result.plain(record[field], field)
    first = [name for name in GAP if name in table or result is not FLOW]
    if result is COUPLINGS:
        first.append(DRAWN)
    return table.reindex(columns=[*first, *table.columns.difference(first, sort=False)])


def held_results(adata: AnnData) -> pd.DataFrame:
    """Return one row for each result in an AnnData, whatever became of its cells since."""
    rows = [_row(adata, str(key), record) for key, record in records_of(adata).items()]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _row(adata: AnnData, key: str, record: Any) -> dict[str, Any]:
    result = _BY_KIND.get(kind_of(record) or "")
    if result is None:
        blank = dict.fromkeys(_COLUMNS)
        return blank | {"key": key, "kind": kind_of(record), "state": "unknown"} | _why(record)
    state, change = _state(adata, result, record)
    reads = None if result.reads is None else params_of(adata, key).get(result.reads)
    return {
        "key": key,
        "kind": result.kind,
        "call": result.call,
        "places": ", ".join(places_of(record)),
        "reads": None if reads is None else ", ".join([reads] if isinstance(reads, str) else reads),
        "version": record.get("version"),
        "seed": record.get("seed"),
        "state": state,
        "change": change,
    }


def _why(record: Any) -> dict[str, str]:
    return {"change": f"{named(record)}; nothing reads it: del adata.uns[{ROOT!r}][key]"}


def _state(adata: AnnData, result: Result, record: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return whether the cells are still what a result was computed from, and what is not."""
    if "source" not in record:
        return "unchecked", None
    try:
        change = result.change(adata, record)
    except (KeyError, ValueError, TypeError, IndexError) as error:  # what a reader would meet
        change = str(error.args[0] if error.args else error)
    return ("fresh", None) if change is None else ("stale", change)


def _one_of(
    adata: AnnData, key: str, results: tuple[Result, ...], what: str
) -> tuple[Result, dict[str, Any]]:
    """Return the record under ``key`` and its result, which is one of several.

    Raises
    ------
    KeyError
        It is none of them.
    """
    records, kinds = records_of(adata), {one.kind: one for one in results}
    found = sorted(name for name, one in records.items() if kind_of(one) in kinds)
    if key not in found:
        raise KeyError(
            f"no {what} {key!r} in adata.uns[{ROOT!r}]; found {found}. Run "
            f"{' or '.join(one.call for one in results)} first, or pass key= with its key_added"
        )
    return kinds[str(kind_of(records[key]))], records[key]
