"""Couple neighbouring snapshots where barcodes say which cells are kin."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import (
    annotated,
    read_observed,
    read_representation,
    recorded,
    write_couplings,
)
from celltraj._anndata.clone_names import clone_columns
from celltraj._anndata.clones import read_clones
from celltraj._anndata.coupled import Coupled
from celltraj._anndata.needs import check_couplings
from celltraj._anndata.results import COUPLINGS
from celltraj._checks import checked
from celltraj._errors import DataWarning, warn
from celltraj._typing import Counts
from celltraj.models import Lineage
from celltraj.models.clonal.couple import couple_shifted
from celltraj.models.clonal.drift import ClonalDrift, folds_of
from celltraj.models.clonal.martingale import ClonePair
from celltraj.models.clonal.strength import (
    LEAST_CLONES,
    SCALES,
    ClonalGap,
    FoundStrength,
    found_strength,
)
from celltraj.models.coupling import coupled_gaps, plain_epsilon
from celltraj.models.growth.convention import GrowthModel
from celltraj.models.growth.in_couplings import growth_of_couplings
from celltraj.ot import Coupling, SquaredEuclidean, solve
from celltraj.snapshots import Snapshots

logger = logging.getLogger("celltraj")
Span = tuple[float, float]


@checked
def couple_clones(
    adata: AnnData,
    *,
    clone_key: str | Sequence[str],
    strength: float | None = None,
    time_key: str = "time",
    use_rep: str | None = None,
    epsilon: float | None = None,
    growth: GrowthModel = "auto",
    growth_key: str | None = None,
    counts: Counts = "proportions",
    key_added: str = "couplings",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    r"""Couplings informed by clones: tell which cells become which, where some are known kin.

    Entropic transport of :func:`celltraj.tl.couplings` under a prior that clones teach,

    ``y | x ~ N(x + strength s(x), epsilon)``, so that ``C_ij = |x_i + strength s(x_i) - y_j|^2 /
    2``, with ``s(x)`` how far the clones of cells like ``x`` went: the mean, over the nearest
    clonal cells, of the way from the cell to the later cells of its clone, with a kernel, and with
    one clone more that stays. All cells profit, with a barcode or without, since those alike go
    alike; where no clone was near, the cost is as without. The snapshots are met as without clones.

    Parameters
    ----------
    adata
        Cells of all times.
    clone_key
        Column of ``obs`` with the clone of each cell, missing where it is not known. Where
        labels of several samples coincide, both columns: ``["mouse", "barcode"]``.
    strength
        How far clones are followed, from 0 (not at all) to 1 (as far as they go). By default, for
        each gap, the one of 0, .5 and 1 under which clones that are left out are foretold best by
        the others; 0 where none does so better than by chance, or fewer than ten are there.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    epsilon
        Regularisation in units of the cost, the same for every gap; by default a twentieth of the
        mean cost of each gap without clones, or, where a strength is found, 2, 4 or 8 times as much
        if clones are foretold better so: they tell how far kin scatter.
    growth
        How much cells divide and die, as :func:`celltraj.tl.couplings` has it.
    growth_key
        Column of ``obs`` with the net growth per unit of time that is to be expected.
    counts
        What the numbers of cells mean. As :func:`celltraj.tl.couplings` has it.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the folds, and of the cells by which a strength is found.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written are couplings, which
    :func:`celltraj.tl.fates`, :func:`celltraj.tl.transitions`, :func:`celltraj.tl.push` and the
    others read: ``obsp[key]`` (plans, ``(n_obs, n_obs)``, sparse; of more than a million entries
    without a thousandth of the mass of each row, which ``params["drop"]`` then says), where cells
    weigh differently ``obs["{key}_weight"]``, and ``uns["celltraj"][key]`` as that of
    :func:`celltraj.tl.couplings`, with ``params["strength_found"]`` in words and,
    where it was chosen, the table ``strengths``, which
    :func:`celltraj.get.clone_strength` reads. Where no gap follows clones, potentials as of
    couplings without clones, ``obsm[key]``.

    Warns
    -----
    DataWarning
        Clones of a gap do not foretell each other, so that it is coupled as without clones.

    Raises
    ------
    KeyError
        There is no such column or representation.
    ValueError
        No clone was seen at two times that follow each other; fewer than ten at either of all gaps,
        so that no strength can be chosen; a ``strength`` that is negative or not finite.
    MemoryError
        Transport would take more than :func:`celltraj.memory_limit` allows.

    Notes
    -----
    The score of a strength is that of the later cells of a clone that was left out, ``mean_j
    log(mean_i p(y_j | x_i) / b(y_j))`` over its later and earlier cells, with ``p`` the conditional
    law of the plan and ``b`` the later snapshot: a proper score, in nats a cell, over five folds of
    clones and at most 1,000 cells of each snapshot. Clones count once each, however large. The best
    is taken where it gains more over strength 0 than the standard error of that gain over clones.

    Clones are sisters: those of an earlier cell descend from its sisters, which were like it as far
    as the clone had not spread. Only clones seen at both times of a gap tell something of it.

    References
    ----------
    Wang et al., *CoSpar identifies early cell fate biases from single-cell transcriptomic and
    lineage information* (2022), for the assumption that like cells have like fates; Weinreb et al.,
    *Lineage tracing on transcriptional landscapes links state to fate during differentiation*
    (2020).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["clone"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couple_clones(adata, clone_key="clone", strength=0.5, progress=False)
    >>> adata.obs["arm"] = adata.obs["clone"]
    >>> ct.tl.fates(adata, groupby="arm", progress=False)
    """
    COUPLINGS.claim(adata, key_added)
    if strength is not None and not 0 <= strength < math.inf:
        raise ValueError(f"strength must be 0 or more and finite; found {strength}")
    name, x = read_representation(adata, use_rep)
    found = read_clones(adata, x, clone_key=clone_key, time_key=time_key, is_ancestor=False)
    pairs = {one.times: one for one in found}
    if strength is None:
        _check_enough(pairs, clone_key)
    observed = read_observed(
        adata, time_key=time_key, use_rep=name, growth_key=growth_key, counts=counts
    )
    check_couplings(observed, solve)
    snapshots, words = growth_of_couplings(
        observed.snapshots(), growth, coupling=solve, progress=progress
    )
    generator = torch.Generator().manual_seed(seed)
    chosen = _chosen(strength, snapshots, pairs, epsilon, generator, progress=progress)
    drifts = {
        span: ClonalDrift.fitted(one, folds_of(one.n_clones, generator))
        for span, one in pairs.items()
    }
    task = partial(_couple, drifts=drifts, chosen=chosen, epsilon=epsilon)
    couplings = tuple(coupled_gaps(task, snapshots, progress=progress))
    params = {
        "clone_key": clone_columns(clone_key),
        "strength": strength,
        "strength_found": _in_words(chosen),
        "epsilon": epsilon,
        "growth": recorded(growth),
        "growth_found": words,
        "growth_key": growth_key,
        "counts": counts if isinstance(counts, str) else "given",
    }
    lineage = Lineage(snapshots.times, couplings, snapshots.weights, snapshots.sizes)
    is_plain = all(one.strength == 0 for one in chosen.values())
    made = Coupled(lineage, time_key, name, params, has_potentials=is_plain, tables=_tables(chosen))
    adata = annotated(adata, copy)
    write_couplings(adata, key_added, made, seed)
    return adata if copy else None


def _check_enough(pairs: Mapping[Span, ClonePair], clone_key: str | Sequence[str]) -> None:
    """Raise where no gap has clones enough to leave some out."""
    most = max(one.n_clones for one in pairs.values())
    if most < LEAST_CLONES:
        raise ValueError(
            f"a strength is chosen by leaving clones out, of {LEAST_CLONES} at least; "
            f"adata.obs[{clone_key!r}] has at most {most} that were seen at both ends of a gap. "
            "Pass strength=, such as 0.5"
        )


def _chosen(
    given: float | None,
    snapshots: Snapshots,
    pairs: Mapping[Span, ClonePair],
    epsilon: float | None,
    generator: torch.Generator,
    *,
    progress: bool,
) -> dict[Span, FoundStrength]:
    """Return the strength of each gap with clones, as given or as clones foretell each other."""
    if given is not None:
        return {span: FoundStrength.given(float(given)) for span in pairs}
    found, scales = {}, SCALES if epsilon is None else SCALES[:1]
    for gap in map(snapshots.pair, range(len(snapshots.gaps))):
        clones = pairs.get(_span(gap))
        if clones is not None and clones.n_clones >= LEAST_CLONES:
            one = ClonalGap(gap, clones, _epsilon(gap, epsilon))
            found[_span(gap)] = found_strength(
                one, scales=scales, generator=generator, progress=progress
            )
    logger.info("clones: %s", _in_words(found))
    if plain := {span: one for span, one in found.items() if one.strength == 0}:
        warn(
            f"clones change nothing in some gaps, {_in_words(plain)}; strength= follows them "
            "anyway",
            DataWarning,
        )
    return found


def _in_words(chosen: Mapping[Span, FoundStrength]) -> str:
    return "; ".join(f"{t0:g} to {t1:g}: {one.words}" for (t0, t1), one in chosen.items())


def _tables(chosen: Mapping[Span, FoundStrength]) -> dict[str, pd.DataFrame]:
    """Return how well clones foretold each other, where a strength was chosen."""
    parts = []
    for (t0, t1), one in chosen.items():
        if len(one.table):
            times = pd.DataFrame({"t0": t0, "t1": t1}, index=one.table.index)
            parts.append(pd.concat([times, one.table], axis=1))
    if not parts:
        return {}
    return {"strengths": pd.concat(parts, ignore_index=True).rename(index=str)}


def _couple(
    pair: Snapshots,
    *,
    drifts: Mapping[Span, ClonalDrift],
    chosen: Mapping[Span, FoundStrength],
    epsilon: float | None,
) -> Coupling:
    """Return the coupling of a gap; without clones enough that of plain transport."""
    span = _span(pair)
    found = chosen.get(span, FoundStrength.given(0.0))
    scaled = found.scale * _epsilon(pair, epsilon)
    return couple_shifted(pair, drifts.get(span), found.strength, scaled)


def _span(pair: Snapshots) -> Span:
    return pair.times[0], pair.times[1]


def _epsilon(pair: Snapshots, given: float | None) -> float:
    return plain_epsilon(SquaredEuclidean(*pair.x)) if given is None else float(given)
