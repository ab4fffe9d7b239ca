"""Objects that hold several AnnData: MuData and SpatialData, told by what they have.

Neither package is imported: a user who passes such an object has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from anndata import AnnData


@runtime_checkable
class Modalities(Protocol):
    """A MuData: AnnData of several modalities, by name, and what is known of all cells."""

    @property
    def mod(self) -> Mapping[str, AnnData]:
        """Return the modalities."""
        ...

    @property
    def obs(self) -> pd.DataFrame:
        """Return the columns of all cells."""
        ...


def split_name(name: str, modalities: Mapping[str, Any]) -> tuple[str, str]:
    """Return modality and representation of ``"rna:X_pca"``.

    Raises
    ------
    KeyError
        There is no such modality, or it has no such representation.
    ValueError
        The name is not of this form.
    """
    modality, colon, key = name.partition(":")
    if not colon or not key:
        raise ValueError(
            f"representations must name a modality and what it holds, such as "
            f"'{next(iter(modalities), 'rna')}:X_pca'; found {name!r}, and the modalities "
            f"{list(modalities)}"
        )
    if modality not in modalities:
        raise KeyError(f"no modality {modality!r}; found {list(modalities)}")
    cells = modalities[modality]
    if key != "X" and key not in cells.obsm:
        raise KeyError(f"no obsm[{key!r}] in {modality!r}; found {list(cells.obsm)}, or 'X'")
    return modality, key


def joined(mdata: Modalities, names: Sequence[str]) -> AnnData:
    """Return the cells that all named modalities have, with these representations.

    ``X``, ``var``, ``layers``, ``varm``, ``obsm`` and ``uns`` are those of the first modality.

    Raises
    ------
    ValueError
        No cell is in all of them.
    """
    parts = [split_name(name, mdata.mod) for name in names]
    first = mdata.mod[parts[0][0]]
    shared = first.obs_names
    for modality, _ in parts[1:]:
        shared = shared[shared.isin(mdata.mod[modality].obs_names)]
    if not len(shared):
        raise ValueError(f"no cell is in all of the modalities {[one for one, _ in parts]}")
    adata = first[shared].copy()
    for name, (modality, key) in zip(names, parts, strict=True):
        cells = mdata.mod[modality][shared]
        adata.obsm[name] = np.asarray(_dense(cells.X if key == "X" else cells.obsm[key]))
    for column in mdata.obs.columns:
        if column not in adata.obs:
            adata.obs[column] = mdata.obs.loc[shared, column]
    return adata


def _dense(values: Any) -> Any:
    return values.toarray() if hasattr(values, "toarray") else values
