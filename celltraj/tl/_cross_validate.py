"""Judge models on snapshots they have not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Real

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import inner_time_of, read_snapshots, read_times
from celltraj._anndata.studies import read_samples_of_all
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.models import Bridge, FlowMatching, Process
from celltraj.models.evaluation import CHOSEN, MARGIN, TimeCourse, evaluate
from celltraj.tl._previews import drawn_by
from celltraj.tl._silent import silent
from celltraj.tl._update import update

Entry = Time | tuple[Time, ...]


@checked
def cross_validate(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    fit: Callable[..., Process] | Mapping[str, Callable[..., Process]],
    hold_out: Time | Sequence[Entry],
    select: Sequence[str] | None = None,
    sample_key: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Cross-validation: leave snapshots out, predict them from the rest, and measure the distance.

    A model pushes each cell of the last training snapshot before a held-out time to that time once;
    where its cells grow and die they arrive with the mass they gathered. Distances are the exact
    ``W1(predicted cells, held-out cells)``, in units of ``use_rep``, and the root of the energy
    distance, in units of its root.

    Parameters
    ----------
    adata
        Cells of all times; not changed.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; it must not have been learned with the held-out cells.
    fit
        ``fit(adata, time_key=, use_rep=, seed=)`` that returns a process, or a dict of such
        callables by name. Bind further options with :func:`functools.partial`, such as
        ``progress=False``, which leaves one bar over the folds instead of one more for each fit.
    hold_out
        Interior times left out in turn, as numbers or as labels of ``time_key``, one or several;
        in a list those in a tuple are left out together.
    select
        Names of models in ``fit`` among which a further row, ``selected``, chooses anew for each
        entry of ``hold_out``: each inner time of the snapshots that are left is left out as well.
        The first name is kept unless another one has less W1 there, by 5 % of what the first has
        above the floor and by more than a standard error over the inner times (so that one inner
        time changes nothing), and no more energy distance. What is reported takes no part in the
        choice. ``ct.tl.fit_flow`` and ``ct.tl.fit_bridge``, with options bound by ``partial`` or
        as they are, are judged there by the paths that their networks would learn, in seconds;
        any other callable is fitted once more for every inner time.
    sample_key
        Column of ``obs`` with biological samples, such as embryos or donors, for the row
        ``replicates``.
    seed
        Seed of fits, simulations, trivial predictions and floors.
    progress
        Whether to show progress bars.

    Returns
    -------
    Columns method, held_out (the time), metric (``"W1"``, ``"energy"``), value, seed, which
    ``ct.get.score_summary`` sums up and ``ct.pl.scores`` draws. Besides the models: ``floor``
    (random halves of the held-out cells); with ``sample_key`` ``replicates`` (random halves of the
    samples of a held-out time, of equally many cells: how far another experiment would lie, which
    no prediction need be better than), but at times of a single sample; the trivial ``previous``,
    ``next``, their ``mixture`` and ``displacement`` (linear along exact transport); ``chain_cubic``
    and ``chain_pchip``, smooth curves through cells chained along exact transport over all training
    snapshots; above 10 dimensions ``displacement_shrunk``, the same straight lines with their
    scatter about the mean drawn together, as far as halves of a training snapshot do not agree.
    With ``select`` also a column ``chosen``, the name of the model that the row ``selected`` took,
    else empty, and ``margin``, by how many standard errors over the inner times that one was ahead
    of the best of the others: below zero where the first was kept though another was a little
    nearer, NaN with one inner time and in other rows.

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    ValueError
        Nothing is held out, a held-out time was not observed or is the first or last one, or a
        model has the name of a row that is always there, or is one of :func:`celltraj.tl.update`.
    TypeError
        A held-out time is neither a number nor a label, or ``fit`` did not return a process.

    Notes
    -----
    In many dimensions W1 rewards predictions that are narrower than the truth, since cells are then
    further from each other than from the mean of all; the energy distance does not. A model that
    is ahead by W1 alone, or not of ``displacement_shrunk``, is ahead by that.

    Exact transport of n cells on n takes about 10 s and 300 MB at n = 4,000, for every gap and for
    every method at every held-out time; thin larger snapshots first. The energy distance forms all
    distances between predicted and true cells, n x n numbers.

    Held-out times run in the processes, or on the cluster, of ``joblib.parallel_config``.

    Examples
    --------
    >>> import celltraj as ct
    >>> from functools import partial
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> fit = partial(ct.tl.fit_bridge, training=None, progress=False)
    >>> scores = ct.tl.cross_validate(adata, fit=fit, hold_out=[2.0], progress=False)
    >>> scores["method"].unique().tolist()[-3:]
    ['chain_cubic', 'chain_pchip', 'bridge']
    """
    fits = fit if isinstance(fit, Mapping) else {"bridge": fit}
    for name, one in fits.items():
        if _function_of(one) is update:
            raise ValueError(_seen(name))
    # bars of the fits stand below that of the times, unless all are silenced
    fits = fits if progress else {name: silent(one) for name, one in fits.items()}
    samples = None if sample_key is None else read_samples_of_all(adata, sample_key).astype(str)
    whole, use_rep = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    given = {"time_key": time_key, "use_rep": use_rep, "seed": seed}
    course = TimeCourse(
        whole,
        read_times(adata, time_key),
        {name: partial(_fitted, (name, one), adata, given) for name, one in fits.items()},
        tuple(select or ()),
        seed,
        {name: drawn for name, one in fits.items() if (drawn := drawn_by(one, adata, given))},
        samples,
    )
    folds = course.folds(_held_out(hold_out, partial(inner_time_of, adata, time_key)))
    extra = (CHOSEN, MARGIN) if select else ()
    return evaluate(folds, course.judge, seed=seed, extra=extra, progress=progress).frame


def _fitted(
    fit: tuple[str, Callable[..., Process]],
    adata: AnnData,
    given: Mapping[str, object],
    kept: np.ndarray,
) -> Process:
    """Return what a fit of a name makes of a copy of the cells that are kept."""
    name, function = fit
    model = function(adata[kept].copy(), **given)
    if isinstance(model, Bridge | FlowMatching) and model.parent is not None:
        raise ValueError(_seen(name))
    return model


def _function_of(fit: Callable[..., Process]) -> Callable[..., Process]:
    """Return what a fit calls in the end."""
    while isinstance(fit, partial):
        fit = fit.func
    return fit


def _seen(name: str) -> str:
    return (
        f"the model {name!r} is an update: ct.tl.update goes on from a model that has seen the "
        "cells to be held out, or some of them, so that nothing is foretold; pass fits, such as "
        "ct.tl.fit_flow, which begin anew without them"
    )


def _held_out(
    hold_out: Time | Sequence[Entry], inner: Callable[[Time], float]
) -> list[tuple[float, ...]]:
    """Return the observed times of each fold, in order; ``inner`` reads what was typed."""
    entries = [hold_out] if isinstance(hold_out, str | float | Real | np.number) else hold_out
    if len(entries) == 0:
        raise ValueError("hold_out is empty: name one or more interior times")
    parts = [entry if isinstance(entry, tuple) else (entry,) for entry in entries]
    return [tuple(sorted({inner(time) for time in part})) for part in parts]
