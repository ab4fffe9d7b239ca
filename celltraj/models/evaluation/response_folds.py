"""What is held out of the training of a response, and what is then predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from celltraj.models.evaluation.engine import Fold
from celltraj.models.evaluation.samples import Sample, control_rows
from celltraj.models.response.condition import Condition

FEWEST = 10  # cells before and after: a distance between fewer is noise
_FEWEST_POPULATIONS = 3


@dataclass(frozen=True)
class ResponseFold(Fold):
    """Say what one training does without, and what is predicted.

    Parameters
    ----------
    held_out
        Name of the population, type, combination or dose.
    held
        Treated cells to predict.
    cell_type
        The type of these where a type is held out.
    """

    held_out: str
    held: tuple[Sample, ...]
    cell_type: str | None = None

    @classmethod
    def of(
        cls, held_out: str, kept: np.ndarray, held: tuple[Sample, ...], cell_type: str | None = None
    ) -> ResponseFold:
        """Return the fold that is told by what it holds out."""
        return cls(repr(held_out), kept, held_out, held, cell_type)

    def other_controls(
        self, samples: Sequence[Sample], population: str, rng: np.random.Generator
    ) -> np.ndarray:
        """Return the untreated rows of another population, drawn among those of the training."""
        controls = control_rows(samples)
        others = [name for name in controls if name != population]
        trained = {one.population for one in samples if one.condition and self.kept[one.rows].any()}
        known = [name for name in others if name in trained]
        return controls[str(rng.choice(known or others))]


Split = Callable[[Sequence[Sample], "np.ndarray | None", int], Iterator[ResponseFold]]


def response_folds(
    hold_out: str, samples: Sequence[Sample], types: np.ndarray | None, n_obs: int
) -> list[ResponseFold]:
    """Return all folds in which something is left to learn from and to predict.

    Parameters
    ----------
    hold_out
        ``"population"``, ``"cell_type"``, ``"condition"`` or ``"dose"``.
    samples
        All cells by population and condition.
    types
        ``(n_obs,)`` cell type of each as text, None where it has none; None without types.
    n_obs
        Number of cells.

    Raises
    ------
    ValueError
        A population without untreated cells, fewer than three populations, or no fold.
    """
    _check_populations(samples)
    split, missing = _SPLITS[hold_out]
    folds = [_judged(fold, samples, types) for fold in split(samples, types, n_obs)]
    folds = [fold for fold in folds if fold.held]
    if not folds:
        raise ValueError(
            f"nothing to hold out by {hold_out}: {missing}, with at least {FEWEST} cells of a "
            "population before and after, and drugs that the training keeps elsewhere"
        )
    return folds


def _check_populations(samples: Sequence[Sample]) -> None:
    treated = {one.population for one in samples if one.condition is not None}
    if bare := sorted(treated - set(control_rows(samples))):
        raise ValueError(
            f"population {bare[0]!r} has treated cells and no control"
            + (f", and so have {bare[1:]}" if bare[1:] else "")
            + "; add its untreated cells, or drop it"
        )
    if len(treated) < _FEWEST_POPULATIONS:
        raise ValueError(
            f"{_FEWEST_POPULATIONS} treated populations are needed, to leave one out and to mistake"
            f" it for another; found {sorted(treated)}"
        )


def _judged(
    fold: ResponseFold, samples: Sequence[Sample], types: np.ndarray | None
) -> ResponseFold:
    """Return the fold with what can be predicted and measured: known drugs and enough cells."""
    known = {
        drug
        for one in samples
        if one.condition is not None and fold.kept[one.rows].any()
        for drug in one.condition.drugs
    }
    before = control_rows(samples)
    if fold.cell_type is not None and types is not None:
        before = {name: rows[types[rows] == fold.cell_type] for name, rows in before.items()}
    held = tuple(
        one
        for one in fold.held
        if one.condition is not None
        and set(one.condition.drugs) <= known
        and min(len(one.rows), len(before[one.population])) >= FEWEST
    )
    return replace(fold, held=held)


def _without(n_obs: int, gone: Sequence[Sample]) -> np.ndarray:
    kept = np.ones(n_obs, dtype=bool)
    for one in gone:
        kept[one.rows] = False
    return kept


def _by_population(
    samples: Sequence[Sample], types: np.ndarray | None, n_obs: int
) -> Iterator[ResponseFold]:
    """Leave all cells of a population out, untreated ones as well."""
    for name in dict.fromkeys(one.population for one in samples if one.condition is not None):
        gone = [one for one in samples if one.population == name]
        held = tuple(one for one in gone if one.condition is not None)
        yield ResponseFold.of(name, _without(n_obs, gone), held)


def _by_cell_type(
    samples: Sequence[Sample], types: np.ndarray | None, n_obs: int
) -> Iterator[ResponseFold]:
    """Leave the treated cells of a type out, in all populations and conditions."""
    if types is None:
        raise ValueError("hold_out='cell_type' needs cell_type_key=")
    for label in sorted({label for label in types if label is not None}):
        held = tuple(
            replace(one, rows=one.rows[types[one.rows] == label])
            for one in samples
            if one.condition is not None
        )
        yield ResponseFold.of(label, _without(n_obs, held), held, label)


def _by_condition(
    samples: Sequence[Sample], types: np.ndarray | None, n_obs: int
) -> Iterator[ResponseFold]:
    """Leave a combination of drugs out, at all its doses."""
    conditions = [one.condition for one in samples if one.condition is not None]
    for drugs in dict.fromkeys(one.drugs for one in conditions if len(one.drugs) > 1):
        held = tuple(one for one in samples if one.condition and one.condition.drugs == drugs)
        yield ResponseFold.of(Condition(drugs).name, _without(n_obs, held), held)


def _by_dose(
    samples: Sequence[Sample], types: np.ndarray | None, n_obs: int
) -> Iterator[ResponseFold]:
    """Leave one dose of a drug out, also where it stands in a combination; predict it alone."""
    given = [one.condition for one in samples if one.condition and one.condition.doses]
    levels: dict[str, set[float]] = {}
    for condition in given:
        if len(condition.drugs) == 1:
            levels.setdefault(condition.drugs[0], set()).add(condition.doses[0])
    for drug, doses in sorted(levels.items()):
        for dose in sorted(doses) if len(doses) > 2 else ():
            gone = [one for one in samples if one.condition and _has(one.condition, drug, dose)]
            held = tuple(one for one in gone if one.condition and len(one.condition.drugs) == 1)
            yield ResponseFold.of(Condition((drug,), (dose,)).name, _without(n_obs, gone), held)


def _has(condition: Condition, drug: str, dose: float) -> bool:
    return (drug, dose) in zip(condition.drugs, condition.doses, strict=False)


# how each is split, and what it needs
_SPLITS: dict[str, tuple[Split, str]] = {
    "population": (_by_population, "it needs populations under the same drugs"),
    "cell_type": (_by_cell_type, "it needs a type that is there before and after"),
    "condition": (
        _by_condition,
        "it needs a combination of two drugs or more; a drug that was never given has no effect "
        "that could be learned",
    ),
    "dose": (_by_dose, "it needs dose_key= and a drug given alone at three doses"),
}
