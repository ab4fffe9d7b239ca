"""Couple the cells of each sample with those of the same sample."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import Coupled, annotated, read_observed, write_couplings
from celltraj._anndata.needs import check_blocks
from celltraj._anndata.results import COUPLINGS
from celltraj._anndata.studies import read_samples_of_all
from celltraj._checks import checked
from celltraj._errors import DataWarning, listed, warn
from celltraj.models.replicates.couple import CoupledWithin, Owned, couple_within
from celltraj.ot import solve

_SHOWN = 5
_FEW_CELLS = 10


@checked
def couple_samples(
    adata: AnnData,
    *,
    sample_key: str,
    time_key: str = "time",
    use_rep: str | None = None,
    epsilon: float | None = None,
    sample_mass: Literal["equal", "cells"] = "equal",
    growth_key: str | None = None,
    key_added: str = "couplings",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    r"""Couplings within samples: cells of a donor become cells of the same donor.

    Where the same sample was seen at several times, as a patient, a culture or an organoid of which
    a part is taken each time, descendants of its cells are its own. Transport between all cells of
    two times would cross from one sample to another wherever samples lie apart. For each gap and
    each sample ``s`` on both sides,

    ``min <C, P> + epsilon KL(P | w b')``, ``C_ij = |x_i - y_j|^2 / 2``, between cells of ``s``,

    times the mass of ``s``; epsilon is the same for all samples of a gap. What reads couplings
    reads these: :func:`celltraj.tl.fates`, :func:`celltraj.tl.transitions`,
    :func:`celltraj.tl.push`, and all else that :func:`celltraj.tl.couplings` names.

    Parameters
    ----------
    adata
        Cells of samples that were seen at two times or more.
    sample_key
        Column of ``obs`` with the samples that are followed.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    epsilon
        Regularisation in units of the cost, the same for every gap; by default a twentieth of the
        mean cost within samples of each gap.
    sample_mass
        How much each sample counts. ``"equal"``: as much as any other of its time, since how many
        of its cells were sequenced is an accident of the experiment, and samples are the units of a
        study; marginals then hold at all times where the same samples were seen. ``"cells"``: by
        its cells at the earlier time of each gap; cells of the later time then weigh by that, and
        not by their own number.
    growth_key
        Column of ``obs`` with the net growth per unit of time that is expected, by which cells of
        a sample share its descendants; none by default.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of nothing: the couplings are the same always. Recorded as with all results.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsp[key]`` (plans, ``(n_obs,
    n_obs)``, sparse, no entry between samples), ``obs["{key}_weight"]`` where cells weigh
    differently, and ``uns["celltraj"][key]`` as of :func:`celltraj.tl.couplings`, with samples: one
    row for each gap and sample, which :func:`celltraj.get.convergence` reads. Of more than a
    million entries plans are kept without a thousandth of the mass of each row, which
    ``params["drop"]`` then says.

    Warns
    -----
    DataWarning
        Samples that are missing on one side of a gap: their cells take no part in it, and have no
        descendants or no ancestors there; or samples of fewer than ten cells.

    Raises
    ------
    KeyError
        There is no such column or representation.
    ValueError
        A cell has no sample, every sample was seen at one time, no sample stands on both sides of a
        gap, growth that is missing or not finite, or an ``epsilon`` that is not positive.
    MemoryError
        It would take more than :func:`celltraj.memory_limit` allows.
    ConvergenceError
        ``epsilon`` is too small for the solver.

    Notes
    -----
    Samples that are destroyed when they are taken, such as embryos, have one time each: what they
    become was never seen, and :func:`celltraj.tl.couplings` couples across them. All samples share
    the gaps between neighbouring times of the study: a sample seen at days 0 and 4 of a study with
    a day 2 is left out of both gaps, since plans of one course lead from each time to the next.
    Couple such samples by themselves, in an AnnData of their times. How populations of samples
    differ in growth is not told: each sample keeps its mass.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["donor"] = [f"d{k % 3}" for k in range(adata.n_obs)]
    >>> ct.tl.couple_samples(adata, sample_key="donor", progress=False)
    >>> ct.get.convergence(adata)["sample"].unique().tolist()
    ['d0', 'd1', 'd2']
    >>> ct.tl.fates(adata, groupby="arm", progress=False)
    """
    COUPLINGS.claim(adata, key_added)
    if epsilon is not None and epsilon <= 0:
        raise ValueError(f"epsilon must be positive, or None for the default; found {epsilon}")
    samples = read_samples_of_all(adata, sample_key)
    observed = read_observed(adata, time_key=time_key, use_rep=use_rep, growth_key=growth_key)
    _check_followed(samples, observed.times, sample_key)
    owners = tuple(samples[observed.times == t] for t in observed.rows.times)
    plain = Owned(observed.rows, owners)
    check_blocks(observed, plain.blocks, solve, is_whole=plain.drop == 0)
    owned = Owned(observed.snapshots(), owners)
    owned = owned.equal() if sample_mass == "equal" else owned
    found = couple_within(owned, epsilon=epsilon, progress=progress)
    _warn_of_left_out(found)
    params = {
        "model": "within samples",
        "sample_key": sample_key,
        "sample_mass": sample_mass,
        "epsilon": epsilon,
        "growth_key": growth_key,
    }
    params |= {"drop": owned.drop} if owned.drop else {}
    made = Coupled(
        found.lineage,
        time_key,
        observed.states.name,
        params,
        has_potentials=False,
        tables={"samples": found.table},
    )
    adata = annotated(adata, copy)
    write_couplings(adata, key_added, made, seed)
    return adata if copy else None


def _check_followed(samples: np.ndarray, times: np.ndarray, sample_key: str) -> None:
    """Raise where no sample was seen twice, and warn of samples of few cells."""
    seen = pd.Series(times).groupby(samples).nunique()
    if (seen < 2).all():
        raise ValueError(
            f"each of the {len(seen)} samples in adata.obs[{sample_key!r}] was seen at one time: "
            "what they became was not seen. ct.tl.couplings(adata) couples cells across samples; "
            "if these are names of single captures, pass sample_key= with the donors"
        )
    counts = pd.Series(1, index=[samples, times]).groupby(level=[0, 1]).sum()
    few = [f"{name!r} at {t:g} ({n})" for (name, t), n in counts.items() if n < _FEW_CELLS]
    if few:
        warn(
            f"samples of fewer than {_FEW_CELLS} cells at a time: {listed(few, _SHOWN)}; who "
            "becomes whom is mostly chance in them",
            DataWarning,
        )


def _warn_of_left_out(found: CoupledWithin) -> None:
    for (t0, t1), names in found.left_out.items():
        warn(
            f"samples {listed(map(repr, names), _SHOWN)} have cells on one side only of the gap "
            f"from {t0:g} to {t1:g} and are left out of it: their cells have no descendants, or no "
            "ancestors, there",
            DataWarning,
        )
