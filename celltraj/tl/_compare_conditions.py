"""Compare what became of cells between conditions, with samples as the units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from anndata import AnnData

from celltraj._anndata import (
    annotated,
    column_of,
    read_groups,
    sample_record,
    time_key_of,
    times_of,
)
from celltraj._anndata.quantities import (
    Quantities,
    has_numbers,
    read_fates,
    read_membership,
    read_number,
    told_cells,
)
from celltraj._anndata.results import CONDITIONS
from celltraj._checks import checked
from celltraj._errors import DataWarning, some, warn
from celltraj._typing import Time
from celltraj.tl._samples import Samples

_KEYS = {"fates": "ct_fates", "growth": "ct_growth"}
_COLUMN = "column"


@checked
def compare_conditions(
    adata: AnnData,
    *,
    sample_key: str,
    condition_key: str,
    of: str = "fates",
    baseline: str | None = None,
    time: Time | Sequence[Time] | None = None,
    key: str | None = None,
    n_permutations: int = 10_000,
    confidence: float = 0.95,
    key_added: str = "conditions",
    copy: bool = False,
    seed: int = 0,
) -> AnnData | None:
    """Differential test of conditions: compare fates, growth or any quantity, samples as units.

    Cells of one sample resemble each other, so that each sample counts once, with the mean over its
    cells. The effect is the difference of the means of samples, with Welch's interval; p counts the
    ways to deal the conditions to the samples that part them as far in units of Welch's error, all
    of them up to 10,000. It is exact where samples of both conditions follow one law; where 4
    samples spread three times as far as 12 of the other condition, 9 % of p values are below .05.
    Where every sample was seen in every condition, as a patient before and after, differences
    within samples are tested: Student's interval, and the two values of samples swapped.

    Parameters
    ----------
    adata
        Cells of several samples per condition.
    sample_key
        Column of ``obs`` with the samples: patients, animals, wells. Cells without one are left
        out.
    condition_key
        Column of ``obs`` with the conditions.
    of
        ``"fates"``, ``"growth"``, the key of fates in ``obsm``, or a column of ``obs``: the mean of
        numbers, or of categories the share of each. Cells without a value are left out.
    baseline
        Condition that the others are compared with; by default the first in alphabetical order.
    time
        One or more sampling times to take cells of, as numbers or as labels of the column that
        fates or growth were computed with (of others the one that all results in ``adata`` share,
        else ``"time"``); by default all, which mixes the times of each sample as it has them, but
        those of the time that fates were read at, which are their own labels.
    key
        Name of the fates (``"ct_fates"``) or of the growth (``"ct_growth"``).
    n_permutations
        Relabellings to draw where there are more than 10,000.
    confidence
        Level of the intervals.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of those draws.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]``: params
    (with ``paired``), version, seed, samples (sample, condition, quantity, value) and table
    (quantity, condition, baseline, effect, lower, upper, p, q (Benjamini-Hochberg over all rows),
    n and n_baseline (samples), p_min (the least p that so few samples can have)), which
    :func:`celltraj.get.conditions` reads. Intervals are NaN where no sample differs from another of
    its condition.

    Warns
    -----
    DataWarning
        Too few samples for any p below ``1 - confidence``, or numbers that are infinite.

    Raises
    ------
    KeyError
        There is no such column, or there are no fates or growth of that name.
    ValueError
        Fewer than two samples in a condition, fewer than two conditions, no such baseline or time,
        or samples of which some were seen in several conditions.

    References
    ----------
    Squair et al., *Confronting false discoveries in single-cell differential expression* (2021);
    Welch, *The generalization of "Student's" problem when several different population variances
    are involved* (1947); Janssen, *Studentized permutation tests for non-i.i.d. hypotheses and the
    generalized Behrens-Fisher problem* (1997).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["mouse"] = [f"m{k % 8}" for k in range(adata.n_obs)]
    >>> adata.obs["diet"] = ["fat" if k % 8 < 4 else "lean" for k in range(adata.n_obs)]
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.compare_conditions(adata, sample_key="mouse", condition_key="diet", of="arm")
    >>> ct.get.conditions(adata)[["quantity", "condition", "baseline", "n"]].values.tolist()
    [['down', 'lean', 'fat', 4], ['up', 'lean', 'fat', 4]]
    """
    CONDITIONS.claim(adata, key_added)
    if not 0 < confidence < 1 or n_permutations < 1:
        raise ValueError(
            "confidence must lie between 0 and 1 and n_permutations be at least 1; found "
            f"{confidence} and {n_permutations}"
        )
    kind, source = _source(adata, of, key)
    quantities = _read(adata, kind, source)
    time_key = time_key_of(adata, source)
    is_chosen = told_cells(adata, source, quantities.is_known, time, time_key)
    samples = _samples(adata, quantities, sample_key, condition_key, is_chosen)
    baseline = samples.check(baseline)
    table = samples.compare(
        baseline,
        n_permutations=n_permutations,
        confidence=confidence,
        rng=np.random.default_rng(seed),
    )
    least = float(table["p_min"].max())
    if least > 1 - confidence:
        warn(
            f"with so few samples no p can be below {least:.2g} (see p_min), whatever the effect; "
            "intervals trust that samples are about normal instead",
            DataWarning,
        )
    params = {
        "sample_key": sample_key,
        "condition_key": condition_key,
        "of": of,
        "baseline": baseline,
        "time_key": None if time is None else time_key,
        "time": None if time is None else np.array(times_of(adata, time_key, time)),
        "key": source if kind in _KEYS else None,
        "n_permutations": n_permutations,
        "confidence": confidence,
        "paired": samples.is_paired,
    }
    tables = {"table": table, "samples": samples.table()}
    adata = annotated(adata, copy)
    CONDITIONS.write(adata, key_added, sample_record(params, seed) | tables)
    return adata if copy else None


def _source(adata: AnnData, of: str, key: str | None) -> tuple[str, str]:
    """Return what is to be compared, fates, growth or a column, and the key that it has."""
    if of not in _KEYS:
        if key is not None:
            raise ValueError(
                f"key= names fates or growth where of= is 'fates' or 'growth'; of={of!r} is a key "
                "itself, leave key= out"
            )
        return ("fates" if of in adata.obsm and of not in adata.obs else _COLUMN), of
    if key is not None:
        return of, key
    place, usual = adata.obsm if of == "fates" else adata.obs, _KEYS[of]
    if of in place and usual in place:
        raise ValueError(f"of={of!r} means {usual!r} or {of!r}; name one of them in key=")
    return of, of if of in place else usual


def _read(adata: AnnData, kind: str, source: str) -> Quantities:
    if kind == "fates":
        return read_fates(adata, source)
    if kind == "growth":
        return _growth(adata, source)
    if source not in adata.obs:
        raise KeyError(
            f"of={source!r} is neither 'fates' nor 'growth', nor fates in adata.obsm, found "
            f"{some(adata.obsm)}, nor a column of adata.obs, found {some(adata.obs.columns)}"
        )
    return (read_number if has_numbers(column_of(adata, source)) else read_membership)(
        adata, source
    )


def _growth(adata: AnnData, key: str) -> Quantities:
    way = "Run ct.tl.growth(adata), or pass key= with its key_added"
    column_of(adata, key, what="growth", way=way)
    return replace(read_number(adata, key), names=("growth",))


def _samples(
    adata: AnnData,
    quantities: Quantities,
    sample_key: str,
    condition_key: str,
    is_chosen: np.ndarray,
) -> Samples:
    """Return the means over the chosen cells of each sample."""
    names, conditions = read_groups(adata, sample_key), read_groups(adata, condition_key)
    rows = np.flatnonzero(is_chosen & (names.notna() & conditions.notna()).to_numpy())
    if len(rows) == 0:
        raise ValueError(
            f"no cell there has a value, a sample in adata.obs[{sample_key!r}] and a condition in "
            f"adata.obs[{condition_key!r}]"
        )
    of_cells, their = (column.astype(str).tolist() for column in (names, conditions))
    return Samples.of(
        [of_cells[row] for row in rows],
        [their[row] for row in rows],
        quantities.names,
        quantities.values[rows],
    )
