"""Fit populations whose cells influence each other."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pandas as pd
from anndata import AnnData

from celltraj._anndata import options_record, recorded, sample_record, warn_of_view
from celltraj._anndata.mean_field import population_courses
from celltraj._anndata.named_cells import NamedCells
from celltraj._anndata.results import MEAN_FIELD
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj.models import MeanField, MeanFieldBridges, Training
from celltraj.models.growth.convention import GrowthModel
from celltraj.models.mean_field.fit import MeanFieldSettings
from celltraj.models.mean_field.fit import fit_mean_field as fitted_mean_field

logger = logging.getLogger("celltraj")


@checked
def fit_mean_field(
    adata: AnnData,
    *,
    population_key: str,
    time_key: str = "time",
    use_rep: str | None = None,
    reference: MeanField | None = None,
    sigma: float | None = None,
    growth: GrowthModel = "auto",
    growth_key: str | None = None,
    training: Training | None = Training(),
    key_added: str = "mean_field",
    seed: int = 0,
    progress: bool = True,
) -> MeanFieldBridges:
    """McKean-Vlasov dynamics: fit populations whose cells influence each other (mean field).

    For replicates, wells, organoids or simulated tissues of which each is a population of its own:
    ``dX = b(X; p_t) dt + sigma dW``, where the drift of a cell depends on where the others are, by
    how dense they lie around it, where those near by are and where the mean is
    (:class:`celltraj.models.MeanField`). Cells are coupled within a population only; the law is
    learned from all together, and the bridge of a population is the one nearest to it. How much
    what is around a cell counts, nothing at all among that, is chosen by leaving out each
    population in turn.

    Parameters
    ----------
    adata
        Cells of three populations or more, each at two times or more.
    population_key
        Column of ``obs`` with the population of each cell.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept everywhere.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    reference
        Family of the law, widths of the surroundings and what does not depend on them; by default
        ``ct.models.MeanField()``.
    sigma
        Diffusion in [x]/sqrt([t]), the same in all populations; by default a hundredth of the mean
        squared displacement per unit of time goes to noise.
    growth
        How much cells divide and die, found in each population for itself as by
        :func:`celltraj.tl.fit_bridge`.
    growth_key
        Column of ``obs`` with the net growth that is expected of each cell, per unit of time.
    training
        How the network of each bridge is trained, see :class:`celltraj.models.Training`; None for
        the plug-in drift: the fastest, and right in few dimensions (below about five).
    key_added
        Name of the result.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Returns
    -------
    A mapping from each population to its bridge, which everything in ``ct.tl`` and ``ct.pl`` takes,
    with the cells of that population alone: of others it tells what they would do in its place.
    ``fitted.of(cells, start=, stop=)`` says how a population moves that was not seen, all of its
    cells together, as a process for ``ct.tl.simulate``; ``fitted.in_words`` says what the others
    around a cell explain. Written: ``obsm["{key}_velocity"]`` (drift at each cell, [x]/[t]) and
    ``uns["celltraj"][key]`` (params, version, seed, table, candidates).

    Warns
    -----
    DataWarning
        A population has fewer than twenty cells at a time.
    FitWarning
        The law foretells nothing of populations that it was not fitted to; the trajectories of a
        bridge miss its snapshots.
    ImplicitModificationWarning
        ``adata`` is a view: it becomes an AnnData of its own, its parent gets nothing.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData.
    KeyError
        A named column or representation does not exist.
    ValueError
        A cell without population, fewer than three populations, one that was seen at one time or
        has fewer than three cells at a time.
    ConvergenceError
        ``sigma`` is too small for the solver to bridge a gap.

    Notes
    -----
    Populations are fitted in the processes, or on the cluster, of ``joblib.parallel_config``. That
    cells influence each other is read from how populations differ: what differs between them
    besides, such as a drug, is taken for it (then :func:`celltraj.tl.fit_arms`).

    References
    ----------
    McKean, *A class of Markov processes associated with nonlinear parabolic equations* (1966);
    Sznitman, *Topics in propagation of chaos* (1991); Shen, Berlinghieri & Broderick (2024), arXiv
    2408.06277.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["dish"] = [f"dish {k % 3}" for k in range(adata.n_obs)]
    >>> fitted = ct.tl.fit_mean_field(
    ...     adata, population_key="dish", growth=None, training=None, progress=False
    ... )
    >>> dish = adata[adata.obs["dish"] == "dish 0"].copy()
    >>> later = ct.tl.simulate(dish, fitted["dish 0"], start=4.0, stop=5.0, progress=False)
    >>> adata.uns["celltraj"]["mean_field"]["table"]["population"].unique().tolist()
    ['dish 0', 'dish 1', 'dish 2']
    """
    MEAN_FIELD.claim(adata, key_added)
    cells = NamedCells.of(
        adata,
        "population",
        population_key,
        time_key=time_key,
        use_rep=use_rep,
        growth_key=growth_key,
    )
    courses = population_courses(cells)
    training = None if training is None else training.for_variables(cells.variables)
    reference = MeanField() if reference is None else reference
    settings = MeanFieldSettings(reference, sigma, growth, training)
    fitted = fitted_mean_field(courses, settings, seed=seed, progress=progress)
    fitted = replace(fitted, bridges=cells.represented(fitted.bridges))
    params = {
        "population_key": population_key,
        "time_key": time_key,
        "use_rep": cells.use_rep,
        "reference": options_record(reference),
        "sigma_source": "estimated" if sigma is None else "given",
        "growth": recorded(growth),
        "growth_key": growth_key,
        "training": None if training is None else options_record(training),
    }
    record = _record(fitted, params, seed)
    velocity = {f"{key_added}_velocity": cells.velocity(fitted)}
    source = Source.of(adata, time_key, cells.use_rep)
    warn_of_view(adata)
    MEAN_FIELD.write(adata, key_added, record, velocity, source=source)
    logger.info("mean field of %d populations: %s", len(fitted), fitted.in_words)
    return fitted


def _record(fitted: MeanFieldBridges, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return params, what was found, and the tables."""
    found = {"sigma": fitted.law.sigma, "own": fitted.own, "law": fitted.in_words}
    candidates = pd.DataFrame(fitted.candidates, columns=["own", "unexplained"], dtype=float)
    return sample_record(params | found, seed) | {
        "table": fitted.table.rename(index=str),
        "candidates": candidates.rename(index=str),
    }
