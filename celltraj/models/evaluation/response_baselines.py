"""What is said of a treatment that was left out without a model of it.

A shift is taken from the most direct evidence there is: the condition itself, else the sum over its
drugs, else the line through the two nearest doses; the population itself, else the mean over those
of the training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch

from celltraj.models.evaluation.prediction import Prediction
from celltraj.models.response.condition import Condition
from celltraj.models.response.neighbours import Moves, NeighbourTransfer
from celltraj.ot import exact_matching

NO_CHANGE = "no_change"
ORACLE = "oracle_shift"  # knows what was held out
NEIGHBOURS = ("neighbours", "neighbours_drawn", "neighbours_centred")
TRIVIAL_RESPONSES = (NO_CHANGE, "shift", "shift_by_type", "pooled", *NEIGHBOURS)
BASELINES = (*TRIVIAL_RESPONSES, ORACLE)
_COUPLED = 1000  # most cells of a population that exact transport couples


@dataclass(frozen=True)
class Observed:
    """Hold the cells of one population before and after one condition.

    Parameters
    ----------
    population
        Name of the population.
    condition
        What was done.
    before, after
        ``(n, d)`` and ``(m, d)`` cells.
    types_before, types_after
        ``(n,)`` and ``(m,)`` codes of cell types, -1 without a label; None where there are none.
    """

    population: str
    condition: Condition
    before: np.ndarray
    after: np.ndarray
    types_before: np.ndarray | None = None
    types_after: np.ndarray | None = None

    def shift(self, cell_type: int | None = None) -> np.ndarray | None:
        """Return the ``(d,)`` shift of the mean of all cells or of one type, None without cells."""
        before, after = self.before, self.after
        if cell_type is not None:
            before = before[self.types_before == cell_type]
            after = after[self.types_after == cell_type]
        return after.mean(0) - before.mean(0) if len(before) and len(after) else None

    @cached_property
    def moves(self) -> Moves:
        """The ways of at most a thousand cells by exact transport; which ones, their order says."""
        rng = np.random.default_rng(0)
        before, after = (
            x[np.sort(rng.permutation(len(x))[:_COUPLED])] for x in (self.before, self.after)
        )
        a, b = (np.full(len(x), 1 / len(x)) for x in (before, after))
        shift = exact_matching(before, after, a, b) @ after / a[:, None] - before
        both = (torch.from_numpy(np.asarray(x, float)) for x in (before, shift))
        return Moves(self.population, self.condition, *both)


def trivial_responses(
    seen: Sequence[Observed], held: Observed, *, n_cells: int, rng: np.random.Generator
) -> dict[str, Prediction]:
    """Predict treated cells from what the training shows without fitting a model.

    - ``no_change``: the cells before;
    - ``shift``: the same, moved by the expected shift of the mean;
    - ``shift_by_type``: each moved by that of its cell type, where the training has it, else by
      that of all cells;
    - ``pooled``: treated cells of the training under this condition, every population as heavy;
    - ``neighbours``: each cell moved by the mean way of the 30 untreated cells of other populations
      of the training nearest to it, coupled with treated ones by exact transport, see
      :class:`celltraj.models.response.neighbours.NeighbourTransfer`; ``neighbours_drawn``: by that
      of one of these at random; ``neighbours_centred``: where near means in the same direction from
      the mean of the population, and as far;
    - ``oracle_shift``: the cells before, moved to the true mean, which no prediction knows.

    What the training says nothing of is left out.

    Parameters
    ----------
    seen
        The training.
    held
        What is predicted; its cells after are there for the oracle alone.
    n_cells
        Most cells of ``pooled``.
    rng
        Draws these, and a neighbour of each cell.

    Returns
    -------
    Predictions by name.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models import Condition
    >>> from celltraj.models.evaluation import Observed, trivial_responses
    >>> drug, x = Condition(("drug",)), np.zeros((3, 1))
    >>> found = trivial_responses(
    ...     [Observed("a", drug, x, x + 2)], Observed("b", drug, x, x + 5), n_cells=2,
    ...     rng=np.random.default_rng(0),
    ... )
    >>> {name: found[name].x.mean().item() for name in ("no_change", "shift", "neighbours")}
    {'no_change': 0.0, 'shift': 2.0, 'neighbours': 2.0}
    """
    source = held.before
    found = {NO_CHANGE: Prediction(source)}
    shift = expected_shift(seen, held.population, held.condition)
    if shift is not None:
        found["shift"] = Prediction(source + shift)
        found |= _shifted_by_type(seen, held, shift)
    groups = [one.after for one in seen if one.condition == held.condition]
    if groups:
        found["pooled"] = _pooled(groups, n_cells, rng)
        found |= _as_neighbours(seen, held, rng)
    found[ORACLE] = Prediction(source + held.after.mean(0) - source.mean(0))
    return found


def _shifted_by_type(
    seen: Sequence[Observed], held: Observed, shift: np.ndarray
) -> dict[str, Prediction]:
    """Return ``shift_by_type``, or nothing where the training has none of the types."""
    types, source = held.types_before, held.before
    if types is None:
        return {}
    moved, known = source + shift, 0
    for code in np.unique(types[types >= 0]).tolist():
        own = expected_shift(seen, held.population, held.condition, code)
        if own is not None:
            moved[types == code] = source[types == code] + own
            known += 1
    return {"shift_by_type": Prediction(moved)} if known else {}


def _as_neighbours(
    seen: Sequence[Observed], held: Observed, rng: np.random.Generator
) -> dict[str, Prediction]:
    """Return the rows of neighbours, or nothing where no other population had the condition."""
    told = [one for one in seen if one.condition == held.condition]
    told = [one for one in told if one.population != held.population]
    told = [one for one in told if len(one.before) and len(one.after)]
    if not told:
        return {}
    transfer = NeighbourTransfer(tuple(one.moves for one in told))
    cells = torch.from_numpy(np.asarray(held.before, float))
    ways = cast("torch.Tensor", transfer.nearest(cells, held.condition)).numpy()
    drawn = ways[np.arange(len(ways)), rng.integers(ways.shape[1], size=len(ways))]
    centred = transfer.centred().displacement(cells - cells.mean(0), held.condition)
    shifts = (ways.mean(1), drawn, cast("torch.Tensor", centred).numpy())
    return {
        name: Prediction(held.before + shift)
        for name, shift in zip(NEIGHBOURS, shifts, strict=True)
    }


def _pooled(groups: Sequence[np.ndarray], n_cells: int, rng: np.random.Generator) -> Prediction:
    """Return cells of all groups, weighted so that each counts as much."""
    share = math.ceil(n_cells / len(groups))
    drawn = [group[rng.permutation(len(group))[:share]] for group in groups]
    weights = [np.full(len(part), 1 / (len(part) * len(drawn))) for part in drawn]
    return Prediction(np.concatenate(drawn), np.concatenate(weights))


def expected_shift(
    seen: Sequence[Observed], population: str, condition: Condition, cell_type: int | None = None
) -> np.ndarray | None:
    """Return the shift ``(d,)`` of the mean that the training leads one to expect.

    Parameters
    ----------
    seen
        The training.
    population, condition
        What is predicted; the population may be one of the training.
    cell_type
        Code of the cell type; None for all cells.

    Returns
    -------
    The shift, None where the training says nothing of it.

    References
    ----------
    Bliss, *The toxicity of poisons applied jointly* (1939), for effects of drugs that add.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models import Condition
    >>> from celltraj.models.evaluation import Observed, expected_shift
    >>> x = np.zeros((3, 1))
    >>> low, high = Condition(("A",), (1.0,)), Condition(("A",), (100.0,))
    >>> seen = [Observed("a", low, x, x + 1), Observed("a", high, x, x + 3)]
    >>> expected_shift(seen, "a", Condition(("A",), (10.0,))).item()
    2.0
    """
    direct = [one for one in seen if one.condition == condition]
    found = _own_or_mean({one.population: one.shift(cell_type) for one in direct}, population)
    if found is not None:
        return found
    if len(condition.drugs) > 1:
        singles = [
            expected_shift(seen, population, one, cell_type) for one in single_drugs(condition)
        ]
        known = [one for one in singles if one is not None]
        return np.sum(known, 0) if len(known) == len(singles) else None
    names = dict.fromkeys(one.population for one in seen)
    lines = {
        name: _at_dose(list(_doses(seen, name, condition, cell_type)), condition) for name in names
    }
    return _own_or_mean(lines, population)


def single_drugs(condition: Condition) -> list[Condition]:
    """Return each drug of a combination alone, at its dose.

    Examples
    --------
    >>> from celltraj.models import Condition
    >>> from celltraj.models.evaluation import single_drugs
    >>> [one.name for one in single_drugs(Condition(("B", "A"), (1.0, 10.0)))]
    ['B 1', 'A 10']
    """
    doses: list[tuple[float, ...]] = [(dose,) for dose in condition.doses]
    doses = doses or [()] * len(condition.drugs)
    return [
        Condition((drug,), dose, condition.covariates)
        for drug, dose in zip(condition.drugs, doses, strict=True)
    ]


def _own_or_mean(shifts: dict[str, np.ndarray | None], population: str) -> np.ndarray | None:
    """Return the shift of the population itself, or the mean over those that have one."""
    known = {name: shift for name, shift in shifts.items() if shift is not None}
    if population in known:
        return known[population]
    return np.mean(list(known.values()), 0) if known else None


def _doses(
    seen: Sequence[Observed], population: str, condition: Condition, cell_type: int | None
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the log dose and the shift of one population at other doses of the same drug."""
    for one in seen:
        same = (one.condition.drugs, one.condition.covariates) == (
            condition.drugs,
            condition.covariates,
        )
        shift = one.shift(cell_type) if same and one.population == population else None
        if shift is not None and one.condition.doses:
            yield math.log(one.condition.doses[0]), shift


def _at_dose(line: list[tuple[float, np.ndarray]], condition: Condition) -> np.ndarray | None:
    """Return the shift on the line through the two doses that enclose this one or are nearest."""
    if len(line) < 2 or not condition.doses:
        return None
    at = math.log(condition.doses[0])
    ordered = sorted(line, key=lambda pair: pair[0])
    k = int(np.searchsorted([log for log, _ in ordered], at))
    first, second = ordered[min(max(k - 1, 0), len(ordered) - 2) :][:2]
    share = (at - first[0]) / (second[0] - first[0])
    return (1 - share) * first[1] + share * second[1]
