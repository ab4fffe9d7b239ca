"""Read a column of ``obs``, and tell what cannot be read before any work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._containers import advice_for
from celltraj._errors import some

_SHOWN = 12  # columns that a message names
# labels that tables of other tools hold where there is none; "none" may be a condition
_NOTHING = ("", "nan", "<na>", "n/a", "nat")
_PASTED = re.compile(r"[\s_:./|-](nan|<na>)$")


def check_adata(adata: object) -> None:
    """Raise where something is no AnnData in memory, or one that only its matrix is on disk.

    Raises
    ------
    TypeError
        It is no AnnData, or one that was opened lazily.

    Examples
    --------
    >>> import anndata as ad, numpy as np
    >>> from celltraj._anndata import check_adata
    >>> check_adata(ad.AnnData(np.zeros((2, 1))))
    """
    if not isinstance(adata, AnnData):
        kind = type(adata).__name__
        raise TypeError(f"expected an AnnData, found {kind}{advice_for(adata)}")
    if not isinstance(adata.obs, pd.DataFrame):
        raise TypeError(
            "adata was opened by anndata.experimental.read_lazy, and its cells are not in memory; "
            "load them first with adata = adata.to_memory()"
        )


def opened(adata: AnnData, *columns: object) -> AnnData:
    """Return cells whose columns are in memory; what is to be read by blocks stays in its file.

    Parameters
    ----------
    adata
        Annotated data, returned as they are unless ``anndata.experimental.read_lazy`` opened them.
    columns
        Columns of ``obs`` that will be asked for; None and other words name none.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData, or one whose columns cannot be loaded.
    """
    if not isinstance(adata, AnnData) or not hasattr(adata.obs, "to_memory"):
        check_adata(adata)
        return adata
    asked = [name for name in dict.fromkeys(columns) if name in adata.obs.columns]
    # without any all are read, for a message to name them
    obs = (adata.obs[asked] if asked else adata.obs).to_memory()
    var = pd.DataFrame(index=adata.var_names)
    return AnnData(adata.X, obs=obs, var=var, obsm=dict(adata.obsm), uns=dict(adata.uns))


def has_column(adata: AnnData, name: object) -> bool:
    """Return whether ``obs`` has such a column, in an AnnData that can be read."""
    check_adata(adata)
    return isinstance(name, str) and name in adata.obs


def column_of(adata: AnnData, name: str, *, what: str = "", way: str = "") -> pd.Series:
    """Return a column of ``obs``.

    Parameters
    ----------
    adata
        Annotated data.
    name
        Name of the column.
    what
        What it is to hold, for a message: ``"groups"``.
    way
        What to do where it is missing, for a message.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData in memory, or ``name`` is not a text.
    KeyError
        There is no such column.
    ValueError
        There are several of that name.

    Examples
    --------
    >>> import anndata as ad, pandas as pd
    >>> from celltraj._anndata import column_of
    >>> obs = pd.DataFrame({"day": [0, 1]}, index=["a", "b"])
    >>> column_of(ad.AnnData(obs=obs), "day").tolist()
    [0, 1]
    """
    check_adata(adata)
    if not isinstance(name, str):
        raise TypeError(
            f"the name of a column of adata.obs must be a text; found {name!r} of type "
            f"{type(name).__name__}. Columns found: {some(adata.obs.columns, _SHOWN)}"
        )
    if name not in adata.obs:
        missing = f"no {what} in adata.obs[{name!r}]" if what else f"no adata.obs[{name!r}]"
        ending = f". {way}" if way else ""
        raise KeyError(f"{missing}; columns found: {some(adata.obs.columns, _SHOWN)}{ending}")
    column = adata.obs[name]
    if isinstance(column, pd.DataFrame):
        raise ValueError(
            f"adata.obs has {column.shape[1]} columns of the name {name!r}, as after a merge; "
            "rename or drop all but one, as adata.obs = adata.obs.loc[:, "
            "~adata.obs.columns.duplicated()] does"
        )
    return column


def texts_of(column: pd.Series) -> np.ndarray:
    """Return the labels ``(n_obs,)`` of a column as text, None where there is none."""
    labels = column.astype(object)
    texts: np.ndarray = (
        labels.astype(str).astype(object).mask(labels.isna(), None).to_numpy(dtype=object)
    )
    return texts


def check_written(labels: pd.Series, place: str, what: str, also: Sequence[str] = ()) -> None:
    """Raise where what is missing was written as text, and would be one group of cells.

    Parameters
    ----------
    labels
        ``(n_obs,)`` labels; what is missing as it should be is passed over.
    place
        Where they stand, such as ``"adata.obs['clone']"``.
    what
        What such a label means, such as ``"no clone"``.
    also
        Further such labels, in lower case.

    Raises
    ------
    ValueError
        A label is empty, or says that there is none.
    """
    known = labels[labels.notna()].astype(str)
    found = known[known.str.strip().str.lower().map(partial(_is_nothing, also=also))]
    if len(found):
        names = sorted(found.unique())[:_SHOWN]
        raise ValueError(
            f"{place} holds {some(names)} for {len(found)} cells, which would be one group and "
            f"seem to mean {what}: say that it is missing, {place} = "
            f"{place}.mask({place}.astype(str).isin({names})), or give it another name"
        )


def _is_nothing(label: str, also: Sequence[str]) -> bool:
    # "m1_nan" is what pasting a column to another makes of a missing value
    return label in also or label in _NOTHING or _PASTED.search(label) is not None


def unique_names(names: pd.Index, what: str) -> pd.Index:
    """Return names of cells, genes or variables, once each is known to name one of them.

    Raises
    ------
    ValueError
        Two of them have one name.
    """
    if not names.is_unique:
        axis = "obs" if what == "cells" else "var"
        raise ValueError(
            f"names of {what} are not unique ({names[names.duplicated()][0]!r} is there twice or "
            f"more); call adata.{axis}_names_make_unique() first"
        )
    return names


def in_memory(values: Any) -> Any:
    """Return an array as it is, a dask array once it is computed."""
    return values.compute() if hasattr(values, "dask") else values
