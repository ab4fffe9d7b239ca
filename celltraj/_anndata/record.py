"""Read the record that a fit left in AnnData."""

from __future__ import annotations

from typing import Any

from anndata import AnnData


def read_record(adata: AnnData, key: str) -> dict:
    """Return ``adata.uns["celltraj"][key]``.

    Raises
    ------
    KeyError
        There is no fit of that name.
    """
    records = adata.uns.get("celltraj", {})
    if key not in records:
        raise KeyError(
            f"no fit {key!r} in adata.uns['celltraj']; found {sorted(records)}. "
            "Run ct.tl.fit_bridge(adata) first, or pass key= with the key_added of your fit"
        )
    return records[key]


def read_result(adata: AnnData, key: str, field: str, call: str) -> Any:
    """Return ``adata.uns["celltraj"][key][field]``.

    Raises
    ------
    KeyError
        There is no such result; ``call`` makes one.
    """
    records = adata.uns.get("celltraj", {})
    if key not in records or field not in records[key]:
        fitting = sorted(name for name, record in records.items() if field in record)
        raise KeyError(
            f"no {field} in adata.uns['celltraj'][{key!r}]; found under {fitting}. Run {call} "
            "first, or pass key= with its key_added"
        )
    return records[key][field]
