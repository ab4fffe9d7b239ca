"""Judge models on snapshots they have not seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import read_snapshots, read_times
from celltraj._errors import DataWarning
from celltraj._snapshots import Snapshots
from celltraj.metrics import split_half_floor, wasserstein
from celltraj.models import Process
from celltraj.models._holdout import TRIVIAL, exact_plans, predict, trivial_predictions

Time = float | np.number
Entry = Time | tuple[Time, ...]
_ALWAYS = {"floor", *TRIVIAL}


def cross_validate(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    fit: Callable[..., Process] | Mapping[str, Callable[..., Process]],
    hold_out: Sequence[Entry],
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Leave snapshots out, predict them from the rest, and measure the distance.

    A model pushes each cell of the last training snapshot before a held-out time to that time once.
    The distance is the exact ``W1(predicted cells, held-out cells)``, in units of ``use_rep``.

    Parameters
    ----------
    adata
        Cells of all times; not changed.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        Representation; it must not have been learned with the held-out cells.
    fit
        ``fit(adata, time_key=, use_rep=, seed=)`` that returns a process, or a dict of such
        callables by name. Bind further options with :func:`functools.partial`, such as
        ``progress=False``, which leaves one bar over the folds instead of one more for each fit.
    hold_out
        Interior times left out in turn, as numbers; those in a tuple are left out together.
    seed
        Seed of fits, simulations, trivial predictions and floors.
    progress
        Whether to show a bar over the folds.

    Returns
    -------
    Columns method, time, metric (``"W1"``), value, seed. Besides the models: ``floor`` (random
    halves of the held-out cells); the trivial ``previous``, ``next``, their ``mixture`` and
    ``displacement`` (linear along exact transport); ``chain_cubic`` and ``chain_pchip``, smooth
    curves through cells chained along exact transport over all training snapshots.

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    ValueError
        Nothing is held out, a held-out time was not observed or is the first or last one, or a
        model has the name of a row that is always there.
    TypeError
        A held-out time is not a number, or ``fit`` did not return a process.

    Notes
    -----
    Exact transport of n cells on n takes about 10 s and 300 MB at n = 4,000, for every gap and for
    every method at every held-out time; thin larger snapshots first.

    Examples
    --------
    >>> import celltraj as ct
    >>> from functools import partial
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> fit = partial(ct.tl.fit_bridge, drift=ct.models.PlugInDrift(), progress=False)
    >>> scores = ct.tl.cross_validate(adata, fit=fit, hold_out=[2.0], progress=False)
    >>> scores["method"].tolist()[-3:]
    ['chain_cubic', 'chain_pchip', 'bridge']
    """
    fits = fit if isinstance(fit, Mapping) else {"bridge": fit}
    if taken := _ALWAYS & set(fits):
        raise ValueError(f"rows named {sorted(taken)} are always there; rename these models")
    whole, use_rep = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    times = read_times(adata, time_key)
    rows = []
    for held in tqdm(_folds(hold_out, whole.times), desc="held out", disable=not progress):
        train = whole.without(held)
        plans = exact_plans(train)
        predictions = {time: trivial_predictions(train, plans, time, seed=seed) for time in held}
        kept = ~np.isin(times, held)
        for name, call in fits.items():
            with _quiet_and_named(name, held):
                process = call(adata[kept].copy(), time_key=time_key, use_rep=use_rep, seed=seed)
                for time in held:
                    predictions[time][name] = _predict(process, train, time, seed)
        for time, cells in predictions.items():
            truth = whole.x[whole.times.index(time)].numpy()
            scores = {"floor": split_half_floor(truth, seed=seed)}
            scores |= {name: wasserstein(x, truth) for name, x in cells.items()}
            rows += [(name, time, "W1", value, seed) for name, value in scores.items()]
    return pd.DataFrame(rows, columns=["method", "time", "metric", "value", "seed"])


def _folds(hold_out: Sequence[Entry], observed: Sequence[float]) -> list[tuple[float, ...]]:
    """Return the observed times of each fold, in order."""
    if len(hold_out) == 0:
        raise ValueError(f"hold_out is empty: choose among the interior times {observed[1:-1]}")
    entries = [entry if isinstance(entry, tuple) else (entry,) for entry in hold_out]
    return [tuple(sorted({_observed(time, observed) for time in entry})) for entry in entries]


def _observed(time: Time, observed: Sequence[float]) -> float:
    """Return the interior time that ``time`` means."""
    if not isinstance(time, Real):
        raise TypeError(
            f"cannot hold out {time!r}: times are numbers, {observed[1:-1]}, and those left out "
            "together stand in a tuple"
        )
    # a time stored in single precision is not exactly the number that is typed
    near = [t for t in observed[1:-1] if np.isclose(t, time, rtol=1e-6, atol=0)]
    if not near:
        raise ValueError(f"cannot hold out {time:g}: choose among interior times {observed[1:-1]}")
    return near[0]


def _predict(process: object, train: Snapshots, time: float, seed: int) -> np.ndarray:
    if not isinstance(process, Process):
        raise TypeError(f"fit must return a process with drift and diffusion; found {process!r}")
    return predict(process, train, time, seed=seed)


@contextmanager
def _quiet_and_named(name: str, held: tuple[float, ...]) -> Iterator[None]:
    """Say about the data what was said of the whole no more, and of an error where it arose."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            yield
    except Exception as error:
        error.add_note(f"raised by {name!r} with times {held} held out")
        raise
