"""Fit responses without each population, for intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData

from celltraj._anndata import ResponseKeys, Sample, find_representation, read_samples
from celltraj._checks import checked
from celltraj._parallel import mapped
from celltraj.models import MetaFlowMatching
from celltraj.models.evaluation import Fold, fitted
from celltraj.tl._fit_response import fit_response
from celltraj.tl._response_spaces import Fit, ResponseSpaces
from celltraj.tl._silent import silent


@checked
def fit_response_folds(
    adata: AnnData,
    *,
    population_key: str,
    condition_key: str | Sequence[str],
    control: str | Sequence[str],
    use_rep: str | None = None,
    cell_type_key: str | None = None,
    dose_key: str | Sequence[str] | None = None,
    n_folds: int | None = None,
    fit: Fit | None = None,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, MetaFlowMatching]:
    """Leave-one-population-out fits: responses that have each not seen one of the populations.

    By how far each misses the population that it has not seen, intervals of a new population are
    calibrated: :func:`celltraj.tl.response_intervals`.

    Parameters
    ----------
    adata
        Cells of all populations before and after; not changed.
    population_key, condition_key, control, cell_type_key, dose_key
        As in :func:`celltraj.tl.fit_response`.
    use_rep
        ``"X"`` or a key of ``obsm``, which all fits share: it must not have been learned from the
        populations that will be predicted.
    n_folds
        Number of fits, each without a random part of the populations; by default one for every
        population.
    fit
        As in :func:`celltraj.tl.cross_validate_response`.
    seed
        Seed of the fits, and of the parts.
    progress
        Whether to show progress bars.

    Returns
    -------
    The response by the population that it was fitted without; populations of one part share one.

    Raises
    ------
    KeyError
        A named column or representation, or the control, does not exist.
    ValueError
        Fewer than two treated populations, or ``n_folds`` is below two or above their number.
    TypeError
        ``fit`` did not return a response.

    References
    ----------
    Barber et al., *Predictive inference with the jackknife+* (2021), sections 1.2 and 3.

    Examples
    --------
    >>> import celltraj as ct
    >>> from functools import partial
    >>> adata = ct.datasets.interacting_populations(n_populations=4, n_cells=20, seed=0)
    >>> short = ct.models.Training(max_steps=5)
    >>> folds = ct.tl.fit_response_folds(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     n_folds=2, fit=partial(ct.tl.fit_response, training=short), progress=False,
    ... )
    >>> sorted(folds), len(set(map(id, folds.values())))
    (['population 0', 'population 1', 'population 2', 'population 3'], 2)
    """
    keys = ResponseKeys.of(
        population_key, condition_key, control, dose_key=dose_key, cell_type_key=cell_type_key
    )
    samples = read_samples(adata, keys)
    names = sorted({one.population for one in samples if one.condition is not None})
    parts = _parts(names, n_folds, seed)
    arguments = {
        "population_key": population_key,
        "condition_key": condition_key,
        "control": control,
        "cell_type_key": cell_type_key,
        "dose_key": dose_key,
        "use_rep": find_representation(adata, use_rep),
        "seed": seed,
    }
    given = {name: value for name, value in arguments.items() if value is not None}
    # a bar of its own for every fit would hide that of the fits
    usual = silent(fit_response if fit is None else fit)
    spaces = ResponseSpaces(adata, {"response": usual}, given, None, use_rep)
    models = mapped(
        _without,
        ((part,) for part in parts),
        n_tasks=len(parts),
        what=("fitting without each", "fit"),
        shared=(spaces, samples),
        progress=progress,
    )
    found = {name: model for part, model in zip(parts, models, strict=True) for name in part}
    return {name: found[name] for name in names}


def _without(
    spaces: ResponseSpaces, samples: Sequence[Sample], part: Sequence[str]
) -> MetaFlowMatching:
    """Return the response that has not seen some populations."""
    kept = np.ones(spaces.adata.n_obs, dtype=bool)
    for one in samples:
        kept[one.rows] = one.population not in part
    fold = Fold(", ".join(map(repr, part)), kept)
    how = spaces.of(fold).fits["response"]
    model: MetaFlowMatching = fitted("response", how, fold, MetaFlowMatching, "a response")
    return model


def _parts(names: Sequence[str], n_folds: int | None, seed: int) -> list[list[str]]:
    """Return the populations that each fit does without."""
    n = len(names) if n_folds is None else n_folds
    if len(names) < 2 or not 2 <= n <= len(names):
        raise ValueError(
            f"fits without each part of the populations need two treated ones or more, and n_folds "
            f"from 2 to their number; found {len(names)} populations and n_folds={n_folds}"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    return [[names[k] for k in sorted(part)] for part in np.array_split(order, n)]
