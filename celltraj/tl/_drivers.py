"""Genes whose expression goes with a fate."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import (
    annotated,
    has_column,
    read_times,
    sample_record,
    times_of,
    unique_names,
)
from celltraj._anndata.expression import marked_genes, read_expression
from celltraj._anndata.quantities import (
    Quantities,
    is_at,
    read_fates,
    read_number,
    time_key_of,
)
from celltraj._anndata.results import DRIVERS
from celltraj._errors import DataWarning
from celltraj._typing import Time
from celltraj.metrics._correlation import (
    Correlations,
    correlations,
    false_discovery,
    permutation_p,
)

_METHODS = ("fisher", "permutation")
_FEWEST = 4
_ROUNDING = 1e-6  # relative: fates are float32
_SHOWN = 10


def drivers(
    adata: AnnData,
    *,
    key: str = "ct_fates",
    layer: str | None = None,
    groups: str | Sequence[str] | None = None,
    time: Time | Sequence[Time] | None = None,
    genes: str | Sequence[str] | None = None,
    method: str = "fisher",
    n_permutations: int = 1000,
    confidence: float = 0.95,
    key_added: str = "drivers",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Correlate the expression of genes with the fates of cells.

    Pearson's ``r`` over cells, with the interval ``tanh(atanh r +- z / sqrt(n - 3))`` of Fisher.
    Over cells of several times genes that merely change with time are found as well: name a
    ``time``, or take ``method="permutation"``, whose p values know only what happens within a time.
    Cells are taken as independent, and fates were computed from expression: p values sort genes,
    and are no proof that a gene drives anything.

    Parameters
    ----------
    adata
        Cells with fates, and logarithmic normalised expression. A sparse matrix stays sparse.
    key
        Fates in ``obsm``, the ``key_added`` of :func:`celltraj.tl.fates`, or a column of ``obs``
        with numbers, such as ``"ct_growth"``. Cells without a value are left out.
    layer
        Layer with the expression; ``X`` by default.
    groups
        Names of one or more fates; all by default.
    time
        One or more sampling times to take cells of, as numbers or as labels; all by default. Times
        are those that the fates were computed with, else ``obs["time"]``.
    genes
        Names of genes, or a boolean column of ``var`` such as one of transcription factors; all by
        default.
    method
        ``"fisher"`` takes p values of Fisher's z; ``"permutation"`` exchanges cells within each
        sampling time.
    n_permutations
        Exchanges; no p is below ``1 / (1 + n_permutations)``.
    confidence
        Level of the intervals.
    key_added
        Name of the record.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the exchanges.
    progress
        Whether to show a bar over the exchanges.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]`` (params,
    version, seed, and table: gene, fate, correlation, lower, upper, p (two-sided), q
    (Benjamini-Hochberg over the genes of a fate), n_cells; fates in their order, the highest
    correlation first, genes that are constant last and NaN), which :func:`celltraj.get.drivers`
    reads.

    Warns
    -----
    DataWarning
        The expression looks like raw counts, a fate is the same in all cells, or numbers are
        infinite.

    Raises
    ------
    KeyError
        There are no such fates, layer, column or genes.
    ValueError
        Unknown fates, times or method, names of genes that are not unique, values that are not
        finite numbers, or fewer than four cells.

    References
    ----------
    Fisher, *On the "probable error" of a coefficient of correlation deduced from a small sample*
    (1921); Benjamini & Hochberg, *Controlling the false discovery rate* (1995).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.fates(adata, groupby="arm")
    >>> ct.tl.drivers(adata, time=3.0)
    >>> ct.get.drivers(adata, fate="up", n=1)["gene"].tolist()
    ['y']
    """
    DRIVERS.claim(adata, key_added)
    if method not in _METHODS:
        raise ValueError(f"method must be one of {_METHODS}; found {method!r}")
    fates = _read(adata, key, groups)
    columns = _columns(adata, genes)
    x = read_expression(adata, layer)
    time_key = time_key_of(adata, key)
    rows = np.flatnonzero(fates.is_known & is_at(adata, time, time_key))
    x, y = x[rows][:, columns], _varied(fates, rows, key)
    found, p = correlations(x, y, confidence=confidence), None
    if method == "permutation":
        strata = read_times(adata, time_key)[rows] if has_column(adata, time_key) else None
        rng = np.random.default_rng(seed)
        p = permutation_p(
            x, y, n_permutations=n_permutations, rng=rng, strata=strata, progress=progress
        )
    params = {
        "key": key,
        "layer": layer,
        "groups": np.array(fates.names, dtype=object),
        "time": None if time is None else np.array(times_of(adata, time_key, time)),
        "time_key": None if time is None and p is None else time_key,
        "genes": genes if genes is None or isinstance(genes, str) else "names",
        "method": method,
        "n_permutations": None if p is None else n_permutations,
        "confidence": confidence,
    }
    table = _table(found if p is None else replace(found, p=p), adata.var_names[columns], fates)
    table["n_cells"] = len(rows)
    adata = annotated(adata, copy)
    DRIVERS.write(adata, key_added, sample_record(params, seed) | {"table": table})
    return adata if copy else None


def _read(adata: AnnData, key: str, groups: str | Sequence[str] | None) -> Quantities:
    """Return the fates to correlate with, or the number of ``obs``."""
    if key not in adata.obsm and key not in adata.obs:
        raise KeyError(
            f"no fates in adata.obsm[{key!r}], found {list(adata.obsm)}, and no numbers in "
            f"adata.obs[{key!r}], found {list(adata.obs.columns)}. Run "
            "ct.tl.fates(adata, groupby=...), or pass key= with its key_added"
        )
    found = read_fates(adata, key) if key in adata.obsm else read_number(adata, key)
    if groups is None:
        return found
    return found.only([groups] if isinstance(groups, str) else list(dict.fromkeys(groups)))


def _columns(adata: AnnData, genes: str | Sequence[str] | None) -> np.ndarray:
    """Return the positions of the genes, ``(g,)``."""
    known = unique_names(adata.var_names, "genes")
    if genes is None:
        return np.arange(adata.n_vars)
    if isinstance(genes, str):
        return np.flatnonzero(marked_genes(adata, genes))
    names = list(dict.fromkeys(genes))
    if not names:
        raise ValueError("genes= names no gene; leave it out for all of them")
    if missing := [name for name in names if name not in known]:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise KeyError(
            f"{len(missing)} of {len(names)} genes are missing in adata.var_names: "
            f"{missing[:_SHOWN]}{more}; leave them out of genes="
        )
    return known.get_indexer(pd.Index(names))


def _varied(fates: Quantities, rows: np.ndarray, key: str) -> np.ndarray:
    """Return the fates of some cells, ``(n, k)``, once they are known to be enough.

    What differs by rounding alone is made the same.
    """
    y = fates.values[rows]
    if len(rows) < _FEWEST:
        raise ValueError(
            f"{len(rows)} cells have a value of {key!r} there; a correlation needs at least "
            f"{_FEWEST}. Fates end at the time that they are read at; choose earlier times"
        )
    is_same = np.ptp(y, axis=0) <= _ROUNDING * np.abs(y).max(0)
    if is_same.any():
        names = np.array(fates.names, dtype=object)[is_same].tolist()
        warnings.warn(
            f"{names} of {key!r} are the same in all {len(rows)} cells; nothing correlates with "
            "them. Leave them out with groups=, or take more times",
            DataWarning,
            stacklevel=3,
        )
    return np.where(is_same, 0.0, y)


def _table(found: Correlations, genes: pd.Index, fates: Quantities) -> pd.DataFrame:
    """Return one row for each fate and gene, fates in their order, the highest first."""
    columns = {
        "correlation": found.value,
        "lower": found.lower,
        "upper": found.upper,
        "p": found.p,
        "q": false_discovery(found.p),
    }
    parts = []
    for k, fate in enumerate(fates.names):
        order = np.argsort(-found.value[:, k], kind="stable")  # NaN come last
        labels = {"gene": genes.to_numpy(dtype=object)[order], "fate": fate}
        parts.append(pd.DataFrame(labels | {name: one[order, k] for name, one in columns.items()}))
    return pd.concat(parts, ignore_index=True).rename(index=str)
