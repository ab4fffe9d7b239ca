"""Say which AnnData to pass in place of an object that holds several.

MuData and SpatialData are told by what they have: neither package is imported, since a user who
passes such an object has it.
"""

from __future__ import annotations

from collections.abc import Mapping


def advice_for(found: object) -> str:
    """Return which AnnData to pass in place of an object that holds some; empty for others."""
    modalities = getattr(found, "mod", None)
    if isinstance(modalities, Mapping):
        names = list(modalities)
        first = names[0] if names else "rna"
        return (
            f" with the modalities {names}. Pass one, adata = mdata[{first!r}], or a "
            f"representation of one with the columns of all, adata = ct.io.from_mudata(mdata, "
            f"'{first}:X_pca')"
        )
    tables = getattr(found, "tables", None)
    if isinstance(tables, Mapping) and hasattr(found, "shapes"):
        names = list(tables)
        first = names[0] if names else "table"
        return f" with the tables {names}. Pass one: adata = sdata.tables[{first!r}]"
    return ""
