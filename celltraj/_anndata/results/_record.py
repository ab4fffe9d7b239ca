"""Find the records of results, of whatever kind, below ``uns["celltraj"]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anndata import AnnData

from celltraj._anndata.columns import check_adata

ROOT = "celltraj"  # everything in uns is below this key
PROJECTION = "projection"  # the record of the way from genes to components and back


def records_of(adata: AnnData) -> Mapping[str, Any]:
    """Return all records.

    Raises
    ------
    TypeError
        ``adata`` is no AnnData.
    ValueError
        Something else stands in their place.
    """
    check_adata(adata)
    return kept_records(adata)


def kept_records(adata: AnnData) -> Mapping[str, Any]:
    """Return all records, of cells that were opened lazily as well.

    Raises
    ------
    ValueError
        Something else stands in their place.
    """
    records = adata.uns.get(ROOT, {})
    if not isinstance(records, Mapping):
        raise ValueError(f"adata.uns[{ROOT!r}] is not a dict; move it: celltraj writes there")
    return records


def params_of(adata: AnnData, key: str) -> Mapping[str, Any]:
    """Return the arguments that a result of any kind was computed with; none for what is none."""
    record = records_of(adata).get(key, {})
    params = record.get("params", {}) if isinstance(record, Mapping) else {}
    return params if isinstance(params, Mapping) else {}


def kind_of(record: Any) -> str | None:
    """Return the kind that a record names."""
    kind = record.get("kind") if isinstance(record, Mapping) else None
    return None if kind is None else str(kind)


def named(record: Any) -> str:
    """Say what a record is, for an error."""
    kind = kind_of(record)
    return f"a result of the kind {kind!r}" if kind else "a record of no kind, as of old versions"


def places_of(record: Any) -> tuple[str, ...]:
    """Return the places that a record says it fills, as ``"slot name"``."""
    places = record.get("places", ()) if isinstance(record, Mapping) else ()
    return tuple(map(str, places))


def check_name(key: str) -> None:
    """Raise where a name cannot be one of a result.

    Raises
    ------
    TypeError
        It is no text.
    ValueError
        It is empty, or has a slash.
    """
    if not isinstance(key, str):
        raise TypeError(f"key_added must be a text; found {key!r}")
    if not key.strip():
        raise ValueError("key_added is empty; give the result a name, or leave key_added= out")
    if "/" in key:
        raise ValueError(f"key_added={key!r} holds '/', which h5ad reads as nesting; leave it out")
