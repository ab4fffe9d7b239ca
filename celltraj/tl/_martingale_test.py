"""Test a law of motion on clones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import annotated, read_space, sample_record, variables_of
from celltraj._anndata.clone_names import clone_columns
from celltraj._anndata.clones import read_clones
from celltraj._anndata.results import MARTINGALE
from celltraj._anndata.source import Source
from celltraj._checks import check_at_least, checked
from celltraj._errors import DataWarning, warn
from celltraj.models import Process
from celltraj.models.clonal.martingale import ClonePair, Martingale, conditional_mean, martingale


@checked
def martingale_test(
    adata: AnnData,
    model: Process | Mapping[str, Process],
    *,
    clone_key: str | Sequence[str],
    time_key: str = "time",
    use_rep: str | None = None,
    is_ancestor: bool = False,
    n_draws: int = 32,
    key_added: str = "martingale_test",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Martingale test: tell whether a law of motion is that of single cells, by clones.

    ``E[(X_1 - E_P[X_1 | X_0]) psi(X_0)] = 0`` for every function ``psi`` where ``P`` is the law of
    single cells: the mean residual (``psi = 1``), its slope with the state, and a few bumps.
    Snapshots, which a law is fitted to, do not tell this, as laws with the same marginals differ in
    it. All moments together make one Wald statistic, with their covariance over clones, the units,
    and its p by flipping the signs of clones.

    Parameters
    ----------
    adata
        Cells with their clones; also other cells than those of the fit.
    model
        Result of ``ct.tl.fit_bridge`` or ``ct.tl.fit_flow``, or any process; or a dict of them by
        name.
    clone_key
        Column of ``obs`` with the clone of each cell, missing where it is not known. Where
        labels of several samples coincide, both columns: ``["mouse", "barcode"]``.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that ``model`` was fitted in.
    is_ancestor
        Whether a cell is the ancestor itself of those of its clone at the next time, as in imaging.
        By default it is a sister of that ancestor, since sequencing ends a cell: the law is then
        evaluated at one sister and ``psi`` at another, and clones with one cell at the first time
        tell of the mean residual alone.
    n_draws
        Simulated paths of each cell, whose mean is what the law foretells.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the simulations and of the signs.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]``: params,
    version, seed, table (model, t0, t1, n_clones, n_told of which tell of slopes, n_moments,
    statistic, p) and moments (model, t0, t1, function, variable, residual in [x], z), which
    :func:`celltraj.get.martingale_test` reads.

    Warns
    -----
    DataWarning
        Gaps with fewer clones than five for each variable are left out.

    Raises
    ------
    TypeError
        ``model`` is no process.
    KeyError
        There is no such column or representation.
    ValueError
        No clone, or too few of them, at two times that follow each other.

    Notes
    -----
    Residuals are summed over the cells of a clone, so that clones of which nothing was found later
    count as the zero they are. A law with growth is held against the mean of its descendants,
    weighted by the mass of their paths; one without is held to the assumption that cells of all
    states multiply and survive alike, and is refused as well where they do not. Sisters must be
    exchangeable at the first time, and as likely to leave descendants. A law that passes may still
    be wrong in what was not asked: its noise, or finer functions of the state.

    References
    ----------
    Hansen, *Large sample properties of generalized method of moments estimators* (1982); Winkler et
    al., *Permutation inference for the general linear model* (2014).

    Examples
    --------
    >>> import celltraj as ct
    >>> import numpy as np, torch
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["clone"] = [f"clone {i % 30}" for i in range(adata.n_obs)]
    >>> still = ct.models.Brownian(0.1)
    >>> ct.tl.martingale_test(adata, still, clone_key="clone", n_draws=4, progress=False)
    >>> bool((ct.get.martingale_test(adata)["p"] < 0.01).all())  # cells do move
    True
    """
    MARTINGALE.claim(adata, key_added)
    check_at_least(1, n_draws=n_draws)
    models = {type(model).__name__: model} if isinstance(model, Process) else dict(model)
    if not models:
        raise ValueError("model= holds no law of motion; fit one with ct.tl.fit_bridge(adata)")
    spaces = {name: read_space(adata, one, use_rep, time_key) for name, one in models.items()}
    tables, moments = [], []
    for name, one in models.items():
        rep, x = spaces[name]
        pairs = read_clones(
            adata, x, clone_key=clone_key, time_key=time_key, is_ancestor=is_ancestor
        )
        for pair in _with_enough(list(pairs)):
            generator = torch.Generator().manual_seed(seed)
            mean = conditional_mean(
                one, pair.x0, pair.times, n_draws=n_draws, generator=generator, progress=progress
            )
            found = martingale(pair, mean, generator=generator)
            told = {"model": name, "t0": pair.times[0], "t1": pair.times[1]}
            tables.append(pd.DataFrame([told | _row(found)]))
            moments.append(_named(found, told, variables_of(adata, rep)))
    params = {
        "models": np.array(list(models), dtype=object),
        "clone_key": clone_columns(clone_key),
        "time_key": time_key,
        "use_rep": rep,
        "is_ancestor": is_ancestor,
        "n_draws": n_draws,
    }
    source = Source.of(adata, time_key, rep)
    adata = annotated(adata, copy)
    record: dict[str, Any] = sample_record(params, seed)
    for key, parts in (("table", tables), ("moments", moments)):
        record[key] = pd.concat(parts, ignore_index=True).rename(index=str)
    MARTINGALE.write(adata, key_added, record, source=source)
    return adata if copy else None


def _with_enough(pairs: list[ClonePair]) -> list[ClonePair]:
    """Return the gaps with clones enough; the last one, to raise, where none has."""
    enough = [one for one in pairs if one.has_enough]
    few = [f"{one.times[0]:g} to {one.times[1]:g}" for one in pairs if not one.has_enough]
    if few and enough:
        warn(f"too few clones were seen at both ends of {few}, which is left out", DataWarning)
    return enough or pairs[-1:]


def _row(found: Martingale) -> dict[str, float]:
    return {
        "n_clones": found.n_clones,
        "n_told": found.n_told,
        "n_moments": found.n_moments,
        "statistic": found.statistic,
        "p": found.p,
    }


def _named(found: Martingale, told: dict[str, Any], names: tuple[str, ...]) -> pd.DataFrame:
    """Return the moments with the names of variables."""
    variables = np.array(names, dtype=object)[found.moments["variable"]]
    return found.moments.assign(variable=variables, **told)[
        ["model", "t0", "t1", "function", "variable", "residual", "z"]
    ]
