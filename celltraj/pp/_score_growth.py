"""Guess the growth of every cell from its genes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csc_array, issparse, sparray, spmatrix

from celltraj._anndata import (
    annotated,
    options_record,
    sample_record,
)
from celltraj._anndata.expression import read_expression
from celltraj._anndata.results import GROWTH_PRIOR
from celltraj._checks import check_option, checked
from celltraj.models import BirthDeath
from celltraj.pp._gene_sets import find_genes, gene_set

logger = logging.getLogger("celltraj")
_SETS = ("proliferation", "apoptosis")
_MOST = 5.0  # standard deviations that a single gene may lift a score by, as in the source
_ENTRIES = 2**22  # of the columns of a set that are held dense at once
_SHOWN = 10
_DAYS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1 / 86_400),
    **dict.fromkeys(("min", "minute", "minutes"), 1 / 1440),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 1 / 24),
    **dict.fromkeys(("d", "day", "days"), 1.0),
    **dict.fromkeys(("w", "week", "weeks"), 7.0),
}


@dataclass(frozen=True)
class _Score:
    """Hold the ``(n,)`` score of a set, and what became of each of its genes."""

    values: np.ndarray
    table: pd.DataFrame


@checked
def score_growth(
    adata: AnnData,
    *,
    organism: str = "human",
    proliferation: Sequence[str] | None = None,
    apoptosis: Sequence[str] | None = None,
    layer: str | None = None,
    min_share: float = 0.5,
    rates: BirthDeath | None = None,
    days_per_unit: float | None = None,
    key_added: str = "growth_prior",
    copy: bool = False,
) -> AnnData | None:
    """Growth prior: guess the rate at which every cell's descendants multiply, from its genes.

    ``rate = (birth(s) - death(a)) days_per_unit``, with ``s`` and ``a`` the scores of proliferation
    and apoptosis: the mean over the genes of a set of the standardised expression, each clipped to
    [-5, 5]. Birth and death rise with their scores from 0.3 to 1.7 per day, see
    :class:`celltraj.models.BirthDeath`. Scores are relative to the cells in ``adata``: they say who
    grows faster than the others, and only roughly how fast. Pass the rates as a prior, for a fit to
    correct (``growth_key``).

    Parameters
    ----------
    adata
        Cells with logarithmic normalised expression, of more than the variable genes: the genes of
        the sets must be there. Only those are ever held dense.
    organism
        ``"human"`` or ``"mouse"``, whose symbols the genes of the sets are looked up by.
    proliferation
        Symbols of genes that tell of division; the 97 of S, G2 and M phase of Tirosh et al. by
        default.
    apoptosis
        Symbols of genes that tell of death; the 161 of the MSigDB hallmark set by default.
    layer
        Layer with the expression; ``X`` by default.
    min_share
        Share of each set that must be in ``var_names``, from 0 to 1. With few genes a score is
        mostly noise.
    rates
        Rates of birth and death per day, as functions of the scores; those of the source by
        default.
    days_per_unit
        Days in your unit of time, such as 1 / 24 for hours. By default read from
        ``uns["time_unit"]`` (seconds, minutes, hours, days or weeks); 1 where nothing of the kind
        is there.
    key_added
        Name of the result, a column of ``obs``.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.

    Returns
    -------
    Nothing, with ``copy=True`` the annotated copy. Written, float32: ``obs[key_added]`` (net rate
    in 1/[t], your unit of time), ``obs[f"{key_added}_proliferation"]`` and
    ``obs[f"{key_added}_apoptosis"]`` (scores, in standard deviations);
    ``uns["celltraj"][key_added]`` (params, version, unit, genes: gene, set and status, which is
    used, constant or missing).

    Warns
    -----
    DataWarning
        The matrix looks like raw counts, which differ by depth before they differ by growth.

    Raises
    ------
    TypeError
        A set that is one text, or rates that are no :class:`celltraj.models.BirthDeath`.
    KeyError
        The layer does not exist.
    ValueError
        Another organism, less than ``min_share`` of a set, all its genes constant, values that are
        not finite, names of genes that are not unique, or numbers out of range.

    References
    ----------
    Schiebinger et al., *Optimal-transport analysis of single-cell gene expression identifies
    developmental trajectories in reprogramming* (2019), STAR Methods; Tirosh et al., *Dissecting
    the multicellular ecosystem of metastatic melanoma by single-cell RNA-seq* (2016); Liberzon et
    al., *The Molecular Signatures Database hallmark gene set collection* (2015), CC BY 4.0.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd
    >>> import celltraj as ct
    >>> genes = pd.DataFrame(index=["MKI67", "BAX"])
    >>> adata = ad.AnnData(np.array([[2.0, 0.0], [0.0, 2.0]]), var=genes)
    >>> ct.pp.score_growth(adata, proliferation=["MKI67"], apoptosis=["BAX"], days_per_unit=1)
    >>> [round(rate, 2) for rate in adata.obs["growth_prior"].astype(float)]
    [1.4, -1.4]
    """
    GROWTH_PRIOR.claim(adata, key_added)
    rates = BirthDeath() if rates is None else rates
    check_option(rates, BirthDeath, "rates", "ct.models.BirthDeath()")
    if not 0 <= min_share <= 1:
        raise ValueError(f"min_share must be between 0 and 1; found {min_share}")
    days, unit = _days_per_unit(adata, days_per_unit)
    given = dict(zip(_SETS, (proliferation, apoptosis), strict=True))
    sets = {name: gene_set(name, organism, genes) for name, genes in given.items()}
    places = {
        name: find_genes(name, genes, adata.var_names, min_share) for name, genes in sets.items()
    }
    x = read_expression(adata, layer)
    s, a = (_score(x, name, sets[name], places[name]) for name in _SETS)
    params = {
        "organism": organism,
        **{name: "built-in" if genes is None else "given" for name, genes in given.items()},
        "layer": layer,
        "min_share": float(min_share),
        "rates": options_record(rates),
        "days_per_unit": days,
    }
    record = sample_record(params, 0)
    del record["seed"]  # nothing is random
    adata = annotated(adata, copy)
    columns = {
        key_added: days * rates.net(s.values, a.values),
        f"{key_added}_proliferation": s.values,
        f"{key_added}_apoptosis": a.values,
    }
    record |= {
        "unit": unit,
        "genes": pd.concat([s.table, a.table], ignore_index=True).rename(index=str),
    }
    columns = {name: values.astype(np.float32) for name, values in columns.items()}
    GROWTH_PRIOR.write(adata, key_added, record, columns)
    return adata if copy else None


def _days_per_unit(adata: AnnData, given: float | None) -> tuple[float, str]:
    """Return the days in a unit of time, and the unit of a rate."""
    named = str(adata.uns.get("time_unit", "")).strip()
    if given is not None:
        if not 0 < given < float("inf"):
            raise ValueError(f"days_per_unit must be a positive number of days; found {given}")
        return float(given), f"1/({given:g} days)"
    if named.lower() in _DAYS:
        return _DAYS[named.lower()], f"1/{named}"
    logger.info(
        "rates are per day: adata.uns['time_unit'] is %s; pass days_per_unit= if your unit of time "
        "is another",
        f"{named!r}, no unit that is known" if named else "missing",
    )
    return 1.0, "1/day"


def _score(
    x: np.ndarray | spmatrix | sparray, name: str, genes: tuple[str, ...], columns: np.ndarray
) -> _Score:
    """Return the mean standardised expression of the genes that are there and vary."""
    if x.shape[0] == 0:
        raise ValueError("adata has no cells (n_obs is 0); check the filter that came before")
    is_there = columns >= 0
    total, varies = np.zeros(x.shape[0]), np.zeros(len(genes), dtype=bool)
    for block, values in _blocks(x, np.flatnonzero(is_there), columns):
        varies[block] = values.min(0) < values.max(0)
        values = values[:, varies[block]]
        z = (values - values.mean(0)) / values.std(0)
        total += z.clip(-_MOST, _MOST).sum(1)
    if not varies.any():
        raise ValueError(
            f"all genes of {name} are constant in all {x.shape[0]} cells, so that nothing tells "
            f"them apart; pass layer= with their expression, or {name}= with other genes"
        )
    status = np.where(varies, "used", np.where(is_there, "constant", "missing"))
    _tell(name, np.asarray(genes, dtype=object), status)
    table = pd.DataFrame({"gene": genes, "set": name, "status": status})
    return _Score(total / varies.sum(), table)


def _blocks(
    x: np.ndarray | spmatrix | sparray, chosen: np.ndarray, columns: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield some of ``chosen`` and the dense float64 columns they name, a few at a time."""
    width = max(1, _ENTRIES // max(1, x.shape[0]))
    # a row-wise matrix is gone through once, not once for every block
    part = csc_array(x[:, columns[chosen]]) if issparse(x) else None
    for start in range(0, len(chosen), width):
        block = chosen[start : start + width]
        end = start + len(block)
        values = x[:, columns[block]] if part is None else part[:, start:end].toarray()
        yield block, np.asarray(values, dtype=np.float64)


def _tell(name: str, genes: np.ndarray, status: np.ndarray) -> None:
    for kind, fact in (("missing", "not in adata.var_names"), ("constant", "constant")):
        found = genes[status == kind]
        if len(found):
            logger.info(
                "%d of the %d genes of %s are %s: %s%s",
                len(found),
                len(genes),
                name,
                fact,
                ", ".join(found[:_SHOWN]),
                ", ..." if len(found) > _SHOWN else "",
            )
