"""Fit time courses under several conditions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from anndata import AnnData

from celltraj._anndata import options_record, recorded, sample_record, warn_of_view
from celltraj._anndata.arms import arm_courses, read_covariates, warn_of_limits
from celltraj._anndata.named_cells import NamedCells
from celltraj._anndata.results import ARMS
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj._typing import CountsByName
from celltraj.models import Arms, Training
from celltraj.models.arms.fit import ArmSettings
from celltraj.models.arms.fit import fit_arms as fitted_arms
from celltraj.models.growth.convention import GrowthModel
from celltraj.models.references.family import sigma_of

logger = logging.getLogger("celltraj")


@checked
def fit_arms(
    adata: AnnData,
    *,
    condition_key: str,
    time_key: str = "time",
    use_rep: str | None = None,
    covariate_keys: str | Sequence[str] = (),
    sigma: float | None = None,
    growth: GrowthModel = "auto",
    growth_key: str | None = None,
    counts: CountsByName = "proportions",
    training: Training | None = Training(),
    key_added: str = "arms",
    seed: int = 0,
    progress: bool = True,
) -> Arms:
    """Multi-task kernel ridge and Schrödinger bridges: fit time courses under several conditions.

    For arms of a study, doses over time, also with combinations of time and condition that are
    missing. Cells are coupled within a condition only; the laws of motion ``b_c(x) = phi(x)' W
    psi(c)`` of all conditions are learned together, so that each knows what the others show, and
    the bridge of a condition is the one nearest to its law. Beyond its last snapshot a condition
    moves on by its law. How much conditions deviate from what they share is chosen by leaving out
    each gap of each condition in turn.

    Parameters
    ----------
    adata
        Cells of all conditions and times.
    condition_key
        Column of ``obs`` with the condition of each cell.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept everywhere.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    covariate_keys
        Columns of ``obs`` with what is known of each condition, such as the log of its dose: one
        value for a condition, text is categorical. Conditions then share the more of their laws
        the nearer they are in these, in proportion or in other smooth ways, as gaps that are left
        out have it; by default all alike. With them a condition can be foretold of which no cell
        was seen.
    sigma
        Diffusion in [x]/sqrt([t]), the same in all conditions; by default a hundredth of the mean
        squared displacement per unit of time goes to noise.
    growth
        How much cells divide and die, found in each condition for itself as by
        :func:`celltraj.tl.fit_bridge`.
    growth_key
        Column of ``obs`` with the net growth that is expected of each cell, per unit of time.
    counts
        What the numbers of cells mean. ``"proportions"``: nothing, cells are sampled;
        ``"population"``: the population of each condition itself was counted, so that it grows as
        the numbers do; a column of ``obs`` with the number of cells that each cell stands for; or
        sizes, in a unit of each condition: a dict by condition of sizes by time (numbers or
        labels), or a Series by condition and time, such as
        ``adata.obs.groupby(["drug", "day"], observed=True).size()``. How conditions compare at
        their first times plays no part.
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
    A mapping from each condition to its bridge, ``arms["drug"]``, which everything in ``ct.tl`` and
    ``ct.pl`` takes, with the cells of that condition alone: of others it tells what they would do
    under it. ``arms.law("drug")`` is its law, ``arms.law(covariates={"dose": 3.0})`` that of
    a dose that was never seen, and ``arms.in_words`` says what conditions share. A condition of one
    snapshot has its law alone. Written: ``obsm["{key}_velocity"]`` (drift at each cell, [x]/[t])
    and ``uns["celltraj"][key]`` (params, version, seed, table, candidates).

    Warns
    -----
    DataWarning
        A condition has fewer than ten cells at a time.
    FitWarning
        A condition was seen at one time; laws foretell nothing that they were not fitted to; the
        trajectories of a bridge miss its snapshots.
    ImplicitModificationWarning
        ``adata`` is a view: it becomes an AnnData of its own, its parent gets nothing.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData.
    KeyError
        A named column or representation does not exist.
    ValueError
        A cell without condition, fewer than two conditions, none seen twice, a covariate that
        varies within a condition, or numbers of cells that cannot be used.
    ConvergenceError
        ``sigma`` is too small for the solver to bridge a gap.

    Notes
    -----
    Conditions are fitted in the processes, or on the cluster, of ``joblib.parallel_config``.

    References
    ----------
    Evgeniou & Pontil, *Regularized multi-task learning* (2004); Shen, Berlinghieri & Broderick
    (2024), arXiv 2408.06277.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["arm"] = ["even" if k % 2 else "odd" for k in range(adata.n_obs)]
    >>> arms = ct.tl.fit_arms(adata, condition_key="arm", training=None, progress=False)
    >>> even = adata[adata.obs["arm"] == "even"].copy()
    >>> later = ct.tl.simulate(even, arms["even"], start=4.0, stop=5.0, progress=False)
    >>> adata.uns["celltraj"]["arms"]["table"]["condition"].unique().tolist()
    ['even', 'odd']
    """
    ARMS.claim(adata, key_added)
    cells = NamedCells.of(
        adata,
        "condition",
        condition_key,
        time_key=time_key,
        use_rep=use_rep,
        growth_key=growth_key,
    ).counted(adata, counts, time_key=time_key)
    covariates = read_covariates(adata, covariate_keys, cells.states.names)
    courses = arm_courses(cells, covariates)
    warn_of_limits(cells)
    training = None if training is None else training.for_variables(cells.variables)
    settings = ArmSettings(sigma, growth, training)
    arms = fitted_arms(courses, settings, seed=seed, progress=progress)
    arms = replace(arms, bridges=cells.represented(arms.bridges))
    params = {
        "condition_key": condition_key,
        "time_key": time_key,
        "use_rep": cells.use_rep,
        "covariate_keys": recorded(tuple(covariates)),
        "sigma_source": "estimated" if sigma is None else "given",
        "growth": recorded(growth),
        "growth_key": growth_key,
        "counts": counts if isinstance(counts, str) else "given",
        "training": None if training is None else options_record(training),
    }
    record = _record(arms, params, seed)
    velocity = {f"{key_added}_velocity": cells.velocity(arms)}
    source = Source.of(adata, time_key, cells.use_rep)
    warn_of_view(adata)
    ARMS.write(adata, key_added, record, velocity, source=source)
    logger.info("arms of %d conditions: %s", len(arms), arms.in_words)
    return arms


def _record(arms: Arms, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return params, what was found, and the tables."""
    found = {
        "sigma": sigma_of(next(iter(arms.bridges.values())).reference),
        "own": arms.own,
        "similarity": arms.similarity,
        "law": arms.in_words,
    }
    return sample_record(params | found, seed) | {
        "table": arms.table.rename(index=str),
        "candidates": arms.tried.rename(index=str),
    }
