"""Judge models of several conditions on combinations they have not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import times_of
from celltraj._anndata.arms import read_covariates, warn_of_few_to_judge
from celltraj._anndata.named_cells import NamedCells
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.models import Process
from celltraj.models.evaluation import ARM, ArmStudy, evaluate
from celltraj.tl._fit_arms import fit_arms
from celltraj.tl._silent import silent

Pair = tuple[Time, str]
Entry = Pair | tuple[Pair, ...]
Fit = Callable[..., Mapping[str, Process]]


@checked
def cross_validate_arms(
    adata: AnnData,
    *,
    condition_key: str,
    hold_out: Sequence[Entry],
    time_key: str = "time",
    use_rep: str | None = None,
    covariate_keys: str | Sequence[str] = (),
    fit: Fit | Mapping[str, Fit] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Cross-validation: leave combinations of time and condition out, predict and measure them.

    A model pushes each cell of the last snapshot of the condition before a held-out time to that
    time once. Distances are the exact ``W1(predicted cells, held-out cells)``, in units of
    ``use_rep``, and the root of the energy distance, in units of its root.

    Parameters
    ----------
    adata
        Cells of all conditions and times; not changed.
    condition_key
        Column of ``obs`` with the condition of each cell.
    hold_out
        Combinations ``(time, condition)`` left out in turn, times as numbers or as labels of
        ``time_key``; those in a tuple of them are left out together. The last time of a condition
        is forecast, the first one cannot be held out.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; it must not have been learned with the held-out cells.
    covariate_keys
        Columns of ``obs`` with what is known of each condition, see :func:`celltraj.tl.fit_arms`.
    fit
        ``fit(adata, condition_key=, time_key=, use_rep=, covariate_keys=, seed=)`` that returns a
        mapping from conditions to processes, or a dict of such callables by name. By default
        :func:`celltraj.tl.fit_arms`; bind its options with :func:`functools.partial`, such as
        ``training=None``, or ``counts=`` as a word or a column, which leave with the cells.
    seed
        Seed of fits, simulations, trivial predictions and floors.
    progress
        Whether to show progress bars.

    Returns
    -------
    Columns method, held_out (the time), metric (``"W1"``, ``"energy"``), value, seed, condition,
    which ``ct.get.score_summary`` sums up over conditions. Besides the models: ``floor`` (random
    halves of the held-out cells), ``previous`` (the last earlier cells of the condition),
    ``straight line`` (linear along exact transport between its neighbouring snapshots; the previous
    cells at its last time), ``shift of others`` (the previous cells moved as the mean of other
    conditions over the same times) and ``pooled`` (cells of all other conditions at that time),
    the last two NaN where no other condition tells them.

    Warns
    -----
    DataWarning
        A condition has fewer than ten cells at a time.

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    ValueError
        Nothing is held out, a combination is not there, no earlier snapshot of its condition is
        left, or a model has the name of a row that is always there.
    TypeError
        An entry of ``hold_out`` is no pair of time and condition, or ``fit`` did not return a
        mapping.

    Notes
    -----
    Folds run in the processes, or on the cluster, of ``joblib.parallel_config``.

    Examples
    --------
    >>> import celltraj as ct
    >>> from functools import partial
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["arm"] = ["even" if k % 2 else "odd" for k in range(adata.n_obs)]
    >>> fit = partial(ct.tl.fit_arms, training=None)
    >>> scores = ct.tl.cross_validate_arms(
    ...     adata, condition_key="arm", hold_out=[(3.0, "odd")], fit=fit, progress=False
    ... )
    >>> scores["method"].unique().tolist()
    ['floor', 'previous', 'straight line', 'shift of others', 'pooled', 'arms']
    """
    fits = fit if isinstance(fit, Mapping) else {"arms": fit_arms if fit is None else fit}
    # bars of the fits stand below that of the folds, unless all are silenced
    fits = fits if progress else {name: silent(one) for name, one in fits.items()}
    keys: dict[str, Any] = {
        "condition_key": condition_key,
        "time_key": time_key,
        "use_rep": use_rep,
        "covariate_keys": covariate_keys,
    }
    cells = NamedCells.of(adata, "condition", condition_key, time_key=time_key, use_rep=use_rep)
    read_covariates(adata, covariate_keys, cells.states.names)  # before any fit
    given = keys | {"use_rep": cells.use_rep, "seed": seed}
    made = {name: partial(_fitted, one, adata, given) for name, one in fits.items()}
    study = ArmStudy(cells.states, made, seed)
    folds = study.folds(_held_out(hold_out, partial(_pair, adata, time_key)))
    warn_of_few_to_judge(cells)
    return evaluate(folds, study.judge, seed=seed, extra=(ARM,), progress=progress).frame


def _fitted(
    fit: Fit, adata: AnnData, given: Mapping[str, Any], kept: np.ndarray
) -> Mapping[str, Process]:
    """Return what a fit makes of a copy of the cells that are kept."""
    return fit(adata[kept].copy(), **given)


def _held_out(
    hold_out: Sequence[Any], pair: Callable[[Any], tuple[float, str]]
) -> list[list[tuple[float, str]]]:
    """Return the combinations of each fold."""
    if len(hold_out) == 0:
        raise ValueError("hold_out is empty: name one or more pairs (time, condition)")
    groups = [entry if _is_group(entry) else (entry,) for entry in hold_out]
    return [[pair(one) for one in group] for group in groups]


def _is_group(entry: Any) -> bool:
    """Whether an entry is a tuple of pairs: a pair begins with a time, and these with a pair."""
    return isinstance(entry, tuple) and len(entry) > 0 and isinstance(entry[0], tuple)


def _pair(adata: AnnData, time_key: str, entry: Any) -> tuple[float, str]:
    if not isinstance(entry, tuple) or len(entry) != 2:
        raise TypeError(f"hold_out lists pairs (time, condition); found {entry!r}")
    return times_of(adata, time_key, entry[0])[0], str(entry[1])
