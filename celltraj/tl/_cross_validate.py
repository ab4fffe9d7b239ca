"""Judge models on snapshots they have not seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from numbers import Real

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import inner_time_of, read_snapshots, read_times
from celltraj._checks import checked
from celltraj._errors import DataWarning
from celltraj._typing import Time
from celltraj.metrics import split_half_floor, wasserstein
from celltraj.models import Process
from celltraj.models._holdout import TRIVIAL, exact_plans, predict, trivial_predictions
from celltraj.snapshots import Snapshots
from celltraj.tl._silent import silent

Entry = Time | tuple[Time, ...]
Prediction = tuple[np.ndarray, np.ndarray]  # cells (n, d) and their weights (n,)
_SELECTED = "selected"
_ALWAYS = {"floor", _SELECTED, *TRIVIAL}


@checked
def cross_validate(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    fit: Callable[..., Process] | Mapping[str, Callable[..., Process]],
    hold_out: Time | Sequence[Entry],
    select: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Leave snapshots out, predict them from the rest, and measure the distance.

    A model pushes each cell of the last training snapshot before a held-out time to that time once;
    where its cells grow and die they arrive with the mass they gathered. The distance is the exact
    ``W1(predicted cells, held-out cells)``, in units of ``use_rep``.

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
        Interior times left out in turn, as numbers or as labels of ``time_key``, one or several;
        in a list those in a tuple are left out together.
    select
        Names of models in ``fit`` among which a further row, ``selected``, chooses anew for each
        entry of ``hold_out``: each inner time of the snapshots that are left is left out as well,
        and the model with the least mean distance there is taken. What is reported takes no part
        in the choice. Each candidate is fitted once more for every inner time.
    seed
        Seed of fits, simulations, trivial predictions and floors.
    progress
        Whether to show a bar over the folds.

    Returns
    -------
    Columns method, time, metric (``"W1"``), value, seed. Besides the models: ``floor`` (random
    halves of the held-out cells); the trivial ``previous``, ``next``, their ``mixture`` and
    ``displacement`` (linear along exact transport); ``chain_cubic`` and ``chain_pchip``, smooth
    curves through cells chained along exact transport over all training snapshots. With ``select``
    also a column ``chosen``, the name of the model that the row ``selected`` took, else empty.

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    ValueError
        Nothing is held out, a held-out time was not observed or is the first or last one, or a
        model has the name of a row that is always there.
    TypeError
        A held-out time is neither a number nor a label, or ``fit`` did not return a process.

    Notes
    -----
    Exact transport of n cells on n takes about 10 s and 300 MB at n = 4,000, for every gap and for
    every method at every held-out time; thin larger snapshots first.

    Examples
    --------
    >>> import celltraj as ct
    >>> from functools import partial
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> fit = partial(ct.tl.fit_bridge, training=None, progress=False)
    >>> scores = ct.tl.cross_validate(adata, fit=fit, hold_out=[2.0], progress=False)
    >>> scores["method"].tolist()[-3:]
    ['chain_cubic', 'chain_pchip', 'bridge']
    """
    fits = fit if isinstance(fit, Mapping) else {"bridge": fit}
    _check_names(fits, select)
    # bars of the fits stand below that of the times, unless all are silenced
    fits = dict(fits) if progress else {name: silent(one) for name, one in fits.items()}
    whole, use_rep = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    folds = _Folds(adata, whole, fits, time_key, use_rep, seed)
    rows = []
    held_out = _folds(hold_out, partial(inner_time_of, adata, time_key))
    for held in tqdm(held_out, desc="held out", disable=not progress):
        plans = exact_plans(whole.without(held))
        fitted = folds.predictions(held, list(fits))
        best = folds.choose(held, select) if select else ""
        for time in held:
            truth = whole.x[whole.times.index(time)].numpy()
            trivial = trivial_predictions(whole.without(held), plans, time, seed=seed)
            scores = {"floor": split_half_floor(truth, seed=seed)}
            scores |= {name: wasserstein(x, truth) for name, x in trivial.items()}
            scores |= {name: folds.score(fitted[name][time], time) for name in fits}
            if select:
                scores[_SELECTED] = scores[best]
            for name, value in scores.items():
                rows.append((name, time, "W1", value, seed, best if name == _SELECTED else ""))
    table = pd.DataFrame(rows, columns=["method", "time", "metric", "value", "seed", "chosen"])
    return table if select else table.drop(columns="chosen")


def _check_names(fits: Mapping[str, object], select: Sequence[str] | None) -> None:
    """Raise unless rows have names of their own, and the candidates are among the models."""
    if taken := _ALWAYS & set(fits):
        raise ValueError(f"rows named {sorted(taken)} are always there; rename these models")
    if select is not None and (isinstance(select, str) or not set(select) <= set(fits)):
        raise ValueError(f"select must list names among {list(fits)}; found {select!r}")


@dataclass(frozen=True)
class _Folds:
    """Fit models to what is left when times are held out, and predict those."""

    adata: AnnData
    whole: Snapshots
    fits: Mapping[str, Callable[..., Process]]
    time_key: str
    use_rep: str
    seed: int

    def predictions(
        self, held: tuple[float, ...], names: Sequence[str], without: tuple[float, ...] = ()
    ) -> dict[str, dict[float, Prediction]]:
        """Return cells and weights by model and held-out time; ``without`` is left out too."""
        train = self.whole.without((*held, *without))
        kept = ~np.isin(read_times(self.adata, self.time_key), (*held, *without))
        found: dict[str, dict[float, Prediction]] = {}
        for name in names:
            with _quiet_and_named(name, held):
                process = self.fits[name](
                    self.adata[kept].copy(),
                    time_key=self.time_key,
                    use_rep=self.use_rep,
                    seed=self.seed,
                )
                found[name] = {t: _predict(process, train, t, self.seed) for t in held}
        return found

    def score(self, prediction: Prediction, time: float) -> float:
        """Return W1 to the cells observed at ``time``."""
        cells, weights = prediction
        truth = self.whole.x[self.whole.times.index(time)].numpy()
        return wasserstein(cells, truth, weights=weights)

    def choose(self, held: tuple[float, ...], names: Sequence[str]) -> str:
        """Return the model that predicts the inner times of what is left best, in the mean."""
        inner = self.whole.without(held).times[1:-1]
        if not inner:
            raise ValueError(
                f"with times {held} held out two snapshots are left and no inner one to choose a "
                "model by; hold out fewer together, or leave select= out"
            )
        totals = dict.fromkeys(names, 0.0)
        for time in inner:
            for name, found in self.predictions((time,), names, without=held).items():
                totals[name] += self.score(found[time], time)
        return min(names, key=lambda name: totals[name])


def _folds(
    hold_out: Time | Sequence[Entry], inner: Callable[[Time], float]
) -> list[tuple[float, ...]]:
    """Return the observed times of each fold, in order; ``inner`` reads what was typed."""
    entries = [hold_out] if isinstance(hold_out, str | float | Real | np.number) else hold_out
    if len(entries) == 0:
        raise ValueError("hold_out is empty: name one or more interior times")
    parts = [entry if isinstance(entry, tuple) else (entry,) for entry in entries]
    return [tuple(sorted({inner(time) for time in part})) for part in parts]


def _predict(process: object, train: Snapshots, time: float, seed: int) -> Prediction:
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
