"""Bring fates to what clones were seen to become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import annotated, sample_record
from celltraj._anndata.results import CALIBRATION, FATES
from celltraj._anndata.source import Source
from celltraj._anndata.units import UnitFates, read_unit_fates
from celltraj._checks import checked
from celltraj._errors import DataWarning, warn
from celltraj._stats.calibration import Calibration, Told, Verdict, calibrated, judged, reliability
from celltraj._typing import Time


@checked
def calibrate(
    adata: AnnData,
    *,
    unit_key: str,
    truth: Mapping[str, str] | None = None,
    key: str = "ct_fates",
    time: Time | Sequence[Time] | None = None,
    confidence: float = 0.95,
    key_added: str = "ct_fates_calibrated",
    copy: bool = False,
    seed: int = 0,
) -> AnnData | None:
    """Conformal calibration: bring fates to what clones became, with intervals that hold the truth.

    ``m -> E[y | m]``, isotonic, then ``E[y | m] -+ q`` with ``q`` so that a random cell of a new
    unit is missed by more in at most ``1 - confidence`` of cases, by fifths of ``m`` since errors
    differ. What is exchangeable are units, never cells: two in five of them give the map, two in
    five the width, and on one in five, kept aside from both, the result says how often intervals
    held, and by how much fates were off, before and after and beside a constant. No unit is in two
    of these parts, and each counts once, a clone of one cell as one of a thousand.

    Parameters
    ----------
    adata
        Cells after :func:`celltraj.tl.fates`.
    unit_key
        Column of ``obs`` with the unit of each cell, over which fates vary as they would over new
        ones: its clone, donor or sample; missing where it is not known.
    truth
        Columns of ``obs`` with the share of a cell's clone that was seen to have each fate, by the
        name of the fate; fates that are not named are left out. By default the shares among the
        cells of the unit at the time of the fates.
    key
        The ``key_added`` of :func:`celltraj.tl.fates`.
    time
        Time or times, also as labels, of the cells to calibrate; by default all before that at
        which fates were read.
    confidence
        Share of new units that an interval holds, of each fate by itself.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the division of units.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsm[key_added]``,
    ``obsm[f"{key_added}_lower"]`` and ``_upper`` (``(n_obs, K)`` shares; NaN where there is no
    fate to calibrate), which :func:`celltraj.get.fates` reads as well, and
    ``uns["celltraj"][key_added]`` (params, version, seed, names; scores: coverage and mean squared
    error before and after on units kept aside; curve, which :func:`celltraj.pl.calibration` draws).

    Warns
    -----
    DataWarning
        A constant, the mean of the units that gave the map, does as well as the calibrated fates.

    Raises
    ------
    KeyError
        There are no fates, or no such column.
    ValueError
        Fewer units than an interval needs: one of ``n`` units errs in ``1 / (n + 1)`` of cases at
        least; no cell whose unit was seen; other fates or no shares in ``truth``.

    Notes
    -----
    An interval holds a random cell of a random new unit, where the cells were sampled and labelled
    in the same way; it says nothing of clones of other experiments. Its width is the same all over
    a fifth of ``m``, and [0, 1] where too few units fall there.

    References
    ----------
    Zadrozny & Elkan, *Transforming classifier scores into accurate multiclass probability
    estimates* (2002); Vovk, Gammerman & Shafer, *Algorithmic learning in a random world* (2005),
    section 4.5; Lee, Barber & Willett, *Distribution-free inference with hierarchical data* (2023).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["side"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> adata.obs["clone"] = [f"clone {i % 60}" for i in range(adata.n_obs)]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.fates(adata, groupby="side")
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # clones drawn at random tell nothing
    ...     ct.tl.calibrate(adata, unit_key="clone", confidence=0.9)
    >>> ct.get.calibration(adata)[["fate", "n_units"]].values.tolist()
    [['down', 12], ['up', 12]]
    """
    CALIBRATION.claim(adata, key_added)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; found {confidence}")
    fates = read_unit_fates(adata, key, truth, unit_key, time)
    generator = np.random.default_rng(seed)
    found, aside, constant = calibrated(
        fates.told, confidence=confidence, noun=f"units of {unit_key!r}", generator=generator
    )
    verdict = judged(aside, found, constant)
    _warn_of_constant(fates.names, verdict)
    params = {
        "key": key,
        "unit_key": unit_key,
        "truth": None if truth is None else np.array(list(truth.values()), dtype=object),
        "at": float(FATES.peek(adata, key)["params"]["at"]),
        "confidence": confidence,
        "n_units": len(np.unique(fates.told.unit)),
    }
    tables = {
        "names": np.array(fates.names, dtype=object),
        "scores": _scores(fates.names, aside, verdict),
        "curve": _curve(fates.names, aside, found, confidence),
    }
    source = Source.from_record(FATES.read(adata, key)["source"])
    adata = annotated(adata, copy)
    record = sample_record(params, seed) | tables
    CALIBRATION.write(adata, key_added, record, _columns(key_added, fates, found), source=source)
    return adata if copy else None


def _warn_of_constant(names: Sequence[str], verdict: Verdict) -> None:
    plain = np.array(names, dtype=object)[~verdict.beats_constant].tolist()
    if plain:
        warn(
            f"a constant does as well as the calibrated fates {plain}: on the units kept aside, "
            f"their squared error is {np.round(verdict.error[~verdict.beats_constant], 4).tolist()}"
            f" and that of the mean of all units "
            f"{np.round(verdict.error_constant[~verdict.beats_constant], 4).tolist()}, which is no "
            "more than chance apart. These fates tell nothing that is known of single units",
            DataWarning,
        )


def _columns(key: str, fates: UnitFates, found: Calibration) -> dict[str, np.ndarray]:
    """Return what is written of all cells that fates are told of."""
    here = fates.is_told
    values = fates.predicted[here]
    columns = {}
    for name, part in zip(
        (key, f"{key}_lower", f"{key}_upper"),
        (found.mean(values), *found.interval(values)),
        strict=True,
    ):
        columns[name] = np.full(fates.predicted.shape, np.nan, dtype=np.float32)
        columns[name][here] = part
    return columns


def _scores(names: Sequence[str], aside: Told, verdict: Verdict) -> pd.DataFrame:
    """Return a row for each fate."""
    n_units = len(np.unique(aside.unit))
    table = pd.DataFrame({"fate": list(names), "n_units": n_units, "n_cells": len(aside.unit)})
    return table.assign(**vars(verdict)).rename(index=str)


def _curve(
    names: Sequence[str], aside: Told, found: Calibration, confidence: float
) -> pd.DataFrame:
    """Return a row for each fate and fifth of what was predicted."""
    parts = []
    for k, name in enumerate(names):
        part = pd.DataFrame(reliability(aside, found, k, confidence=confidence))
        part.insert(0, "fate", name)
        parts.append(part.astype({"n_units": int}))
    return pd.concat(parts, ignore_index=True).rename(index=str)
