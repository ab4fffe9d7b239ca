"""Read the record that a fit left in AnnData."""

from __future__ import annotations

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
