"""Judge fold after fold: what every evaluation on cells that were held out has in common."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from celltraj._errors import DataWarning
from celltraj._parallel import mapped
from celltraj.models.evaluation.table import Score, ScoreTable

Fit = Callable[[np.ndarray], object]  # of the (n_obs,) cells that may be learned from


@dataclass(frozen=True)
class Fold:
    """Say what one training does without.

    Parameters
    ----------
    name
        What is held out, in words.
    kept
        ``(n_obs,)`` which cells may be learned from.
    """

    name: str
    kept: np.ndarray


F = TypeVar("F", bound=Fold)


def evaluate(
    folds: Sequence[F],
    judge: Callable[[F], Iterable[Score]],
    *,
    seed: int,
    extra: Sequence[str] = (),
    progress: bool = False,
) -> ScoreTable:
    """Judge all folds, each by itself, and return their scores in the order of the folds.

    Parameters
    ----------
    folds
        What is held out in turn.
    judge
        Fits without what a fold holds out, predicts that and measures it. What it draws must
        depend on the seed and on the fold alone.
    seed
        Seed that ``judge`` uses, for the table.
    extra
        Names of the columns beyond those that every table has.
    progress
        Whether to show a bar over the folds.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.evaluation import Fold, Score, evaluate
    >>> folds = [Fold(name, np.ones(3, bool)) for name in "ab"]
    >>> table = evaluate(folds, lambda fold: [Score("mine", fold.name, "W1", 0.5)], seed=7)
    >>> table.frame.to_dict("list")
    {'method': ['mine', 'mine'], 'held_out': ['a', 'b'], 'metric': ['W1', 'W1'], \
'value': [0.5, 0.5], 'seed': [7, 7]}
    """
    tasks = ((fold,) for fold in folds)
    what = ("held out", "fold")
    judged = mapped(
        _judged, tasks, n_tasks=len(folds), what=what, shared=(judge,), progress=progress
    )
    scores = [score for part in judged for score in part]
    return ScoreTable.of(scores, seed=seed, extra=extra)


def _judged(judge: Callable[[F], Iterable[Score]], fold: F) -> list[Score]:
    # a list can be sent between processes
    return list(judge(fold))


def fitted(name: str, fit: Fit, fold: Fold, kind: type[Any], expected: str) -> Any:
    """Return the model of what a fold keeps; what is odd about all cells is not said again.

    Parameters
    ----------
    name
        Name of the model, which stands beside an error that its fit raises.
    fit
        Fits the cells that it is told.
    fold
        What it does without.
    kind
        What it must return.
    expected
        The same in words.

    Raises
    ------
    TypeError
        It returned something else.
    """
    with raised_by(repr(name), fold), without_data_warnings():
        model = fit(fold.kept.copy())
        if not isinstance(model, kind):
            raise TypeError(f"fit must return {expected}; found {type(model).__name__}")
    return model


def check_names(fits: Mapping[str, object], always: Collection[str]) -> None:
    """Raise where a model has the name of a row that is always there.

    Examples
    --------
    >>> from celltraj.models.evaluation import check_names
    >>> check_names({"floor": None}, {"floor", "truth"})
    Traceback (most recent call last):
        ...
    ValueError: rows named ['floor'] are always there; rename these models
    """
    if taken := set(always) & set(fits):
        raise ValueError(f"rows named {sorted(taken)} are always there; rename these models")


def rng_of(seed: int, *names: str) -> np.random.Generator:
    """Return draws that depend on the seed and these names, and not on what was drawn before.

    Examples
    --------
    >>> from celltraj.models.evaluation import rng_of
    >>> rng_of(0, "a", "b").random() == rng_of(0, "a", "b").random() != rng_of(0, "a").random()
    True
    """
    return np.random.default_rng([seed, zlib.crc32("\n".join(names).encode())])


@contextmanager
def raised_by(who: str, fold: Fold) -> Iterator[None]:
    """Say of an error who raised it, and in which fold."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised by {who} with {fold.name} held out")
        raise


@contextmanager
def without_data_warnings() -> Iterator[None]:
    """Leave out what was said of the whole already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        yield
