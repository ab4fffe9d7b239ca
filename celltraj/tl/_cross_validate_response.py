"""Judge responses on populations, cell types, combinations and doses they have not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import pandas as pd
from anndata import AnnData

from celltraj._anndata import (
    ResponseKeys,
    column_of,
    read_populations,
    read_samples,
    texts_of,
    warn_of_never_treated,
)
from celltraj._checks import checked
from celltraj.models.evaluation import (
    RESPONSE_COLUMNS,
    Responses,
    check_response_names,
    evaluate,
    response_folds,
)
from celltraj.tl._fit_response import fit_response
from celltraj.tl._response_spaces import Fit, ResponseSpaces
from celltraj.tl._silent import silent


@checked
def cross_validate_response(
    adata: AnnData,
    *,
    population_key: str,
    condition_key: str | Sequence[str],
    control: str | Sequence[str],
    use_rep: str | None = None,
    hold_out: Literal["population", "cell_type", "condition", "dose"] = "population",
    cell_type_key: str | None = None,
    dose_key: str | Sequence[str] | None = None,
    fit: Fit | Mapping[str, Fit] | None = None,
    prepare: Callable[..., None] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Cross-validation of responses: leave out what is predicted, and judge it by trivial answers.

    Every population, cell type, combination or dose is held out in turn. The untreated cells of a
    population, all of which the model knows it by, are carried to the treated ones; predicted and
    true cells are compared by distances, by the shift of their mean, and by shares of cell types.

    Parameters
    ----------
    adata
        Cells of all populations before and after; not changed.
    population_key, condition_key, control
        As in :func:`celltraj.tl.fit_response`.
    use_rep
        ``"X"`` or a key of ``obsm``, which must not have been learned with what is held out: see
        ``prepare``.
    hold_out
        ``"population"``: all cells of a population; ``"cell_type"``: the treated cells of a type in
        all populations, and only its cells are judged; ``"condition"``: a combination of drugs, at
        all doses; ``"dose"``: a dose of a drug that is given alone at three or more, also where it
        stands in a combination, and the drug alone is judged.
    cell_type_key
        Column with cell types.
    dose_key
        As in :func:`celltraj.tl.fit_response`.
    fit
        ``fit(adata, population_key=, condition_key=, control=, use_rep=, seed=)`` that returns a
        response, or a dict of such callables by name; where they are given, ``cell_type_key=`` and
        ``dose_key=`` are passed as well. By default :func:`celltraj.tl.fit_response`. Bind further
        options with :func:`functools.partial`, ``progress=False`` among them.
    prepare
        ``prepare(adata, fit_on=)``, called in every fold with a copy of all cells, which it
        changes, and a boolean array of those it may learn from, such as
        ``functools.partial(ct.pp.pca_model, n_comps=20)``. Components, scaling or graphs fitted to
        all cells have seen what is held out, and make predictions look better than they are.
    seed
        Seed of the fits and of every draw. What is drawn for one prediction depends neither on what
        else is judged nor on the order of rows.
    progress
        Whether to show progress bars.

    Returns
    -------
    Columns method, held_out (the name of what was), metric, value, seed, population, condition,
    which ``ct.get.score_summary`` sums up and ``ct.pl.scores`` draws. What is not defined has no
    row.

    Methods: ``no_change``; ``shift``, the mean shift in the training populations under the
    condition, or in the population itself where it was trained on; for a combination the sum over
    its drugs; for a dose the line through the nearest two in the logarithm;
    ``shift_by_type``, the same for each cell type; ``pooled``, the treated cells of the training
    populations; ``neighbours``, where each cell moves by the mean way of the 30 nearest untreated
    cells of other training populations, coupled by exact transport, ``neighbours_drawn`` by that of
    one of them, ``neighbours_centred`` by those nearest when populations are laid on each other;
    ``oracle_shift``, the true mean shift, which no one knows; ``floor``, random halves
    of the treated cells; each model, and the same model with untreated cells of another population,
    drawn among those of the training, in one place: where it has an encoder, ``"... (other
    embedding)"``, the features of the nearest cell there where cells carry some; where a cell sees
    those around it, ``"... (other neighbourhood)"``. Under ``"... (other cell)"`` cells carry the
    features of another one of their own population. What does not get worse makes no use of it.

    Metrics: ``W1``, ``W2``, ``MMD`` and ``energy`` (roots, see :mod:`celltraj.metrics`);
    ``shift_cosine`` and ``shift_r2`` of the mean shift, and its length ``size``, of which the
    method ``truth`` has the true one; ``gate_error``, the mean over variables of the error in the
    share of cells above the .9 quantile of the untreated ones; ``variance_ratio``, predicted over
    true total variance, 1 where it is right; with cell types ``type_error``, the share of cells of
    a wrong type, when predicted and true cells both take the type of the nearest treated cell of
    the training.

    Raises
    ------
    KeyError
        A named column or representation, or the control, does not exist.
    ValueError
        An unknown ``hold_out``, fewer than three populations, nothing that could be held out, or a
        model with the name of a row that is always there.
    TypeError
        ``fit`` did not return a response, or ``prepare`` returned something.

    Notes
    -----
    Populations with fewer than ten cells before or after are not judged under that condition, and
    neither are drugs that the training has nowhere. Of more than 1,000 cells on either side of a
    distance that many are drawn at random: files are often sorted, and their first cells are of few
    types. Cells are weighted by the mass they keep where
    the model predicts it.

    References
    ----------
    Atanackovic et al., *Meta Flow Matching* (2024), arXiv 2408.14608; Székely & Rizzo (2013);
    Gretton et al. (2012).

    Examples
    --------
    >>> import celltraj as ct
    >>> from functools import partial
    >>> adata = ct.datasets.interacting_populations(n_populations=3, n_cells=20, seed=0)
    >>> short = ct.models.Training(max_steps=5)
    >>> scores = ct.tl.cross_validate_response(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     fit=partial(ct.tl.fit_response, training=short, progress=False), progress=False,
    ... )
    >>> scores["method"].unique().tolist()[-3:]
    ['response (other embedding)', 'response (other neighbourhood)', 'truth']
    """
    fits = fit if isinstance(fit, Mapping) else {"response": fit or _quiet_fit}
    check_response_names(fits)
    keys = ResponseKeys.of(
        population_key, condition_key, control, dose_key=dose_key, cell_type_key=cell_type_key
    )
    samples = read_samples(adata, keys)
    types = None if cell_type_key is None else texts_of(column_of(adata, cell_type_key))
    folds = response_folds(hold_out, samples, types, adata.n_obs)
    if prepare is None:
        read_populations(adata, keys, use_rep)  # says once of all cells what is odd about them
    else:
        warn_of_never_treated(samples)
    arguments = {
        "population_key": population_key,
        "condition_key": condition_key,
        "control": control,
        "cell_type_key": cell_type_key,
        "dose_key": dose_key,
    }
    given = {name: value for name, value in arguments.items() if value is not None}
    fits = fits if progress else {name: silent(one) for name, one in fits.items()}
    spaces = ResponseSpaces(adata, fits, given | {"seed": seed}, prepare, use_rep)
    judge = Responses(samples, types, spaces.of, seed).judge
    return evaluate(folds, judge, seed=seed, extra=RESPONSE_COLUMNS, progress=progress).frame


_quiet_fit = partial(fit_response, progress=False)
