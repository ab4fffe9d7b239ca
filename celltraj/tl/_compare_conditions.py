"""Compare what became of cells between conditions, with samples as the units."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from anndata import AnnData

from celltraj._anndata import (
    annotated,
    column_of,
    read_groups,
    sample_record,
    times_of,
)
from celltraj._anndata.quantities import (
    Quantities,
    has_numbers,
    is_at,
    read_fates,
    read_membership,
    read_number,
    time_key_of,
)
from celltraj._anndata.results import CONDITIONS
from celltraj._errors import DataWarning
from celltraj._typing import Time
from celltraj.tl._samples import Samples

_KEYS = {"fates": "ct_fates", "growth": "ct_growth"}


def compare_conditions(
    adata: AnnData,
    *,
    sample_key: str,
    condition_key: str,
    of: str = "fates",
    reference: str | None = None,
    time_key: str | None = None,
    time: Time | Sequence[Time] | None = None,
    key: str | None = None,
    n_permutations: int = 10_000,
    confidence: float = 0.95,
    key_added: str = "conditions",
    copy: bool = False,
    seed: int = 0,
) -> AnnData | None:
    """Compare fates, growth or any quantity between conditions, samples being the units.

    Cells of one sample resemble each other, so that each sample counts once, with the mean over its
    cells. The effect is the difference of the means of samples, with Welch's interval; p counts the
    ways to deal the conditions to the samples that part them as far, all of them up to 10,000.
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
        ``"fates"``, ``"growth"``, or a column of ``obs``: the mean of numbers, or of categories the
        share of each. Cells without a value are left out.
    reference
        Condition that the others are compared with; by default the first in alphabetical order.
    time_key
        Column of ``obs`` with the sampling times, read with ``time``; by default the one that fates
        or growth were computed with, else ``"time"``.
    time
        One or more sampling times to take cells of, as numbers or as the labels of ``time_key``;
        all by default, which mixes the times of each sample as it has them.
    key
        Name of the fates (``"ct_fates"``) or of the growth (``"ct_growth"``).
    n_permutations
        Relabellings to draw where there are more than 10,000.
    confidence
        Level of the intervals.
    key_added
        Name of the record.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of those draws.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]``: params
    (with ``paired``), version, seed, samples (sample, condition, quantity, value) and table
    (quantity, condition, reference, effect, lower, upper, p, q (Benjamini-Hochberg over all rows),
    n and n_reference (samples), p_min (the least p that so few samples can have)), which
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
        Fewer than two samples in a condition, fewer than two conditions, no such reference or time,
        or samples of which some were seen in several conditions.

    References
    ----------
    Squair et al., *Confronting false discoveries in single-cell differential expression* (2021);
    Welch, *The generalization of "Student's" problem when several different population variances
    are involved* (1947).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["mouse"] = [f"m{k % 8}" for k in range(adata.n_obs)]
    >>> adata.obs["diet"] = ["fat" if k % 8 < 4 else "lean" for k in range(adata.n_obs)]
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.compare_conditions(adata, sample_key="mouse", condition_key="diet", of="arm")
    >>> ct.get.conditions(adata)[["quantity", "condition", "reference", "n"]].values.tolist()
    [['down', 'lean', 'fat', 4], ['up', 'lean', 'fat', 4]]
    """
    CONDITIONS.claim(adata, key_added)
    if not 0 < confidence < 1 or n_permutations < 1:
        raise ValueError(
            "confidence must lie between 0 and 1 and n_permutations be at least 1; found "
            f"{confidence} and {n_permutations}"
        )
    quantities = _read(adata, of, key)
    if time_key is None:
        time_key = time_key_of(adata, key or _KEYS.get(of, of))
    is_chosen = quantities.is_known & is_at(adata, time, time_key)
    samples = _samples(adata, quantities, sample_key, condition_key, is_chosen)
    reference = samples.check(reference)
    table = samples.compare(
        reference,
        n_permutations=n_permutations,
        confidence=confidence,
        rng=np.random.default_rng(seed),
    )
    least = float(table["p_min"].max())
    if least > 1 - confidence:
        warnings.warn(
            f"with so few samples no p can be below {least:.2g} (see p_min), whatever the effect; "
            "intervals trust that samples are about normal instead",
            DataWarning,
            stacklevel=2,
        )
    params = {
        "sample_key": sample_key,
        "condition_key": condition_key,
        "of": of,
        "reference": reference,
        "time_key": None if time is None else time_key,
        "time": None if time is None else np.array(times_of(adata, time_key, time)),
        "key": key or _KEYS.get(of),
        "n_permutations": n_permutations,
        "confidence": confidence,
        "paired": samples.is_paired,
    }
    tables = {"table": table, "samples": samples.table()}
    adata = annotated(adata, copy)
    CONDITIONS.write(adata, key_added, sample_record(params, seed) | tables)
    return adata if copy else None


def _read(adata: AnnData, of: str, key: str | None) -> Quantities:
    """Return what is to be compared, for every cell."""
    if key is not None and of not in _KEYS:
        raise ValueError(
            f"key= names fates or growth, and of={of!r} is a column of adata.obs; leave key= out"
        )
    if of == "fates":
        return read_fates(adata, key or _KEYS[of])
    if of == "growth":
        return _growth(adata, key or _KEYS[of])
    if of not in adata.obs:
        raise KeyError(
            f"of={of!r} is neither 'fates' nor 'growth' nor a column of adata.obs; found "
            f"{list(adata.obs.columns)}"
        )
    return (read_number if has_numbers(column_of(adata, of)) else read_membership)(adata, of)


def _growth(adata: AnnData, key: str) -> Quantities:
    way = "Run ct.tl.growth(adata), or pass key= with its key_added"
    column_of(adata, key, what="growth", way=way)
    return replace(read_number(adata, key, stacklevel=5), names=("growth",))


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
