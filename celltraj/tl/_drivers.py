"""Genes whose expression goes with a fate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import sparray, spmatrix

from celltraj._anndata import (
    annotated,
    sample_record,
    time_key_of,
    times_of,
    unique_names,
)
from celltraj._anndata.expression import marked_genes, read_expression
from celltraj._anndata.quantities import Quantities, read_fates, read_number
from celltraj._anndata.results import DRIVERS
from celltraj._checks import checked
from celltraj._errors import DataWarning, some, warn
from celltraj._stats.correlation import (
    Correlations,
    correlations,
    false_discovery,
    permutation_p,
)
from celltraj._stats.sample_correlation import sample_correlations, sign_p
from celltraj._typing import Time
from celltraj.tl._driver_cells import POOLED, DriverCells, read_driver_cells

_SHOWN = 10


@checked
def drivers(
    adata: AnnData,
    *,
    key: str = "ct_fates",
    layer: str | None = None,
    sample_key: str | None = None,
    time: Time | Sequence[Time] | None = None,
    genes: str | Sequence[str] | None = None,
    n_permutations: int | None = None,
    confidence: float = 0.95,
    key_added: str = "drivers",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Driver genes: correlate the expression of genes with the fates of cells.

    Pearson's ``r`` within sampling times. With ``sample_key`` samples are the units: ``r`` within
    each of them, and Student's test over the ``atanh r`` of samples. Without it cells are the
    units, as if they were independent given their time, and p values are too small wherever cells
    of a sample resemble each other: of genes that no fate goes with, where samples differ as much
    as cells, 58 % had a p below .05, and 5 % with ``sample_key`` (benchmarks/README.md).
    Fates were computed from expression: p values sort genes, and are no proof that a gene drives
    anything.

    Parameters
    ----------
    adata
        Cells with fates, and logarithmic normalised expression. A sparse matrix stays sparse.
    key
        Fates in ``obsm``, the ``key_added`` of :func:`celltraj.tl.fates`, or a column of ``obs``
        with numbers, such as ``"ct_growth"``. Cells without a value are left out.
    layer
        Layer with the expression; ``X`` by default.
    sample_key
        Column of ``obs`` with the samples: patients, animals, wells. Each counts once, however many
        cells it has; cells without one are left out. What only differs between samples is not
        found: :func:`celltraj.tl.compare_conditions` compares those.
    time
        One or more sampling times to take cells of, as numbers or as labels of the column that
        fates or growth were computed with (of others the one that all results in ``adata`` share,
        else ``"time"``). By default all before the one that fates were read at: there the fate of a
        cell is its own label. Genes and fates are compared within times, as differences from their
        mean of that time. ``"pooled"`` compares cells of all these times with each other: a gene
        that merely changes with time then goes with every fate that does, and has a p below .05 (in
        100 % of such genes).
    genes
        Names of genes, or a boolean column of ``var`` such as one of transcription factors; all by
        default.
    n_permutations
        By default p values are those of Student's distribution. With a number, that many times
        cells are exchanged within each sampling time, or with ``sample_key`` the signs of the
        correlations of whole samples are swapped, in all ways up to 10,000; no p is below ``1 / (1
        + n_permutations)``, nor of ``S`` samples ``2 / 2^S``.
    confidence
        Level of the intervals.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the exchanges.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]`` (params,
    version, seed, and table: gene, fate, correlation (with samples the ``tanh`` of their mean),
    lower, upper, p (two-sided), q (Benjamini-Hochberg over the genes of a fate), n_cells, with
    samples n_samples (those in which gene and fate vary; fewer than two have neither interval nor
    p); fates in their order, the highest correlation first, genes that are constant last and NaN),
    which :func:`celltraj.get.drivers` reads. ``params["units"]`` says whether ``"cells"`` or
    ``"samples"`` were counted.

    Warns
    -----
    DataWarning
        The expression looks like raw counts, a fate is the same in all cells, numbers are infinite,
        samples have too few cells, or no p can be below ``1 - confidence``.

    Raises
    ------
    KeyError
        There are no such fates, layer, column or genes, or no sampling times.
    ValueError
        Unknown times, less than one exchange, names of genes that are not unique, values that are
        not finite numbers, fewer than four cells, or a single sample.

    References
    ----------
    Fisher, *On the "probable error" of a coefficient of correlation deduced from a small sample*
    (1921); Ibragimov & Müller, *t-statistic based correlation and heterogeneity robust inference*
    (2010); Benjamini & Hochberg, *Controlling the false discovery rate* (1995).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.fates(adata, groupby="arm")
    >>> ct.tl.drivers(adata)
    >>> ct.get.drivers(adata, fate="up", n=1)["gene"].tolist()
    ['y']
    """
    DRIVERS.claim(adata, key_added)
    if n_permutations is not None and n_permutations < 1:
        raise ValueError(f"n_permutations must be at least 1; found {n_permutations}")
    is_pooled = isinstance(time, str) and time == POOLED
    chosen = None if is_pooled else time
    fates = _read(adata, key)
    columns = _columns(adata, genes)
    x = read_expression(adata, layer)
    time_key = time_key_of(adata, key)
    cells = read_driver_cells(
        adata,
        fates,
        key=key,
        time=chosen,
        time_key=time_key,
        within_time=not is_pooled,
        sample_key=sample_key,
    )
    found, n_samples = _found(
        x[cells.rows][:, columns],
        cells,
        n_permutations=n_permutations,
        confidence=confidence,
        seed=seed,
        progress=progress,
    )
    params = {
        "key": key,
        "layer": layer,
        "units": "cells" if sample_key is None else "samples",
        "sample_key": sample_key,
        "time": None if chosen is None else np.array(times_of(adata, time_key, chosen)),
        "time_key": None if is_pooled else time_key,
        "within_time": not is_pooled,
        "genes": genes if genes is None or isinstance(genes, str) else "names",
        "n_permutations": n_permutations,
        "confidence": confidence,
    }
    table = _table(found, adata.var_names[columns], fates, n_samples)
    table["n_cells"] = len(cells.rows)
    adata = annotated(adata, copy)
    DRIVERS.write(adata, key_added, sample_record(params, seed) | {"table": table})
    return adata if copy else None


def _found(
    x: np.ndarray | spmatrix | sparray,
    cells: DriverCells,
    *,
    n_permutations: int | None,
    confidence: float,
    seed: int,
    progress: bool,
) -> tuple[Correlations, np.ndarray | None]:
    """Return the correlations, and over how many samples each is, ``(g, k)``; None over cells."""
    y, strata, rng = cells.values, cells.strata, np.random.default_rng(seed)
    if cells.samples is None:
        found = correlations(x, y, strata=strata, confidence=confidence)
        if n_permutations is not None:
            p = permutation_p(
                x, y, n_permutations=n_permutations, rng=rng, strata=strata, progress=progress
            )
            found = replace(found, p=p)
        return found, None
    found, z = sample_correlations(x, y, cells.samples, strata=strata, confidence=confidence)
    n = np.isfinite(z).sum(0)
    if n_permutations is not None:
        found = replace(found, p=sign_p(z, n_permutations=n_permutations, rng=rng))
        _warn_of_few(int(n.max()), confidence)
    return found, n


def _warn_of_few(n_samples: int, confidence: float) -> None:
    if 2 / 2**n_samples > 1 - confidence:
        warn(
            f"the signs of {n_samples} samples can be swapped in so few ways that no p can be "
            f"below {2 / 2**n_samples:.2g}, whatever the effect; without n_permutations= samples "
            "are trusted to be about normal instead",
            DataWarning,
        )


def _read(adata: AnnData, key: str) -> Quantities:
    """Return the fates to correlate with, or the number of ``obs``."""
    if key not in adata.obsm and key not in adata.obs:
        raise KeyError(
            f"no fates in adata.obsm[{key!r}], found {some(adata.obsm)}, and no numbers in "
            f"adata.obs[{key!r}], found {some(adata.obs.columns)}. Run "
            "ct.tl.fates(adata, groupby=...), or pass key= with its key_added"
        )
    return read_fates(adata, key) if key in adata.obsm else read_number(adata, key)


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
        raise KeyError(
            f"{len(missing)} of {len(names)} genes are missing in adata.var_names: "
            f"{some(missing, _SHOWN)}; leave them out of genes="
        )
    rows: np.ndarray = known.get_indexer(pd.Index(names))
    return rows


def _table(
    found: Correlations, genes: pd.Index, fates: Quantities, n_samples: np.ndarray | None
) -> pd.DataFrame:
    """Return one row for each fate and gene, fates in their order, the highest first."""
    columns = {
        "correlation": found.value,
        "lower": found.lower,
        "upper": found.upper,
        "p": found.p,
        "q": false_discovery(found.p),
    }
    if n_samples is not None:
        columns["n_samples"] = n_samples
    parts = []
    for k, fate in enumerate(fates.names):
        order = np.argsort(-found.value[:, k], kind="stable")  # NaN come last
        labels = {"gene": genes.to_numpy(dtype=object)[order], "fate": fate}
        parts.append(pd.DataFrame(labels | {name: one[order, k] for name, one in columns.items()}))
    return pd.concat(parts, ignore_index=True).rename(index=str)
